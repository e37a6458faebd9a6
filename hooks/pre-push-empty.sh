#!/bin/sh
# pre-push.sh TOKEN FILENAME SIZE IP:PORT
#
# An example: put it into /etc/file-bucket as pre-push.sh, owned by root, mode 0755. It refuses what is empty: a backup that suddenly
# is, is worth an alarm on the machine that sends it.
#
# SIZE is in bytes, or -1 when nobody knows it yet, as of what comes from a pipe. pre-push-names.sh says what exit codes mean.
set -eu
name=$2 size=$3

if [ "$size" -eq 0 ]; then
	echo "$name is empty"
	exit 1
fi
