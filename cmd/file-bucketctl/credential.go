package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"hugbucket/internal/config"
)

// outdated says whether a service that runs lacks what a start alone brings: mounts, credentials, or drop-ins of an administrator.
func (s systemd) outdated(ctx context.Context, u unit, cfg *config.Config) (bool, error) {
	shut, err := s.shutOut(ctx, u.name, cfg)
	if err != nil || shut {
		return shut, err
	}
	began, err := s.began(ctx, u.name)
	if err != nil || began.IsZero() {
		return false, err
	}
	// A drop-in may name a credential in another place.
	dropIns, err := s.property(ctx, u.name+".service", "DropInPaths")
	if err != nil {
		return false, err
	}
	var paths []string
	for path := range strings.FieldsSeq(dropIns) {
		// The generator writes its own anew each time.
		if filepath.Base(path) != dropInName {
			paths = append(paths, path)
		}
	}
	for _, path := range append(paths, config.CredentialFiles(u.credential)...) {
		if changed(filepath.Join(s.root, path)).After(began) {
			return true, nil
		}
	}
	return false, nil
}

// unhanded says whether the configuration leaves a door's secret to a credential that the running service does not have: it would
// refuse a reload.
func (s systemd) unhanded(u unit, cfg *config.Config) bool {
	var open bool
	switch u.credential {
	case config.S3Credential:
		open = cfg.S3.AccessKey != "" && cfg.S3.SecretKey == ""
	case config.FTPCredential:
		open = cfg.FTP.Username != "" && cfg.FTP.Password == ""
	}
	_, err := os.Lstat(filepath.Join(s.root, "run/credentials", u.name+".service", u.credential))
	return open && errors.Is(err, os.ErrNotExist)
}

// began returns when the running service began to start, before it was handed anything; zero when that is not known.
func (s systemd) began(ctx context.Context, door string) (time.Time, error) {
	text, err := s.output(ctx, "show", "--property=InactiveExitTimestamp", "--value", door+".service", "--timestamp=us+utc")
	if err != nil || text == "" || text == "n/a" {
		return time.Time{}, err
	}
	began, err := time.Parse("Mon 2006-01-02 15:04:05.000000 MST", text)
	if err != nil {
		return began, fmt.Errorf("find out when %s started: %w", door, err)
	}
	return began, nil
}

// changed returns when a file was last changed, replaced or moved to where it is, or zero when it is not there. The time of its
// content may be a copied one.
func changed(path string) time.Time {
	var last time.Time
	for _, stat := range []func(string) (os.FileInfo, error){os.Stat, os.Lstat} {
		fi, err := stat(path)
		if err != nil {
			continue
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			if at := time.Unix(st.Ctim.Unix()); at.After(last) {
				last = at
			}
		}
	}
	return last
}
