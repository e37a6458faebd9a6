#!/bin/sh
# post-push.sh TOKEN PATH IP:PORT
#
# An example: put it into /etc/file-bucket as post-push.sh, owned by root, mode 0755. It mails that something came, and needs a program
# mail. The client gets the answer that it gets without a hook. See post-push-verify.sh for when it is run.
set -eu
to=root # who gets the mail

# A client chooses the name. It has no ends of lines, so it stays where it is put: not in the subject, where more than ASCII needs
# an encoding, and not at the beginning of a line, where some programs called mail take ~ for a command.
mail -s "file-bucket: a new file in ${FB_BUCKET:-a directory without a name}" "$to" <<TEXT
File:    $FB_FILE
Bytes:   $FB_SIZE
SHA-256: $FB_SHA256
From:    $FB_REMOTE
TEXT
