"""push_kill.py PID NAME SIGNAL [WORD BYTES]: sends the signal to the processes of that name below PID, of those that have WORD in their
command line and have read so many bytes. It fails when there are none. Signal 0 only asks."""

import os
import sys

top, wanted, signal = sys.argv[1:4]
word, least = (sys.argv[4:] + ["", "0"][len(sys.argv[4:]) :])[:2]


def read(pid, what):
    with open(f"/proc/{pid}/{what}", errors="replace") as f:
        return f.read()


children, chosen = {}, set()
for entry in os.listdir("/proc"):
    if not entry.isdigit():
        continue
    try:
        text = read(entry, "stat")
        name, parent = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()[1]
        children.setdefault(parent, []).append(entry)
        if name == wanted and word in read(entry, "cmdline") and int(read(entry, "io").split()[1]) >= int(least):
            chosen.add(entry)
    except OSError:
        pass  # it has ended

below, found = [top], 0
while below:
    pid = below.pop()
    below += children.get(pid, [])
    if pid in chosen:
        os.kill(int(pid), int(signal))
        found += 1
sys.exit(found == 0)
