# shellcheck shell=bash disable=SC2154,SC2034,SC2016
# The parts of the push script about what file-bucket did not have: PUT, digests, time stamps, quotas, uploads that outlive their
# connection, throttling, proxies, and new lists of buckets.

version_put() { version_curl; }
version_digest() { version_curl; }
version_stamp() { version_curl; }
version_quota() { version_curl; }
version_tus() { version_curl; }
version_tuspy() { python3 -c 'import importlib.metadata as m; print(m.version("tuspy"))'; }
version_proxy() { nginx -v 2>&1 | cut -d/ -f2; }
version_throttle() { version_curl; }
version_reload() { echo -; }

part_put() {
	local f=$work/put.sql big=$root/big.tar
	cp "$root/dump.sql" "$f"
	pushed "curl -T" put.sql "$f" exact curl -fsS -T "$f" URL/
	pushed "a name of its own" put2.sql "$f" exact curl -fsS -T "$f" URL/put2.sql
	pushed "an empty file" put-empty "$root/empty" exact curl -fsS -T "$root/empty" URL/put-empty
	pushed "one byte" put-tiny "$root/tiny" exact curl -fsS -T "$root/tiny" URL/put-tiny
	pushed "3 MB" put-big.tar "$big" exact curl -fsS -T "$big" URL/put-big.tar
	pushed "a pipe" put-pipe.tar "$big" -1 sh -c "cat '$big' | curl -fsS -T - URL/put-pipe.tar"
	pushed "HTTP/1.0" put-10 "$big" exact curl -fsS --http1.0 -T "$big" URL/put-10
	pushed "without Expect" put-noexpect "$big" exact curl -fsS -H Expect: -T "$big" URL/put-noexpect
	cp "$f" "$work/größe 100% ☃.sql"
	pushed "UTF-8, a space and a percent sign" "größe 100% ☃.sql" "$f" exact curl -fsS -T "$work/größe 100% ☃.sql" URL/
	pushed "wget" put-wget "$big" exact wget -q -O - --method=PUT --body-file="$big" URL/put-wget
	pushed "requests" put-requests "$big" exact python3 -c 'import requests, sys
a = requests.put(sys.argv[1], data=open(sys.argv[2], "rb"), timeout=60)
print(a.text, end="")
sys.exit(a.status_code != 200)' URL/put-requests "$big"
	for token in "$named" "$bare"; do
		answers "no name" 412 'slash' -X PUT --data-binary "@$f" "$push/$token"
		answers "no name behind the slash" 412 . -X PUT --data-binary "@$f" "$push/$token/"
		answers "a directory" 400 'one segment' -T "$f" "$push/$token/a/b"
		answers "an escaped slash" 400 'one segment' -T "$f" "$push/$token/a%2fb"
		answers "a name that is hidden" 400 'begins with a dot' -T "$f" "$push/$token/.bashrc"
		answers "a name that is there" 405 '^file exists$' -T "$f" "$push/$token/put.sql"
		is "a large file, when the name is there: not a byte is sent" "$(curl -s -o /dev/null -w '%{http_code} %{size_upload}' -T "$big" "$push/$token/put.sql")" "405 0"
		answers "the rest of a file, as curl -C sends it" 400 'only whole files' -C 5 -T "$f" "$push/$token/rest"
	done
	is "more than max_size: not a byte is sent" "$(curl -s -o /dev/null -w '%{http_code} %{size_upload}' -T "$big" "$push/$small/big")" "413 0"
	is "nothing of it is stored" "$(names "$bare" | grep -cxE 'a|b|rest|\.\.')" 0
}

