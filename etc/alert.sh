#!/bin/sh
# An example of /etc/file-bucket/alert.sh, which file-bucketctl watch runs when a bucket got nothing within the time that its
# "expect" says, once for each lapse, as the user of the daemons. When it fails, it is run again at the next watch.
set -eu

bucket=$1 # its name
last=$2   # when something last came, 2026-11-21T03:12:07Z, or "never"
hours=$3  # for how long nothing came, in whole hours

mail -s "file-bucket: no backup in $bucket for $hours hours" root <<EOF
Nothing came into bucket $bucket of $(hostname) for $hours hours. The last was: $last
EOF
