package push

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// curl runs the real client and returns what it printed, the status behind, and its exit code.
func curl(t *testing.T, stdin io.Reader, args ...string) (out string, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "curl", append([]string{"-q", "-sS", "-w", "%{http_code} %{size_upload}"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	if exited, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok {
		exit = exited.ExitCode()
		t.Logf("curl %q: %d %s", args, exit, stderr.String())
	}
	return stdout.String(), exit
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCurl pushes with the real client in the ways that people do.
func TestCurl(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 5<<20/16)
	small := writeFile(t, "dump.sql", "content")
	odd := writeFile(t, `we "quote" größe`, "content")
	large := writeFile(t, "large.tar", big)
	for name, row := range map[string]struct {
		stdin   io.Reader
		args    []string
		file    string
		content string
	}{
		"file":          {nil, []string{"-F", "file=@" + small}, "dump.sql", "content"},
		"stdin":         {strings.NewReader("content"), []string{"-F", "file=@-;filename=x"}, "x", "content"},
		"quoted, UTF-8": {nil, []string{"-F", `file=@"` + strings.ReplaceAll(odd, `"`, `\"`) + `"`}, "we %22quote%22 größe", "content"},
		"escaped":       {nil, []string{"--form-escape", "-F", `file=@"` + strings.ReplaceAll(odd, `"`, `\"`) + `"`}, `we "quote" größe`, "content"},
		"type":          {nil, []string{"-F", "file=@" + small + ";type=text/x-sql"}, "dump.sql", "content"},
		"5 MiB":         {nil, []string{"-F", "file=@" + large}, "large.tar", big},
		"no Expect":     {nil, []string{"-H", "Expect:", "-F", "file=@" + large}, "large.tar", big},
		"chunked":       {nil, []string{"-H", "Transfer-Encoding: chunked", "-F", "file=@" + large}, "large.tar", big},
		"piped":         {io.MultiReader(strings.NewReader(big)), []string{"-F", "file=@-;filename=x"}, "x", big},
		"1.0":           {nil, []string{"--http1.0", "-F", "file=@" + large}, "large.tar", big},
		"fields":        {nil, []string{"-F", "a=b", "-F", "file=@" + small, "-F", "c=d"}, "dump.sql", "content"},
		"digest":        {nil, []string{"-F", "sha256=ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73  dump.sql", "-F", "file=@" + small}, "dump.sql", "content"},
		"empty":         {nil, []string{"-F", "file=@/dev/null;filename=x"}, "x", ""},
		"by PUT":        {nil, []string{"-X", "PUT", "-F", "file=@" + small}, "dump.sql", "content"},
		"path in name":  {nil, []string{"-F", "file=@" + small + ";filename=../../x"}, "x", "content"},
	} {
		for _, token := range []string{nameToken, bareToken} {
			r := newRig(t)
			stdin := row.stdin
			if seen, ok := stdin.(*strings.Reader); ok {
				_, _ = seen.Seek(0, io.SeekStart)
			} else if stdin != nil {
				stdin = io.MultiReader(strings.NewReader(row.content))
			}
			out, exit := curl(t, stdin, append([]string{"-f", "-X", "POST", r.serve().URL + "/" + token}, row.args...)...)
			want := fmt.Sprintf("%s %d sha256:%x\n200 ", row.file, len(row.content), sha256.Sum256([]byte(row.content)))
			if exit != 0 || !strings.HasPrefix(out, want) {
				t.Errorf("%s (%s…): exit %d, %q; want %q", name, token[:6], exit, out, want)
			}
			place := "db01/"
			if token == bareToken {
				place = bareToken + "/"
			}
			r.wantStored(map[string]string{place + row.file: row.content})
		}
	}
}

// TestCurlUpload puts with the real client: -T in the ways that people do.
func TestCurlUpload(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 5<<20/16)
	small := writeFile(t, "dump.sql", "content")
	odd := writeFile(t, `a "größe" 100%?#`, "content")
	large := writeFile(t, "large.tar", big)
	for name, row := range map[string]struct {
		path    string
		stdin   io.Reader
		args    []string
		file    string
		content string
	}{
		"file":      {"/", nil, []string{"-T", small}, "dump.sql", "content"},
		"named":     {"/x.sql", nil, []string{"-T", small}, "x.sql", "content"},
		"odd":       {"/", nil, []string{"-T", odd}, `a "größe" 100%?#`, "content"},
		"empty":     {"/x", nil, []string{"-T", "/dev/null"}, "x", ""},
		"digest":    {"/", nil, []string{"-H", "X-Checksum-Sha256: ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73  -", "-T", small}, "dump.sql", "content"},
		"5 MiB":     {"/", nil, []string{"-T", large}, "large.tar", big},
		"no Expect": {"/", nil, []string{"-H", "Expect:", "-T", large}, "large.tar", big},
		"chunked":   {"/", nil, []string{"-H", "Transfer-Encoding: chunked", "-T", large}, "large.tar", big},
		"resumable": {"/", nil, []string{"-C", "-", "-T", large}, "large.tar", big},
		"nothing":   {"/x", nil, []string{"-C", "-", "-T", "/dev/null"}, "x", ""},
		"piped":     {"/x", strings.NewReader(big), []string{"-T", "-"}, "x", big},
		"waiting":   {"/x", strings.NewReader(big), []string{"-T", "."}, "x", big},
		"1.0":       {"/", nil, []string{"--http1.0", "-T", large}, "large.tar", big},
		"data":      {"/x", nil, []string{"-X", "PUT", "--data-binary", "@" + large}, "x", big},
	} {
		for token, dir := range map[string]string{nameToken: "db01/", bareToken: bareToken + "/"} {
			r := newRig(t)
			stdin := row.stdin
			if seen, ok := stdin.(*strings.Reader); ok {
				_, _ = seen.Seek(0, io.SeekStart)
				stdin = io.MultiReader(seen)
			}
			out, exit := curl(t, stdin, append([]string{"-f", r.serve().URL + "/" + token + row.path}, row.args...)...)
			want := fmt.Sprintf("%s %d sha256:%x\n200 ", row.file, len(row.content), sha256.Sum256([]byte(row.content)))
			if exit != 0 || !strings.HasPrefix(out, want) {
				t.Errorf("%s (%s…): exit %d, %q; want %q", name, token[:6], exit, out, want)
			}
			r.wantStored(map[string]string{dir + row.file: row.content})
		}
	}
	r := newRig(t)
	url := r.serve().URL
	wantAnswer(t, r.push(nameToken, "large.tar", "content"), 200, "")
	before := r.stored()
	for name, row := range map[string]struct {
		path string
		args []string
		want string
	}{
		"no name":        {nameToken, nil, "no file name in the path: PUT /TOKEN/NAME; if it ends in a slash curl -T adds the name\n412 0"},
		"token":          {badToken + "/", nil, "token doesn't exist\n403 0"},
		"size":           {tinyToken + "/", nil, "file is too large: at most 100 bytes\n413 0"},
		"just too large": {tinyToken + "/", []string{"-T", writeFile(t, "x", strings.Repeat("x", 101)), "-H", "Expect: 100-continue"}, "file is too large: at most 100 bytes\n413 0"},
		"exists":         {nameToken + "/", nil, "file exists\n405 0"},
		"resumed":        {nameToken + "/x", []string{"-C", "100", "-T", large}, "invalid Content-Range: only whole files are stored\n400 0"},
		"form":           {nameToken + "/x", []string{"-X", "PUT", "-F", "file=@" + large}, "file exists\n405 "},
	} {
		args := row.args
		if args == nil {
			args = []string{"-T", large}
		}
		out, exit := curl(t, nil, append([]string{url + "/" + row.path}, args...)...)
		if exit != 0 || !strings.HasPrefix(out, row.want) {
			t.Errorf("%s: exit %d, %q; want %q", name, exit, out, row.want)
		}
	}
	r.wantStored(before)
}

// TestCurlRefused sees that the client tells its user what the door said, also when the upload is large.
func TestCurlRefused(t *testing.T) {
	r := newRig(t)
	url := r.serve().URL
	large := writeFile(t, "large.tar", strings.Repeat("0123456789abcdef", 4*lingerBytes/16))
	wantAnswer(t, r.push(nameToken, "large.tar", "content"), 200, "")
	before := r.stored()
	for name, row := range map[string]struct {
		token string
		args  []string
		want  string // "0" bytes sent when it ends so
	}{
		"token":             {badToken, nil, "token doesn't exist\n403 0"},
		"token, no Expect":  {badToken, []string{"-H", "Expect:"}, "token doesn't exist\n403 "},
		"token, chunked":    {badToken, []string{"-H", "Expect:", "-H", "Transfer-Encoding: chunked"}, "token doesn't exist\n403 "},
		"size":              {tinyToken, nil, "file is too large: at most 100 bytes\n413 0"},
		"size, no Expect":   {tinyToken, []string{"-H", "Expect:"}, "file is too large: at most 100 bytes\n413 "},
		"exists":            {nameToken, nil, "file exists\n405 "},
		"exists, no Expect": {nameToken, []string{"-H", "Expect:"}, "file exists\n405 "},
		"1.0":               {badToken, []string{"--http1.0"}, "token doesn't exist\n403 "},
	} {
		args := append([]string{url + "/" + row.token, "-F", "file=@" + large}, row.args...)
		out, exit := curl(t, nil, args...)
		if exit != 0 || !strings.HasPrefix(out, row.want) {
			t.Errorf("%s: exit %d, %q; want %q", name, exit, out, row.want)
		}
		if _, exit := curl(t, nil, append([]string{"-f"}, args...)...); exit != 22 {
			t.Errorf("%s: exit %d with -f", name, exit)
		}
	}
	for _, args := range [][]string{{"-d", "x=y"}, {"-F", "upload=@" + large}, {"-X", "POST"}, {"-G"}} {
		if out, exit := curl(t, nil, append([]string{url + "/" + nameToken}, args...)...); exit != 0 || !strings.HasPrefix(out, "missed 'file' field in form\n412 ") {
			t.Errorf("%q: exit %d, %q", args, exit, out)
		}
	}
	r.wantStored(before)
}
