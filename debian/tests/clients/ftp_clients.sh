# shellcheck shell=bash disable=SC2154,SC2317
# What each client of the FTP script does, in a bucket of its own that is called like it.

version_curl() { curl --version | head -n 1 | cut -d' ' -f2; }
version_wget() { wget --version | head -n 1 | cut -d' ' -f3; }
version_lftp() { lftp --version | sed -n 's/.*Version \([^ ]*\).*/\1/p'; }
version_tnftp() { dpkg-query -W -f '${Version}' tnftp; }
version_ncftp() { dpkg-query -W -f '${Version}' ncftp; }
version_rclone() { rclone version | head -n 1 | cut -d' ' -f2; }
version_python() { python3 -c 'import platform; print(platform.python_version())'; }

# curl sends USER PASS PWD CWD EPSV TYPE STOR; EPSV first, and PASV when that is refused.
part_curl() {
	does "put into a new bucket and new directories" curl -sS --ftp-create-dirs -T "$root/big" "$url/curl/a/b/big"
	is_ref "the hash is that of one upload" curl/a/b/big big
	curl -v --disable-epsv -T "$root/small" "$url/curl/small" >"$work/said" 2>&1
	has "PASV" "$(<"$work/said")" '< 227 '
	is_ref "what came by PASV" curl/small small
	for at in - 127.0.0.1; do
		curl -v -P "$at" -T "$root/small" "$url/curl/active" >"$work/said" 2>&1
		has "active mode from $at is refused" "$?" '^(28|30)$'
		has "and the reply says so" "$(grep '^< ' "$work/said")" '^< (421|5[0-9][0-9]) .*(PORT|EPRT|ctive)'
	done
	refused "so is PORT" 'ftp|FTP|421|port' curl -sS --disable-eprt -P - -T "$root/small" "$url/curl/active"
	is "and leaves nothing" "$(hash curl/active)" ""
	does "get" curl -sS -o "$work/back" "$url/curl/a/b/big"
	equal "what was put" "$work/back" "$root/big"
	has "list" "$(curl -sS "$url/curl/")" '^-r.* 100000 .* small'
	has "list a directory in it" "$(curl -sS "$url/curl/")" '^d.* a.?$'
	is "list names" "$(curl -sS -l "$url/curl/" | tr -d '\r' | sort | tr '\n' ' ')" "a small "
	has "the root lists buckets" "$(curl -sS "$url/")" '^d.* curl.?$'
	has "SIZE" "$(curl -sI "$url/curl/small")" 'Content-Length: 100000'
	has "MDTM" "$(curl -sI "$url/curl/small")" "Last-Modified: .* $(date -u +%Y)"
	does "get a range" curl -sS -r 10000000-10000009 -o "$work/range" "$url/curl/a/b/big"
	equal "which is that" "$work/range" <(tail -c +10000001 "$root/big" | head -c 10)
	does "get the end" curl -sS -r -5 -o "$work/range" "$url/curl/a/b/big"
	equal "which is that" "$work/range" <(tail -c 5 "$root/big")
	cp "$root/begun" "$work/resumed"
	does "go on with a download" curl -sS -C - -o "$work/resumed" "$url/curl/a/b/big"
	equal "which is whole then" "$work/resumed" "$root/big"
	curl -sS -T "$root/begun" "$url/curl/resumed"
	does "go on with an upload" curl -sS -C - -T "$root/big" "$url/curl/resumed"
	is_ref "which is whole then, and has the same hash" curl/resumed big
	does "go on with one that is complete" curl -sS -C - -T "$root/big" "$url/curl/resumed"
	is_ref "which stays" curl/resumed big
	curl -sS -T "$root/begun" "$url/curl/appended"
	tail -c +7000002 "$root/big" >"$work/rest"
	does "append" curl -sS -a -T "$work/rest" "$url/curl/appended"
	is_ref "which gives the hash of one upload" curl/appended big
	does "append to nothing" curl -sS -a -T "$root/small" "$url/curl/fresh"
	is_ref "which makes a file" curl/fresh small
	: >"$work/empty"
	does "put an empty file" curl -sS -T "$work/empty" "$url/curl/empty"
	is "which is empty" "$(header curl/empty content-length)" 0
	piped() { curl -sS -T - "$url/curl/pipe" <"$root/small"; }
	does "put from a pipe" piped
	is_ref "what came from it" curl/pipe small
	does "put over what is there" curl -sS -T "$root/small" "$url/curl/appended"
	is_ref "which is replaced" curl/appended small
	does "put two over one connection" curl -sS -T "{$root/small,$root/begun}" "$url/curl/a/"
	is "both are there" "$(keys curl a/ | sort | tr '\n' ' ')" "a/ a/b/ a/b/big a/begun a/small "
	for what in "/ as a file name" "a bucket as a file name"; do
		refused "put to $what" '25|55|553|550' curl -sS -v -T "$root/small" -Q "PWD" --ftp-method nocwd "$url/$([ "$what" = "/ as a file name" ] && echo '%2F' || echo curl)"
	done
	refused "get what is not there" 78 curl -sS -o "$work/none" "$url/curl/none"
	refused "get a directory" '78|550|19' curl -sS -o "$work/none" --ftp-method nocwd "$url/curl/a"
	refused "a directory that is not there" 9 curl -sS -o "$work/none" "$url/curl/none/"
	does "rename" curl -sS -o /dev/null -Q "RNFR /curl/small" -Q "RNTO /curl/renamed" "$url/"
	is "which moves" "$(hash curl/small) $(hash curl/renamed)" " $(hash ref/small)"
	does "remove" curl -sS -o /dev/null -Q "DELE /curl/renamed" "$url/"
	is "which is gone" "$(status -I "$s3/curl/renamed")" 404
	has "the digest of a file" "$(said curl -v -o /dev/null -Q "*XSHA256 /curl/a/small" "$url/")" "^< (213|250) .*$(sha256sum "$root/small" | cut -c 1-64)"
}
said() { "$@" 2>&1 </dev/null; }

