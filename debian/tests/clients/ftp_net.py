"""What the FTP script asks of the machine.

    ftp_net.py free         prints six free ports, one with two more behind it, and where free ranges of 100, 10, 20 and 10 ports begin
    ftp_net.py answers PORT waits until somebody listens there
    ftp_net.py quiet PORT…  waits until the machine holds no connection that came in on these ports; FIRST-LAST is a range
"""

import random
import socket
import sys
import time


def usable(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free():
    # Below the ports that the machine gives to connections.
    taken, found = set(), []
    for wanted in (1, 1, 1, 1, 1, 1, 3, 100, 10, 20, 10):
        while True:
            first = random.randrange(10000, 32000 - wanted)
            ports = range(first, first + wanted)
            if taken.isdisjoint(ports) and all(map(usable, ports)):
                break
        taken.update(ports)
        found.append(str(first))
    return " ".join(found)


def answers(port):
    for _ in range(300):
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            try:
                with socket.socket(family) as s:
                    s.settimeout(5)
                    s.connect((host, port))
                    return True
            except OSError:
                pass
        time.sleep(0.1)
    return False


ESTABLISHED, CLOSE_WAIT = "01", "08"


def held(ports):
    """How many connections came in on these ports and were not closed by who listens there."""
    count = 0
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = open(name).readlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] in (ESTABLISHED, CLOSE_WAIT) and int(fields[1].rsplit(":", 1)[1], 16) in ports:
                count += 1
    return count


def quiet(ports, seconds=60):
    until = time.monotonic() + seconds
    while (n := held(ports)) and time.monotonic() < until:
        time.sleep(0.1)
    return n == 0


def parse(words):
    ports = set()
    for word in words:
        first, _, last = word.partition("-")
        ports.update(range(int(first), int(last or first) + 1))
    return ports


def main(verb, *args):
    if verb == "free":
        print(free())
    elif verb == "answers":
        sys.exit(not answers(int(args[0])))
    elif verb == "quiet":
        sys.exit(not quiet(parse(args)))


if __name__ == "__main__":
    main(*sys.argv[1:])
