# shellcheck shell=bash disable=SC2154
# What the parts of the FTP script share, and the parts that are about the door more than about one client.

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
# refused WHAT PATTERN COMMAND…: it fails and says that
refused() {
	local what=$1 pattern=$2
	shift 2
	if "$@" >"$root/said" 2>&1 </dev/null; then
		bad "$what: it succeeded"
	elif grep -qE -e "$pattern" "$root/said"; then
		ok "$what"
	else
		bad "$what: $(tail -n 5 "$root/said")"
	fi
}
# equal WHAT FILE FILE
equal() { if cmp -s "$2" "$3"; then ok "$1"; else bad "$1: $(cmp "$2" "$3" 2>&1)"; fi; }
# like WHAT DIR DIR
like() { if diff -r "$2" "$3" >"$root/said" 2>&1; then ok "$1"; else bad "$1: $(head -n 5 "$root/said")"; fi; }
# checked COMMAND…: a program that checks by itself and prints lines like these
checked() {
	"$@" >"$root/said" 2>&1 </dev/null || bad "$2 ends with $?: $(tail -n 5 "$root/said")"
	grep -qE '^(ok|FAILED): ' "$root/said" || bad "$2 has checked nothing"
	sed -nE "s!^(ok|FAILED): !\1: $client, !p" "$root/said" | tee -a "$checks"
}

# By S3: the hash of an object's content, whatever way it came; one of its headers; the keys of a bucket.
hash() { header "$1" x-xet-hash; }
header() { curl -sI "$s3/$1" | tr -d '\r' | sed -n "s/^$2: //Ip"; }
keys() { curl -s "$s3/$1?list-type=2&prefix=${2-}" | grep -o '<Key>[^<]*' | sed 's/<Key>//'; }
status() { curl -s -o /dev/null -w '%{http_code}' "$@"; }
# is_ref WHAT KEY FILE: the object is FILE as one upload over S3 has stored it
is_ref() { is "$1" "$(hash "$2")" "$(hash "ref/$3")"; }

version_rows() { echo -; }
version_doors() { echo -; }
version_names() { echo -; }
version_killed() { echo -; }
version_stopped() { echo -; }
version_tls() { openssl version | cut -d' ' -f2; }
version_anonymous() { echo -; }
version_crowd() { echo -; }
version_full() { echo -; }

part_rows() { checked python3 "$here/ftp_rows.py" "$s3"; }

# part_doors: what came through one door is in the others.
part_doors() {
	curl -s -o /dev/null -F "file=@$root/big" "$push"
	does "what was pushed comes by FTP" curl -sSf -o "$work/pushed" "$url/pushed/big"
	equal "and is what it was" "$work/pushed" "$root/big"
	does "put by FTP into the bucket of push" curl -sS -T "$root/big" "$url/pushed/by-ftp"
	does "what was put by FTP comes by S3" curl -sSf -o "$work/got" "$s3/pushed/by-ftp"
	equal "and is what it was" "$work/got" "$root/big"
	is "the hash is the same through three doors" "$(hash pushed/big) $(hash pushed/by-ftp)" "$(hash ref/big) $(hash ref/big)"
	is "what is there by FTP is refused by push" "$(status -F "file=@$root/small;filename=by-ftp" "$push")" 405
	does "what was put by S3 is listed" curl -sSf -l -o "$work/list" "$url/ref/"
	is "with its names" "$(tr -d '\r' <"$work/list" | sort | tr '\n' ' ')" "big small "
	does "make a bucket by FTP" curl -sS -Q "MKD /made" "$url/"
	is "S3 has it" "$(status -I "$s3/made")" 200
	does "delete it" curl -sS -Q "RMD /made" "$url/"
	is "S3 has it no more" "$(status -I "$s3/made")" 404
	does "delete by FTP" curl -sS -Q "DELE /pushed/by-ftp" "$url/"
	is "S3 has it no more" "$(status -I "$s3/pushed/by-ftp")" 404
	does "overwrite what S3 put" curl -sS -T "$root/small" "$url/ref/again"
	curl -s -o /dev/null -T "$root/big" "$s3/ref/again"
	does "and S3 what FTP put" curl -sSf -o "$work/again" "$url/ref/again"
	equal "the last one counts" "$work/again" "$root/big"
	curl -s -o /dev/null -X DELETE "$s3/ref/again"
}

