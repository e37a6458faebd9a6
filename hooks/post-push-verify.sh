#!/bin/sh
# post-push.sh TOKEN PATH IP:PORT
#
# An example: put it into /etc/file-bucket as post-push.sh, owned by root, mode 0755. It finds out whether an archive can be read to
# its end, which else a restore does. For that it needs GNU tar, and gzip, xz, zstd, bzip2 and unzip for what these read; of anything
# else it says that it has not looked at it. unzip can read no archive with a password, so such a one fails.
#
# post-push.sh is run after a push was stored, and what it prints is the answer to the client if it ends with 0. PATH is the file; of
# a bucket with a name it is a copy that is gone when the script ends. The push stays stored whatever the exit code is.
set -eu
path=$2 from=$3
found="stored, not looked at"

# look TOOLS COMMAND…: read the file with a command, if the tools for it are there.
look() {
	for tool in $1; do command -v "$tool" >/dev/null || return 0; done
	shift
	[ -s "$path" ] || { echo "it is empty" >&2 && exit 1; } # which tar and xz can read
	"$@" >/dev/null
	found="stored and can be read"
}

case $(printf %s "$path" | tr '[:upper:]' '[:lower:]') in
*.tar) look tar tar --list --file "$path" ;;
*.tar.gz | *.tgz) look "tar gzip" tar --list --file "$path" ;;
*.tar.xz | *.txz) look "tar xz" tar --list --file "$path" ;;
*.tar.zst | *.tzst) look "tar zstd" tar --list --file "$path" ;;
*.tar.bz2 | *.tbz2 | *.tbz) look "tar bzip2" tar --list --file "$path" ;;
*.gz) look gzip gzip --test "$path" ;;
*.xz) look xz xz --test "$path" ;;
*.zst) look zstd zstd --test --quiet "$path" ;;
*.bz2) look bzip2 bzip2 --test "$path" ;;
*.zip) look unzip unzip -tqq "$path" ;;
esac
echo "thank you, ${from%:*}: $(basename "$path") is $found"
