package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dropIns runs the generator over a configuration and returns what it wrote, without the first line.
func dropIns(t *testing.T, config string) (files map[string]string, stderr string) {
	t.Helper()
	dir := t.TempDir()
	path, normal := filepath.Join(dir, "config.json"), filepath.Join(dir, "normal")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := ctl(t, "generator", "--config", path, normal, filepath.Join(dir, "early"), filepath.Join(dir, "late"))
	if code != 0 || stdout != "" {
		t.Errorf("%s: exit code %d, stdout %q", config, code, stdout)
	}
	files = make(map[string]string)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || p == path {
			return err
		}
		text, err := os.ReadFile(p)
		_, rest, _ := strings.Cut(string(text), "\n")
		files[strings.TrimPrefix(p, normal+"/")] = rest
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, stderr
}

const (
	pushDropIn = "file-bucketd.socket.d/50-config.conf"
	s3DropIn   = "hugbucket-s3d.socket.d/50-config.conf"
	ftpDropIn  = "hugbucket-ftpd.socket.d/50-config.conf"
)

func TestGeneratorWritesAddresses(t *testing.T) {
	files, _ := dropIns(t, `{"ftp": {"host": "::", "port": 21}}`)
	if want := "[Socket]\nListenStream=\nListenStream=21\n"; files[ftpDropIn] != want {
		t.Errorf("%q, want %q", files[ftpDropIn], want)
	}
	for _, c := range []struct{ config, push, s3 string }{
		{`{}`, "0.0.0.0:1234", "0.0.0.0:9000"},
		{`{"port": 8080, "s3": {"port": 443}}`, "0.0.0.0:8080", "0.0.0.0:443"},
		{`{"host": "", "s3": {"host": "::"}}`, "1234", "9000"},
		{`{"host": "localhost"}`, "127.0.0.1:1234\nFreeBind=yes", "0.0.0.0:9000"},
		{`{"host": "192.0.2.1", "s3": {"host": "2001:db8::1"}}`, "192.0.2.1:1234\nFreeBind=yes", "[2001:db8::1]:9000\nFreeBind=yes"},
		{`{"host": "fe80::1%eth0.7"}`, "[fe80::1]:1234%eth0.7\nFreeBind=yes", "0.0.0.0:9000"},
		// A fault that a daemon refuses does not move the sockets: it may be repaired while clients wait.
		{`{"port": 8080, "prot": 1, "s3": {"port": "9"}, "buckets": [{"name": "a", "token_file": "/nowhere"}]}`, "0.0.0.0:8080", "0.0.0.0:9000"},
	} {
		files, stderr := dropIns(t, c.config)
		for file, want := range map[string]string{pushDropIn: c.push, s3DropIn: c.s3} {
			if want = "[Socket]\nListenStream=\nListenStream=" + want + "\n"; files[file] != want {
				t.Errorf("%s: %s is %q, want %q", c.config, file, files[file], want)
			}
		}
		if len(files) != len(units())+len(storeServices()) || stderr != "" {
			t.Errorf("%s: %d files, stderr %q", c.config, len(files), stderr)
		}
	}
}

