package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestApplyRestartsForACredential: credentials are handed over when a service starts, so a reload does not bring a new one.
func TestApplyRestartsForACredential(t *testing.T) {
	const (
		reload   = "daemon-reload\nreload hugbucket-s3d.service\n"
		restart  = "restart hugbucket-s3d.service\n"
		stored   = "etc/credstore/s3-secret-key"
		handed   = "run/credentials/hugbucket-s3d.service/s3-secret-key"
		inFile   = `{"s3": {"access_key": "key-of-them", "secret_key": "a-secret"}}`
		moved    = `{"s3": {"access_key": "key-of-them"}}`
		dropIn   = "etc/systemd/system/hugbucket-s3d.service.d/override.conf"
		dropIns  = "hugbucket-s3d.service.DropInPaths"
		ofOurs   = "run/systemd/generator/hugbucket-s3d.service.d/" + dropInName
		noSecret = "3 s3: access_key is set but secret_key is empty\n"
	)
	for what, c := range map[string]struct {
		began  time.Duration // from now
		config string
		files  map[string]string
		calls  string
	}{
		"a new one":                    {-time.Minute, inFile, map[string]string{stored: "x"}, reload + restart},
		"a new one, encrypted":         {-time.Minute, inFile, map[string]string{"etc/credstore.encrypted/s3-secret-key": "x"}, reload + restart},
		"another one":                  {-time.Minute, inFile, map[string]string{stored: "x", handed: "y"}, reload + restart},
		"that of before":               {time.Minute, inFile, map[string]string{stored: "x", handed: "x"}, reload},
		"none":                         {-time.Minute, inFile, nil, reload},
		"that of another door":         {-time.Minute, inFile, map[string]string{"etc/credstore/ftp-password": "x"}, reload},
		"a drop-in":                    {-time.Minute, inFile, map[string]string{dropIn: "x", dropIns: "/" + ofOurs + " /" + dropIn}, reload + restart},
		"a drop-in of before":          {time.Minute, inFile, map[string]string{dropIn: "x", dropIns: "/" + dropIn}, reload},
		"the generator's drop-in":      {-time.Minute, inFile, map[string]string{ofOurs: "x", dropIns: "/" + ofOurs}, reload},
		"the only secret":              {-time.Minute, moved, map[string]string{stored: "x", "hugbucket-s3d/reload": noSecret}, "daemon-reload\n" + restart},
		"the only secret, by a socket": {-time.Minute, moved, map[string]string{stored: "x", "hugbucket-s3d.socket": ""}, "daemon-reload\nrestart hugbucket-s3d.socket hugbucket-s3d.service\n"},
		"the only secret, another one": {-time.Minute, moved, map[string]string{stored: "x", handed: "y"}, reload + restart},
	} {
		t.Run(what, func(t *testing.T) {
			t.Setenv("INVOCATION_ID", "1") // the secret may be a credential
			path := writeConfig(t, c.config)
			files := map[string]string{
				"hugbucket-s3d.service": "", "hugbucket-s3d/reload": "3 ok\n",
				"hugbucket-s3d.service.InactiveExitTimestamp": time.Now().Add(c.began).UTC().Format("Mon 2006-01-02 15:04:05.000000 MST") + "\n",
			}
			maps.Copy(files, c.files)
			s, calls := fakeSystemd(t, files)
			var out, fail bytes.Buffer
			if err := apply(t.Context(), env{&out, &fail}, path, s); err != nil || calls() != c.calls {
				t.Errorf("%v, called %q, want %q", err, calls(), c.calls)
			}
		})
	}
}

// TestARefusedReloadRestartsNobody: a door that was handed its credential refuses for another reason, and would not start.
func TestARefusedReloadRestartsNobody(t *testing.T) {
	t.Setenv("INVOCATION_ID", "1") // the secret may be a credential
	code, _, stderr, calls := applied(t, `{"ftp": {"username": "them"}}`, map[string]string{
		"hugbucket-ftpd.service": "", "hugbucket-ftpd/reload": "3 /etc/x:1: no\n",
		"hugbucket-ftpd.service.InactiveExitTimestamp":        "Thu 1970-01-01 00:00:01.000000 UTC\n",
		"etc/credstore/ftp-password":                          "x",
		"run/credentials/hugbucket-ftpd.service/ftp-password": "y",
	})
	if code != 1 || calls != "daemon-reload\nreload hugbucket-ftpd.service\n" || stderr != "file-bucketctl: hugbucket-ftpd: not reloaded, the old configuration is kept: /etc/x:1: no\n" {
		t.Errorf("%d %q, called %q", code, stderr, calls)
	}
}

// TestChanged: a file that is moved into place with the time of its content is new there, and so is a link.
func TestChanged(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	before := time.Now().Add(-time.Minute)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, time.Time{}, before.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{file: true, link: true, filepath.Join(dir, "none"): false, "/proc/self/none": false} {
		if got := changed(path).After(before); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
}
