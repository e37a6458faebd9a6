"""The FTP door command by command: what it answers, and what is there then.

    ftp_rows.py S3-URL
"""

import ftplib
import io
import re
import sys

from ftp_door import HOST, PASS, PORT, S3, USER, ask, connect, fetch, lines, login, ok

s3 = S3(sys.argv[1])
ftp = login()
refusals = []


def answers(what, command, pattern, session=None):
    said = ask(session or ftp, command)
    if said[:1] in "45":
        refusals.append((command, said))
    ok(f"{what}: {command}", re.match(pattern, said), said)
    return said


def lists(what, command, want, reply="226"):
    found, said = lines(ftp, command)
    if said[:1] in "45":
        refusals.append((command, said))
    ok(f"{what}: {command}", said.startswith(reply) and sorted(found) == sorted(want), (found, said))


def put(name, data=b"some bytes", command="STOR"):
    try:
        return ftp.storbinary(f"{command} {name}", io.BytesIO(data))
    except ftplib.Error as e:
        refusals.append((command, str(e)))
        return str(e)


def stored(path):
    return s3.do("GET", path)[2]


# Before anybody has logged in.
stranger = connect()
features = answers("features for strangers", "FEAT", "211", stranger)
for feature in ("UTF8", "SIZE", "MDTM", "MFMT", "REST STREAM", "EPSV", "MLST", "MLSD"):
    ok("FEAT tells of " + feature, re.search(rf"^ {feature}", features, re.M), features)
for command in ("LIST", "STOR x", "RETR x", "DELE x", "PASV", "MKD x"):
    answers("strangers may not", command, "530", stranger)
stranger.close()

# Connections.
answers("EPSV", "EPSV", "229")
answers("PASV", "PASV", "227 .*127,0,0,1")
answers("active mode", "PORT 127,0,0,1,200,10", "421|5..")
ftp.close()
ftp = login()
answers("active mode to elsewhere", "PORT 10,1,2,3,200,10", "421|5..")
ftp.close()
ftp = login()
answers("active mode", "EPRT |1|127.0.0.1|51210|", "421|5..")
ftp.close()
ftp = login()

said = ask(ftp, "FEAT")
ok("FEAT tells of AVBL to whom we know", re.search("^ AVBL", said, re.M), said)

# Buckets are the directories of the root.
answers("make a bucket", "MKD /rows", '257 .*"/rows"')
ok("S3 has it", s3.do("HEAD", "rows")[0] == 200)
answers("make it again", "MKD /rows", "550")
answers("a name that no bucket may have", "MKD /Not_A_Bucket!", "55[03]")
answers("enter it", "CWD /rows", "250")
answers("make a directory", "MKD d", '257 .*"/rows/d"')
answers("make it again", "MKD d", "550")
answers("make a nested one", "MKD n/e/s/t", '257 .*"/rows/n/e/s/t"')
answers("enter it", "CWD /rows/n/e/s/t", "250")
answers("go up", "CDUP", "2[05]0")
answers("where that is", "PWD", '257 .*"/rows/n/e/s"')
answers("not above the root", "CWD ../../../../../../..", "250")
answers("where that is", "PWD", '257 "/"')
answers("a bucket that is not there", "CWD /none", "550")
answers("a directory that is not there", "CWD /rows/none", "550")
answers("enter it", "CWD /rows", "250")

# Files.
ok("STOR", put("f").startswith("226") and stored("rows/f") == b"some bytes")
ok("STOR into a directory that is not there", put("virtual/in/f").startswith("226") and stored("rows/virtual/in/f") == b"some bytes")
ok("STOR over it", put("f", b"other bytes").startswith("226") and stored("rows/f") == b"other bytes")
for name in ("/", "/rows", "/f"):
    said = put(name)
    ok(f"STOR {name}", said.startswith("55"), said)
