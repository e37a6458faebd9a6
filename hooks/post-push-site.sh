#!/bin/sh
# post-push.sh TOKEN PATH IP:PORT
#
# An example: put it into /etc/file-bucket as post-push.sh, owned by root, mode 0755. It unpacks a static site that was pushed as a tar
# archive, compressed or not, and puts it in the place of the one before in one step. See post-push-verify.sh for when it is run.
#
# The web server's root is "current" below $root. $root belongs to the user file-bucket: install -d -o file-bucket /srv/www/site
# The site of before is kept beside it; to go back: ln -sfn DIRECTORY current
set -eu
bucket=site        # pushes into others are left alone
root=/srv/www/site # of all versions
limit=1073741824   # of the bytes of one, unpacked

path=$2
[ "$FB_BUCKET" = "$bucket" ] || exit 0

refuse() {
	echo "$FB_FILE is not unpacked: $1" >&2
	exit 1
}
# Whoever has the token must not get at other files of this machine. tar writes odd characters of names in a way that has no ends of
# lines. A tar that fails ends the script here.
list=$(tar --list --verbose --numeric-owner --file "$path")
names=$(tar --list --file "$path")
if printf '%s\n' "$list" | grep -qv '^[-d]'; then
	refuse "it has links or devices in it, or is empty; tar --dereference --hard-dereference makes files of links"
fi
if printf '%s\n' "$names" | grep -Eq '^/|(^|/)\.\.(/|$)'; then
	refuse "it has a name in it that leads elsewhere"
fi
if ! printf '%s\n' "$list" | awk -v limit="$limit" '{ size += $3 } END { exit (size > limit) }'; then
	refuse "it has more than $limit bytes"
fi

# One at a time: the script itself is the lock.
exec 9<"$0"
flock 9
new=$(mktemp -d "$root/$(date -u +%Y%m%dT%H%M%SZ).XXXXXX")
trap 'rm -rf "$new"' EXIT
tar --extract --no-same-owner --no-same-permissions --file "$path" --directory "$new"
chmod -R u=rwX,go=rX "$new"
old=$(readlink "$root/current") || old=
ln -s "${new##*/}" "$new.link"
mv -T "$new.link" "$root/current"
trap - EXIT

for dir in "$root"/*T*Z.??????*; do
	case ${dir##*/} in
	"${new##*/}" | "$old") ;;
	*) rm -rf "$dir" ;;
	esac
done
echo "$FB_FILE is the site now"