# part_names: keys that FTP cannot name are hidden and hurt nothing; a file and a directory may be called the same.
part_names() {
	local key
	curl -s -o /dev/null -X PUT "$s3/names"
	for key in 'a//b' '%2Fabs' 'x/%2E%2E/y' './z' 'x/%2E/y' 'cr%0Dlf%0Anew' 'both' 'both/in' 'marked/' 'sp%20ace%20' 'dash/-la' 'plain'; do
		curl -s -o /dev/null --path-as-is -X PUT --data-binary "@$root/small" "$s3/names/$key"
	done
	is "they are there" "$(curl -s "$s3/names?list-type=2" | grep -o '<Key>' | wc -l)" 12
	does "list them" curl -sSf -o "$work/list" "$url/names/"
	curl -sS -o "$work/nlst" -l "$url/names/"
	is "what FTP can name is listed" "$(tr -d '\r' <"$work/nlst" | LC_ALL=C sort -u | tr '\n' ',')" "a,both,dash,marked,plain,sp ace ,x,"
	is "one as a file and as a directory" "$(grep -c ' both.\?$' "$work/list")" 2
	does "the file is read" curl -sSf -o "$work/both" "$url/names/both"
	equal "and what it was" "$work/both" "$root/small"
	does "the directory is entered" curl -sSf -l -o "$work/nlst" "$url/names/both/"
	is "and has its own" "$(tr -d '\r' <"$work/nlst")" in
	curl -sS -o "$work/marked" "$url/names/marked/"
	is "a marker is no file in itself" "$(grep -c . "$work/marked")" 0
	does "a name like an option" curl -sSf -o "$work/dash" "$url/names/dash/-la"
	equal "is one" "$work/dash" "$root/small"
	does "a path with dots is resolved" curl -sSf --path-as-is -o "$work/dots" --ftp-method nocwd "$url/names/x/../../../names/./plain"
	equal "to what it names" "$work/dots" "$root/small"
	does "the log tells of hidden keys" grep -qi 'hidden\|cannot name' "$root/hugbucket-ftpd-main.log"
}

# overwritten_after COMMAND: lftp goes on with an upload over an old file that broke off
overwritten_after() {
	curl -s -o /dev/null -T "$root/begun" "$s3/killed/after/big"
	checked python3 "$here/ftp_killed.py" 1 "$root/big" 0 lftp -c "set net:limit-rate 0:3000000; open $url; put $root/big -o killed/after/big"
	case $1 in
	mirror*) does "$1" lftp -c "open $url; $1 -f $root/big -O killed/after" ;;
	*) does "$1" lftp -c "open $url; $1 $root/big -o killed/after/big" ;;
	esac
	is_ref "$1 does not mix it with the old one" killed/after/big big
}
# overwritten_through HOW OLD: a connection breaks or the door ends while lftp overwrites OLD; it comes again by itself
overwritten_through() {
	curl -s -o /dev/null -T "$root/$2" "$s3/killed/through"
	if [ "$1" = unnoticed ]; then
		curl -sS --limit-rate 3M -T "$root/big" "$url/killed/through" 2>/dev/null &
		local silent=$!
		sleep 1
		kill -STOP "$silent"
		does "$2: lftp goes on while the door waits for the first" lftp -c "open $url; put -c $root/big -o killed/through"
		is_ref "and has overwritten all of it" killed/through big
		# curl -I asks for the size and no port.
		is "and is told its size" "$(curl -sSI "$url/killed/through" | tr -d '\r' | grep Length)" "Content-Length: 20000003"
		kill -KILL "$silent"
		wait "$silent" 2>/dev/null
		does "the door has noticed the first" python3 "$here/ftp_net.py" quiet "$port" "$first_passive-$((first_passive + 99))"
		is "and tells the size as before" "$(curl -sSI "$url/killed/through" | tr -d '\r' | grep Length)" "Content-Length: 20000003"
		return
	fi
	lftp -c "set net:limit-rate 0:6000000; set net:max-retries 9; open $url; put $root/big -o killed/through" >"$work/through" 2>&1 &
	local upload=$!
	sleep 2
	if [ "$1" = TERM ]; then
		kill -TERM "${pids[hugbucket-ftpd-main]}"
		sleep 0.3 # the second one does not wait for uploads
	fi
	stop "$1" hugbucket-ftpd-main
	is "$1, $2: what was there stays" "$(hash killed/through)" "$(curl -s -o /dev/null -T "$root/$2" "$s3/ref/$2" && hash "ref/$2")"
	start_main
	wait "$upload"
	is "$1, $2: lftp ends well" $? 0
	is_ref "and has overwritten all of it" killed/through big
}

