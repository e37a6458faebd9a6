"""Clients that fall silent in the middle of an upload (SIGSTOP): the door lets go of them, and they leave no object.

    ftp_stopped.py FILE S3-URL PASSIVE-PORTS
"""

import os
import signal
import subprocess
import sys
import time

from ftp_door import HOST, PASS, PORT, S3, USER, ok
from ftp_net import parse, quiet

file, s3, ports = sys.argv[1], S3(sys.argv[2]), parse([sys.argv[3]])
url = f"ftp://{USER}:{PASS}@{HOST}:{PORT}"
here = os.path.dirname(__file__)
s3.do("PUT", "stopped")
with open(file, "rb") as f:
    begun = f.read(3000000)
s3.do("PUT", "stopped/old", begun)

clients = {
    "curl": ["curl", "-sS", "--max-time", "600", "--limit-rate", "3M", "-T", file, f"{url}/stopped/curl"],
    "lftp": ["lftp", "-c", f"set net:limit-rate 0:3000000; set net:timeout 600; open {url}; put {file} -o stopped/lftp"],
    "python": [sys.executable, f"{here}/ftp_upload.py", file, "stopped/python", "3000000"],
    "curl, going on with an old one,": ["curl", "-sS", "--max-time", "600", "--limit-rate", "3M", "-C", "-", "-T", file, f"{url}/stopped/old"],
}
running = {name: subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
           for name, command in clients.items()}


def read(pid):
    """The bytes that a process has read from files."""
    with open(f"/proc/{pid}/io") as f:
        return int(f.readline().split()[1])


until = time.monotonic() + 60
waiting = dict(running)
while waiting and time.monotonic() < until:
    for name, child in list(waiting.items()):
        if child.poll() is not None or read(child.pid) > 5000000:
            ok(f"{name} stops in the middle", child.poll() is None, child.returncode)
            child.send_signal(signal.SIGSTOP)
            del waiting[name]
    time.sleep(0.01)
ok("all of them stop", not waiting, list(waiting))
ok("the door gives up on them", quiet(ports, 180))


def stored():
    return {name: s3.do("HEAD", f"stopped/{name}")[0] for name in ("curl", "lftp", "python")}


nothing = {name: 404 for name in ("curl", "lftp", "python")}
ok("they leave no object", stored() == nothing, stored())
for name, child in running.items():
    child.send_signal(signal.SIGCONT)
for name, child in running.items():
    try:
        ok(f"{name} is told so", child.wait(90) != 0)
    except subprocess.TimeoutExpired:
        child.kill()
        ok(f"{name} is told so", False, "it waits still")
ok("no object comes of it later", stored() == nothing, stored())
ok("the old one is what it was", s3.do("GET", "stopped/old")[2] == begun)
