package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
)

// initOptions are what a new installation is made with.
type initOptions struct {
	config        string
	dir           string // of home and storage, unless they are given
	home, storage string
	host          string
	port, s3Port  int
	ftpPort       int
	mode          fileMode
	user          string // of the daemons; empty is the caller
}

func initCommand() command {
	return command{
		name:    "init",
		summary: "make a configuration with fresh secrets, and the directories",
		details: `
The configuration gets one bucket, "backup", with a random token, a random S3
key pair, and a random password for FTP. A file that is there already is left as it is; missing
directories are made all the same.

With --user, directories are made that user's, who may also read the
configuration: by its group, when there is no other way. Of a configuration that
was there, the home and the directories of its bare tokens become that user's
too, if they are root's.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			defaults := config.Default()
			o := initOptions{mode: 0o600}
			flags.StringVar(&o.config, "config", config.DefaultPath, "configuration `FILE`")
			flags.StringVar(&o.dir, "var", filepath.Dir(defaults.Home), "`DIR` that holds the data")
			flags.StringVar(&o.home, "home", "", "`DIR` of the plain files of bare tokens (default \"files\" below --var)")
			flags.StringVar(&o.storage, "storage", "", "`DIR` of the store (default \"store\" below --var)")
			flags.StringVar(&o.host, "host", defaults.Host, "`ADDRESS` that the doors listen on")
			flags.IntVar(&o.port, "port", defaults.Port, "`PORT` of the push door")
			flags.IntVar(&o.s3Port, "s3-port", defaults.S3.Port, "`PORT` of the S3 door")
			flags.IntVar(&o.ftpPort, "ftp-port", defaults.FTP.Port, "`PORT` of the FTP door")
			flags.Var(&o.mode, "mode", "`MODE` of the configuration file, 0600 or 0640")
			flags.StringVar(&o.user, "user", "", "`NAME` of the user that the daemons run as, when it is not who calls this")
			return func(_ context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				given := make(map[string]bool)
				flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
				return initialise(e, o, given)
			}
		},
	}
}

// fileMode is a flag that allows the two modes that keep secrets.
type fileMode fs.FileMode

func (m *fileMode) String() string { return fmt.Sprintf("%04o", uint32(*m)) }

// Set implements flag.Value.
func (m *fileMode) Set(text string) error {
	switch text {
	case "0600", "600":
		*m = 0o600
	case "0640", "640":
		*m = 0o640
	default:
		return errors.New("must be 0600 or 0640")
	}
	return nil
}

func initialise(e env, o initOptions, given map[string]bool) error {
	for _, d := range []struct {
		path *string
		name string
	}{{&o.home, "files"}, {&o.storage, "store"}} {
		if *d.path == "" {
			*d.path = filepath.Join(o.dir, d.name)
		}
		abs, err := filepath.Abs(*d.path)
		if err != nil {
			return fmt.Errorf("make %s absolute: %w", *d.path, err)
		}
		*d.path = abs
	}
	var daemons *account
	if o.user != "" {
		a, err := findAccount(o.user)
		if err != nil {
			return err
		}
		daemons = a
	}
	text, err := newConfig(o)
	if err != nil {
		return err
	}
	err = writeNew(o.config, text, fs.FileMode(o.mode))
	fresh := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if daemons != nil {
		if err := daemons.mayRead(o.config); err != nil {
			return err
		}
	}
	cfg, err := daemon.LoadConfigInShell(o.config)
	if err != nil {
		if fresh {
			err = errors.Join(err, os.Remove(o.config)) // a flag had a bad value
		}
		return err
	}
	if err := makeDirs(cfg, daemons); err != nil {
		return err
	}
	if fresh {
		_, err := fmt.Fprintf(e.stdout, "%s: made\n", o.config)
		return err
	}
	return tellKept(e, cfg, o, given)
}

// makeDirs makes the directories that a configuration names. daemons is nil when they are the caller's.
func makeDirs(cfg *config.Config, daemons *account) error {
	for _, dir := range []string{cfg.Home, cfg.Storage.Path} {
		if daemons == nil {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
		} else if err := daemons.makeDir(dir); err != nil {
			return err
		}
	}
	if daemons == nil {
		return nil
	}
	for _, hook := range daemon.HookNames() {
		if err := daemons.mayRun(filepath.Join(cfg.Hooks.Dir, hook)); err != nil {
			return err
		}
	}
	if err := daemons.takeOver(cfg.Home); err != nil {
		return err
	}
	for _, b := range cfg.Buckets {
		if b.Name == "" {
			if err := daemons.takeOver(filepath.Join(cfg.Home, b.Token)); err != nil {
				return err
			}
		}
	}
	return nil
}

// tellKept says which of the given flags an existing configuration does not
// follow.
func tellKept(e env, cfg *config.Config, o initOptions, given map[string]bool) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: exists and is kept\n", o.config)
	for _, f := range []struct {
		flag, key string
		has, want any
	}{
		{"host", "host", cfg.Host, o.host},
		{"host", "s3.host", cfg.S3.Host, o.host},
		{"host", "ftp.host", cfg.FTP.Host, o.host},
		{"port", "port", cfg.Port, o.port},
		{"s3-port", "s3.port", cfg.S3.Port, o.s3Port},
		{"ftp-port", "ftp.port", cfg.FTP.Port, o.ftpPort},
		{"home", "home", cfg.Home, o.home},
		{"storage", "storage.path", cfg.Storage.Path, o.storage},
	} {
		if given[f.flag] && f.has != f.want {
			fmt.Fprintf(&b, "%s: %s stays %v; edit the file to make it %v\n", o.config, f.key, f.has, f.want)
		}
	}
	_, err := b.WriteTo(e.stderr)
	return err
}

// newConfig returns a configuration with fresh secrets.
func newConfig(o initOptions) ([]byte, error) {
	type bucket struct {
		Name  string `json:"name"`
		Token string `json:"token"`
	}
	type storage struct {
		Driver string `json:"driver"`
		Path   string `json:"path"`
	}
	type s3 struct {
		Host      string `json:"host"`
		Port      int    `json:"port"`
		AccessKey string `json:"access_key"`
		SecretKey string `json:"secret_key"`
	}
	type ftp struct {
		Host     string `json:"host"`
		Port     int    `json:"port"`
		Username string `json:"username"`
		Password string `json:"password"`
	}
	text, err := json.MarshalIndent(struct {
		Host    string   `json:"host"`
		Port    int      `json:"port"`
		Home    string   `json:"home"`
		Buckets []bucket `json:"buckets"`
		Storage storage  `json:"storage"`
		S3      s3       `json:"s3"`
		FTP     ftp      `json:"ftp"`
	}{
		Host: o.host, Port: o.port, Home: o.home,
		Buckets: []bucket{{"backup", newToken()}},
		Storage: storage{"disk", o.storage},
		S3: s3{
			Host: o.host, Port: o.s3Port,
			AccessKey: randomText("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 20),
			SecretKey: randomText("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", 40),
		},
		// Somebody may have to type it on a scanner.
		FTP: ftp{Host: o.host, Port: o.ftpPort, Username: "backup", Password: randomText("abcdefghijklmnopqrstuvwxyz234567", 20)},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return append(text, '\n'), nil
}

// randomText returns n random characters of an alphabet, whose length divides
// 256, so that each is as likely as the others. No alphabet holds a
// character that a shell or a URL would take amiss.
func randomText(alphabet string, n int) string {
	text := make([]byte, n)
	_, _ = rand.Read(text) // never fails
	for i, c := range text {
		text[i] = alphabet[int(c)%len(alphabet)]
	}
	return string(text)
}

// writeNew makes a file durable in one step, or returns fs.ErrExist.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := createFile(path, false)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err != nil {
		return errors.Join(err, f.abandon())
	}
	return f.finish()
}
