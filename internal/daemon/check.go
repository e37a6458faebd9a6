package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hugbucket/internal/config"
	"hugbucket/internal/disk"
)

// CheckConfig is LoadConfig for who serves, or wants to know whether a daemon would: it looks at what the configuration
// refers to as well. The warnings are about what works and should not stay.
func CheckConfig(path string) (cfg *config.Config, warnings []string, err error) {
	return checkConfig(path, disk.Refused)
}

// checkServed is CheckConfig for a daemon that has its store open and serves. It does not look at the store: another one may be where
// only the next process can write, and whatever has become of its own, a token must be revoked all the same.
func checkServed(path string) (*config.Config, []string, error) {
	return checkConfig(path, func(string) error { return nil })
}

// checkConfig is CheckConfig with what says why a store must not be opened.
func checkConfig(path string, refused func(dir string) error) (cfg *config.Config, warnings []string, err error) {
	cfg, err = LoadConfig(path)
	if err != nil {
		return nil, nil, err
	}
	problems := lasting(cfg, filepath.Dir(path))
	if cfg.TLS.Cert != "" {
		if _, err := tls.LoadX509KeyPair(cfg.TLS.Cert, cfg.TLS.Key); err != nil {
			problems = append(problems, cfg.Problem("tls.cert", "load certificate: %s", err))
		}
	}
	// What this user may not look at, the daemon's may.
	if why := refused(cfg.Storage.Path); why != nil && !errors.Is(why, fs.ErrPermission) {
		problems = append(problems, cfg.Problem("storage.path", "open store %s: %s", cfg.Storage.Path, why))
	}
	if len(problems) > 0 {
		return nil, nil, &ConfigError{errors.Join(problems...)}
	}
	return cfg, slices.Concat(openSecrets(cfg.SecretFiles()), deadHooks(cfg.Hooks.Dir, HookSocket), pushedOut(cfg)), nil
}

// deadHooks returns a warning for each hook that is there and cannot be run, or not by this user, who is the runner's unless an
// administrator has it otherwise.
func deadHooks(dir, socket string) []string {
	var warnings []string
	for _, name := range HookNames() {
		// What this user may not look at, the runner may.
		path, err := hookPath(dir, name, hookOwners(socket))
		if err == nil {
			err = mayRun(path)
		}
		if err == nil {
			err = startable(path)
		}
		if err != nil && !errors.Is(err, ErrNoHook) && !errors.Is(err, fs.ErrPermission) {
			warnings = append(warnings, err.Error())
		}
	}
	return warnings
}

// hookOwners are the users whose hooks are run: root, and where there is no runner, which may have other rights than we, this
// process's own.
func hookOwners(socket string) []int {
	owners := []int{0}
	if _, err := os.Lstat(socket); errors.Is(err, fs.ErrNotExist) {
		owners = append(owners, os.Geteuid())
	}
	return owners
}

// pushedOut returns a warning for each bucket from which who may only add can have things deleted, by adding more.
func pushedOut(cfg *config.Config) []string {
	var warnings []string
	for i, b := range cfg.Buckets {
		if b.Keep > 0 && b.MaxAge == 0 {
			warnings = append(warnings, cfg.Problem(fmt.Sprintf("buckets[%d].keep", i),
				"without max_age, who pushes %d files has expire delete all that was there before", b.Keep).Error())
		}
	}
	return warnings
}

// lasting returns a problem with what is to be kept in a directory for temporary files: the system deletes from it what is old, and a
// service has one of its own, which goes with it. Who tries things out has the configuration itself there.
func lasting(cfg *config.Config, own string) (problems []error) {
	own, err := filepath.Abs(own)
	if err != nil {
		return []error{err}
	}
	for _, dir := range []string{"/tmp", "/var/tmp"} {
		inside := func(path string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
		for key, path := range map[string]string{"home": cfg.Home, "storage.path": cfg.Storage.Path} {
			if inside(filepath.Clean(path)) && !inside(own) {
				problems = append(problems, cfg.Problem(key, "what is below %s does not last: the system deletes it; keep it elsewhere", dir))
			}
		}
	}
	return problems
}

// openSecrets returns a warning for each file that is open to every user of the machine.
func openSecrets(paths []string) []string {
	var warnings []string
	for _, path := range paths {
		if fi, err := os.Stat(path); err == nil && fi.Mode()&0o007 != 0 {
			warnings = append(warnings, fmt.Sprintf("%s: holds secrets and is open to every user (mode %04o); chmod o= helps", path, fi.Mode().Perm()))
		}
	}
	return warnings
}