# wget asks for SIZE and lists with LIST -a.
part_wget() {
	mkdir -p "$work/tree/deep er/x" && cp "$root/small" "$work/tree/one" && cp "$root/small" "$work/tree/deep er/two" && : >"$work/tree/deep er/x/none"
	curl -sS --ftp-create-dirs -T "$root/big" "$url/wget/big"
	(cd "$work/tree" && find . -type f -printf '%P\n') | while read -r name; do
		curl -sS --ftp-create-dirs -T "$work/tree/$name" "$url/wget/tree/${name// /%20}" </dev/null
	done
	does "get" wget -q -O "$work/big" "$url/wget/big"
	equal "what was put" "$work/big" "$root/big"
	cp "$root/begun" "$work/big"
	does "go on" wget -q -c -O "$work/big" "$url/wget/big"
	mkdir "$work/c" && cp "$root/begun" "$work/c/big"
	does "go on under its own name" wget -q -c -P "$work/c" "$url/wget/big"
	equal "which is whole then" "$work/c/big" "$root/big"
	does "get a tree" wget -q -r -nH --cut-dirs=2 -P "$work/back" "$url/wget/tree/"
	like "which is what was put" "$work/tree" "$work/back"
	does "get by a pattern" wget -q -P "$work/glob" "$url/wget/tree/o*"
	equal "what fits it" "$work/glob/one" "$root/small"
	refused "get what is not there" 'No such file' wget -O "$work/none" "$url/wget/none"
	refused "active mode" '421|5[0-9][0-9] ' wget -O "$work/none" --server-response --no-passive-ftp "$url/wget/big"
}

# lftp sends FEAT CLNT OPTS, resumes with REST and STOR, and sets times with MFMT.
# rclone_s3 COMMAND…: with AMZ, the S3 door
rclone_s3() { RCLONE_NO_UNICODE_NORMALIZATION=true RCLONE_CONFIG_AMZ_TYPE=s3 RCLONE_CONFIG_AMZ_PROVIDER=Other RCLONE_CONFIG_AMZ_ENDPOINT=$s3 rclone "$@"; }