part_digest() {
	local f=$root/dump.sql hex base wrong before
	hex=$(sum "$f") wrong=$(sum "$root/tiny")
	base=$(openssl dgst -sha256 -binary "$f" | base64)
	pushed "a field" sum-field "$f" exact curl -fsS -F "sha256=$hex" -F "file=@$f;filename=sum-field" URL
	pushed "a header, with a form" sum-header "$f" exact curl -fsS -H "X-Checksum-Sha256: $hex" -F "file=@$f;filename=sum-header" URL
	pushed "a header, with PUT, as sha256sum prints it" sum-put "$f" exact sh -c "curl -fsS -H \"X-Checksum-Sha256: \$(sha256sum <'$f')\" -T '$f' URL/sum-put"
	pushed "in base64" sum-base64 "$f" exact curl -fsS -H "X-Checksum-Sha256: $base" -T "$f" URL/sum-base64
	pushed "Content-Digest" sum-content "$f" exact curl -fsS -H "Content-Digest: sha-256=:$base:" -T "$f" URL/sum-content
	pushed "one of another kind is not looked at" sum-other "$f" exact curl -fsS -H "Content-Digest: md5=:AAAA:" -T "$f" URL/sum-other
	before=$(names "$named"; names "$bare")
	for token in "$named" "$bare"; do
		answers "a wrong field" 422 digest -F "sha256=$wrong" -F "file=@$f;filename=no" "$push/$token"
		answers "a wrong header" 422 digest -H "X-Checksum-Sha256: $wrong" -T "$f" "$push/$token/no"
		answers "a wrong Content-Digest" 422 digest -H "Content-Digest: sha-256=:$(printf 'x%.0s' $(seq 32) | base64):" -T "$f" "$push/$token/no"
		answers "a large one with a wrong digest" 422 digest -H "X-Checksum-Sha256: $wrong" -T "$root/big.tar" "$push/$token/no"
		answers "what is no digest" 400 . -H 'X-Checksum-Sha256: 12' -T "$f" "$push/$token/no"
		answers "two that differ" 400 . -H "X-Checksum-Sha256: $hex" -H "Content-Digest: sha-256=:$(printf 'x%.0s' $(seq 32) | base64):" -T "$f" "$push/$token/no"
	done
	is "nothing of it is stored" "$(names "$named"; names "$bare")" "$before"
}

part_stamp() {
	hook_writes 2 name
	for _ in 1 2 3; do does "the same name" curl -fsS -T "$root/dump.sql" "$push/$stamping/"; done
	is "three files with a time before their names" "$(names "$stamping" | grep -cxE '[0-9]{8}T[0-9]{6}[.0-9]*Z-dump\.sql')" 3
	has "the answer has the name" "$(cat "$root/said")" '^[0-9]{8}T[0-9]{6}[.0-9]*Z-dump\.sql 10 sha256:'
	is "pre-push.sh is told it" "$(cat "$root/name")" "$(names "$stamping" | tail -n 1)"
	hook_writes 3 asked
}

part_quota() {
	local size pids=() n
	size=$(stat -c %s "$root/big.tar")
	does "the first of 3 MB fits into 7" curl -fsS -T "$root/big.tar" "$push/$quota/one"
	does "the second too" curl -fsS -F "file=@$root/big.tar;filename=two" "$push/$quota"
	answers "the third does not" 507 quota -T "$root/big.tar" "$push/$quota/three"
	is "not a byte of it is sent" "$(curl -s -o /dev/null -w '%{http_code} %{size_upload}' -T "$root/big.tar" "$push/$quota/three")" "507 0"
	answers "nor does it when nobody knows how long it is" 507 quota -H 'Transfer-Encoding: chunked' -F "file=@$root/big.tar;filename=three" "$push/$quota"
	does "what is small does" curl -fsS -T "$root/dump.sql" "$push/$quota/small"
	is "that is all there is" "$(names "$quota" | tr '\n' ' ')" "one small two "
	for n in $(seq 8); do
		curl -s -o /dev/null --limit-rate 4M -w '%{http_code}\n' -T "$root/big.tar" "$push/$parallel/$n" >"$work/$n" &
		pids+=($!)
	done
	wait "${pids[@]}"
	is "of eight at once two fit" "$(cat "$work"/* | sort | uniq -c | awk '{printf "%s:%s ", $2, $1}') $(names "$parallel" | wc -l)" "200:2 507:6  2"
	does "what is deleted" "${bin}file-bucketctl" rm --config "$root/main.json" "parallel/$(names "$parallel" | head -n 1)"
	waits "for its room" curl -fs -o /dev/null -T "$root/big.tar" "$push/$parallel/again"
	is "makes room" "$(names "$parallel" | grep -c again)" 1
}

