#!/bin/sh
# post-push.sh TOKEN PATH IP:PORT
#
# An example: put it into /etc/file-bucket as post-push.sh, owned by root, mode 0755. It makes the root of a container from an image
# that was pushed: what "incus publish" and "incus image export" make, or distrobuilder, as one file. Where there is no such container, it
# is made. The container keeps its name, addresses and devices, and is started anew; what it should keep has to be on a volume.
# See post-push-verify.sh for when it is run.
#
# Whoever has the bucket's token decides what runs in the container. The hook needs the right to speak to incus, which is as good as
# root's. "systemctl edit file-bucket-hook@" gives it to all hooks:
#
#	[Service]
#	SupplementaryGroups=incus-admin
set -eu
bucket=deploy # pushes into others are left alone
container=web
incus=incus # or lxc, with LXD; there the group is lxd

path=$2
[ "$FB_BUCKET" = "$bucket" ] || exit 0
export HOME=/var/lib/file-bucket # where the program looks for settings; hooks have no other

# One at a time: the script itself is the lock.
exec 9<"$0"
flock 9

# An image is called by the SHA-256 of its file. One that is there already is refused by import.
image=$FB_SHA256
"$incus" image info "$image" >/dev/null 2>&1 || "$incus" image import "$path" >&2
if "$incus" info "$container" >/dev/null 2>&1; then
	old=$("$incus" config get "$container" volatile.base_image)
	"$incus" rebuild "$image" "$container" --force >&2
	# Another container may need it: then it stays.
	if [ -n "$old" ] && [ "$old" != "$image" ]; then "$incus" image delete "$old" >&2 || true; fi
else
	"$incus" launch "$image" "$container" >&2
fi
echo "$FB_FILE runs in $container now"
