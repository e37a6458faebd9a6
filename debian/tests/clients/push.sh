# shellcheck shell=bash disable=SC2154
# What the parts of the push script share, and those about clients and what they are told.

say() { echo "$1" | tee -a "$checks"; }
ok() { say "ok: $client, $1"; }
bad() { say "FAILED: $client, $1"; }
# is WHAT GOT WANT
is() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1: got '$2', want '$3'"; fi; }
# has WHAT TEXT PATTERN
has() { if grep -qE -e "$3" <<<"$2"; then ok "$1"; else bad "$1: no $3 in '$(tail -c 300 <<<"$2")'"; fi; }
# does WHAT COMMAND…: it succeeds
does() {
	local what=$1
	shift
	if "$@" >"$root/said" 2>&1 </dev/null; then ok "$what"; else bad "$what: exit code $?, $(tail -n 5 "$root/said")"; fi
}
# fails WHAT COMMAND…: it does not
fails() {
	local what=$1
	shift
	if "$@" >"$root/said" 2>&1 </dev/null; then bad "$what: it succeeded: $(tail -n 5 "$root/said")"; else ok "$what"; fi
}
# equal WHAT FILE FILE
equal() { if cmp -s "$2" "$3"; then ok "$1"; else bad "$1: $(cmp "$2" "$3" 2>&1)"; fi; }

sum() { sha256sum "$1" | cut -d' ' -f1; }
# content TOKEN NAME: of a file that was pushed, to stdout
content() {
	if [ "$1" = "$bare" ]; then cat "$root/main/files/$1/$2"; else "${bin}file-bucketctl" get --config "$root/main.json" "$(bucket "$1")/$2" -; fi
}
bucket() {
	case $1 in
	"$small") echo small ;;
	"$stamping") echo stamped ;;
	"$quota") echo quota ;;
	"$parallel") echo parallel ;;
	*) echo db01 ;;
	esac
}
# names TOKEN: what is there, sorted
names() {
	if [ "$1" = "$bare" ]; then ls "$root/main/files/$1" 2>/dev/null; else "${bin}file-bucketctl" ls --config "$root/main.json" --quiet "$(bucket "$1")/" 2>/dev/null; fi
}

# pushed WHAT NAME FILE SIZE COMMAND…: the command, with the URL of a token in place of URL, stores FILE under NAME with a named bucket
# and with a bare token. SIZE is what pre-push.sh is told: "exact", or -1.
pushed() {
	local what=$1 name=$2 file=$3 size=$4 token args stdin=/dev/null
	shift 4
	if [ "$size" = exact ]; then size=$(stat -c %s "$file"); fi
	for token in "$named" "$bare"; do
		args=("${@//URL/$push/$token}")
		rm -f "$root/asked"
		if ! "${args[@]}" >"$root/said" 2>"$root/complained" <"$stdin"; then
			bad "$what: exit code $?: $(tail -n 3 "$root/complained" "$root/said")"
		elif ! grep -qFx "$name $(stat -c %s "$file") sha256:$(sum "$file")" "$root/said"; then
			bad "$what: the answer is $(head -c 300 "$root/said")"
		elif ! content "$token" "$name" 2>"$root/complained" | cmp -s - "$file"; then
			bad "$what: what is stored is not what was sent: $(cat "$root/complained")"
		elif [ "$(cat "$root/asked")" != "$size" ]; then
			bad "$what: pre-push.sh was told $(cat "$root/asked"), not $size"
		else
			ok "$what, $(if [ "$token" = "$bare" ]; then echo a bare token; else echo a bucket; fi)"
		fi
	done
}
# answers WHAT STATUS PATTERN CURL…: curl is answered so
answers() {
	local what=$1 status=$2 pattern=$3 got
	shift 3
	got=$(curl -sS -o "$root/said" -w '%{http_code}' "$@" 2>"$root/complained" </dev/null)
	if [ "$got" != "$status" ]; then
		bad "$what: $got, not $status: $(tail -n 3 "$root/said" "$root/complained")"
	elif ! grep -qE -e "$pattern" "$root/said"; then
		bad "$what: it says $(cat "$root/said")"
	else
		ok "$what"
	fi
}

version_curl() { curl --version | cut -d' ' -f2; }
version_ways() { version_curl; }
version_refused() { version_curl; }
version_wget() { wget --version | head -n 1 | cut -d' ' -f3; }
version_busybox() { busybox | head -n 1 | cut -d' ' -f2; }
version_python() { python3 -c 'import requests; print(requests.__version__)'; }