said = put("/none/f")
ok("STOR into a bucket that is not there", said.startswith("55") and s3.do("HEAD", "none")[0] == 404, said)
said = put("d")
ok("STOR onto a directory", said.startswith("55") or stored("rows/d") == b"some bytes", said)
answers("a directory is no file", "RETR n", "55|425|450")
ok("APPE", put("f", b" and more", "APPE").startswith("226") and stored("rows/f") == b"other bytes and more")
answers("SIZE", "SIZE f", "213 20$")
answers("SIZE of a directory", "SIZE n", "550")
answers("SIZE of nothing", "SIZE none", "550")
answers("TYPE A", "TYPE A", "200")
answers("SIZE in TYPE A", "SIZE f", "213 20$|550")
text = b"unix\nwindows\r\nmac\r\xff\x00"
ftp.voidcmd("TYPE A")
with ftp.transfercmd("STOR text") as data:
    data.sendall(text)
ok("STOR in TYPE A", ftp.voidresp().startswith("226"))
ok("changes nothing", stored("rows/text") == text, stored("rows/text"))
back = bytearray()
with ftp.transfercmd("RETR text") as data:
    while piece := data.recv(8192):
        back += piece
ftp.voidresp()
ok("nor does RETR in TYPE A", bytes(back) == text, bytes(back))
answers("TYPE I", "TYPE I", "200")
answers("MDTM", "MDTM f", r"213 20\d{12}")
answers("MDTM of nothing", "MDTM none", "550")
answers("MFMT", "MFMT 20010203040506 f", "213 .*20010203040506")
answers("and MDTM says it", "MDTM f", "213 20010203040506")
ok("and S3", s3.do("HEAD", "rows/f")[1].get("x-amz-meta-mtime", "").startswith("981173106"), s3.do("HEAD", "rows/f")[1].items())
ok("and it stays what it was", stored("rows/f") == b"other bytes and more")
answers("MFMT of nothing", "MFMT 20010203040506 none", "550")
answers("MDTM does not set", "MDTM 20020203040506 f", "550|213 2001")

# Listings.
ftp.cwd("/rows")
put("g.bin"), put("h.bin"), put("d/inner.bin")
with ftp.transfercmd("LIST") as data:
    raw = data.makefile("rb").read()
ftp.voidresp()
ok("lines end as FTP's do", raw.endswith(b"\r\n") and raw.count(b"\n") == raw.count(b"\r\n"), raw)
found, said = lines(ftp, "LIST")
ok("LIST", said.startswith("226") and any(re.match(r"-r\S+ +\d+ .* 20 +Feb +3 +2001 f$", line) for line in found), found)
ok("LIST shows directories", any(re.match(r"d\S+ .* n$", line) for line in found), found)
for options in ("-a", "-l", "-la", "-al", "-R", "-F", "-1", "-T", "-a -l", "-lR /rows"):
    again, said = lines(ftp, f"LIST {options}")
    ok(f"LIST {options}", said.startswith("226") and again == found, again)
again, said = lines(ftp, "LIST g.bin")
ok("LIST of a file", len(again) == 1 and again[0].endswith("g.bin"), (again, said))
found, said = lines(ftp, "LIST none")
ok("LIST of nothing", not found and said[:3] in ("226", "450", "550"), (found, said))
lists("NLST", "NLST", ["d", "f", "g.bin", "h.bin", "n", "text", "virtual"])
lists("NLST", "NLST -1", ["d", "f", "g.bin", "h.bin", "n", "text", "virtual"])
lists("a pattern", "NLST *.bin", ["g.bin", "h.bin"])
lists("a pattern with a path", "NLST /rows/?.bin", ["/rows/g.bin", "/rows/h.bin"] if "/" in "".join(lines(ftp, "NLST /rows/?.bin")[0]) else ["g.bin", "h.bin"])
lists("a pattern that nothing fits", "NLST *.none", [])
found, said = lines(ftp, "LIST *.bin")
ok("LIST of a pattern", len(found) == 2 and said.startswith("226"), (found, said))
found, said = lines(ftp, "MLSD")
ok("MLSD", any(re.search(r"(?i)size=20;", line) and re.search(r"(?i)modify=20010203040506", line) and line.endswith(" f") for line in found), found)
ok("its types", any(re.search(r"(?i)type=dir;", line) and line.endswith(" n") for line in found), found)
answers("MLST", "MLST f", r"(?is)250.*type=file.*")