part_lftp() {
	do_lftp() { lftp -c "open $url; $1"; }
	local many
	does "make a bucket" do_lftp "mkdir lftp"
	does "put" do_lftp "put -O lftp $root/big"
	is_ref "the hash is that of one upload" lftp/big big
	has "its time is that of the file" "$(curl -sI "$url/lftp/big")" 'Last-Modified: Thu, 29 Feb 2024 10:20:30'
	is "S3 tells it as rclone would" "$(header lftp/big x-amz-meta-mtime | cut -d. -f1)" "$(date -r "$root/big" +%s)"
	does "put -c" do_lftp "put $root/begun -o lftp/resumed; put -c $root/big -o lftp/resumed"
	is_ref "goes on, with the same hash" lftp/resumed big
	cp "$root/begun" "$work/resumed"
	does "get -c" do_lftp "get -c lftp/big -o $work/resumed"
	equal "goes on" "$work/resumed" "$root/big"
	does "pget in four parts" do_lftp "pget -n 4 lftp/big -o $work/parts"
	equal "gives the file" "$work/parts" "$root/big"
	does "mirror up" do_lftp "mirror -R $tree lftp/tree"
	is "with all keys" "$(curl -s "$s3/lftp?list-type=2&prefix=tree/" | grep -o '<Key>[^<]*[^/<]</Key>' | wc -l)" "$(find "$tree" -type f | wc -l)"
	is "again sends nothing" "$(said do_lftp "mirror -R --script=- $tree lftp/tree" | grep -c '^\(put\|get\|rm\)')" 0
	does "mirror down" do_lftp "mirror lftp/tree $work/back"
	like "the tree is equal" "$tree" "$work/back"
	is "again gets nothing" "$(said do_lftp "mirror --script=- lftp/tree $work/back" | grep -c '^\(put\|get\|rm\)')" 0
	cp -a "$tree" "$work/changed" && python3 "$here/tree.py" change "$work/changed"
	does "mirror a changed tree" do_lftp "mirror -R --delete --parallel=3 $work/changed lftp/tree"
	rm -rf "$work/back"
	does "and back, in parallel" do_lftp "mirror --parallel=3 lftp/tree $work/back"
	like "the changed tree is equal" "$work/changed" "$work/back"
	does "mv a file" do_lftp "mv lftp/resumed lftp/moved.bin"
	does "mv a directory" do_lftp "mv lftp/tree lftp/oak"
	many=$(keys lftp tree/)
	is "nothing is left of it" "$many" ""
	rm -rf "$work/back"
	does "mirror what was moved" do_lftp "mirror lftp/oak $work/back"
	like "it is equal" "$work/changed" "$work/back"
	is "a pattern" "$(do_lftp 'cls -1 lftp/*.bin')" lftp/moved.bin
	has "MLST" "$(do_lftp 'quote MLST lftp/moved.bin')" '[Ss]ize=20000003;'
	is "find" "$(do_lftp 'cd lftp/oak; find percent' | LC_ALL=C sort | tr '\n' ' ')" "percent/ percent/%25.txt percent/%2Fslash.txt percent/%41.txt percent/100%.txt percent/A.txt "
	refused "chmod" 550 do_lftp "set ftp:use-site-chmod yes; chmod 600 lftp/moved.bin"
	does "and goes on after it" do_lftp "set cmd:fail-exit no; chmod 600 lftp/moved.bin; put -O lftp $root/small"
	is_ref "with what follows" lftp/small small
	refused "rmdir of what is not empty" 550 do_lftp "rmdir lftp/oak"
	refused "rm of a directory" 550 do_lftp "rm lftp/oak"
	refused "rmdir of a bucket that is not empty" 550 do_lftp "rmdir lftp"
	does "rm -r" do_lftp "rm -r lftp/oak"
	rclone_s3 copy -q "$tree" AMZ:lftp/s3
	mkdir "$work/none"
	does "mirror nothing onto what S3 has put" do_lftp "mirror -R --delete --parallel=3 $work/none lftp/s3"
	is "only its directory is left" "$(keys lftp s3)" s3/
	rclone_s3 copy -q "$tree" AMZ:lftp/s3
	does "rm -r of what S3 has put" do_lftp "rm -r lftp/s3"
	is "nothing of it is left" "$(keys lftp s3)" ""
	does "mrm" do_lftp "cd lftp; mrm *"
	is "nothing is left" "$(keys lftp)" ""
	does "rmdir of the bucket" do_lftp "rmdir lftp"
	is "which is gone" "$(status -I "$s3/lftp")" 404
}