# part_curl: the forms that curl makes.
part_curl() {
	local f=$work/dump.sql
	cp "$root/dump.sql" "$f"
	pushed "-F" dump.sql "$f" exact curl -fsS -F "file=@$f" URL
	pushed "an empty file" empty "$root/empty" exact curl -fsS -F "file=@$root/empty" URL
	pushed "one byte" tiny "$root/tiny" exact curl -fsS -F "file=@$root/tiny" URL
	pushed "3 MB" big.tar "$root/big.tar" exact curl -fsS -F "file=@$root/big.tar" URL
	pushed "zeros" zeros "$root/zeros" exact curl -fsS -F "file=@$root/zeros" URL
	pushed "a name of its own" named.sql "$f" exact curl -fsS -F "file=@$f;filename=named.sql" URL
	pushed "a path as the name" base.sql "$f" exact curl -fsS -F "file=@$f;filename=../../etc/base.sql" URL
	pushed "a path of Windows" win.sql "$f" exact curl -fsS -F "file=@$f;filename=C:\\\\dumps\\\\win.sql" URL
	cp "$f" "$work/größe ☃ dump.sql"
	pushed "UTF-8 and spaces" "größe ☃ dump.sql" "$f" exact curl -fsS -F "file=@$work/größe ☃ dump.sql" URL
	cp "$f" "$work/a\"b.sql"
	pushed "a quote" 'a%22b.sql' "$f" exact curl -fsS -F "file=@\"$work/a\\\"b.sql\"" URL
	pushed "a quote, --form-escape" 'a"b.sql' "$f" exact curl -fsS --form-escape -F "file=@\"$work/a\\\"b.sql\"" URL
	pushed "a custom type" type.sql "$f" exact curl -fsS -F "file=@$f;type=text/x-sql;filename=type.sql" URL
	pushed "headers of the part" header.sql "$f" exact curl -fsS -F "file=@$f;filename=header.sql;headers=\"X-What: ever\"" URL
	base64 -w 76 "$f" | tr -d '\n' >"$work/base64"
	pushed "the base64 encoder" base64.sql "$work/base64" exact curl -fsS -F "file=@$f;filename=base64.sql;encoder=base64" URL
	pushed "fields before it" before.sql "$f" exact curl -fsS -F from=db01 -F note=nightly -F "file=@$f;filename=before.sql" URL
	pushed "stdin that is a file" stdin.sql "$f" exact sh -c "curl -fsS -F 'file=@-;filename=stdin.sql' URL <'$f'"
	pushed "stdin that is a pipe, which curl keeps in memory" piped.sql "$f" exact sh -c "cat '$f' | curl -fsS -F 'file=@-;filename=piped.sql' URL"
	pushed "a pipe by its name, which it does not" streamed.tar "$root/big.tar" -1 sh -c "cat '$root/big.tar' | curl -fsS -F 'file=@/dev/stdin;filename=streamed.tar' URL"
	pushed "-X POST, as file-bucket's README had it" post.sql "$f" exact curl -fsS -X POST URL -F "file=@$f;filename=post.sql"
	curl -fsS -H 'Accept: application/json' -F "file=@$f;filename=json.sql" "$push/$named" >"$work/json"
	is "JSON for who asks for it" "$(python3 -c 'import json, sys; v = json.load(open(sys.argv[1])); print(v["name"], v["size"], v["sha256"])' "$work/json")" "json.sql 10 $(sum "$f")"
}

