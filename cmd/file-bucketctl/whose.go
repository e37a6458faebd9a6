package main

import (
	"errors"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links may be on the way to a file, as for Linux.
const maxLinks = 40

// identity is whom a file belongs to.
type identity struct{ uid, gid int }

// whose says with whose rights root is to work in a directory: its owner's. But somebody else to whom a directory on the way belongs
// may put another thing, or a link, into it at any time, also later. So root never goes such a way with rights of its own, nor by
// their links with those of the owner of what these lead to now, but with theirs: then it gets no further than they do by themselves.
// The path is absolute. Errors: fs.ErrNotExist, where nobody else
// has a say.
func whose(path string) (identity, error) {
	id, err := whoseBehind(path, 0)
	if err != nil {
		return id, &fs.PathError{Op: "look up", Path: path, Err: err}
	}
	return id, nil
}

// whoseBehind is whose, behind so many links. It holds on to what it has seen, by descriptors, so that nobody replaces it meanwhile.
func whoseBehind(path string, links int) (last identity, err error) {
	at, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return last, err
	}
	defer func() { _ = unix.Close(at) }() // nothing is written by it
	var theirs identity
	names := strings.Split(path, "/")
	for i, name := range names {
		if name == "" {
			continue
		}
		next, err := unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if errors.Is(err, fs.ErrNotExist) && theirs.uid != 0 {
			return theirs, nil // they may put something there yet
		}
		if err != nil {
			return last, err
		}
		_ = unix.Close(at) // as above
		at = next
		var st unix.Stat_t
		if err := unix.Fstat(at, &st); err != nil {
			return last, err
		}
		last = identity{int(st.Uid), int(st.Gid)}
		if theirs.uid == 0 {
			theirs = last
		}
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			continue
		}
		if theirs.uid != 0 {
			return theirs, nil
		}
		if links == maxLinks {
			return last, unix.ELOOP
		}
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(at, "", target)
		if err != nil {
			return last, err
		}
		to := string(target[:n])
		if !strings.HasPrefix(to, "/") {
			to = strings.Join(names[:i], "/") + "/" + to
		}
		return whoseBehind(to+"/"+strings.Join(names[i+1:], "/"), links+1)
	}
	if last.uid == 0 {
		return theirs, nil
	}
	return last, nil
}