part_tus() {
	local token script=$here/../../../etc/push-resumable n file=$work/long.tar
	export PUSH_WAIT=1 PUSH_TRIES=60
	: >"$work/empty.tus"
	head -c 9000001 /dev/urandom >"$file" && head -c 3000001 "$file" >"$work/größe \"1\".tar"
	for token in "$named" "$bare"; do
		rm -f "$root/asked"
		does "push-resumable" sh "$script" "$work/größe \"1\".tar" "$push/$token/"
		is "it says what is stored" "$(cat "$root/said")" "größe \"1\".tar 3000001 sha256:$(sum "$work/größe \"1\".tar")"
		does "an empty file" env "PUSH_URL=$push/$token" sh "$script" "$work/empty.tus"
		has "what is no file is refused" "$(sh "$script" "$work" "$push/$token" 2>&1; echo "exit $?")" 'exit 1'
		has "so is what is not there" "$(sh "$script" "$work/nothing" "$push/$token" 2>&1; echo "exit $?")" 'exit 1'
		is "of both nothing is stored" "$(names "$token" | grep -cxE "tus|nothing")" 0
		echo 'limit-rate = 2M' >>"$HOME/.curlrc"
		resumable "$file"
		n=$!
		waits "for it to come" coming
		python3 "$here/push_kill.py" "$$" curl 9 PATCH
		waits "for it to go on" coming
		stop KILL file-bucketd-main
		start main file-bucketd "$port"
		wait $n
		is "it goes on when curl and the daemon are killed" $? 0
		content "$token" long.tar >"$work/back" 2>"$root/said"
		equal "what was sent is what is stored" "$work/back" "$file"
		is "pre-push.sh was told the size" "$(cat "$root/asked")" 9000001
		has "the name is taken then" "$(sh "$script" "$file" "$push/$token" 2>&1; echo "exit $?")" '405 file exists'
		tus_drained "$token"
		tus_killed "$token"
		tus_ended "$token"
		sed -i '/limit-rate/d' "$HOME/.curlrc"
		is "nothing lies beside the files" "$(find "$work" -name '*.upload')" ""
	done
	tus_away
	tus_strange
	unset PUSH_WAIT PUSH_TRIES
}
# resumable FILE: the script in the background, in a process group of its own, as Ctrl-C wants it
resumable() {
	setsid -w env --default-signal=INT sh "$script" "$1" "$push/$token" >"$work/said" 2>&1 </dev/null &
}
# groups SIGNAL: to the script and all that it has started
groups() {
	local pid
	pid=$(pgrep -f "^sh $script $work/" | head -n 1)
	kill "-$1" -- "-$(ps -o pgid= -p "$pid" | tr -d ' ')"
}

