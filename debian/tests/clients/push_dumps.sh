# shellcheck shell=bash disable=SC2154,SC2034,SC2016
# The lines of the README for nightly dumps, run as cron would: with the databases' own programs, with some that die, and with what
# stands in for a router's and Windows's.

# recipe PATTERN: the line of the README's chapter that begins so, for a token of this door
recipe() {
	sed -n '/^### Nightly dumps/,/^### Hooks/s/^    //p' "$readme" | grep -- "^$1" |
		sed -E "s!http://box:1234/TOKEN!$push/$token!; s!TOKEN!$token!; s!nc box 1234!nc 127.0.0.1 $port!; s!(/var)?/tmp/!$work/!g"
}
# cron LINE: as cron runs it, in a process group of its own
cron() { setsid -w sh -c "$1"; }
today() { date -I; }

version_dumps() { "$(postgres_bin)/postgres" --version | cut -d' ' -f3; }
version_broken() { echo -; }
version_routers() { version_busybox; }
version_back() { version_curl; }

postgres_bin() { dirname "$(find /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -n 1)"; }
# as_postgres COMMAND…: PostgreSQL is not run by root
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
begin_postgres() {
	PATH=$(postgres_bin):$PATH
	export PGHOST=$root/databases/socket PGUSER=dba
	as_postgres pg_ctl -D "$root/databases/pg" -w -o "-k $PGHOST -c listen_addresses=" -l "$root/databases/pg.log" start >"$root/said" 2>&1
}
end_postgres() { as_postgres "$(postgres_bin)/pg_ctl" -D "$root/databases/pg" -m "${1:-fast}" stop >"$root/said" 2>&1; }

# begin_databases: with a table of 40 MB, or so many rows, in the database app of each
begin_databases() {
	[ ! -e "$root/databases" ] || return 0
	mkdir -p "$root/databases/pg" "$root/databases/socket" "$root/databases/maria"
	if [ "$(id -u)" = 0 ]; then chown postgres: "$root/databases" "$root/databases/pg" "$root/databases/socket"; fi
	does "initdb" as_postgres "$(postgres_bin)/initdb" -D "$root/databases/pg" -A trust -U dba -E UTF8
	does "PostgreSQL begins" begin_postgres
	does "a role in it" psql -q -d postgres -c 'create role clerk'
	does "a table in it" psql -q -d postgres -c 'create database app' -c '\c app' \
		-c "create table t as select i, md5(i::text) || md5((i + 1)::text) || md5((i + 2)::text) as text from generate_series(1, 400000) i"
	local base=$root/databases/maria
	does "mariadb-install-db" mariadb-install-db --no-defaults --datadir="$base/data" --user="$(id -un)" --auth-root-authentication-method=normal --skip-test-db
	mariadbd --no-defaults --datadir="$base/data" --user="$(id -un)" --socket="$base/socket" --pid-file="$base/pid" --skip-networking >"$base/log" 2>&1 &
	pids[mariadb]=$!
	printf '[client]\nsocket=%s\nuser=root\n' "$base/socket" >"$HOME/.my.cnf"
	waits "for MariaDB" mariadb-admin ping --silent >"$root/said" 2>&1
	does "a table in it" mariadb -e 'create database app; use app; create table t (i int primary key, text varchar(99)); insert into t select seq, md5(seq) from seq_1_to_100000; create procedure p() select 1; create event e on schedule every 1 year do select 1'
}

