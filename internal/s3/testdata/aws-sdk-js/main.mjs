// aws-sdk-js v3, with its defaults, as a client of debian/tests/s3-clients: it takes the verbs of the matrix there, with the endpoint in
// S3_URL and the credentials in the environment, and checks what programs do with "extras".
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  CopyObjectCommand, CreateBucketCommand, DeleteBucketCommand, DeleteObjectCommand, DeleteObjectsCommand, GetObjectCommand,
  HeadObjectCommand, PutObjectCommand, S3Client, paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const client = new S3Client({ endpoint: process.env.S3_URL, forcePathStyle: true });

// objects returns a map of keys to sizes.
async function objects(bucket, options = {}) {
  const found = new Map();
  for await (const page of paginateListObjectsV2({ client, ...options.page }, { Bucket: bucket, Prefix: options.prefix })) {
    for (const o of page.Contents ?? []) found.set(o.Key, o.Size);
  }
  return found;
}

async function files(dir) {
  const found = new Map();
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    found.set(relative(dir, path), (await stat(path)).size);
  }
  return found;
}

const verbs = {
  async version() {
    console.log(createRequire(import.meta.url)("@aws-sdk/client-s3/package.json").version);
  },
  async make_bucket(Bucket) {
    await client.send(new CreateBucketCommand({ Bucket }));
  },
  async up(dir, Bucket) {
    const there = await objects(Bucket);
    for (const [Key, size] of await files(dir)) {
      const at = there.get(Key);
      there.delete(Key);
      if (at !== size) await new Upload({ client, params: { Bucket, Key, Body: createReadStream(join(dir, Key)) } }).done();
    }
    for (const key of there.keys()) await verbs.remove(Bucket, key);
  },
  async down(Bucket, dir) {
    const here = await files(dir);
    for (const [Key, size] of await objects(Bucket)) {
      const at = here.get(Key);
      here.delete(Key);
      if (Key.endsWith("/") || at === size) continue;
      await mkdir(dirname(join(dir, Key)), { recursive: true });
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
      await pipeline(Body, createWriteStream(join(dir, Key)));
    }
    for (const key of here.keys()) await rm(join(dir, key));
  },
  async ls(Bucket) {
    for (const key of (await objects(Bucket)).keys()) console.log(key);
  },
  async link(Bucket, Key) {
    console.log(await getSignedUrl(client, new GetObjectCommand({ Bucket, Key }), { expiresIn: 600 }));
  },
  async remove(Bucket, Key) {
    await client.send(new DeleteObjectCommand({ Bucket, Key }));
  },
  async drop(Bucket) {
    await removeAll(Bucket);
    await client.send(new DeleteBucketCommand({ Bucket }));
  },
  extras,
};

async function removeAll(Bucket, prefix) {
  const keys = [...(await objects(Bucket, { prefix })).keys()];
  if (keys.length === 0) return;
  const { Errors } = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: keys.map((Key) => ({ Key })) } }));
  if (Errors?.length) throw new Error(JSON.stringify(Errors));
}

async function check(what, holds) {
  try {
    const good = await holds();
    console.log(good === true ? `ok: ${what}` : `FAILED: ${what}: ${good}`);
  } catch (e) {
    console.log(`FAILED: ${what}: ${e}`);
  }
}

async function refused(name, command) {
  try {
    await client.send(command);
  } catch (e) {
    return e.name === name || `${e}`;
  }
  return "it succeeded";
}

// extras is what programs do beside copying trees.
async function extras(Bucket) {
  const text = "0123456789".repeat(100);
  const Key = "extra/ä +%.bin";
  const put = (Key, more = {}) => client.send(new PutObjectCommand({ Bucket, Key, Body: text, ...more }));
  // The library compares the checksum with what it reads.
  const read = async (Key, more = {}) => (await client.send(new GetObjectCommand({ Bucket, Key, ...more }))).Body.transformToString();

  await check("put with metadata and headers", async () => {
    await put(Key, { ContentType: "text/x", CacheControl: "no-cache", Metadata: { a: "b c" } });
    const head = await client.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: "ENABLED" }));
    return (head.ContentType === "text/x" && head.CacheControl === "no-cache" && head.Metadata.a === "b c" && Boolean(head.ChecksumCRC32)) || JSON.stringify(head);
  });
  await check("an object and its checksum", async () => (await read(Key)) === text);
  await check("a range", async () => (await read(Key, { Range: "bytes=5-14" })) === text.slice(5, 15));
  for (const ChecksumAlgorithm of ["CRC32C", "CRC64NVME", "SHA1", "SHA256"]) {
    await check(ChecksumAlgorithm, async () => {
      await put(`extra/${ChecksumAlgorithm}`, { ChecksumAlgorithm });
      const head = await client.send(new HeadObjectCommand({ Bucket, Key: `extra/${ChecksumAlgorithm}`, ChecksumMode: "ENABLED" }));
      return (await read(`extra/${ChecksumAlgorithm}`)) === text && Boolean(head[`Checksum${ChecksumAlgorithm}`]);
    });
  }
  await check("a stream in parts", async () => {
    const body = Buffer.alloc(12_000_000, "stream of parts ");
    await new Upload({ client, params: { Bucket, Key: "extra/stream", Body: Readable.from([body.subarray(0, 7_000_000), body.subarray(7_000_000)]) } }).done();
    const back = await (await client.send(new GetObjectCommand({ Bucket, Key: "extra/stream" }))).Body.transformToByteArray();
    return body.equals(back);
  });
  await check("If-None-Match", () => refused("PreconditionFailed", new PutObjectCommand({ Bucket, Key, Body: text, IfNoneMatch: "*" })));
  await check("a copy", async () => {
    await client.send(new CopyObjectCommand({ Bucket, Key: "extra/copy", CopySource: `${Bucket}/extra/%C3%A4%20%2B%25.bin` }));
    return (await read("extra/copy")) === text;
  });
  await check("pages of two", async () => {
    const all = [...(await objects(Bucket, { prefix: "extra/" })).keys()].join();
    const paged = [...(await objects(Bucket, { prefix: "extra/", page: { pageSize: 2 } })).keys()].join();
    return (all === paged && all.split(",").length === 7) || `${all} ${paged}`;
  });
  await check("what is not there", () => refused("NoSuchKey", new GetObjectCommand({ Bucket, Key: "extra/none" })));
  await check("a presigned upload", async () => {
    const url = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key: "extra/put link" }), { expiresIn: 600 });
    const answer = await fetch(url, { method: "PUT", body: text });
    return (answer.ok && (await read("extra/put link")) === text) || `${answer.status} ${await answer.text()}`;
  });
  await check("many deleted at once", async () => {
    await removeAll(Bucket, "extra/");
    return (await objects(Bucket)).size === 0;
  });
}

const [verb, ...args] = process.argv.slice(2);
await verbs[verb](...args);
