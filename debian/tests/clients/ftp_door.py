"""What the programs of the FTP script share: how they log in, and how they tell what they found."""

import ftplib
import os
import ssl
import sys
import urllib.error
import urllib.request

HOST, PORT = os.environ.get("FTP_HOST", ""), int(os.environ.get("FTP_PORT", 0))
USER, PASS = os.environ.get("FTP_USER", ""), os.environ.get("FTP_PASS", "")
TIMEOUT = 60


def ok(what, good=True, why=""):
    print(f"ok: {what}" if good else f"FAILED: {what}: {why!r:.300}", flush=True)
    return good


def connect(source=None):
    ftp = ftplib.FTP(timeout=TIMEOUT)
    ftp.connect(HOST, PORT, source_address=(source, 0) if source else None)
    return ftp


def login(source=None, ca=None):
    if ca:
        ftp = ftplib.FTP_TLS(timeout=TIMEOUT, context=ssl.create_default_context(cafile=ca))
        ftp.connect(HOST, PORT)
        ftp.login(USER, PASS)
        ftp.prot_p()
        return ftp
    ftp = connect(source)
    ftp.login(USER, PASS)
    return ftp


def ask(ftp, command):
    """The reply to a command, whatever it is."""
    try:
        return ftp.sendcmd(command)
    except ftplib.Error as e:
        return str(e)


def lines(ftp, command):
    """The lines that a command lists, and the reply that ends it, or that refuses it."""
    found = []
    try:
        return found, ftp.retrlines(command, found.append)
    except ftplib.Error as e:
        return found, str(e)


def fetch(ftp, name, rest=None):
    data = bytearray()
    ftp.retrbinary("RETR " + name, data.extend, rest=rest)
    return bytes(data)


class S3:
    """The same objects by the other door, which asks for no key."""

    def __init__(self, url):
        self.url = url

    def do(self, method, path, data=None):
        request = urllib.request.Request(f"{self.url}/{path}", data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, b""

    def hash(self, path):
        return self.do("HEAD", path)[1].get("X-Xet-Hash")


def main(verbs):
    """Runs the verb that the first argument names."""
    verbs[sys.argv[1]](*sys.argv[2:])