# part_killed: clients that end by kill -9 in the middle of an upload leave nothing, and an old object as it was.
part_killed() {
	curl -s -o /dev/null -X PUT "$s3/killed"
	curl -s -o /dev/null -T "$root/begun" "$s3/killed/old"
	local kill="$here/ftp_killed.py"
	checked python3 "$kill" 20 "$root/big" 0 curl -sS --limit-rate 3M -T "$root/big" "$url/killed/curl-{}"
	checked python3 "$kill" 20 "$root/big" 0 lftp -c "set net:limit-rate 0:3000000; open $url; put $root/big -o killed/lftp-{}"
	checked python3 "$kill" 20 "$root/big" 0 python3 "$here/ftp_upload.py" "$root/big" "killed/python-{}" 3000000
	checked python3 "$kill" 3 "$root/big" 7000001 curl -sS --limit-rate 3M -C - -T "$root/big" "$url/killed/old"
	checked python3 "$kill" 3 "$root/big" 7000001 lftp -c "set net:limit-rate 0:3000000; open $url; put -c $root/big -o killed/old"
	does "the door has let them go" python3 "$here/ftp_net.py" quiet "$port" "$first_passive-$((first_passive + 99))"
	is "none of them left an object" "$(keys killed)" old
	does "the old one is what it was" curl -sSf -o "$work/old" "$url/killed/old"
	equal "byte for byte" "$work/old" "$root/begun"

	# The door itself.
	curl -sS --limit-rate 3M -T "$root/big" "$url/killed/door" 2>/dev/null &
	local upload=$!
	sleep 1
	stop KILL hugbucket-ftpd-main
	wait "$upload" && bad "a client takes the death of the door for success"
	start_main
	is "kill -9 of the door leaves no object" "$(keys killed)" old
	does "and it serves again" curl -sSf -T "$root/big" "$url/killed/door"
	is_ref "the same upload works then" killed/door big
	# What an upload would have replaced can be read, whatever the client asks before.
	checked python3 "$kill" 1 "$root/big" 0 curl -sS --limit-rate 3M -T "$root/big" "$url/killed/old"
	does "the door has let it go" python3 "$here/ftp_net.py" quiet "$port" "$first_passive-$((first_passive + 99))"
	does "curl reads the old one" curl -sSf -o "$work/old" "$url/killed/old"
	equal "all of it" "$work/old" "$root/begun"
	does "wget does" wget -q -O "$work/wget" "$url/killed/old"
	equal "all of it, too" "$work/wget" "$root/begun"
	refused "curl cannot go on with it" 'APPE|Failed FTP upload' curl -sS -C - -T "$root/big" "$url/killed/old"
	for go_on in "put -c" reput "mirror -R -c"; do overwritten_after "$go_on"; done
	for how in unnoticed TERM KILL; do
		for old in begun other; do overwritten_through "$how" "$old"; done
	done
	# SIGTERM waits for what is under way.
	curl -sS --limit-rate 10M -T "$root/big" "$url/killed/drained" 2>"$work/drained" &
	upload=$!
	sleep 0.7
	stop TERM hugbucket-ftpd-main
	is "SIGTERM in the middle of an upload ends the door with 0" $? 0
	wait "$upload"
	is "and the upload well" $? 0
	start_main
	is_ref "and all of it is there" killed/drained big
}