# tus_drained TOKEN: the daemon is stopped as systemd does it
tus_drained() {
	local token=$1 n
	cp "$file" "$work/drained.tar"
	resumable "$work/drained.tar"
	n=$!
	waits "for it to come" coming
	stop TERM file-bucketd-main
	is "the daemon ends with 0" $? 0
	has "it has not waited for the upload" "$(grep -h drained.tar "$root/file-bucketd-main.log" | tail -n 1)" '"bytes":[1-9].*what has come is kept'
	start main file-bucketd "$port"
	wait $n
	is "it goes on when the daemon is there again" $? 0
	content "$token" drained.tar >"$work/back" 2>"$root/said"
	equal "what was sent before and after" "$work/back" "$file"
}
# tus_killed TOKEN: the script is killed, and run again
tus_killed() {
	local token=$1 n at
	cp "$file" "$work/killed.tar"
	resumable "$work/killed.tar"
	n=$!
	waits "for it to come" coming
	groups KILL
	wait $n 2>/dev/null
	is "a killed script leaves the address of the upload to its user" "$(stat -c %a "$work/killed.tar.upload")" 600
	at=$(cut -d' ' -f3 "$work/killed.tar.upload")
	rm -f "$root/asked"
	waits "for what has come" moved "$at"
	does "the next run goes on" sh "$script" "$work/killed.tar" "$push/$token"
	is "it has begun no other upload" "$([ -e "$root/asked" ] && echo begun)" ""
	content "$token" killed.tar >"$work/back" 2>"$root/said"
	equal "what was sent in two runs" "$work/back" "$file"
	# The file has become another since, or the upload is none any more.
	head -c 5000000 "$file" >"$work/other.tar"
	resumable "$work/other.tar"
	n=$!
	waits "for it to come" coming
	groups KILL
	wait $n 2>/dev/null
	at=$(cut -d' ' -f3 "$work/other.tar.upload")
	head -c 100000 "$file" >"$work/other.tar"
	does "another file of that name" sh "$script" "$work/other.tar" "$push/$token"
	content "$token" other.tar >"$work/back" 2>"$root/said"
	equal "it is what is stored" "$work/back" "$work/other.tar"
	is "the upload of the first is dropped" "$(tus_status -I "$at")" 404
	head -c 200000 "$file" >"$work/gone.tar"
	echo "$(sum "$work/gone.tar") 200000 $at" >"$work/gone.tar.upload"
	does "an upload that the box has dropped begins anew" sh "$script" "$work/gone.tar" "$push/$token"
}
tus_status() { curl -s -o "$root/said" -w '%{http_code}' -H 'Tus-Resumable: 1.0.0' "$@"; }
# moved URL: something of an upload is safe, and nobody sends to it
moved() { curl -sI -H 'Tus-Resumable: 1.0.0' "$1" | tr -d '\r' | grep -qE '^Upload-Offset: [1-9]'; }

# tus_ended TOKEN: what ends the script, and drops the upload
tus_ended() {
	local token=$1 n at end
	for end in interrupted grown shrunk changed; do
		cp "$file" "$work/$end.tar"
		resumable "$work/$end.tar"
		n=$!
		waits "for it to come" coming
		at=$(cut -d' ' -f3 "$work/$end.tar.upload")
		case $end in
		interrupted) groups INT ;;
		grown) echo more >>"$work/$end.tar" ;;
		shrunk) truncate -s 6000000 "$work/$end.tar" ;;
		changed) printf changed | dd of="$work/$end.tar" bs=1 seek=8999000 conv=notrunc status=none ;;
		esac
		[ $end != grown ] || python3 "$here/push_kill.py" "$$" curl 9 PATCH
		wait $n
		is "a script is ended that is $end, or its file" "$? $(tus_status -I "$at") $(names "$token" | grep -c "$end")" \
			"$([ $end = interrupted ] && echo 130 || echo 1) 404 0"
	done
}

# tus_away: where nobody answers the script waits, and gives up in the end
tus_away() {
	local token=$bare n
	head -c 1000 "$file" >"$work/away.tar"
	stop TERM file-bucketd-main
	has "nobody answers" "$(PUSH_TRIES=2 sh "$script" "$work/away.tar" "$push/$bare" 2>&1; echo "exit $?")" 'exit 75'
	resumable "$work/away.tar"
	n=$!
	waits "for it to wait" grep -q 'again in' "$work/said"
	start main file-bucketd "$port"
	wait $n 2>/dev/null
	is "until somebody does" "$? $(cmp "$work/away.tar" "$root/main/files/$bare/away.tar" 2>&1)" "0 "
	has "a token that is none is no reason to wait" "$(sh "$script" "$work/away.tar" "$push/$(openssl rand -hex 16)" 2>&1; echo "exit $?")" "403 token doesn't exist"
}
# tus_strange: what a box says that no box should, or that its administrator takes back
tus_strange() {
	local says port=$work/strange.port
	cat >"$work/strange.py" <<'PY'
import http.server, sys
says, port = sys.argv[1:]
class Box(http.server.BaseHTTPRequestHandler):
    def answer(self, status, **head):
        self.send_response(status)
        for name, value in head.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_POST(self):
        self.answer(201, Location=self.path + "/.uploads/id")
    def do_HEAD(self):
        if says == "refusal":
            self.answer(413)
        else:
            self.answer(200, Upload_Offset="1000", Upload_Length="1000", **({"X_Checksum_Sha256": "0" * 64} if says == "other" else {}))
    def do_DELETE(self):
        print("dropped", flush=True)
        self.answer(204)
    def log_message(self, *args):
        pass
box = http.server.HTTPServer(("127.0.0.1", 0), Box)
open(port, "w").write(f"{box.server_port}\n")
box.serve_forever()
PY
	head -c 1000 "$file" >"$work/strange.tar"
	for says in other nothing refusal; do
		rm -f "$port"
		python3 "$work/strange.py" $says "$port" >"$work/dropped" 2>&1 &
		pids[strange]=$!
		waits "for the box" test -s "$port"
		has "$says is no success" "$(sh "$script" "$work/strange.tar" "http://127.0.0.1:$(cat "$port")/token" 2>&1; echo "exit $?")" 'exit 1'
		is "$says: the upload stays when that may be taken back" "$([ -e "$work/strange.tar.upload" ] && echo there), $(cat "$work/dropped")" \
			"$([ $says = refusal ] && echo "there, " || echo ", dropped")"
		stop TERM strange
	done
	rm "$work/strange.tar.upload"
}
# coming: a PATCH of this script's has sent a good part
coming() { python3 "$here/push_kill.py" "$$" curl 0 PATCH 1000000; }

