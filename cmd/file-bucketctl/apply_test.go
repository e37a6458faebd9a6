package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hugbucket/internal/daemon"
)

// fakeSystemd is a systemctl that writes down what it is told. A unit is active when the directory has a file of its name, or
// what that says; its other properties are in "UNIT.NAME". A reload counts in DOOR/reload; it fails when there is
// "DOOR.service.refuses", before it began when that holds something, and as often as "DOOR.service.starts" has lines it is taken
// for done when the service has started, whose daemon knows of none. A restart makes what "UNIT.restarted" says of a unit, and
// fails when that is "failed". A door is enabled unless there is "DOOR.socket.disabled".
func fakeSystemd(t *testing.T, files map[string]string) (s systemd, calls func() string) {
	t.Helper()
	dir := t.TempDir()
	script := `#!/bin/sh
cd ` + dir + `
case "$1" in
show)
	if [ "$2" != --property=ActiveState ]; then cat "$4.${2#*=}" 2>/dev/null; exit 0; fi
	if [ -s "$4" ]; then cat "$4"; elif [ -e "$4" ]; then echo active; else echo inactive; fi
	exit;;
is-enabled) [ ! -e "$3.disabled" ]; exit;;
esac
echo "$*" >>calls
case "$1" in
reload)
	result=${2%.service}/reload
	if [ -s "$2.refuses" ]; then echo "Job failed." >&2; exit 1; fi
	if [ -s "$2.starts" ]; then sed -i 1d "$2.starts"; echo active >"$2"; mkdir -p "${2%.service}"; echo 0 ok >"$result"; exit; fi
	if [ -e "$result" ]; then read -r n rest <"$result"; echo "$((n+1)) $rest" >"$result"; fi
	if [ -e "$2.refuses" ]; then echo "Job failed." >&2; exit 1; fi;;
restart)
	if [ -e "$2.restarted" ]; then cp "$2.restarted" "$2"; echo "Job failed." >&2; exit 1; fi;;
esac
`
	files["systemctl"] = script
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return systemd{systemctl: filepath.Join(dir, "systemctl"), booted: dir, runtime: dir, root: dir}, func() string {
		text, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(text)
	}
}

const (
	reloads  = "daemon-reload\nreload file-bucketd.service\n"
	noS3     = "hugbucket-s3d: does not run; systemctl enable --now hugbucket-s3d.socket hugbucket-s3d.service starts it\n"
	noFTP    = "hugbucket-ftpd: does not run; systemctl enable --now hugbucket-ftpd.socket hugbucket-ftpd.service starts it\n"
	oldState = "file-bucketd/reload"
)

