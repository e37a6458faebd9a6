package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"hugbucket/internal/config"
)

// unit is a door's pair of a socket unit and a service.
type unit struct {
	name    string // without ".socket" and ".service"
	address func(*config.Config) (host string, port int)
	section string // of the configuration that has the address; empty for the keys at the top
	ftp     bool   // it speaks FTP, and the others HTTP
	// credential is the one that systemd hands to the service; empty when there is none
	credential string
}

// units are the doors that systemd listens for.
func units() []unit {
	return []unit{
		{"file-bucketd", func(cfg *config.Config) (string, int) { return cfg.Host, cfg.Port }, "", false, ""},
		{"hugbucket-s3d", func(cfg *config.Config) (string, int) { return cfg.S3.Host, cfg.S3.Port }, "s3.", false, config.S3Credential},
		{ftpDoor, func(cfg *config.Config) (string, int) { return cfg.FTP.Host, cfg.FTP.Port }, "ftp.", true, config.FTPCredential},
	}
}

// storeServices are the services that open the store, and need to write where it is.
func storeServices() []string {
	return []string{
		"file-bucketd", "hugbucket-s3d", ftpDoor,
		"file-bucket-watch", "file-bucket-expire", "file-bucket-gc", "file-bucket-check",
	}
}

// stateDir is where a packaged installation keeps its data. The units may write there as they are.
const stateDir = "/var/lib/file-bucket"

var zoneName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

// listenStream is an address in the words of a socket unit, and whether it is one that a machine may not have yet. A name
// of a host cannot be written there.
func listenStream(host string, port int) (stream string, free bool, err error) {
	if port < 1 || port > 65535 {
		return "", false, fmt.Errorf("a socket unit needs a port from 1 to 65535, not %d", port)
	}
	switch host {
	case "", "::":
		return fmt.Sprint(port), false, nil // IPv4 too
	case "localhost":
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return "", false, fmt.Errorf("a socket unit needs an address, not the name %q", host)
	}
	stream = netip.AddrPortFrom(addr.WithZone(""), uint16(port)).String()
	if zone := addr.Zone(); zone != "" {
		if !zoneName.MatchString(zone) {
			return "", false, fmt.Errorf("%q is not an interface", zone)
		}
		stream += "%" + zone
	}
	return stream, !addr.IsUnspecified(), nil
}

// socketDropIn tells a socket unit where to listen.
func socketDropIn(host string, port int) (string, error) {
	stream, free, err := listenStream(host, port)
	if err != nil {
		return "", err
	}
	text := "[Socket]\nListenStream=\nListenStream=" + stream + "\n"
	if free {
		text += "FreeBind=yes\n"
	}
	return text, nil
}

// homeDirs are directories that the services' sandbox shows empty, by ProtectHome=. Those of PrivateTmp= are none to keep things in.
var homeDirs = []string{"/home", "/root", "/run/user"}

// pathsDropIn has a service wait for what is mounted at directories, and lets it write to those that are not below stateDir. A store
// on a disk that is not mounted would be taken for one that is missing, and made anew, wherever that is. It is empty when there
// is nothing to say.
func pathsDropIn(dirs []string) (string, error) {
	var unitPart, write, bind string
	var errs []error
	home := false
	for _, dir := range dirs {
		dir = followed(filepath.Clean(dir))
		if dir == stateDir {
			continue // StateDirectory= says it
		}
		quoted, err := unitPath(dir)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		unitPart += fmt.Sprintf("RequiresMountsFor=%s\n", quoted(""))
		if below(dir, stateDir) {
			continue
		}
		if !slices.ContainsFunc(homeDirs, func(home string) bool { return below(dir, home) }) {
			write += fmt.Sprintf("ReadWritePaths=%s\n", quoted("-"))
			continue
		}
		home = true
		if strings.Contains(dir, ":") {
			errs = append(errs, fmt.Errorf("%q cannot be had below a home directory: a unit takes the colon for the end of the path", dir))
			continue
		}
		bind += fmt.Sprintf("BindPaths=%s\n", quoted("-"))
	}
	if unitPart == "" {
		return "", errors.Join(errs...)
	}
	text := "[Unit]\n" + unitPart
	if write+bind != "" {
		text += "[Service]\n" + write
	}
	if home {
		text += "ProtectHome=tmpfs\n" // empty, but for what is bound there
	}
	return text + bind, errors.Join(errs...)
}

// followed returns where a clean path leads, as far as that can be seen: units name what is mounted and what may be written by its
// own name. Only root's links count, because the daemons' user must not say where it may write.
func followed(path string) string {
	for range maxLinks {
		next, ok := followOne(path)
		if !ok {
			break
		}
		path = next
	}
	return path
}

// followOne replaces the first link in an absolute path, and says whether there is one.
func followOne(path string) (string, bool) {
	for at := 1; at < len(path); at++ {
		end := strings.IndexByte(path[at:], '/')
		if end < 0 {
			end = len(path) - at
		}
		at += end
		fi, err := os.Lstat(path[:at])
		if err != nil {
			return path, false // the rest may be on a disk that is not mounted yet
		}
		if fi.Mode().Type() != fs.ModeSymlink {
			continue
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 {
			return path, false
		}
		to, err := os.Readlink(path[:at])
		if err != nil {
			return path, false
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path[:at]), to)
		}
		return filepath.Join(to, path[at:]), true
	}
	return path, false
}

// below says whether a clean path is inside a directory.
func below(path, dir string) bool { return strings.HasPrefix(path, dir+"/") }

// unitPath returns what writes a path, with a prefix, in the way of unit files.
func unitPath(path string) (func(prefix string) string, error) {
	switch {
	case !filepath.IsAbs(path) || path == "/":
		return nil, fmt.Errorf("%q is not a path that a unit could name", path)
	case strings.ContainsFunc(path, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }):
		return nil, fmt.Errorf("%q holds characters that a unit cannot name", path)
	}
	text := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(path)
	return func(prefix string) string { return `"` + prefix + text + `"` }, nil
}