// TestGeneratorNeverFails: what it cannot use leaves the unit as it is, and is told.
func TestGeneratorNeverFails(t *testing.T) {
	for config, want := range map[string]string{
		`{"port": 8080`:                    "unexpected end of JSON input",
		`[1]`:                              "",
		`{"port": 0}`:                      "a socket unit needs a port from 1 to 65535, not 0",
		`{"port": 65536}`:                  "not 65536",
		`{"host": "nas"}`:                  `a socket unit needs an address, not the name "nas"`,
		`{"host": "1.2.3.4\n[Service]"}`:   "a socket unit needs an address",
		`{"host": "fe80::1%a\nUser=root"}`: "is not an interface",
	} {
		files, stderr := dropIns(t, config)
		if text, ok := files[pushDropIn]; ok != (want == "") || !strings.Contains(stderr, want) {
			t.Errorf("%s: wrote %q, said %q", config, text, stderr)
		}
	}
	normal := filepath.Join(t.TempDir(), "normal")
	expect(t, 0, "", "", "generator", "--config", filepath.Join(t.TempDir(), "none"), normal)
	if _, err := os.Stat(normal); err == nil {
		t.Error("wrote something without a configuration")
	}
	// A link whose disk is not mounted yet is a configuration.
	link := filepath.Join(t.TempDir(), "config.json")
	if err := os.Symlink("/nowhere/config.json", link); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := ctl(t, "generator", "--config", link, normal); code != 0 || !strings.Contains(stderr, "/nowhere") && !strings.Contains(stderr, link) {
		t.Errorf("a link to nowhere: %d %q", code, stderr)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := ctl(t, "generator", "--config", file, filepath.Join(file, "sub")); code != 0 || !strings.Contains(stderr, "not a directory") {
		t.Errorf("a directory that cannot be made: %d %q", code, stderr)
	}
	expect(t, 64, "", "file-bucketctl: one directory, or three as systemd gives them\n", "generator")
}

func TestGeneratorLetsServicesWrite(t *testing.T) {
	for _, c := range []struct{ home, store, want string }{
		{"/var/lib/file-bucket", "/var/lib/file-bucket", ""},
		// A disk may be mounted in there as anywhere else.
		{"/var/lib/file-bucket/files", "/var/lib/file-bucket/store", `[Unit]
RequiresMountsFor="/var/lib/file-bucket/files"
RequiresMountsFor="/var/lib/file-bucket/store"
`},
		{"/var/lib/file-bucket/../file-bucketed", "/var/lib/file-bucket/store", `[Unit]
RequiresMountsFor="/var/lib/file-bucketed"
RequiresMountsFor="/var/lib/file-bucket/store"
[Service]
ReadWritePaths="-/var/lib/file-bucketed"
`},
		{`/srv/50% of "a\b`, "/mnt/disk/store", `[Unit]
RequiresMountsFor="/srv/50%% of \"a\\b"
RequiresMountsFor="/mnt/disk/store"
[Service]
ReadWritePaths="-/srv/50%% of \"a\\b"
ReadWritePaths="-/mnt/disk/store"
`},
		{"/home/ann/files", "/root/store", `[Unit]
RequiresMountsFor="/home/ann/files"
RequiresMountsFor="/root/store"
[Service]
ProtectHome=tmpfs
BindPaths="-/home/ann/files"
BindPaths="-/root/store"
`},
	} {
		files, stderr := dropIns(t, `{"home": `+jsonText(c.home)+`, "storage": {"path": `+jsonText(c.store)+`}}`)
		for _, service := range storeServices() {
			if got := files[service+".service.d/50-config.conf"]; got != c.want {
				t.Errorf("%s: %s has %q, want %q", c.home, service, got, c.want)
			}
		}
		if stderr != "" {
			t.Errorf("%s: %s", c.home, stderr)
		}
	}
	files, stderr := dropIns(t, `{"home": "/home/a:/etc", "storage": {"path": "/srv/a:b"}}`)
	want := "[Unit]\nRequiresMountsFor=\"/home/a:/etc\"\nRequiresMountsFor=\"/srv/a:b\"\n[Service]\nReadWritePaths=\"-/srv/a:b\"\nProtectHome=tmpfs\n"
	if got := files["file-bucketd.service.d/50-config.conf"]; got != want || !strings.Contains(stderr, "colon") {
		t.Errorf("a colon: wrote %q, said %q", got, stderr)
	}
	for _, dir := range []string{"", "/", "/srv/a\nUser=root", "/srv/\u0007", "/srv/\ufffd"} {
		files, stderr := dropIns(t, `{"home": `+jsonText(dir)+`, "storage": {"path": "/srv/store"}}`)
		want := "[Unit]\nRequiresMountsFor=\"/srv/store\"\n[Service]\nReadWritePaths=\"-/srv/store\"\n"
		if got := files["file-bucketd.service.d/50-config.conf"]; got != want || stderr == "" {
			t.Errorf("%q: wrote %q, said %q", dir, got, stderr)
		}
	}
}

// TestGeneratorFollowsLinks: units name directories by the names that they have, and only root says where these are.
func TestGeneratorFollowsLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make links of two users")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := func(to, name string, owner int) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
		return path
	}
	disk := filepath.Join(dir, "disk")
	for path, want := range map[string]string{
		link("disk", "relative", 0) + "/a/store":         disk + "/a/store", // not mounted yet
		link(dir+"/relative", "second", 0) + "/store":    disk + "/store",
		link("/etc", "planted", 65534) + "/store":        dir + "/planted/store",
		link(dir+"/planted", "to-planted", 0) + "/store": dir + "/planted/store",
		filepath.Join(dir, "none", "store"):              dir + "/none/store",
		dir:                                              dir,
		"/":                                              "/",
		link("loop", "loop", 0):                          dir + "/loop",
	} {
		if got := followed(path); got != want {
			t.Errorf("%s leads to %s, want %s", path, got, want)
		}
	}
	files, stderr := dropIns(t, `{"home": "/var/lib/file-bucket", "storage": {"path": `+jsonText(dir+"/second/store")+`}}`)
	want := "[Unit]\nRequiresMountsFor=\"" + disk + "/store\"\n[Service]\nReadWritePaths=\"-" + disk + "/store\"\n"
	if got := files["file-bucketd.service.d/50-config.conf"]; got != want || stderr != "" {
		t.Errorf("wrote %q, said %q", got, stderr)
	}
}

// jsonText is a string in JSON.
func jsonText(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string
	}
	return string(text)
}
