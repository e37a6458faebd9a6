#!/bin/sh
# pre-push.sh TOKEN FILENAME SIZE IP:PORT
#
# An example: put it into /etc/file-bucket, owned by root, mode 0755. It is run before a push is stored. Exit code 0 lets it be
# stored, 1 refuses it (409), and 2 lets it replace a file of the same name. What it prints goes to the client that is refused.
# SIZE is in bytes, or -1 when nobody knows it yet.
set -eu
name=$2 size=$3

case $name in
*.tar | *.tar.* | *.sql | *.sql.* | *.zip) ;;
*)
	echo "only archives and dumps are wanted here, not $name"
	exit 1
	;;
esac
# A backup that is suddenly empty is worth an alarm on the machine that sends it.
if [ "$size" -eq 0 ]; then
	echo "$name is empty"
	exit 1
fi