part_tuspy() {
	cat >"$work/tus.py" <<'PY'
import sys
from tusclient import client
url, file, name = sys.argv[1:]
def uploader(**more):
    return client.TusClient(url).uploader(file, chunk_size=700_001, metadata={"filename": name}, retries=3, retry_delay=1, **more)
first = uploader(upload_checksum=True)
first.upload(stop_at=1_500_000)
second = uploader(url=first.url)
assert second.offset == first.offset >= 1_400_002, second.offset
second.upload()
PY
	for token in "$named" "$bare"; do
		does "in pieces, with checksums, in two runs" python3 "$work/tus.py" "$push/$token" "$root/big.tar" tuspy.tar
		content "$token" tuspy.tar >"$work/back" 2>"$root/said"
		equal "what it sent" "$work/back" "$root/big.tar"
	done
}

# part_proxy: behind nginx as the README has it, and behind Caddy.
part_proxy() {
	local conf=$work/nginx.conf name
	configure proxied 127.0.0.1 "$tls_port" proxied ', "trusted_proxies": ["127.0.0.1"]'
	start proxied file-bucketd "$tls_port"
	{
		printf 'daemon off; pid %s/nginx.pid; error_log stderr; events {}\nhttp { access_log off; client_body_temp_path %s; proxy_temp_path %s;\n' "$work" "$work/body" "$work/proxy"
		printf 'fastcgi_temp_path %s; uwsgi_temp_path %s; scgi_temp_path %s;\nserver { listen 127.0.0.1:%s;\n' "$work/f" "$work/u" "$work/s" "$six_port"
		sed -n '/^      location/,/^      }/p' "$readme" | sed "s/127.0.0.1:1234/127.0.0.1:$tls_port/"
		echo '} }'
	} >"$conf"
	nginx -c "$conf" -p "$work" -e stderr 2>"$work/nginx.log" &
	pids[nginx]=$!
	hook_writes 4 peer
	python3 "$here/ftp_net.py" answers "$six_port" || bad "nginx does not answer: $(tail -n 2 "$work/nginx.log")"
	does "a form through nginx" curl -fsS -F "file=@$root/big.tar;filename=nginx" "http://127.0.0.1:$six_port/$bare"
	equal "what came" "$root/proxied/files/$bare/nginx" "$root/big.tar"
	does "a pipe through nginx" sh -c "cat '$root/big.tar' | curl -fsS -H 'X-Forwarded-For: 203.0.113.9' -T - http://127.0.0.1:$six_port/$bare/nginx-pipe"
	equal "what came" "$root/proxied/files/$bare/nginx-pipe" "$root/big.tar"
	has "what a client says of itself is passed on" "$(cat "$root/peer")" '^203\.0\.113\.9:0$'
	stop TERM nginx
	# Left to itself it makes a certificate and has the whole machine trust it.
	printf '{\n admin off\n auto_https off\n skip_install_trust\n}\nhttp://127.0.0.1:%s {\n reverse_proxy 127.0.0.1:%s\n}\n' "$six_port" "$tls_port" >"$work/Caddyfile"
	caddy run --config "$work/Caddyfile" --adapter caddyfile >"$work/caddy.log" 2>&1 &
	pids[caddy]=$!
	python3 "$here/ftp_net.py" answers "$six_port" || bad "Caddy does not answer: $(tail -n 2 "$work/caddy.log")"
	does "a form through Caddy" curl -fsS -F "file=@$root/big.tar;filename=caddy" "http://127.0.0.1:$six_port/$bare"
	equal "what came" "$root/proxied/files/$bare/caddy" "$root/big.tar"
	stop TERM caddy
	hook_writes 3 asked
	stop TERM file-bucketd-proxied
}

