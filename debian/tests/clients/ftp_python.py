"""Python's ftplib as a client: TYPE I, PASV, STOR; MLSD after TYPE A.

    ftp_python.py BIG BEGUN S3-URL [CA]     CA is for TLS
"""

import datetime
import ftplib
import io
import sys

from ftp_door import S3, ask, fetch, login, ok


class Failing:
    """A source that cannot be read to its end."""

    left = 9

    def read(self, size):
        self.left -= 1
        if self.left < 0:
            raise OSError("the disk is gone")
        return bytes(size)


def failing(name):
    """What a program hears whose source fails, as it is usually written: its session ends with QUIT, which waits for one answer."""
    try:
        with login(ca=ca) as session:
            session.storbinary("STOR " + name, Failing())
    except (OSError, ftplib.Error) as e:
        return e
    return None


big, begun = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read()
s3, ca = S3(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None
bucket = "python-tls" if ca else "python"
want = s3.hash("ref/big")

ftp = login(ca=ca)
ftp.mkd("/" + bucket)
ok("make a bucket", s3.do("HEAD", bucket)[0] == 200)
ftp.cwd("/" + bucket)
ok("where it is", ftp.pwd() == "/" + bucket, ftp.pwd())
ok("put", ftp.storbinary("STOR big", io.BytesIO(big)).startswith("226"))
ok("the hash is that of one upload", s3.hash(bucket + "/big") == want)
ok("get", fetch(ftp, "big") == big)
for at in (0, 1, 65536, 7000001, len(big) - 1):
    ok(f"get from {at}", fetch(ftp, "big", rest=at) == big[at:])
ftp.storbinary("STOR rest", io.BytesIO(begun))
ftp.storbinary("STOR rest", io.BytesIO(big[len(begun):]), rest=len(begun))
ok("REST and STOR at the end", s3.hash(bucket + "/rest") == want)
ftp.storbinary("STOR rest", io.BytesIO(big[3000000:]), rest=3000000)
ok("REST and STOR in the middle", s3.hash(bucket + "/rest") == want)
said = failing(f"/{bucket}/rest")
ok("a source that fails is told", str(said) == "the disk is gone" or ca is not None and said is not None, said)
ok("and leaves what was there", s3.hash(bucket + "/rest") == want)
ftp.storbinary("STOR appe", io.BytesIO(begun))
for at in range(len(begun), len(big), 5000000):
    ftp.storbinary("APPE appe", io.BytesIO(big[at:at + 5000000]))
ok("APPE, several times", s3.hash(bucket + "/appe") == want)
ok("SIZE", ftp.size("big") == len(big))
ftp.mkd("dir")
ok("MKD, relative", s3.do("HEAD", bucket + "/dir/")[0] == 200)
ftp.storbinary("STOR dir/in it", io.BytesIO(b"x"))
before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
facts = dict(ftp.mlsd())
ok("MLSD", {n: f["type"] for n, f in facts.items() if n not in (".", "..")} == {"big": "file", "rest": "file", "appe": "file", "dir": "dir"}, facts)
ok("its sizes", facts["big"]["size"] == str(len(big)), facts)
ok("its times", abs((datetime.datetime.strptime(facts["big"]["modify"][:14] + "+0000", "%Y%m%d%H%M%S%z") - before).total_seconds() - 3600) < 3600, facts)
ok("NLST", sorted(n.split("/")[-1] for n in ftp.nlst()) == ["appe", "big", "dir", "rest"], ftp.nlst())
ok("rename", ftp.rename("appe", "dir/appended").startswith("250"))
ok("which moves", s3.hash(bucket + "/dir/appended") == want and s3.hash(bucket + "/appe") is None)
ok("rename a directory", ftp.rename("dir", "moved").startswith("250"))
ok("which moves all of it", sorted(ftp.nlst("moved"))[-1].endswith("in it") and s3.hash(bucket + "/moved/appended") == want, ftp.nlst("moved"))
ok("delete", all(ftp.delete(n).startswith("250") for n in ("big", "rest", "moved/in it", "moved/appended")))
ok("RMD", ftp.rmd("moved").startswith("250"))
ftp.cwd("/")
ok("RMD of the bucket", ftp.rmd("/" + bucket).startswith("250") and s3.do("HEAD", bucket)[0] == 404)
ok("QUIT", ask(ftp, "QUIT").startswith("221"))