# part_ways: how a form may travel.
part_ways() {
	local big=$root/big.tar
	pushed "HTTP/1.0" http10 "$big" exact curl -fsS --http1.0 -F "file=@$big;filename=http10" URL
	pushed "chunked" chunked "$big" -1 curl -fsS -H 'Transfer-Encoding: chunked' -F "file=@$big;filename=chunked" URL
	pushed "without Expect" noexpect "$big" exact curl -fsS -H Expect: -F "file=@$big;filename=noexpect" URL
	pushed "with Expect for a byte" expect "$root/tiny" exact curl -fsS -H 'Expect: 100-continue' -F "file=@$root/tiny;filename=expect" URL
	does "two over one connection" curl -sS -v -F "file=@$root/tiny;filename=first" "$push/$named" --next -sS -v -F "file=@$root/tiny;filename=second" "$push/$named"
	is "it was one" "$(grep -c 'Re-using existing connection' "$root/said") $(names "$named" | grep -cxE 'first|second')" "1 2"
	does "four at once" curl -sS --fail-early -Z -F "file=@$big;filename=one" "$push/$named" --next -fsS -F "file=@$big;filename=two" "$push/$bare" \
		--next -fsS -F "file=@$big;filename=three" "$push/$named" --next -fsS -F "file=@$big;filename=four" "$push/$bare"
	is "all of them are there" "$(names "$named" | grep -cxE 'one|three') $(names "$bare" | grep -cxE 'two|four')" "2 2"
	start tls file-bucketd "$tls_port"
	for version in 1.2 1.3; do
		does "TLS $version" curl -fsS "--tlsv$version" --tls-max "$version" --cacert "$root/crt" -F "file=@$big;filename=tls-$version" "https://127.0.0.1:$tls_port/$bare"
		equal "what came" "$root/tls/files/$bare/tls-$version" "$big"
	done
	does "HTTP/2 or what curl makes of it" curl -fsS --http2 --cacert "$root/crt" -F "file=@$big;filename=h2" "https://127.0.0.1:$tls_port/$bare"
	equal "what came" "$root/tls/files/$bare/h2" "$big"
	fails "plain HTTP to the port of TLS" curl -fsS -F "file=@$root/tiny;filename=plain" "http://127.0.0.1:$tls_port/$bare"
	fails "a certificate of somebody else" curl -fsS -F "file=@$root/tiny;filename=other" "https://127.0.0.1:$tls_port/$bare"
	stop TERM file-bucketd-tls
	if ! grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6; then
		echo "NOT RUN: this machine has no IPv6"
		return
	fi
	hook_writes 4 peer
	start six file-bucketd "$six_port"
	does "IPv6" curl -gfsS -F "file=@$big;filename=six" "http://[::1]:$six_port/$bare"
	equal "what came" "$root/six/files/$bare/six" "$big"
	has "pre-push.sh is told the address" "$(cat "$root/peer")" '^\[::1\]:[0-9]+$'
	stop TERM file-bucketd-six
	hook_writes 3 asked
}

# form FILE NAME: a form around a file, with the boundary b
form() {
	printf -- '--b\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n' "$2"
	cat "$1"
	printf '\r\n--b--\r\n'
}

part_wget() {
	form "$root/big.tar" wget.tar >"$work/form"
	pushed "a form made by hand" wget.tar "$root/big.tar" exact wget -q -O - --header 'Content-Type: multipart/form-data; boundary=b' --post-file "$work/form" URL
	fails "a file that is no form" wget -q -O - --post-file "$root/big.tar" "$push/$named"
}

part_busybox() {
	form "$root/dump.sql" busybox.sql >"$work/form"
	pushed "wget, a form with text" busybox.sql "$root/dump.sql" exact busybox wget -q -O - --header 'Content-Type: multipart/form-data; boundary=b' --post-file "$work/form" URL
	# It sends a file up to its first NUL, as if that were all of it. The closing boundary is missing then.
	form "$root/big.tar" nul.tar >"$work/form"
	fails "wget, a form with a NUL" busybox wget -q -O - --header 'Content-Type: multipart/form-data; boundary=b' --post-file "$work/form" "$push/$named"
	is "is not stored" "$(names "$named" | grep -c nul.tar)" 0
}

part_python() {
	cat >"$work/push.py" <<'PY'
import sys, requests
kind, url, file, name = sys.argv[1:]
with open(file, "rb") as f:
    if kind == "requests":
        answer = requests.post(url, files={"file": (name, f)}, timeout=60)
    elif kind == "fields":
        answer = requests.post(url, files={"file": (name, f)}, data={"from": "db01"}, timeout=60)
    else:
        import http.client, urllib.parse
        at = urllib.parse.urlsplit(url)
        head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        def body():
            yield head
            while block := f.read(10_000):
                yield block
            yield b"\r\n--b--\r\n"
        c = http.client.HTTPConnection(at.hostname, at.port, timeout=60)
        c.request("POST", at.path, body=body(), headers={"Content-Type": "multipart/form-data; boundary=b"})
        r = c.getresponse()
        print(r.read().decode(), end="")
        sys.exit(r.status != 200)
print(answer.text, end="")
sys.exit(answer.status_code != 200)
PY
	pushed "requests" requests "$root/big.tar" exact python3 "$work/push.py" requests URL "$root/big.tar" requests
	pushed "requests, with fields" fields "$root/dump.sql" exact python3 "$work/push.py" fields URL "$root/dump.sql" fields
	pushed "requests, a name that is not ASCII" "größe" "$root/dump.sql" exact python3 "$work/push.py" requests URL "$root/dump.sql" größe
	pushed "http.client, chunked" chunked.py "$root/big.tar" -1 python3 "$work/push.py" chunked URL "$root/big.tar" chunked.py
}