# tnftp sends EPSV, goes on with SIZE and APPE, and lets the server look for patterns (NLST *.bin).
part_tnftp() {
	run() { (cd "$work" && printf '%s\n' "user $user $pass" binary "$@" bye | tnftp -n -i -v 127.0.0.1 "$port" 2>&1); }
	local name
	for name in one.bin two.bin three.txt; do cp "$root/small" "$work/$name"; done
	run "mkdir tnftp" "cd tnftp" "mput *.bin" "put three.txt" "mkdir sub" "cd sub" "put $root/big big" >"$work/said"
	is "mput and put" "$(keys tnftp | sort | tr '\n' ' ')" "one.bin sub/ sub/big three.txt two.bin "
	is_ref "a small one" tnftp/one.bin small
	is_ref "a big one" tnftp/sub/big big
	has "mls with a pattern" "$(run "cd tnftp" "mls *.bin -")" '^one.bin'
	mkdir "$work/got" && tail -c +7000002 "$root/big" >"$work/rest"
	run "lcd got" "cd tnftp" "mget *.bin" "get sub/big" >"$work/said"
	is "mget gets what fits" "$(cd "$work/got" && find . -name '*.*in' | sort | tr '\n' ' ')" "./one.bin ./two.bin "
	equal "what was put" "$work/got/two.bin" "$root/small"
	cp "$root/begun" "$work/again"
	run "cd tnftp/sub" "reget big again" >"$work/said"
	equal "reget goes on" "$work/again" "$root/big"
	run "cd tnftp" "put $root/begun resumed" "append $work/rest resumed" >"$work/said"
	is_ref "append gives the hash of one upload" tnftp/resumed big
	run "cd tnftp" "rename three.txt four.txt" "mdelete *.bin" "size four.txt" "modtime four.txt" "rmdir sub" "pwd" "system" "status" >"$work/said"
	is "rename and mdelete" "$(keys tnftp | grep -v resumed | sort | tr '\n' ' ')" "four.txt sub/ sub/big "
	has "rmdir of what is not empty" "$(<"$work/said")" '^550 '
	has "pwd" "$(<"$work/said")" '^Remote directory: /tnftp$'
	has "an empty match ends well" "$(run "cd tnftp" "mls *.none -")" '^226 '
	has "ls of a pattern" "$(run "cd tnftp" "ls f*")" 'four.txt'
	run "epsv4" "cd tnftp" "put $root/small pasv" >"$work/said"
	is_ref "with PASV" tnftp/pasv small
}

# ncftp asks "HELP SITE", sends MFMT, and -T puts under a temporary name first.
part_ncftp() {
	local login=(-u "$user" -p "$pass" -P "$port")
	does "put, making the directories" ncftpput -V "${login[@]}" -m 127.0.0.1 /ncftp/in "$root/big" "$root/small"
	is_ref "a big one" ncftp/in/big big
	has "the time is that of the file" "$(curl -sI "$url/ncftp/in/big")" 'Last-Modified: Thu, 29 Feb 2024 10:20:30'
	does "put under a temporary name" ncftpput -V "${login[@]}" -T .tmp. 127.0.0.1 /ncftp "$root/small"
	is_ref "which has the name then" ncftp/small small
	does "put over what is there in that way" ncftpput -V "${login[@]}" -T .tmp. 127.0.0.1 /ncftp "$root/small"
	is "no other is left" "$(keys ncftp | grep -c tmp)" 0
	does "put a tree" ncftpput -V "${login[@]}" -R 127.0.0.1 /ncftp "$tree"
	mkdir "$work/back" "$work/glob"
	does "get the tree" ncftpget -V "${login[@]}" -R 127.0.0.1 "$work/back" /ncftp/tree
	like "which is equal" "$tree" "$work/back/tree"
	# A relative one: the names that the door tells are relative, and ncftp leaves out what does not begin like the pattern.
	does "get by a pattern" ncftpget -V "${login[@]}" 127.0.0.1 "$work/glob" 'ncftp/in/s*'
	equal "what fits it" "$work/glob/small" "$root/small"
	has "list" "$(ncftpls "${login[@]}" -l "ftp://127.0.0.1/ncftp/in/")" '20000003 .* big$'
	cp "$root/begun" "$work/glob/big"
	does "get -z" ncftpget -V -z "${login[@]}" 127.0.0.1 "$work/glob" /ncftp/in/big
	equal "goes on with what was begun" "$work/glob/big" "$root/big"
	does "get and delete" ncftpget -V -DD "${login[@]}" 127.0.0.1 "$work/glob" /ncftp/in/small
	is "which is gone" "$(status -I "$s3/ncftp/in/small")" 404
}

