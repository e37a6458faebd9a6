"""Many sessions at once.

    ftp_crowd.py ports FIRST COUNT          each of the passive ports serves a transfer, all at the same time
    ftp_crowd.py takeover                   a data connection from elsewhere gets and gives nothing
    ftp_crowd.py cameras PID METRICS S3-URL a hundred cameras upload pictures; what the daemon PID holds does not grow
    ftp_crowd.py leaks FIRST COUNT          ports that were asked for and not used are free again
    ftp_crowd.py limits                     sessions of one address, and of all, have a bound
    ftp_crowd.py login                      wrong passwords take time, and keep out nobody else
"""

import ftplib
import io
import os
import re
import socket
import threading
import time
import urllib.request

from ftp_door import HOST, PASS, PORT, S3, USER, ask, connect, fetch, login, main, ok
from ftp_net import quiet

CAMERAS, SECONDS = 100, 12


def at_once(count, work):
    """Runs work(n) for each n below count in a thread, and returns what went wrong."""
    wrong = []

    def one(n):
        try:
            work(n)
        except Exception as e:  # whatever it is, it is told
            wrong.append(f"{n}: {e!r}")

    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return wrong


def ports(first, count):
    first, count = int(first), int(count)
    admin = login()
    ask(admin, "MKD /ports")
    sessions, used = [login() for _ in range(count)], {}
    until = time.monotonic() + 60
    for n, ftp in enumerate(sessions):
        while True:
            try:
                used[n] = ftp.transfercmd(f"STOR /ports/{n}")
                break
            except ftplib.Error as e:
                if time.monotonic() > until:
                    ok(f"{count} transfers at once", False, f"{len(used)}: {e}")
                    return
                time.sleep(0.2)
    got = {data.getpeername()[1] for data in used.values()}
    ok(f"{count} transfers at once use all ports", got == set(range(first, first + count)), sorted(got))
    for n, data in used.items():
        data.sendall(b"%d " % n * 5000)
        data.close()
    said = {ftp.voidresp()[:3] for ftp in sessions}
    ok("and all of them end well", said == {"226"}, said)
    for ftp in sessions:
        ftp.close()
    admin.close()
    admin = login()
    names = {name.split("/")[-1] for name in admin.nlst("/ports")}
    ok("each with its file", names == {str(n) for n in range(count)}, names)
    n = count - 1
    ok("which is what was sent", fetch(admin, f"/ports/{n}") == b"%d " % n * 5000)


def takeover():
    ftp = login()
    ask(ftp, "MKD /takeover")
    secret = os.urandom(100000)
    ftp.storbinary("STOR /takeover/secret", io.BytesIO(secret))
    for verb in ("RETR", "STOR"):
        for _ in range(3):
            host, port = ftp.makepasv()
            thief = socket.create_connection((host, port), timeout=30, source_address=("127.0.0.2", 0))
            if verb == "STOR":
                thief.sendall(b"foreign")
            ftp.putcmd(f"{verb} /takeover/secret")
            mine = socket.create_connection((host, port), timeout=30)
            said, got = ftp.getresp(), b""
            if verb == "STOR":
                mine.sendall(secret)
            else:
                while piece := mine.recv(65536):
                    got += piece
            mine.close()
            said = ftp.voidresp()
            thief.settimeout(0.5)
            try:
                stolen = thief.recv(1)
            except OSError:
                stolen = b""
            thief.close()
            ok(f"{verb} goes to who asked", stolen == b"" and said.startswith("226") and (verb == "STOR" or got == secret), (stolen, said))
    ok("nothing foreign came in", fetch(ftp, "/takeover/secret") == secret)