# part_dumps: each line stores what can be read back into a database.
part_dumps() {
	local token=$named name
	begin_databases
	name=app-$(today).sql
	does "pg_dump" cron "$(recipe '{ pg_dump app')"
	content "$token" "$name" >"$work/pg.sql"
	has "it says at its end that it is whole" "$(tail -n 8 "$work/pg.sql")" 'PostgreSQL database dump complete'
	does "it can be read back" sh -c "cd '$work' && cp pg.sql app-2026-11-22.sql && $(recipe 'createdb')"
	is "all of it" "$(psql -At -d back -c 'select count(*), sum(i) from t')" "400000|80000200000"
	does "the roles" cron "$(recipe '{ pg_dumpall')"
	content "$token" "roles-$(today).sql" >"$work/roles.sql"
	has "they are in it" "$(cat "$work/roles.sql")" '^CREATE ROLE clerk;'
	has "it says at its end that it is whole" "$(tail -n 4 "$work/roles.sql")" 'PostgreSQL database cluster dump complete'
	token=$bare
	does "pg_dump by a file" cron "$(recipe 'f=.*pg_dump -f')"
	has "it is there, and whole" "$(tail -n 8 "$root/main/files/$bare/$name")" 'PostgreSQL database dump complete'
	has "a name that is there is refused in words" "$(cron "$(recipe 'f=.*pg_dump -f' | sed 's/--retry 12/--retry 1/; s/--retry-delay 600/--retry-delay 1/')" 2>&1; echo "exit $?")" '^file exists$'
	rm -f "$root/main/files/$bare/$name"
	stop TERM file-bucketd-main
	: >"$work/retried"
	cron "$(recipe 'f=.*pg_dump -f' | sed 's/--retry-delay 600/--retry-delay 1 -v/')" >>"$work/retried" 2>&1 </dev/null &
	local pid=$!
	waits "for curl to find nobody" grep -q 'Connection refused' "$work/retried"
	start main file-bucketd "$port"
	wait $pid
	is "where nobody answers, curl tries again" "$? $(tail -n 8 "$root/main/files/$bare/$name" | grep -c 'dump complete')" "0 1"
	is "no copy stays" "$(find "$work" -name 'app.*')" ""
	rm -f "$root/main/files/$bare/$name"
	does "mysqldump" cron "$(recipe '{ mysqldump')"
	content "$token" "$name" >"$work/maria.sql"
	has "it says at its end that it is whole" "$(tail -n 1 "$work/maria.sql")" '^-- Dump completed'
	does "it can be read back" sh -c "mariadb -e 'create database back' && mariadb back <'$work/maria.sql'"
	is "all of it" "$(mariadb -N -e 'select count(*), sum(i) from back.t' | tr '\t' ' ')" "100000 5000050000"
	is "procedures and events too" "$(mariadb -N -e "select routine_name from information_schema.routines where routine_schema = 'back'; select event_name from information_schema.events where event_schema = 'back'" | tr '\n' ' ')" "p e "
	printf 'url = "%s/%s/"\n' "$push" "$bare" >"$work/curl"
	does "a token in a file" sh -c "cd '$work' && cp maria.sql app.sql && $(sed -n 's/.*`\(curl .*\) -K FILE -T app.sql`.*/\1/p' "$readme") -K curl -T app.sql"
	equal "what it sent" "$root/main/files/$bare/app.sql" "$work/maria.sql"
	does "tar" cron "$(recipe '{ tar')"
	content "$token" "etc-$(today).tar" >"$work/etc.tar"
	does "it is whole" tar -tf "$work/etc.tar"
	is "what is in it" "$(tar -xOf "$work/etc.tar" etc/passwd | sum /dev/stdin)" "$(sum /etc/passwd)"
}

# stored_nothing WHAT LINE: it fails and stores nothing
stored_nothing() {
	local before after
	before=$(names "$token")
	cron "$2" >"$root/said" 2>&1 </dev/null
	local code=$?
	waits "for an upload to end" settled
	after=$(names "$token")
	if [ $code = 0 ]; then bad "$1: exit code 0"; elif [ "$before" != "$after" ]; then bad "$1: something is stored"; else ok "$1 (exit code $code)"; fi
}

