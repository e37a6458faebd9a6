package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

// checkDirs returns an error for each directory of a configuration that is missing, or that the services' user cannot write to. The
// daemons make none themselves but below stateDir, because they may write nowhere else.
func (s systemd) checkDirs(ctx context.Context, cfg *config.Config) error {
	account, err := s.property(ctx, doorNames[0]+".service", "User")
	if err != nil {
		return err
	}
	var errs []error
	check := func(key, dir string) {
		if err := usable(ctx, followed(filepath.Clean(dir)), account); err != nil {
			errs = append(errs, cfg.Problem(key, "%s", err))
		}
	}
	check("home", cfg.Home)
	check("storage.path", cfg.Storage.Path)
	if len(errs) == 0 {
		return nil
	}
	return &daemon.ConfigError{Err: errors.Join(errs...)}
}

// usable returns why a service cannot keep anything in a directory, as far as this process can find out. Without an account it runs
// as root.
func usable(ctx context.Context, dir, account string) error {
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	owner := account
	if owner == "" {
		owner = "root"
	}
	remedy := fmt.Sprintf("install -d -o %s -g %s -m 0750 %s", owner, owner, quote(dir))
	switch {
	case errors.Is(err, fs.ErrNotExist) && (dir == stateDir || below(dir, stateDir)), errors.Is(err, fs.ErrPermission):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist; this makes it: %s", dir, remedy)
	case err != nil:
		return err
	}
	defer f.Close() //nolint:errcheck // nothing is written by it
	if readOnly(dir) {
		return fmt.Errorf("the file system of %s is read-only", dir)
	}
	// Of stateDir itself systemd sees to it.
	if account == "" || account == "root" || dir == stateDir || os.Geteuid() != 0 {
		return nil
	}
	able, err := canWrite(ctx, f, account)
	if err == nil && !able {
		err = fmt.Errorf("user %s cannot write to %s; this lets it: %s", account, dir, remedy)
	}
	return err
}

// canWrite asks as a user. Only a process of that user's has its rights, and those of its groups, as the kernel sees them.
func canWrite(ctx context.Context, dir *os.File, account string) (bool, error) {
	id, err := identify(account)
	if err != nil {
		return false, err
	}
	path := dir.Name()
	for _, home := range homeDirs {
		if below(path, home) {
			// The service has it without what is above, by BindPaths=.
			path = "/proc/self/fd/3"
		}
	}
	cmd := exec.CommandContext(ctx, "test", "-w", path, "-a", "-x", path)
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: id}
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}

// identify returns the rights of a user, by name or number.
func identify(account string) (*syscall.Credential, error) {
	u, err := user.Lookup(account)
	if err != nil {
		if u, err = user.LookupId(account); err != nil {
			return nil, err
		}
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	var numbers []uint32
	for _, text := range append([]string{u.Uid, u.Gid}, groups...) {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, uint32(n))
	}
	return &syscall.Credential{Uid: numbers[0], Gid: numbers[1], Groups: numbers[2:]}, nil
}

// shutOut says whether a service that runs cannot write where the configuration says because that was not so, or the directory not
// there, when it started: its mounts are those of the start.
func (s systemd) shutOut(ctx context.Context, door string, cfg *config.Config) (bool, error) {
	pid, err := s.property(ctx, door+".service", "MainPID")
	if err != nil || pid == "" || pid == "0" {
		return false, err
	}
	root := filepath.Join(s.root, "proc", pid, "root")
	if _, err := os.Stat(root); err != nil {
		return false, nil //nolint:nilerr // it has ended, and what is restarted has new mounts
	}
	dirs := []string{cfg.Storage.Path}
	if door == doorNames[0] {
		dirs = append(dirs, cfg.Home)
	}
	for _, dir := range dirs {
		dir = followed(filepath.Clean(dir))
		_, err := os.Lstat(filepath.Join(root, dir))
		hidden := errors.Is(err, fs.ErrNotExist) && !below(dir, stateDir) && dir != stateDir
		if hidden || readOnly(filepath.Join(root, dir)) {
			return true, nil
		}
	}
	return false, nil
}

// readOnly says whether a directory that is there is mounted so that nobody can write to it.
func readOnly(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Flags&unix.ST_RDONLY != 0
}
