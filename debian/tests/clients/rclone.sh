# shellcheck shell=bash disable=SC2034,SC2154
# rclone, once for each provider whose ways differ. It cuts files above 200 MiB only.
export RCLONE_CONFIG=$work/rclone.conf
# By default it takes names that differ only in their normal form for one.
export RCLONE_NO_UNICODE_NORMALIZATION=true
parts="in one piece"
cat >"$RCLONE_CONFIG" <<CONF
[door]
type = s3
provider = $variant
endpoint = $url
access_key_id = $AWS_ACCESS_KEY_ID
secret_access_key = $AWS_SECRET_ACCESS_KEY
region = us-east-1
CONF
# For the provider AWS it signs what it sends, and has no way to do that with a file of more than 32 KiB over http.
if [ "$variant" = AWS ] && [ "$scheme" = http ]; then echo "use_unsigned_payload = true" >>"$RCLONE_CONFIG"; fi

rclone() { "$built/rclone" "$@"; }
version() { rclone version | sed -n '1s/^rclone v\([0-9.]*\).*/\1/p'; }
make_bucket() { rclone mkdir "door:$1"; }
up() { rclone sync "$1" "door:$2"; }
down() { rclone sync "door:$1" "$2"; }
list() { rclone lsf -R --files-only "door:$1"; }
link() { rclone link --expire 10m "door:$1/$2"; }
remove() { rclone deletefile "door:$1/$2"; }
drop() { rclone purge "door:$1"; }

extras() {
	up "$tree" "$1" >"$work/said" 2>&1
	does "check of all hashes" rclone check "$tree" "door:$1"
	does "check of all bytes" rclone check --download "$tree" "door:$1"
	does "a file above its threshold" rclone copyto "$huge" "door:$1/huge"
	is "that came in parts" "$(in_parts "$1" huge)" "in parts"
	does "a copy on the server" rclone copyto "door:$1/huge" "door:$1/copies/huge"
	is "the copy" "$(rclone cat "door:$1/copies/huge" 2>"$work/said" | cmp - "$huge" 2>&1)" ""
	does "a stream" rclone rcat "door:$1/stream" <"$huge"
	is "the stream" "$(rclone cat "door:$1/stream" 2>"$work/said" | cmp - "$huge" 2>&1)" ""
	does "a move" rclone moveto "door:$1/stream" "door:$1/moved +%41"
	is "a moved object" "$(rclone lsf --files-only "door:$1" | grep -xF 'moved +%41')" 'moved +%41'
}