# part_refused: what curl hears, and that nothing is sent for nothing, stored or left behind.
part_refused() {
	local f=$root/dump.sql big=$root/big.tar before
	does "a file" curl -fsS -F "file=@$f;filename=there" "$push/$named"
	does "and one for a bare token" curl -fsS -F "file=@$f;filename=there" "$push/$bare"
	before=$(names "$named"; names "$bare"; names "$small")
	for token in "$named" "$bare"; do
		answers "a name that is there" 405 '^file exists$' -F "file=@$big;filename=there" "$push/$token"
		answers "a name that begins with a dot" 400 'begins with a dot' -F "file=@$f;filename=.bashrc" "$push/$token"
		answers "a name that is an option" 400 'begins with a dash' -F "file=@$f;filename=-rf" "$push/$token"
		answers "a name that is two dots" 400 'begins with a dot' -F "file=@$f;filename=.." "$push/$token"
		answers "a name of 300 bytes" 400 'longer than 255' -F "file=@$f;filename=$(printf 'x%.0s' $(seq 300))" "$push/$token"
		answers "a form without a file" 412 "^missed 'file' field in form$" -F "other=@$f" "$push/$token"
		answers "no form" 412 "^missed 'file'" -d x=y "$push/$token"
		answers "a GET" 412 "^missed 'file'" "$push/$token"
		answers "two files" 400 'more than one|one file' -F "file=@$f;filename=a" -F "file=@$f;filename=b" "$push/$token"
	done
	answers "no such token" 403 "^token doesn't exist$" -F "file=@$f" "$push/$(openssl rand -hex 16)"
	answers "the path of no token" 404 . -F "file=@$f" "$push/short"
	answers "the root" 404 . "$push/"
	answers "more than max_size" 413 'too large' -F "file=@$big" "$push/$small"
	answers "more than max_size, and nobody knows" 413 'too large' -H 'Transfer-Encoding: chunked' -F "file=@$big" "$push/$small"
	does "a little less" curl -fsS -F "file=@$root/dump.sql;filename=less" "$push/$small"
	# Where the client waits to be asked, it is not asked.
	for row in "403 $(openssl rand -hex 16)" "413 $small"; do
		is "${row% *} before the first byte" "$(curl -s -o /dev/null -w '%{http_code} %{size_upload}' -F "file=@$big" "$push/${row#* }")" "${row% *} 0"
	done
	is "-f makes exit code 22 of it" "$(curl -fs -F "file=@$f;filename=there" "$push/$named" >/dev/null; echo $?)" 22
	is "--fail-with-body too, and says why" "$(curl -s --fail-with-body -F "file=@$f;filename=there" "$push/$named"; echo $?)" "file exists"$'\n'22
	# Clients that die in the middle.
	curl -s --limit-rate 1M -F "file=@$big;filename=torn" "$push/$bare" >/dev/null 2>&1 &
	local pid=$!
	waits "for it to come" arriving
	kill -KILL $pid
	wait $pid 2>/dev/null
	waits "for it to be gone" settled
	does "one that was cut off can be sent again" curl -fsS -F "file=@$big;filename=torn" "$push/$bare"
	is "all that is there was stored" "$({ names "$named"; names "$bare"; names "$small"; } | grep -vxE 'torn|less')" "$before"
}
arriving() { [ -n "$(find "$root/main/files/$bare" -name '.*' ! -name '*.state' -type f -size +4k)" ]; }
# What is known of a resumable upload that is finished stays for a while.
settled() { [ -z "$(find "$root/main/files/$bare" -name '.*' ! -name '*.state' -type f)" ]; }
# waits WHAT COMMAND…: until it succeeds, half a minute at most
waits() {
	local what=$1 n=0
	shift
	until "$@"; do
		n=$((n + 1))
		if [ $n -gt 300 ]; then
			bad "waiting $what"
			return 1
		fi
		sleep 0.1
	done
}
