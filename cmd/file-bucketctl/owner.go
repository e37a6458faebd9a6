package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
)

// owner is whom the store belongs to. When root looks after a store that belongs to the user of the daemons, this process
// takes that user's rights: else it would leave files there that the daemons cannot open.
type owner struct {
	taken    bool
	uid, gid int // the caller's, when taken
}

// becomeOwner takes the rights of the owner of a directory, for all threads. A directory that is missing has none. Who is
// neither root nor the owner is refused. Call leave when done.
func becomeOwner(dir string) (*owner, error) {
	st, err := os.Lstat(dir)
	// Where a link of somebody else leads is for them to say, and for their rights: they may change it at any time.
	if err == nil && st.Mode()&fs.ModeSymlink != 0 && (ownerOf(st) == 0 || os.Geteuid() != 0) {
		st, err = os.Stat(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &owner{}, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: run it as root, with sudo for example", err)
	}
	if err != nil {
		return nil, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || int(sys.Uid) == os.Geteuid() {
		return &owner{}, nil
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("the store in %s belongs to %s: run it as root, with sudo for example, or as that user", dir, userName(sys.Uid))
	}
	o := &owner{taken: true, uid: os.Geteuid(), gid: os.Getegid()}
	// The saved ids stay root's, so that leave and asCaller can have them back.
	if err := syscall.Setresgid(-1, int(sys.Gid), o.gid); err != nil {
		return nil, fmt.Errorf("act as the owner of %s: %w", dir, err)
	}
	if err := syscall.Setresuid(-1, int(sys.Uid), o.uid); err != nil {
		return nil, errors.Join(fmt.Errorf("act as %s, the owner of %s: %w", userName(sys.Uid), dir, err), syscall.Setresgid(-1, o.gid, -1))
	}
	return o, nil
}

// ownerOf returns whose a file is.
func ownerOf(st fs.FileInfo) int {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return int(sys.Uid)
	}
	return 0
}

// leave gives the caller's rights back.
func (o *owner) leave() error {
	if !o.taken {
		return nil
	}
	o.taken = false
	return errors.Join(syscall.Setresuid(-1, o.uid, -1), syscall.Setresgid(-1, o.gid, -1))
}

// asCaller runs f, which is about files that are not the store's, with the caller's rights on files, while all that goes on
// beside it keeps the owner's.
func (o *owner) asCaller(f func() error) error {
	if !o.taken {
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine, and nobody else gets its rights
		err := errors.Join(syscall.Setfsuid(o.uid), syscall.Setfsgid(o.gid))
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// asCallerRuns gives a program that is about to be started the caller's rights.
func (o *owner) asCallerRuns(cmd *exec.Cmd) {
	if o.taken {
		// Nobody took the further groups away, and without root's rights nobody can set them either.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid), NoSetGroups: true}}
	}
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return "user " + u.Username
	}
	return "user " + id
}