# REST.
put("r", b"0123456789")
ok("REST and RETR", fetch(ftp, "r", rest=4) == b"456789")
ok("only once", fetch(ftp, "r") == b"0123456789")
ok("at the end", fetch(ftp, "r", rest=10) == b"")
for at in ("11", "999999999999"):
    said = ask(ftp, "REST " + at)
    found, said = lines(ftp, "RETR r")
    ok(f"REST {at} is behind the end", said.startswith("55") and not found, (found, said))
    refusals.append(("REST", said))
    ask(ftp, "REST 0")
answers("REST below zero", "REST -5", "50|55|350")
ask(ftp, "REST 0")
ftp.storbinary("STOR r", io.BytesIO(b"XY"), rest=4)
ok("REST and STOR leaves what is before and drops what is behind", stored("rows/r") == b"0123XY", stored("rows/r"))
try:
    said = ftp.storbinary("STOR r", io.BytesIO(b"XY"), rest=7)
except ftplib.Error as e:
    said = str(e)
ok("REST and STOR behind the end", said.startswith("55") and stored("rows/r") == b"0123XY", said)
ask(ftp, "REST 0")

for command in ("STOR r", "RETR r"):
    ask(ftp, "REST 2")
    lines(ftp, "NLST")
    said = lines(ftp, command)[1]
    refusals.append((command, said))
    ok(f"REST is not for {command} after another command", said.startswith("550"), said)
ok("which changes nothing", stored("rows/r") == b"0123XY" and fetch(ftp, "r") == b"0123XY")

# Names that are not UTF-8.
scanner = ftplib.FTP(timeout=60, encoding="latin-1")
scanner.connect(HOST, PORT)
scanner.login(USER, PASS)
scanner.mkd("/rows/B\u00fcro")
scanner.cwd("/rows/B\u00fcro")
scanner.storbinary("STOR Stra\u00dfe.pdf", io.BytesIO(b"scan"))
ok("STOR of a Latin-1 name", stored("rows/B%C3%BCro/Stra%C3%9Fe.pdf") == b"scan")
ok("the same name has it", fetch(scanner, "Stra\u00dfe.pdf") == b"scan")
ftp.cwd("B\u00fcro")
lists("others see it", "NLST", ["Stra\u00dfe.pdf"])
ftp.cwd("/rows")
scanner.rename("Stra\u00dfe.pdf", "\u00e4.pdf")
scanner.delete("\u00e4.pdf")
answers("the directory too", "RMD /rows/B\u00fcro", "250", scanner)
scanner.quit()

# ABOR.
for verb in ("STOR new", "APPE r", "STOR r"):
    data = ftp.transfercmd(verb)
    data.sendall(bytes(300000))
    said = ask(ftp, "ABOR")
    data.close()
    ok(f"ABOR of {verb}", said.startswith("426") and ftp.getmultiline().startswith("226"), said)
ok("leaves nothing new", s3.do("HEAD", "rows/new")[0] == 404)
ok("and what was there", stored("rows/r") == b"0123XY")
answers("which nobody goes on with", "SIZE r", "550")
answers("nor appends to", "APPE r", "550")
put("aborted", bytes(60000000))
data = ftp.transfercmd("RETR aborted")
data.recv(1000)
said = ask(ftp, "ABOR")
ok("ABOR of RETR", said.startswith("426") and ftp.getmultiline().startswith("226"), said)
data.close()
answers("ABOR of nothing", "ABOR", "2")
ok("the session goes on", fetch(ftp, "r") == b"0123XY")

