"""Kills clients with -9 in the middle of an upload.

    ftp_killed.py TIMES FILE FROM COMMAND…

The command is started so many times at once, {} being a number, and each of them is killed when it has read a part of what follows
byte FROM of the file that chance decides: between a fifth and seven tenths.
"""

import os
import random
import signal
import subprocess
import sys
import time

from ftp_door import ok

times, file, command = int(sys.argv[1]), sys.argv[2], sys.argv[4:]
size = os.path.getsize(file) - int(sys.argv[3])


def read(pid):
    """The bytes that a process has read from files."""
    with open(f"/proc/{pid}/io") as f:
        return int(f.readline().split()[1])


running = {}
for n in range(times):
    child = subprocess.Popen([word.replace("{}", str(n)) for word in command], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    running[child] = size * random.uniform(0.2, 0.7)
killed, early = 0, []
until = time.monotonic() + 120
while running:
    for child, enough in list(running.items()):
        if child.poll() is not None:
            early.append((child.returncode, child.stderr.read()))
            del running[child]
        elif read(child.pid) >= enough or time.monotonic() > until:
            child.send_signal(signal.SIGKILL)
            child.wait()
            killed += time.monotonic() <= until
            del running[child]
    time.sleep(0.01)
ok(f"{times} times {os.path.basename(command[0])} was killed in the middle of an upload from byte {sys.argv[3]} on", killed == times, (killed, early))
