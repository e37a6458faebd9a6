# shellcheck shell=bash disable=SC2154
# What each client of s3-clients goes through. A file of a client defines version, and the verbs
#
#	make_bucket BUCKET    up DIR BUCKET    down BUCKET DIR    list BUCKET    link BUCKET KEY    remove BUCKET KEY    drop BUCKET
#
# and may define extras BUCKET and a matrix of its own. up and down make the one side like the other, and delete what is too much.
# They find the scheme, url, address of the door, its certificate in ca, the tree to copy, a huge file, a directory work for
# themselves, and the credentials in the environment. parts is "in one piece" for a client that does not cut 20 MiB.

ok() { echo "ok: $client, $scheme: $1"; }
bad() { echo "FAILED: $client, $scheme: $1"; }
# is WHAT GOT WANT
is() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1: got '$2', want '$3'"; fi; }
# same WHAT GOT WANT, of many lines
same() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1: $(diff <(echo "$2") <(echo "$3") | grep '^[<>]' | head -n 5)"; fi; }
# does WHAT COMMAND…: it succeeds
does() {
	local what=$1
	shift
	if "$@" >"$work/said" 2>&1; then ok "$what"; else bad "$what: exit code $?, $(tail -n 5 "$work/said")"; fi
}
# equal WHAT DIR DIR
equal() { if "$python" "$here/tree.py" same "$2" "$3" >"$work/said" 2>&1; then ok "$1"; else bad "$1: $(head -n 5 "$work/said")"; fi; }
# reference VERB ARG…: what is in the bucket, by another client
reference() { AWS_CA_BUNDLE=$ca "$python" "$here/boto3_client.py" "$@"; }
# requests SINCE PATTERN: how many requests of that kind the door has answered well, from that line of its log on
requests() { tail -n "+$(($1 + 1))" "$log" | grep '"status":2' | grep -cE "$2" || true; }
now() { wc -l <"$log"; }
# in_parts BUCKET KEY: how that came
in_parts() { case $(reference etag "$1" "$2") in *-*) echo "in parts" ;; *) echo "in one piece" ;; esac; }
writes='"method":"(PUT|POST|DELETE)"'
reads='"op":"GetObject"'
# checks COMMAND…: a program that checks by itself and prints lines like these
checks() {
	"$@" >"$work/checks" 2>&1 || bad "$1 ends with $?: $(tail -n 5 "$work/checks")"
	grep -qE '^(ok|FAILED): ' "$work/checks" || bad "$1 has checked nothing: $(tail -n 5 "$work/checks")"
	sed -nE "s!^(ok|FAILED): !\1: $client, $scheme: !p" "$work/checks"
}

matrix() {
	local bucket keys since big='big + ü.bin' tricky='percent/%41.txt' nfd
	bucket=$(tr '[:upper:]/' '[:lower:]-' <<<"$client-$scheme") # the doors share one store
	nfd=$(printf 'nfc/cafe\u0301.txt')
	keys=$("$python" "$here/tree.py" keys "$tree")

	does "make a bucket" make_bucket "$bucket"
	does "sync up" up "$tree" "$bucket"
	same "the keys in the bucket are those of the tree" "$(reference ls "$bucket")" "$keys"
	is "the large file came ${parts:-in parts}" "$(in_parts "$bucket" "$big")" "${parts:-in parts}"
	since=$(now)
	does "sync up again" up "$tree" "$bucket"
	is "that writes nothing" "$(requests "$since" "$writes")" 0
	same "listing" "$(list "$bucket" 2>"$work/said" | LC_ALL=C sort)" "$(LC_ALL=C sort <<<"$keys")"
	mkdir "$work/back"
	does "sync down" down "$bucket" "$work/back"
	equal "the copied tree is equal" "$tree" "$work/back"
	since=$(now)
	does "sync down again" down "$bucket" "$work/back"
	is "that reads nothing" "$(requests "$since" "$reads")" 0

	if reference mark "$bucket" "sub/" "deep/1/" "only a marker/"; then ok "directory markers"; else bad "directory markers"; fi
	same "listing with them" "$(list "$bucket" 2>"$work/said" | grep -v '/$' | LC_ALL=C sort)" "$(LC_ALL=C sort <<<"$keys")"
	rm -rf "$work/back" && mkdir "$work/back"
	does "sync down with them" down "$bucket" "$work/back"
	equal "the copied tree is equal still" "$tree" "$work/back"

	links "$bucket" plain.txt "$tricky" "$nfd" 'plus+plus/1+1=2.txt' 'a b/c  d.txt'
	does "delete an object" remove "$bucket" "$tricky"
	same "that is gone and nothing else" "$(reference ls "$bucket" | grep -v '/$')" "$(grep -vxF "$tricky" <<<"$keys")"
	cp -a "$tree" "$work/changed" && "$python" "$here/tree.py" change "$work/changed"
	since=$(now)
	does "sync up a changed tree" up "$work/changed" "$bucket"
	is "that puts what is new" "$(requests "$since" '"op":"PutObject"')" 3
	same "what the tree does not have is deleted" "$(reference ls "$bucket" | grep -v '/$')" "$("$python" "$here/tree.py" keys "$work/changed")"
	does "sync it down" down "$bucket" "$work/back"
	equal "the changed tree is equal" "$work/changed" "$work/back"
	if declare -F extras >/dev/null; then
		reference drop "$bucket" && reference make_bucket "$bucket"
		extras "$bucket"
		up "$work/changed" "$bucket" >/dev/null 2>&1
	fi
	does "delete the bucket with all that is in it" drop "$bucket"
	same "it is gone" "$(reference buckets | grep -xF "$bucket")" ""
}

# links BUCKET KEY…: presigned links, which curl follows
links() {
	local bucket=$1 link
	shift
	for key in "$@"; do
		link=$(link "$bucket" "$key" 2>"$work/said")
		curl -sf --cacert "$ca" -o "$work/linked" "$link"
		if cmp -s "$work/linked" "$tree/$key"; then ok "presigned link of $key"; else bad "presigned link of $key: '$link' $(head -n 3 "$work/said")"; fi
		rm -f "$work/linked"
	done
}
