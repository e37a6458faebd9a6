#!/bin/sh
# post-push.sh TOKEN PATH IP:PORT
#
# An example: put it into /etc/file-bucket, owned by root, mode 0755. It is run after a push was stored, and what it prints is
# the answer to the client if it ends with 0. PATH is the file; of a bucket with a name it is a copy that is gone when the script
# ends. The push stays stored whatever the exit code is.
set -eu
path=$2 from=$3

# That an archive can be read to its end is found here, or else by a restore.
case $path in
*.tar.gz | *.tgz) tar -tzf "$path" >/dev/null ;;
*.tar) tar -tf "$path" >/dev/null ;;
esac
echo "thank you, ${from%:*}: $(basename "$path") is stored and can be read"
