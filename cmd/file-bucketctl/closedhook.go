package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

// hookService is an instance of the runner's unit: any tells which user it has, drop-ins included.
const hookService = "file-bucket-hook@check.service"

// closedHooks returns a warning for each hook that root, who asks, may run, and the user of the runner may not. Whatever else is wrong
// with hooks daemon.CheckConfig tells.
func (s systemd) closedHooks(ctx context.Context, cfg *config.Config) (warnings []string, err error) {
	account, err := s.property(ctx, hookService, "User")
	if err != nil || account == "" || account == "root" || os.Geteuid() != 0 {
		return nil, err
	}
	id, err := identify(account)
	if err != nil {
		return nil, err
	}
	for _, name := range daemon.HookNames() {
		path := filepath.Join(cfg.Hooks.Dir, name)
		if fi, err := os.Stat(path); err != nil || fi.Mode()&0o111 == 0 {
			continue
		}
		cmd := exec.CommandContext(ctx, "test", "-r", path, "-a", "-x", path)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: id}
		err := cmd.Run()
		exit, ended := errors.AsType[*exec.ExitError](err)
		switch {
		case ended && exit.ExitCode() == 1:
			warnings = append(warnings, fmt.Sprintf("%s: is not run: user %s may not read and execute it; chmod a+rx helps", path, account))
		case err != nil:
			return nil, err
		}
	}
	return warnings, nil
}