# Rename and remove.
answers("rename from", "RNFR f", "350")
answers("to another name", "RNTO moved", "250")
ok("it is moved", s3.do("HEAD", "rows/f")[0] == 404 and stored("rows/moved") == b"other bytes and more")
ask(ftp, "RNFR moved")
answers("over what is there", "RNTO g.bin", "250")
ok("which is replaced", stored("rows/g.bin") == b"other bytes and more")
answers("the time goes along", "MDTM g.bin", "213 20010203040506")
ask(ftp, "RNFR virtual")
answers("a directory", "RNTO real", "250")
ok("with all that is in it", stored("rows/real/in/f") == b"some bytes" and s3.do("HEAD", "rows/virtual/in/f")[0] == 404)
ask(ftp, "RNFR real")
answers("a directory into itself", "RNTO real/below", "55")
ask(ftp, "RNFR real")
answers("a directory onto one that is there", "RNTO d", "55")
ok("which changes nothing", stored("rows/real/in/f") == b"some bytes" and stored("rows/d/inner.bin") == b"some bytes")
answers("rename of nothing", "RNFR none", "55")
answers("RNTO without RNFR", "RNTO x", "5")
if ask(ftp, "RNFR /rows").startswith("350"):
    answers("a bucket is not renamed", "RNTO /swor", "55")
ok("it is where it was", s3.do("HEAD", "rows")[0] == 200)
ftp.mkd("/rows-two")
ask(ftp, "RNFR g.bin")
answers("into another bucket", "RNTO /rows-two/g.bin", "250")
ok("it is there", stored("rows-two/g.bin") == b"other bytes and more" and s3.do("HEAD", "rows/g.bin")[0] == 404)
answers("DELE of a directory", "DELE d", "550")
answers("DELE of a bucket", "DELE /rows", "550")
answers("DELE of nothing", "DELE none", "550")
answers("DELE", "DELE h.bin", "250")
answers("RMD of what is not empty", "RMD d", "550")
answers("RMD of a file", "RMD r", "550")
answers("RMD of nothing", "RMD none", "550")
answers("RMD of a bucket that is not empty", "RMD /rows", "550")
ok("nothing is gone", stored("rows/d/inner.bin") == b"some bytes")
answers("empty it", "DELE d/inner.bin", "250")
answers("RMD", "RMD d", "250")
answers("which is gone", "CWD d", "550")

# What is not for us, and small things.
for command, pattern in {
    "SITE CHMOD 600 r": "550 ", "SITE CHMOD": "50|55", "SITE SYMLINK r s": "50|55", "SITE CHOWN u r": "50|55", "SITE RMDIR real": "50|55",
    "SITE NONE": "50", "STOU": "502", "AVBL": r"213 \d+", "NOOP": "200", "SYST": "215 UNIX", "OPTS UTF8 ON": "200",
    "CLNT test": "200", "ALLO 1000": "200|202", "STRU F": "200|502", "MODE S": "200", "STAT": "211", "NONSENSE": "50",
    "XSHA256 r": r"2\d\d.*(?i:3dd0c99c)?", "XSHA256 /rows/r": r"2\d\d", "XCRC r": r"2\d\d", "XMD5 r": r"2\d\d", "HASH r": r"213",
    "XSHA256 none": "55", "EPSV ALL": "2|5",
}.items():
    answers("the answer", command, pattern)
ok("nothing was removed", stored("rows/real/in/f") == b"some bytes")

# What is refused is told without addresses, paths of this machine and the like; "driver error: calling GetHandle" is ftpserverlib's.
for command, said in refusals:
    if re.search(r"\d+\.\d+\.\d+\.\d+|\[::|/tmp/|/var/|/dev/|sqlite|panic|0x|goroutine|%!", said):
        ok(f"{command} tells too much", False, said)
ok("refusals tell no internals", len(refusals) > 20, len(refusals))
ok("and are short", all(len(said) < 200 for _, said in refusals), refusals)
ftp.quit()
