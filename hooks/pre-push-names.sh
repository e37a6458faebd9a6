#!/bin/sh
# pre-push.sh TOKEN FILENAME SIZE IP:PORT
#
# An example: put it into /etc/file-bucket as pre-push.sh, owned by root, mode 0755. It refuses what is not named like a backup.
#
# pre-push.sh is run before a push is stored. Exit code 0 lets it be stored, 1 refuses it (409), and 2 lets it replace a file of the
# same name. What it prints goes to the client that is refused.
set -eu
name=$2

case $name in
*.tar | *.tar.* | *.tgz | *.sql | *.sql.* | *.dump | *.bak | *.b64 | *.zip) ;;
*)
	echo "only archives and dumps are wanted here, not $name"
	exit 1
	;;
esac