# part_broken: dumps that die are not stored.
part_broken() {
	local token=$bare line name end n code
	begin_databases
	name=app-$(today).sql
	rm -f "$root/main/files/$bare/"*-"$(today)".*
	line=$(recipe '{ pg_dump app')

	# Real ones, in the middle, by what kills them most.
	echo 'limit-rate = 8M' >>"$HOME/.curlrc"
	for end in server program; do
		cron "$line" >"$root/said" 2>&1 </dev/null &
		n=$!
		waits "for the dump to come" arriving
		if [ $end = server ]; then end_postgres immediate; else python3 "$here/push_kill.py" "$$" pg_dump 9; fi
		wait $n
		code=$?
		waits "for the upload to end" settled
		is "a dump whose $end dies is no success, and is not stored" "$((code != 0)) $(names "$bare" | grep -cFx "$name")" "1 0"
		[ $end != server ] || begin_postgres
	done
	sed -i '/limit-rate/d' "$HOME/.curlrc"

	# Stand-ins, often, for it is a race: what has come by then, and then an exit code or a signal.
	mkdir "$work/bin"
	for end in 'exit 1' 'kill -KILL $$' 'kill -TERM $$' 'kill -SEGV $$'; do
		printf '#!/bin/sh\nhead -c 300000 /dev/zero\n%s\n' "$end" >"$work/bin/pg_dump"
		cp "$work/bin/pg_dump" "$work/bin/mysqldump" && cp "$work/bin/pg_dump" "$work/bin/tar" && chmod 755 "$work/bin/"*
		n=0
		for _ in $(seq 10); do
			for word in '{ pg_dump app' '{ mysqldump' '{ tar'; do
				[ "$end$word" != 'exit 1{ tar' ] || continue # tar's 1 is none
				if PATH=$work/bin:$PATH cron "$(recipe "$word")" >"$root/said" 2>&1 </dev/null; then bad "a dump that ends with $end: exit code 0"; fi
			done
		done
		waits "for uploads to end" settled
		is "30 dumps that end with $end are not stored" "$(names "$bare" | grep -c -- "-$(today)")" 0
	done
	# What the line is for: without it they are.
	PATH=$work/bin:$PATH cron "pg_dump app | curl -fsS -T - $push/$bare/half.sql" >"$root/said" 2>&1 </dev/null
	is "in a plain pipe the half of one is stored, with exit code 0" "$? $(stat -c %s "$root/main/files/$bare/half.sql")" "0 300000"
	printf '#!/bin/sh\nexit 1\n' >"$work/bin/pg_dump"
	PATH=$work/bin:$PATH stored_nothing "a dump that does not begin" "$line"
	PATH=$work/bin:$PATH stored_nothing "a dump by a file that does not begin" "$(recipe 'f=.*pg_dump -f')"
	PATH=$work/bin:$PATH stored_nothing "in a script, with setsid" "setsid -w sh -c '$line' || { echo failed; exit 3; }"
	is "the script goes on" "$(tail -n 1 "$root/said")" failed
}
# part_routers: what has no curl, or no shell.
part_routers() {
	local token name
	name=router-$(today).tgz
	mkdir "$work/bin"
	head -c 70000 /dev/urandom >"$work/config"
	# OpenWrt's; and busybox in place of everything else.
	printf '#!/bin/sh\n[ "$1" = -b ] && exec cp "%s" "$2"\n' "$work/config" >"$work/bin/sysupgrade"
	for applet in awk nc wget cat wc grep base64 date printf; do printf '#!/bin/sh\nexec busybox %s "$@"\n' "$applet" >"$work/bin/$applet"; done
	chmod 755 "$work/bin/"*
	for token in "$bare" "$named"; do
		PATH=$work/bin:$PATH does "curl" cron "$(recipe 'sysupgrade.*curl')"
		router_sent "$name"
		is "it leaves no copy" "$(find "$work" -name b.tgz)" ""
		has "nc, the name is there" "$(PATH=$work/bin:$PATH setsid -w busybox sh -c "$(recipe 'f=.*nc box')"; echo "exit $?")" '^file exists'
		is "that is a failure" "$(PATH=$work/bin:$PATH setsid -w busybox sh -c "$(recipe 'f=.*nc box')" >"$root/said"; echo $?)" 1
		for _ in $(seq 20); do
			remove "$name"
			PATH=$work/bin:$PATH setsid -w busybox sh -c "$(recipe 'f=.*nc box')" >"$root/said" 2>&1 || break
		done
		has "nc, twenty times" "$(cat "$root/said")" ' 200 '
		router_sent "$name"
		PATH=$work/bin:$PATH does "wget" setsid -w busybox sh -c "$(recipe '{ printf --'); $(recipe 'wget -q')"
		is "what it sent" "$(content "$token" router.b64 | base64 -d | sum /dev/stdin)" "$(sum "$work/config")"
		# Windows's curl.exe is the same program; the line is for its path.
		mkdir -p "$work/dumps" && cp "$work/config" "$work/dumps/app.bak"
		does "the line for Windows" sh -c "$(recipe 'curl.exe' | sed 's/curl.exe/curl/; s!C:\\dumps\\!'"$work"'/dumps/!')"
		router_sent app.bak
	done
}
# router_sent NAME: it is what was sent
router_sent() {
	content "$token" "$1" >"$work/back" 2>"$root/said"
	equal "what it sent" "$work/back" "$work/config"
}
# remove NAME: as an administrator
remove() {
	if [ "$token" = "$bare" ]; then rm -f "$root/main/files/$bare/$1"; else "${bin}file-bucketctl" rm --config "$root/main.json" "$(bucket "$token")/$1" >"$root/said"; fi
}

# part_back: a file comes back by each door.
part_back() {
	curl -fsS -F "file=@$root/big.tar;filename=back.tar" "$push/$named" >"$root/said" 2>&1
	start main hugbucket-s3d "$s3_port"
	start main hugbucket-ftpd "$ftp_port"
	does "by file-bucketctl" sh -c "cd '$work' && '${bin}file-bucketctl' get --config '$root/main.json' db01/back.tar"
	equal "it" "$work/back.tar" "$root/big.tar"
	does "by S3" curl -fsS --aws-sigv4 aws:amz:us-east-1:s3 --user KEY:SECRET-of-s3 "http://127.0.0.1:$s3_port/db01/back.tar" -o "$work/s3"
	equal "it" "$work/s3" "$root/big.tar"
	does "by FTP" curl -fsS --user backup:PASSWORD-of-ftp -o "$work/ftp" "ftp://127.0.0.1:$ftp_port/db01/back.tar"
	equal "it" "$work/ftp" "$root/big.tar"
	does "by a link" sh -c "curl -fsS -o '$work/link' \"\$('${bin}file-bucketctl' share --config '$root/main.json' --host 127.0.0.1 db01/back.tar | grep -o 'http[^ ]*')\""
	equal "it" "$work/link" "$root/big.tar"
	has "file-bucketctl ls shows its size" "$("${bin}file-bucketctl" ls --config "$root/main.json" db01/back.tar)" '(2\.9 MiB|3000001)'
}
