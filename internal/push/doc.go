// Package push is the push door: `curl -F file=@dump.sql host:1234/<token>`, or `curl -T dump.sql host:1234/<token>/`. It is
// write only: nothing that a client sends makes it answer with stored bytes or with a list of names.
//
// Words:
//
//   - A token names a bucket and is all that a client has to know. It stands first in the path.
//   - A bucket is an entry of the configuration: tokens, and what may be done with them.
//   - A place is where a bucket's files go: the object store's bucket of that name, or, for an entry that is nothing but a
//     bare token, plain files under home/<token>/ (plain.go; it, resumeplain.go and copy.go alone touch a file system).
//   - An offer is a file that a client wants to push, whatever the form of its request. What was admitted may be stored.
//   - A form is the multipart body of a push. Its frame is all of it that is not the file.
//   - A hook is a script of the administrator's: pre-push.sh decides before a file is stored, post-push.sh answers after it.
//   - A copy is a file of the object store as a file that post-push.sh can read. It is gone when the script has ended.
//   - A receipt is what a client gets for a file that is stored and durable.
//   - An upload is a file that comes in several requests (tus.go). Its plan is what was admitted of it, its steps are what becomes
//     durable at once. It is done when it has its name.
//
// A file streams from the request into its place, in bounded memory, and appears there under its name only after the end of
// the request was seen.
package push
