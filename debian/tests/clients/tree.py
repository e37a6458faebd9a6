"""The tree that every client copies: names that clients and servers get wrong, and each file with content of its own.

    tree.py make DIR      writes it
    tree.py huge FILE     writes a file of 210 MB, above rclone's threshold
    tree.py change DIR    changes one file, removes one, adds one
    tree.py keys DIR      prints its keys, sorted by their bytes
    tree.py same A B      says what differs and fails, or says nothing
"""

import hashlib
import os
import random
import sys

BIG = "big + ü.bin"  # above the thresholds of all clients but rclone
NAMES = [
    "plain.txt",
    "a b/c  d.txt",
    "a b/tail .txt",
    "plus+plus/1+1=2.txt",
    "percent/100%.txt",
    "percent/%41.txt",
    "percent/A.txt",
    "percent/%2Fslash.txt",
    "percent/%25.txt",
    "nfc/caf\u00e9.txt",
    "nfc/cafe\u0301.txt",  # the same in NFD: another file
    "umlaut/Gr\u00fc\u00dfe aus K\u00f6ln.txt",
    "emoji/\U0001f9ca\U0001f468\u200d\U0001f469.txt",
    "cjk/\u65e5\u672c\u8a9e.txt",
    "xml/<a>&'b'\"c\".txt",
    "query/what?#;.txt",
    "sub/!$()*,:@[]^_`{|}~-.txt",
    "deep/1/2/3/4/5/6/7/8/9.txt",
    "foo",
    "foo.txt",
    "foo+1/in",
    "foo-1/in",
]


def content(name, size):
    return random.Random(name).randbytes(size)


def write(root, name, data):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    # Not of this second: clients that compare times would have to take it for changed.
    os.utime(path, (1700000000, 1700000000))


def make(root):
    for i, name in enumerate(NAMES):
        write(root, name, content(name, 10 + 997 * i))
    write(root, "empty", b"")
    write(root, "empties/also empty", b"")
    write(root, "eight.bin", content("eight", 8 << 20))
    write(root, BIG, content("big", (20 << 20) + 1))


def change(root):
    path = os.path.join(root, "percent/A.txt")
    with open(path, "ab") as f:
        f.write(b"changed")
    os.remove(os.path.join(root, "plus+plus/1+1=2.txt"))
    write(root, "new \u00e9.txt", b"new")


def files(root):
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, root)] = path
    return found


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def same(a, b):
    left, right = files(a), files(b)
    for name in sorted(left.keys() - right.keys()):
        yield f"missing {name!a}"
    for name in sorted(right.keys() - left.keys()):
        yield f"too much {name!a}"
    for name in sorted(left.keys() & right.keys()):
        if digest(left[name]) != digest(right[name]):
            yield f"different {name!a}"


def main(verb, *args):
    if verb == "make":
        make(*args)
    elif verb == "huge":
        with open(args[0], "wb") as f:
            f.write(content("huge", 35_000_000) * 6)
    elif verb == "change":
        change(*args)
    elif verb == "keys":
        print("\n".join(sorted(files(*args), key=str.encode)))
    elif verb == "same":
        differences = list(same(*args))
        print("\n".join(differences))
        sys.exit(bool(differences))


main(*sys.argv[1:])