# part_stopped: clients that fall silent. The door waits for them for a minute, so they begin before all other parts.
begin_stopped() {
	start stall hugbucket-ftpd "$stall_port"
	FTP_PORT=$stall_port python3 "$here/ftp_stopped.py" "$root/big" "$s3" "$stall_passive-$((stall_passive + 9))" >"$root/stopped.said" 2>&1 &
	stopped=$!
}
part_stopped() {
	wait "$stopped"
	checked cat "$root/stopped.said"
}

part_tls() {
	local tls_url=ftp://$user:$pass@127.0.0.1:$tls_port
	curl -s -o /dev/null -X PUT "$s3/tls"
	start tls hugbucket-ftpd "$tls_port"
	for version in 1.2 1.3; do
		does "curl, TLS $version" curl -sS --ssl-reqd "--tlsv$version" --tls-max "$version" --cacert "$ca" -T "$root/big" "$tls_url/tls/curl-$version"
		is_ref "what it put" "tls/curl-$version" big
	done
	: >"$work/empty"
	does "curl puts two files over one connection" curl -sS --ssl-reqd --cacert "$ca" -T "{$work/empty,$root/small}" "$tls_url/tls/"
	is "the empty one" "$(header tls/empty content-length)" 0
	is_ref "the other" tls/small small
	does "curl gets" curl -sS --ssl-reqd --cacert "$ca" -o "$work/back" "$tls_url/tls/curl-1.3"
	equal "what was put" "$work/back" "$root/big"
	refused "a certificate of somebody else is not taken" "SSL|certificate" curl -sS --ssl-reqd --cacert "$root/two.crt" -T "$root/small" "$tls_url/tls/no"
	does "lftp" lftp -c "set ssl:ca-file $ca; set ftp:ssl-force yes; set ftp:ssl-protect-data yes; open $tls_url; put $root/big -o tls/lftp; get tls/lftp -o $work/lftp"
	equal "what lftp put and got" "$work/lftp" "$root/big"
	local forced="set net:max-retries 1; set ssl:ca-file $ca; set ftp:ssl-force true; open -u $user,$pass ftp://127.0.0.1"
	does "lftp by a line as token list prints it" lftp -e "$forced:$tls_port/tls/; cls lftp; exit" </dev/null
	refused "which sends nothing to a door without TLS" "ssl-force is set" lftp -e "$forced:${url##*:}/; cls; exit" </dev/null
	RCLONE_CONFIG_TLS_TYPE=ftp RCLONE_CONFIG_TLS_HOST=127.0.0.1 RCLONE_CONFIG_TLS_PORT=$tls_port RCLONE_CONFIG_TLS_USER=$user \
		RCLONE_CONFIG_TLS_PASS=$(rclone obscure "$pass") RCLONE_CONFIG_TLS_EXPLICIT_TLS=true SSL_CERT_FILE=$ca \
		does "rclone" rclone copyto "$root/small" TLS:tls/rclone
	is_ref "what rclone put" tls/rclone small
	FTP_PORT=$tls_port checked python3 "$here/ftp_python.py" "$root/big" "$root/begun" "$s3" "$ca"
	does "plain FTP is allowed beside it" curl -sS -T "$root/small" "$tls_url/tls/plain"

	shown() { openssl s_client -connect "127.0.0.1:$tls_port" -starttls ftp </dev/null 2>/dev/null | openssl x509 -noout -subject | tr -d ' '; }
	is "the first certificate" "$(shown)" subject=CN=one
	cp "$root/two.crt" "$root/crt" && cp "$root/two.key" "$root/key"
	local n=0
	until [ "$(shown)" = subject=CN=two ] || [ $n -gt 100 ]; do
		n=$((n + 1))
		sleep 0.1
	done
	is "a new one is shown without a reload" "$(shown)" subject=CN=two
	does "and serves transfers" curl -sS --ssl-reqd --cacert "$root/two.crt" -T "$root/small" "$tls_url/tls/two"
}

