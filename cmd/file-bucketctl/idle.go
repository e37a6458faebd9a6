package main

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Of ioprio_set(2): the class of those who get the disk when nobody else wants it, and what it is set for.
const (
	ioprioIdle  = 3 << 13
	ioprioWhoID = 1
)

// beIdle has this process run when nothing else wants the processor or the disk. Threads that are made later take after those
// that make them.
func beIdle() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		err = unix.Setpriority(unix.PRIO_PROCESS, id, 19)
		if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoID, uintptr(id), ioprioIdle); err == nil && errno != 0 {
			err = errno
		}
		if !errors.Is(err, unix.ESRCH) { // it has ended meanwhile
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
