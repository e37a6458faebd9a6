"""boto3 as a client of the matrix, and what the matrix looks at buckets with.

    boto3_client.py VERB ARG…    with the endpoint in S3_URL and the credentials in the environment
"""

import io
import os
import sys
import urllib.request

import boto3
from botocore.exceptions import ClientError

s3 = boto3.client("s3", endpoint_url=os.environ["S3_URL"])


def walk(root):
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            yield os.path.relpath(path, root), path


def objects(bucket, **options):
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **options):
        yield from page.get("Contents", [])


def version():
    print(boto3.__version__)


def make_bucket(bucket):
    s3.create_bucket(Bucket=bucket)


def up(root, bucket):
    there = {o["Key"]: o for o in objects(bucket)}
    for key, path in walk(root):
        at = there.pop(key, None)
        if at is None or at["Size"] != os.path.getsize(path):
            s3.upload_file(path, bucket, key)
    for key in there:
        s3.delete_object(Bucket=bucket, Key=key)


def down(bucket, root):
    here = dict(walk(root))
    for o in objects(bucket):
        key = o["Key"]
        path = here.pop(key, None)
        if key.endswith("/") or path and os.path.getsize(path) == o["Size"]:
            continue
        path = os.path.join(root, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        s3.download_file(bucket, key, path)
    for path in here.values():
        os.remove(path)


def ls(bucket):
    for o in objects(bucket):
        print(o["Key"])


def link(bucket, key):
    print(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=600))


def remove(bucket, key):
    s3.delete_object(Bucket=bucket, Key=key)


def drop(bucket):
    keys = [{"Key": o["Key"]} for o in objects(bucket)]
    if keys:
        errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys}).get("Errors")
        if errors:
            sys.exit(str(errors))
    s3.delete_bucket(Bucket=bucket)


def mark(bucket, *keys):
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key)


def etag(bucket, key):
    print(s3.head_object(Bucket=bucket, Key=key)["ETag"])


def buckets():
    for b in s3.list_buckets()["Buckets"]:
        print(b["Name"])


def refused(code, call, **args):
    try:
        call(**args)
    except ClientError as e:
        return e.response["Error"]["Code"] == code
    return False


def extras(bucket):
    """What programs do beside copying trees."""
    at = {"Bucket": bucket, "Key": "extra/ä +%.bin"}
    text = b"0123456789" * 100
    put = s3.put_object(**at, Body=text, ContentType="text/plain; charset=utf-8", CacheControl="no-cache", Metadata={"a": "b c", "mtime": "1.5"})
    got = s3.get_object(**at, ChecksumMode="ENABLED")
    check("an object and its checksum, which botocore compares", got["Body"].read() == text and got["ChecksumCRC32"] == put["ChecksumCRC32"], got)
    check("metadata and headers", got["Metadata"] == {"a": "b c", "mtime": "1.5"} and got["ContentType"] == "text/plain; charset=utf-8" and got["CacheControl"] == "no-cache", got)
    check("a range", s3.get_object(**at, Range="bytes=5-14")["Body"].read() == text[5:15])
    s3.upload_fileobj(io.BytesIO(text), bucket, "extra/stream")
    check("a stream", s3.get_object(Bucket=bucket, Key="extra/stream")["Body"].read() == text)
    for algorithm in ("CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        s3.put_object(Bucket=bucket, Key=f"extra/{algorithm}", Body=text, ChecksumAlgorithm=algorithm)
        got = s3.get_object(Bucket=bucket, Key=f"extra/{algorithm}", ChecksumMode="ENABLED")
        check(algorithm, got["Body"].read() == text and "Checksum" + algorithm in got, got)
    for key in ("one", "empty", "two"):  # with Expect: 100-continue each, over one connection
        s3.put_object(Bucket=bucket, Key=f"extra/{key}", Body=b"" if key == "empty" else b"xy")
    check("an empty object between others", s3.head_object(Bucket=bucket, Key="extra/empty")["ContentLength"] == 0)
    check("If-None-Match", refused("PreconditionFailed", s3.put_object, **at, Body=b"x", IfNoneMatch="*"))
    s3.copy({"Bucket": bucket, "Key": at["Key"]}, bucket, "extra/copy")
    check("a copy", s3.get_object(Bucket=bucket, Key="extra/copy")["Body"].read() == text)
    keys = [o["Key"] for o in objects(bucket, Prefix="extra/")]
    check("pages of two", keys == [o["Key"] for o in objects(bucket, Prefix="extra/", PaginationConfig={"PageSize": 2})] and len(keys) == 10, keys)
    old = [o["Key"] for page in s3.get_paginator("list_objects").paginate(Bucket=bucket, Prefix="extra/", PaginationConfig={"PageSize": 3}) for o in page["Contents"]]
    check("the old listing", keys == old, old)
    groups = s3.list_objects_v2(Bucket=bucket, Delimiter="/")["CommonPrefixes"]
    check("a delimiter", groups == [{"Prefix": "extra/"}], groups)
    check("what is not there", refused("NoSuchKey", s3.get_object, Bucket=bucket, Key="extra/none") and refused("404", s3.head_object, Bucket=bucket, Key="extra/none"))
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "extra/put link"}, ExpiresIn=600)
    urllib.request.urlopen(urllib.request.Request(url, data=text, method="PUT", headers={"Content-Type": ""}))
    check("a presigned upload", s3.get_object(Bucket=bucket, Key="extra/put link")["Body"].read() == text)
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in keys + ["extra/put link", "extra/none"]], "Quiet": True})
    check("many deleted at once", not list(objects(bucket, Prefix="extra/")))


def check(what, good, why=""):
    print(("ok: " if good else "FAILED: ") + what + ("" if good else f": {why}"))


if __name__ == "__main__":
    verbs = {f.__name__: f for f in (version, make_bucket, up, down, ls, link, remove, drop, mark, etag, buckets, extras)}
    verbs[sys.argv[1]](*sys.argv[2:])