# part_throttle: wrong tokens of one address, and what becomes of others. The addresses are a proxy's word.
part_throttle() {
	local at=http://127.0.0.1:$tls_port wrong n
	configure guarded 127.0.0.1 "$tls_port" guarded ', "trusted_proxies": ["127.0.0.1"]'
	start guarded file-bucketd "$tls_port"
	for n in $(seq 10); do
		answers "wrong token $n" 403 "^token doesn't exist$" -H 'X-Forwarded-For: 2001:db8::1' -T "$root/tiny" "$at/$(openssl rand -hex 16)/x"
	done
	answers "one more" 429 'too many wrong tokens' -D "$work/head" -H 'X-Forwarded-For: 2001:db8::1' -T "$root/tiny" "$at/$(openssl rand -hex 16)/x"
	has "it says for how long" "$(tr -d '\r' <"$work/head")" '^Retry-After: [0-9]+$'
	answers "one of its network" 429 'too many wrong tokens' -H 'X-Forwarded-For: 2001:db8::2' -T "$root/tiny" "$at/$(openssl rand -hex 16)/x"
	answers "one of another" 403 "^token doesn't exist$" -H 'X-Forwarded-For: 2001:db8:0:1::1' -T "$root/tiny" "$at/$(openssl rand -hex 16)/x"
	answers "a right one, from there" 200 '^right 1' -H 'X-Forwarded-For: 2001:db8::1' -T "$root/tiny" "$at/$bare/right"
	has "the log names the address" "$(cat "$root/file-bucketd-guarded.log")" 'auth failure bucket=\? remote=2001:db8::1 token='
	stop TERM file-bucketd-guarded
}

# part_reload: the list of buckets changes while the daemon runs.
part_reload() {
	local new kept
	new=$(openssl rand -hex 16) kept=$(cat "$root/main.json")
	sed "s/\"token\": \"$named\"/\"tokens\": [\"$named\", \"$new\"]/; s/\"$bare\",//" "$root/main.json" >"$work/json" && cp "$work/json" "$root/main.json"
	answers "a new token before SIGUSR2" 403 . -T "$root/tiny" "$push/$new/early"
	kill -USR2 "${pids[file-bucketd-main]}"
	waits "for it to count" curl -fs -o /dev/null -T "$root/tiny" "$push/$new/new"
	answers "the old one still does" 200 . -T "$root/tiny" "$push/$named/old"
	answers "one that was taken away does not" 403 . -T "$root/tiny" "$push/$bare/gone"
	is "both are of one bucket" "$(names "$named" | grep -cxE 'new|old')" 2
	echo '{"buckets": [' >"$root/main.json"
	kill -USR2 "${pids[file-bucketd-main]}"
	waits "for it to say that the file is not valid" grep -q 'main.json' "$root/file-bucketd-main.log"
	answers "a file that is not valid changes nothing" 200 . -T "$root/tiny" "$push/$new/kept"
	echo "$kept" >"$root/main.json"
	kill -USR2 "${pids[file-bucketd-main]}"
	waits "for the old list" curl -fs -o /dev/null -T "$root/tiny" "$push/$bare/back"
	answers "a new token is none any more" 403 . -T "$root/tiny" "$push/$new/late"
}