# rclone lists with MLSD and sends MFMT, over several connections.
part_rclone() {
	export RCLONE_CONFIG_DOOR_TYPE=ftp RCLONE_CONFIG_DOOR_HOST=127.0.0.1 RCLONE_CONFIG_DOOR_PORT=$port RCLONE_CONFIG_DOOR_USER=$user
	RCLONE_CONFIG_DOOR_PASS=$(rclone obscure "$pass")
	export RCLONE_CONFIG_DOOR_PASS RCLONE_CONFIG_AMZ_TYPE=s3 RCLONE_CONFIG_AMZ_PROVIDER=Other RCLONE_CONFIG_AMZ_ENDPOINT=$s3
	export RCLONE_NO_UNICODE_NORMALIZATION=true RCLONE_RETRIES=1 RCLONE_LOW_LEVEL_RETRIES=1 RCLONE_TIMEOUT=20s RCLONE_CONTIMEOUT=20s
	does "make a bucket" rclone mkdir DOOR:rclone
	does "sync up" rclone sync "$tree" DOOR:rclone/tree
	does "check" rclone check --download "$tree" DOOR:rclone/tree
	is "again sends nothing" "$(said rclone sync -v "$tree" DOOR:rclone/tree | grep -c 'Copied\|Deleted')" 0
	does "sync down" rclone sync DOOR:rclone/tree "$work/back"
	like "the tree is equal" "$tree" "$work/back"
	times() { rclone lsf -R --format pst "$1" --files-only | LC_ALL=C sort; }
	is "the times are those of the files" "$(times DOOR:rclone/tree)" "$(times "$tree")"
	is "S3 shows the same times" "$(times AMZ:rclone/tree)" "$(times "$tree")"
	does "put over S3" rclone copyto "$root/big" AMZ:rclone/s3
	is "FTP shows the same time" "$(times DOOR:rclone | grep '^s3')" "$(times AMZ:rclone | grep '^s3')"
	does "move a directory" rclone moveto DOOR:rclone/tree DOOR:rclone/oak
	does "check it" rclone check --download "$tree" DOOR:rclone/oak
	piped() { rclone rcat DOOR:rclone/pipe <"$root/small"; }
	does "put from a pipe" piped
	is_ref "what came from it" rclone/pipe small
	is "a part of a file" "$(rclone cat --offset 9000 --count 7 DOOR:rclone/s3 | sha256sum)" "$(tail -c +9001 "$root/big" | head -c 7 | sha256sum)"
	does "purge" rclone purge DOOR:rclone/oak
	is "nothing is left of it" "$(keys rclone oak)" ""
	# What S3 has put has no directories of its own: they stay until they are removed.
	rclone copy -q "$tree" AMZ:rclone/s3-tree
	does "purge what S3 has put" rclone purge DOOR:rclone/s3-tree
	is "nothing is left of it" "$(keys rclone s3-tree)" ""
	rclone copy -q "$tree" AMZ:rclone/s3-tree
	does "move it" rclone move --delete-empty-src-dirs DOOR:rclone/s3-tree DOOR:rclone/moved
	is "nothing is left of it" "$(keys rclone s3-tree | grep -v '^s3-tree/$')" ""
	mkdir "$work/none"
	does "sync nothing onto it" rclone sync "$work/none" DOOR:rclone/moved
	is "nothing is left in it" "$(keys rclone moved | grep -v '^moved/$')" ""
	does "delete the bucket with what is in it" rclone purge DOOR:rclone
	is "which is gone" "$(status -I "$s3/rclone")" 404
}

part_python() { checked python3 "$here/ftp_python.py" "$root/big" "$root/begun" "$s3"; }
