package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"hugbucket/internal/daemon"
)

// TestConfigCheckAsksForTheRunnersUser: root may run what the user of the hooks may not.
func TestConfigCheckAsksForTheRunnersUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can find out what another user may do")
	}
	dir := passableDir(t)
	hook := filepath.Join(dir, "pre-push.sh")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.json")
	text := fmt.Sprintf(`{"hooks": {"dir": %q}, "storage": {"path": %q}, "home": %q}`, dir, stateDir+"/none", stateDir+"/none2")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const warning = "file-bucketctl: warning: %s: is not run: user nobody may not read and execute it; chmod a+rx helps\n"
	for _, c := range []struct {
		mode   os.FileMode
		user   string
		warned bool
	}{
		{0o700, "nobody\n", true}, {0o711, "nobody\n", true}, {0o755, "nobody\n", false}, {0o700, "root\n", false}, {0o700, "", false},
	} {
		if err := os.Chmod(hook, c.mode); err != nil {
			t.Fatal(err)
		}
		s, _ := fakeSystemd(t, map[string]string{hookService + ".User": c.user})
		s.config = path
		var out, fail bytes.Buffer
		code := daemon.Report(&fail, name, checkConfig(t.Context(), env{&out, &fail}, path, s))
		want := ""
		if c.warned {
			want = fmt.Sprintf(warning, hook)
		}
		if code != 0 || fail.String() != want || out.String() != path+": ok\n" {
			t.Errorf("%o for %q: %d %q %q, want %q", c.mode, c.user, code, &out, &fail, want)
		}
	}
}
