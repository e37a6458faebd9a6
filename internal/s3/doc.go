// Package s3 is the S3 door: it speaks Amazon's S3 protocol over an object.Store.
//
// Words:
//
//   - A request is one HTTP exchange: its target (bucket and key), who asks, what is asked, and the answer.
//   - An operation is a row of the closed table in dispatch.go; each has one handler. What no row explains is refused.
//   - A claim is what a client says about who it is, read from the Authorization header or from the query. It becomes
//     an identity when its signature (SigV4) was verified, before the store is asked anything and before the body is
//     read.
//   - A Key's scope (buckets, prefix, mode) is enforced in scope.go, its owner beside it.
//   - A payload is the body as it is stored: without aws-chunked framing, and read through the checks of every length,
//     signature and digest that was announced. A failed check comes instead of io.EOF, so nothing is stored.
//   - An upload is a multipart upload, and a part one of its parts. A note is what the door keeps with these and with
//     objects: the checksum that a client chose, and who began the upload.
//   - An answer is a row of the tables in errors.go: HTTP status, code, and message in Amazon's wording.
package s3
