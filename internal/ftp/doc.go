// Package ftp is the FTP door: ftpserverlib speaks the protocol, this package is its driver over the object store.
//
// Words:
//
//   - A session is one control connection, from the welcome to the end. What its client began and did not end well, ends with it.
//   - The gate is where connections come in: whatever listener they came from, one server takes them, or refuses them with 421.
//   - A place is where a path leads: to the root, where buckets are the directories, to a bucket, or to a key in one.
//   - A marker is an empty object whose key ends in "/": a directory that was made, or from which this door has taken the last, and
//     which stays when it is empty. Any other directory is there as long as a key lies below it.
//   - A lease is a passive port that waits for its data connection.
//   - An operation is a command that uses the store. It has one end, with one line of the log.
//
// An upload is committed when its data connection has ended and the control connection is still there: a client that was killed
// ends both, and a data connection that ends looks like the end of the file.
package ftp
