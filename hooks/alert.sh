#!/bin/sh
# alert.sh BUCKET LAST HOURS
#
# An example: put it into /etc/file-bucket, owned by root, mode 0755. It is run once when a bucket that has "expect" in the
# configuration got nothing for longer than that. LAST is when something came last, and HOURS how long that is ago.
set -eu

mail -s "file-bucket: nothing for $1 in $3 hours" root <<TEXT
The last thing that came into the bucket $1 came $2.
See: file-bucketctl status
TEXT
