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

// becomeOwner takes the rights of the owner of a directory, for all threads, or of somebody else who has a say in where its path
// leads: see whose. A directory that is missing has none. Who is neither root nor the owner is refused. Call leave when done.
func becomeOwner(dir string) (*owner, error) {
	look := ownerOf
	if os.Geteuid() == 0 {
		look = whose
	}
	id, err := look(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return &owner{}, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: run it as root, with sudo for example", err)
	}
	if err != nil {
		return nil, err
	}
	if id.uid == os.Geteuid() {
		return &owner{}, nil
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("the store in %s belongs to %s: run it as root, with sudo for example, or as that user", dir, userName(id.uid))
	}
	o := &owner{taken: true, uid: os.Geteuid(), gid: os.Getegid()}
	// The saved ids stay root's, so that leave and asCaller can have them back.
	if err := syscall.Setresgid(-1, id.gid, o.gid); err != nil {
		return nil, fmt.Errorf("act as the owner of %s: %w", dir, err)
	}
	if err := syscall.Setresuid(-1, id.uid, o.uid); err != nil {
		return nil, errors.Join(fmt.Errorf("act as %s, for %s: %w", userName(id.uid), dir, err), syscall.Setresgid(-1, o.gid, -1))
	}
	return o, nil
}

// ownerOf returns whose a file is.
func ownerOf(path string) (identity, error) {
	st, err := os.Stat(path)
	if err != nil {
		return identity{}, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, fmt.Errorf("%s has no owner", path)
	}
	return identity{int(sys.Uid), int(sys.Gid)}, nil
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

func userName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return "user " + u.Username
	}
	return "user " + id
}