func TestApply(t *testing.T) {
	for name, c := range map[string]struct {
		config        string
		files         map[string]string
		code          int
		calls, stdout string
		stderr        string
	}{
		"reload": {
			`{}`,
			map[string]string{"file-bucketd.socket": "", "file-bucketd.service": "", oldState: "3 ok\n"},
			0, reloads, "file-bucketd: reloaded\n" + noS3 + noFTP, "",
		},
		"restart": {
			`{}`,
			map[string]string{"file-bucketd.socket": "", "file-bucketd.service": "", oldState: "3 ok; restart to apply home\n"},
			0, reloads + "restart file-bucketd.service\n", "file-bucketd: restarted\n" + noS3 + noFTP, "",
		},
		"move": {
			`{"port": 8080}`,
			map[string]string{"file-bucketd.socket": "", "file-bucketd.service": "", oldState: "3 ok; restart the socket to apply the address; restart to apply home\n"},
			0, reloads + "restart file-bucketd.socket file-bucketd.service\n", "file-bucketd: restarted, with its socket\n" + noS3 + noFTP, "",
		},
		"socket that listens no more": {
			`{}`,
			map[string]string{"file-bucketd.socket": "", "file-bucketd.service": "", oldState: "3 ok; listening without the socket unit\n"},
			0, reloads + "restart file-bucketd.socket file-bucketd.service\n", "file-bucketd: restarted, with its socket\n" + noS3 + noFTP, "",
		},
		"no socket": {
			`{}`,
			map[string]string{"file-bucketd.service": "", oldState: "3 ok; listening without the socket unit\n"},
			0, reloads, "file-bucketd: reloaded\n" + noS3 + noFTP, "",
		},
		"start": {
			`{}`,
			map[string]string{"file-bucketd.socket": ""},
			0, "daemon-reload\nrestart file-bucketd.socket file-bucketd.service\n", "file-bucketd: started\n" + noS3 + noFTP, "",
		},
		"about to start": {
			`{}`,
			map[string]string{"file-bucketd.socket": "", "file-bucketd.service": "activating", oldState: "0 ok\n"},
			0, "daemon-reload\nrestart file-bucketd.socket file-bucketd.service\n", "file-bucketd: started\n" + noS3 + noFTP, "",
		},
		"about to start without a socket": {
			`{}`,
			map[string]string{"file-bucketd.service": "activating", oldState: "0 ok\n"},
			0, "daemon-reload\nrestart file-bucketd.service\n", "file-bucketd: started\n" + noS3 + noFTP, "",
		},
		"about to listen": {
			`{}`,
			map[string]string{"file-bucketd.socket": "activating"},
			0, "daemon-reload\nrestart file-bucketd.socket file-bucketd.service\n", "file-bucketd: started\n" + noS3 + noFTP, "",
		},
		"reloading already": {
			`{}`,
			map[string]string{"file-bucketd.socket": "", "file-bucketd.service": "reloading", oldState: "3 ok\n"},
			0, reloads, "file-bucketd: reloaded\n" + noS3 + noFTP, "",
		},
		"reload that does not end": {
			`{}`,
			map[string]string{"file-bucketd.service": "", oldState: "3 reloading\n"},
			1, reloads + strings.Repeat("reload file-bucketd.service\n", reloadTries-1), noS3 + noFTP,
			"file-bucketctl: file-bucketd: systemctl reload file-bucketd.service succeeds, and the daemon says of no reload that it ended\n",
		},
		"started again before the reload": {
			`{}`,
			map[string]string{"file-bucketd.service": "", oldState: "3 ok\n", "file-bucketd.service.starts": "1\n2\n"},
			0, reloads + "reload file-bucketd.service\nreload file-bucketd.service\n", "file-bucketd: reloaded\n" + noS3 + noFTP, "",
		},
		"socket that failed": {
			`{}`,
			map[string]string{"file-bucketd.socket": "failed", "hugbucket-s3d.socket": "failed", "hugbucket-s3d.socket.disabled": ""},
			0, "daemon-reload\nrestart file-bucketd.socket file-bucketd.service\n", "file-bucketd: started\n" + noS3 + noFTP, "",
		},
		"socket that fails": {
			`{"port": 8080}`,
			map[string]string{
				"file-bucketd.socket": "", "file-bucketd.service": "", oldState: "3 ok; restart the socket to apply the address\n",
				"file-bucketd.socket.restarted": "failed",
			},
			1, reloads + "restart file-bucketd.socket file-bucketd.service\n", noS3 + noFTP,
			"file-bucketctl: file-bucketd: systemctl restart file-bucketd.socket file-bucketd.service: exit status 1: Job failed.\n" +
				"its socket could not be opened and no client reaches it; when that is mended, run file-bucketctl apply again\n",
		},
		"refused by one": {
			`{}`,
			map[string]string{
				"file-bucketd.service": "", "file-bucketd.service.refuses": "", oldState: "3 /etc/x:1: no\n",
				"hugbucket-s3d.service": "", "hugbucket-s3d/reload": "1 ok\n",
			},
			1, reloads + "reload hugbucket-s3d.service\n", "hugbucket-s3d: reloaded\n" + noFTP, "file-bucketctl: file-bucketd: not reloaded, the old configuration is kept: /etc/x:1: no\n",
		},
		"not reloaded": {
			`{}`,
			map[string]string{"file-bucketd.service": "", "file-bucketd.service.refuses": "", oldState: "3 ok\n"},
			1, reloads, noS3 + noFTP, "file-bucketctl: file-bucketd: systemctl reload file-bucketd.service: exit status 1: Job failed.\n",
		},
		"not begun": {
			`{}`,
			map[string]string{"file-bucketd.service": "", "file-bucketd.service.refuses": "at once", oldState: "3 /etc/x:1: of before\n"},
			1, reloads, noS3 + noFTP, "file-bucketctl: file-bucketd: systemctl reload file-bucketd.service: exit status 1: Job failed.\n",
		},
		"bad": {
			`{"prot": 1}`,
			map[string]string{"file-bucketd.service": ""},
			78, "", "", "file-bucketctl: FILE:1: prot: unknown key (did you mean \"port\"?)\n",
		},
		"name": {
			"{\"port\": 0,\n\"s3\": {\"host\": \"nas\"}}",
			map[string]string{"file-bucketd.socket": "", "hugbucket-s3d.socket": ""},
			78, "", "", "file-bucketctl: FILE:1: port: a socket unit needs a port from 1 to 65535, not 0\nFILE:2: s3.host: a socket unit needs an address, not the name \"nas\"\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.json")
			if err := os.WriteFile(path, []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			s, calls := fakeSystemd(t, c.files)
			var out, fail bytes.Buffer
			err := apply(t.Context(), env{&out, &fail}, path, s)
			code := daemon.Report(&fail, "file-bucketctl", err)
			stderr := strings.ReplaceAll(c.stderr, "FILE", path)
			if code != c.code || out.String() != c.stdout || fail.String() != stderr || calls() != c.calls {
				t.Errorf("got %d %q %q, called %q\nwant %d %q %q, %q", code, &out, &fail, calls(), c.code, c.stdout, stderr, c.calls)
			}
		})
	}
}

func TestApplyWithoutSystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := apply(t.Context(), env{}, path, systemd{systemctl: "/none", booted: filepath.Join(path, "none")})
	if err == nil || !strings.Contains(err.Error(), "systemd does not run here") {
		t.Error(err)
	}
}
