#!/bin/sh
# alert.sh BUCKET LAST HOURS
#
# An example: put it into /etc/file-bucket as alert.sh, owned by root, mode 0755. It mails an alarm, and needs a program mail.
#
# file-bucketctl watch runs alert.sh when nothing came into a bucket for longer than its "expect" in the configuration, once for
# each lapse, as the user of the daemons. When it fails, it is run again at the next watch. When the watch itself fails (the
# configuration is not valid, the store's disk is gone), BUCKET is "-", and LAST and HOURS are about the last watch that worked.
set -eu
to=root # who gets the mail

bucket=$1 # its name, or "-"
last=$2   # when something last came, 2026-11-21T03:12:07Z, or "never"
hours=$3  # for how long nothing came, in whole hours

if [ "$bucket" = - ]; then
	mail -s "file-bucket: nobody watches for backups that do not come" "$to" <<TEXT
For $hours hours nobody could see whether something comes into the buckets of $(hostname). It was last seen: $last
See: journalctl -u file-bucket-watch
TEXT
	exit
fi

mail -s "file-bucket: nothing for $bucket in $hours hours" "$to" <<TEXT
Nothing came into the bucket $bucket of $(hostname) for $hours hours. The last was: $last
See: file-bucketctl status
TEXT