# part_anonymous: without username and password anybody may do anything, here over IPv6.
part_anonymous() {
	for half in '"username": "u"' '"password": "p"'; do
		configure half 127.0.0.1 "$open_port" 0 "$open_passive-$((open_passive + 19))" ", $half" ""
		refused "only $half is an error that names both" 'username.*password|password.*username' "${bin}hugbucket-ftpd" --config "$root/half.json" --check
	done
	if ! grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6; then
		echo "NOT RUN: this machine has no IPv6"
		configure open 127.0.0.1 "$open_port" 0 "$open_passive-$((open_passive + 19))" "" ""
		local host=127.0.0.1 at=127.0.0.1
	else
		local host='[::1]' at=::1
	fi
	start open hugbucket-ftpd "$open_port"
	does "curl" curl -gsS --ftp-create-dirs -T "$root/big" "ftp://$host:$open_port/anon/new/curl"
	is_ref "what it put" anon/new/curl big
	does "with any name and password" curl -gsS -u any:thing -o "$work/back" "ftp://$host:$open_port/anon/new/curl"
	equal "what was put" "$work/back" "$root/big"
	does "lftp" lftp -c "open ftp://$host:$open_port; put $root/small -o anon/lftp"
	is_ref "what lftp put" anon/lftp small
	does "the log warns of it" grep -q '"level":"warn"' "$root/hugbucket-ftpd-open.log"
	FTP_HOST=$at FTP_PORT=$open_port FTP_USER=a FTP_PASS=b checked python3 "$here/ftp_crowd.py" leaks "$open_passive" 20
	stop TERM hugbucket-ftpd-open
}

# part_full: a store on a file system of 24 MB, and a file of 20 MB more than once. Needs root, to mount it.
part_full() {
	local at=ftp://127.0.0.1:$open_port log=$root/hugbucket-ftpd-full.log
	mkdir "$root/disk"
	does "mount a small file system" mount -t tmpfs -o size=24M,mode=700 tmpfs "$root/disk" || return
	configure full 127.0.0.1 "$open_port" 0 "$open_passive-$((open_passive + 19))" "" ""
	sed -i "s!$root/store!$root/disk/store!" "$root/full.json"
	start full hugbucket-ftpd "$open_port"
	does "make a bucket" curl -sS -Q "MKD /full" "$at/"
	does "a file that fits" curl -sS -T "$root/small" "$at/full/old"
	refused "a file that does not" "< 552 Issue during transfer: no space left" curl -sSv -T "$root/more" "$at/full/big"
	refused "lftp hears of it" 552 lftp -c "open $at; put $root/more -o full/lftp"
	is "python hears of it" "$(FTP_PORT=$open_port FTP_USER=a FTP_PASS=b python3 "$here/ftp_upload.py" "$root/more" full/python 1000000000 2>&1 | tail -n 1 | grep -o 'error_perm: 552')" "error_perm: 552"
	refused "an old file is not overwritten by half of one" 552 curl -sSv -T "$root/more" "$at/full/old"
	does "it is there" curl -sSf -o "$work/old" "$at/full/old"
	equal "as it was" "$work/old" "$root/small"
	is "nothing else is" "$(curl -s -l "$at/full/" | tr -d '\r')" old
	does "it can be deleted" curl -sS -Q "DELE /full/old" "$at/"
	does "a file fits again" curl -sS -T "$root/small" "$at/full/new"
	stop TERM hugbucket-ftpd-full
	does "the store is whole" "${bin}file-bucketctl" check --config "$root/full.json"
	has "the log has the error" "$(cat "$log")" '"level":"error".*no space left'
	sed -i '/"level":"error".*no space left/d' "$log"
	umount "$root/disk"
}

part_crowd() {
	local pid=${pids[hugbucket-ftpd-main]}
	checked python3 "$here/ftp_crowd.py" ports "$first_passive" 100
	checked python3 "$here/ftp_crowd.py" takeover
	checked python3 "$here/ftp_crowd.py" cameras "$pid" "http://127.0.0.1:$((metrics_port + 2))/metrics" "$s3"
	checked python3 "$here/ftp_crowd.py" leaks "$first_passive" 100
	checked python3 "$here/ftp_crowd.py" limits
	checked python3 "$here/ftp_crowd.py" login
}