def leaks(first, count):
    count, five = int(count), ":" in HOST
    ftp = login()
    for _ in range(2 * count):
        ask(ftp, "EPSV")
        if not five:
            try:
                ask(ftp, "PORT 127,0,0,1,200,10")
                ask(ftp, "NOOP")
            except (EOFError, OSError):
                ftp = login()
    for _ in range(2 * count):
        said = ask(ftp, "PASV")
        if five and said.startswith("4"):  # it has no address to tell, and may end the session
            ftp.close()
            ftp = login()
    ftp.close()
    for _ in range(count + count // 2):
        ftp = login()
        ask(ftp, "EPSV")
        ftp.sock.close() if ftp.file is None else (ftp.file.close(), ftp.sock.close())
    ports(first, count)


def held(pid, metrics):
    """Descriptors and goroutines of the daemon."""
    with urllib.request.urlopen(metrics) as answer:
        text = answer.read().decode()
    goroutines = re.search(r"^go_goroutines (\d+)", text, re.M)
    return len(os.listdir(f"/proc/{pid}/fd")), int(goroutines[1])


def cameras(pid, metrics, s3):
    admin, s3 = login(), S3(s3)
    ask(admin, "MKD /cameras")
    picture = os.urandom(30000)
    taken = [0] * CAMERAS

    def camera(n, until):
        while time.monotonic() < until or not taken[n]:
            ftp = login()
            ftp.cwd("/cameras")
            if not taken[n]:
                ask(ftp, f"MKD {n}")
            ftp.cwd(f"{n}")
            name = f"{taken[n]:05}"
            ftp.storbinary(f"STOR {name}.tmp", io.BytesIO(name.encode() + picture[n:]))
            ftp.rename(f"{name}.tmp", f"{name}.jpg")
            if taken[n] % 3:
                ftp.quit()
            else:
                ftp.close()  # as many do
            taken[n] += 1

    def settled(most):
        until = time.monotonic() + 30
        while True:
            now = held(pid, metrics)
            if time.monotonic() > until or all(a <= b for a, b in zip(now, most)):
                return now
            time.sleep(0.2)

    wrong = at_once(CAMERAS, lambda n: camera(n, time.monotonic()))
    ok("a hundred cameras", not wrong, wrong[:3])
    admin.close()
    quiet({PORT})
    before = held(pid, metrics)
    began, first = time.monotonic(), sum(taken)
    wrong = at_once(CAMERAS, lambda n: camera(n, began + SECONDS))
    seconds = time.monotonic() - began
    ok("for a while", not wrong, wrong[:3])
    after = settled([b + 16 for b in before])
    ok(f"{sum(taken) - first} pictures in {seconds:.0f} s", sum(taken) > first)
    ok(f"descriptors and goroutines stay: {before} before, {after} after", all(a <= b + 16 for a, b in zip(after, before)))
    admin = login()
    for n in (0, 1, CAMERAS - 1):
        names = admin.nlst(f"/cameras/{n}")
        ok(f"camera {n} has all its pictures", sorted(x.split("/")[-1] for x in names) == [f"{i:05}.jpg" for i in range(taken[n])], names)
    n, name = CAMERAS - 1, f"{taken[CAMERAS - 1] - 1:05}"
    ok("a picture is what it was", s3.do("GET", f"cameras/{n}/{name}.jpg")[2] == name.encode() + picture[n:])
    found = sum(len(admin.nlst(f"/cameras/{n}")) for n in range(CAMERAS))
    ok("none is missing, and no temporary one is left", found == sum(taken), (found, sum(taken)))


def limits():
    mine, others = login(), []

    def crowd(source, most):
        for _ in range(most):
            try:
                others.append(connect(source))
            except (ftplib.Error, OSError, EOFError) as e:
                return str(e)
        return "no end"

    said = crowd("127.0.0.3", 600)
    ok(f"the sessions of one address have a bound: {len(others)}", said.startswith("421") and len(others) >= 100, said)
    ok("others go on", ask(mine, "NOOP").startswith("200") and login() is not None)
    for n in range(4, 12):
        if not crowd(f"127.0.0.{n}", 600).startswith("421"):
            break
    ok(f"so have those of all: {len(others)}", len(others) <= 2000)
    for ftp in others:
        ftp.close()
    quiet({PORT}, 5)
    try:
        ok("when they are gone, the next comes in", login("127.0.0.3").pwd() == "/")
    except (ftplib.Error, OSError, EOFError) as e:
        ok("when they are gone, the next comes in", False, e)


def attempt(user, password, source="127.0.0.2"):
    began = time.monotonic()
    ftp = None
    try:
        ftp = connect(source)
        said = ftp.login(user, password)
    except (ftplib.Error, OSError, EOFError) as e:
        said = str(e)
    if ftp:
        ftp.close()
    return said, time.monotonic() - began


def log_in():
    said = {}
    for what, pair in {"password": (USER, PASS + "x"), "name": (USER + "x", PASS), "empty password": (USER, "")}.items():
        said[what], seconds = attempt(*pair)
        ok(f"a wrong {what} is refused", said[what].startswith("530"), said)
        ok("after a while", seconds >= 0.9, seconds)
    ok("each in the same words", len(set(said.values())) == 1, said)
    answers = []
    wrong = at_once(60, lambda n: answers.append(attempt(USER, f"guess {n}")[0]))
    ok("none of sixty guesses gets in", not wrong and len(answers) == 60 and not any(a.startswith("2") for a in answers), answers)
    refused = [a for a in answers if a.startswith("421")]
    ok("most are not even heard", len(refused) > 20, set(answers))
    ok("another address logs in", attempt(USER, PASS, "127.0.0.1")[0].startswith("230"))


main({"ports": ports, "takeover": takeover, "cameras": cameras, "leaks": leaks, "limits": limits, "login": log_in})
