// Package object is the object store: what a bucket, a key and an object are, whatever door they came through and
// whatever driver keeps them.
//
// Words:
//
//   - A bucket is a named set of objects. A key is an opaque string of 1 to 1024 bytes of UTF-8; no key is a path.
//   - An object is what a key names: a file (content, by its Xet file hash) and an Info about it.
//   - A driver keeps names (Catalog) and content (Contents). Its Session stages content and commits names.
//   - Ingest is the way of a byte stream into a session: cut into chunks, hashed, deduplicated, compressed, packed
//     into xorbs, and described by a reconstruction.
//   - An upload is an object in the making that comes in parts, in any order. Completing it joins the files of its parts to one,
//     which is cut anew only around the seams: the object is the same file as if it had come in one piece.
//   - A File is an open object: a ranged, seekable, verified reader.
//
// Doors see a Store and nothing below it. The package does no I/O of its own and never logs.
package object
