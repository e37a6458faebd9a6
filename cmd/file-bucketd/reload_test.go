package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/daemon"
	"hugbucket/internal/object"
)

// TestMain lets the test binary be file-bucketd.
func TestMain(m *testing.M) {
	if path := os.Getenv("FB_TEST_CONFIG"); path != "" {
		err := run(context.Background(), []string{"--config", path}, os.Stdout, os.Stderr)
		os.Exit(daemon.Report(os.Stderr, name, err)) //nolint:forbidigo // this is a main
	}
	os.Exit(m.Run()) //nolint:forbidigo // this is a main
}

// process is a file-bucketd of its own.
type process struct {
	t         *testing.T
	dir       string
	cmd       *exec.Cmd
	url       string
	told      chan map[string]any // what it logs about starting and reloading
	strangers atomic.Uint32

	mu     sync.Mutex // guards the following
	stored map[string]string
}

func startProcess(t *testing.T, settings string) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir(), told: make(chan map[string]any, 64), stored: make(map[string]string)}
	p.configure(p.dir, settings)
	p.cmd = exec.CommandContext(t.Context(), os.Args[0])
	p.cmd.Env = append(os.Environ(), "FB_TEST_CONFIG="+p.config())
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.told)
		for scan := bufio.NewScanner(stderr); scan.Scan(); {
			var line map[string]any
			if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
				t.Errorf("logged: %s", scan.Bytes())
			} else if line["req"] == nil {
				p.told <- line
			}
		}
	}()
	p.url = fmt.Sprintf("http://%s/", p.wait("serving")["address"])
	return p
}

func (p *process) config() string { return filepath.Join(p.dir, "config.json") }

func (p *process) configure(dir, settings string) {
	p.t.Helper()
	writeConfig(p.t, p.config(), dir, settings)
}

// wait returns the next line with one of the messages.
func (p *process) wait(messages ...string) map[string]any {
	p.t.Helper()
	for line := range p.told {
		if text, _ := line["message"].(string); slices.Contains(messages, text) {
			return line
		}
	}
	p.t.Fatalf("the process ended without %q", messages)
	return nil
}

// reload has the process read what was written, and returns the line that says what came of it.
func (p *process) reload() map[string]any {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		p.t.Fatal(err)
	}
	return p.wait("bucket list replaced", "not reloaded, the old configuration is kept")
}

// push pushes to a bucket and notes what was acknowledged.
func (p *process) push(bucket, token, name string, want int) {
	p.t.Helper()
	content := "content of " + name
	client := http.DefaultClient
	if want == http.StatusForbidden {
		client = p.stranger()
	}
	got := postBy(p.t, client, p.url+token, name, content)
	if got != want {
		p.t.Errorf("%s with %s: status %d, want %d", name, token, got, want)
	}
	if got == http.StatusOK {
		p.note(bucket, name, content)
	}
}

// stranger is a client with an address that nobody had before: one that comes with wrong tokens is throttled.
func (p *process) stranger() *http.Client {
	n := p.strangers.Add(1)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(n>>8), byte(n))}}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
}

func (p *process) note(bucket, name, content string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored[bucket+"/"+name] = content
}

// stop ends the process and compares what is there with what was acknowledged.
func (p *process) stop(home string) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	for range p.told {
		continue
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Error(err)
	}
	got := make(map[string]string)
	cfg := config.Default()
	cfg.Storage.Path = filepath.Join(p.dir, "store")
	store, err := daemon.OpenStore(p.t.Context(), cfg, zerolog.Nop())
	if err != nil {
		p.t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // it was only read
	for b, err := range store.AllBuckets(p.t.Context(), "", 100) {
		if err != nil {
			p.t.Fatal(err)
		}
		for key := range keysOf(p.t, store, b.Name) {
			got[b.Name+"/"+key] = read(p.t, store, b.Name, key)
		}
	}
	files, err := filepath.Glob(filepath.Join(home, "*", "*"))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			p.t.Error(err)
		}
		got["/"+filepath.Base(path)] = string(content)
	}
	for name, content := range p.stored {
		if c, there := got[name]; !there || c != content {
			p.t.Errorf("%s was acknowledged; it is there: %t, with %d of %d bytes", name, there, len(c), len(content))
		}
	}
	if len(got) != len(p.stored) {
		p.t.Errorf("%d files are there, %d were acknowledged", len(got), len(p.stored))
	}
}

// keysOf yields the keys of a bucket.
func keysOf(t *testing.T, store *object.Store, bucket string) iter.Seq[string] {
	t.Helper()
	return func(yield func(string) bool) {
		var opts object.ListOptions
		for more := true; more; {
			page, err := store.List(t.Context(), bucket, opts)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Objects {
				if !yield(o.Key) {
					return
				}
			}
			opts.Start, more = page.Next, page.Truncated
		}
	}
}

func read(t *testing.T, store *object.Store, bucket, key string) string {
	t.Helper()
	f, err := store.Open(t.Context(), bucket, key)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	content, err := io.ReadAll(f)
	if err != nil {
		t.Error(err)
	}
	return string(content)
}

// slowPush is a push that takes as long as a test wants.
type slowPush struct {
	body   *io.PipeWriter
	form   *multipart.Writer
	part   io.Writer
	status chan int
	sent   strings.Builder
}

// startSlowPush returns when the token was looked up.
func startSlowPush(t *testing.T, url, name string) *slowPush {
	t.Helper()
	r, w := io.Pipe()
	s := &slowPush{body: w, form: multipart.NewWriter(w), status: make(chan int, 1)}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", s.form.FormDataContentType())
	// The server asks for the body when it knows that it wants it.
	req.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Hour, DisableKeepAlives: true}}
	go func() {
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			r.CloseWithError(err)
			s.status <- 0
			return
		}
		resp.Body.Close() //nolint:errcheck // a test's
		s.status <- resp.StatusCode
	}()
	if s.part, err = s.form.CreateFormFile("file", name); err != nil {
		t.Fatal(err)
	}
	return s
}

// more sends as much as a client has to within a minute.
func (s *slowPush) more(t *testing.T, letter int) {
	t.Helper()
	text := strings.Repeat(string(rune('a'+letter%26)), 64<<10)
	if _, err := io.WriteString(s.part, text); err != nil {
		t.Fatal(err)
	}
	s.sent.WriteString(text)
}

func (s *slowPush) end(t *testing.T) (status int) {
	t.Helper()
	if err := s.form.Close(); err != nil {
		t.Error(err)
	}
	if err := s.body.Close(); err != nil {
		t.Error(err)
	}
	return <-s.status
}

// TestReloadUnderLoad: while pushes run, a process reads many lists, good ones and others. No push is lost and none is refused whose
// token is in the list of before and after, none gets in whose token is in neither, and nothing changes but the list.
func TestReloadUnderLoad(t *testing.T) {
	rotating := func(i int) string { return fmt.Sprintf("rotating-%04d", i) }
	// The rotating bucket has two tokens, of which each list drops one and adds one.
	good := func(i int) string {
		return fmt.Sprintf(`"buckets": ["bare-token", {"name": "steady", "token": "steady-token"},
{"name": "rotating", "tokens": [%q, %q]}, {"name": "passing-%d", "token": "passing-%04d"}]`, rotating(i), rotating(i+1), i, i)
	}
	bad := []string{
		`"buckets": ["never-token", {"name": "steady", "tokne": "never-token"}]`,
		`"buckets": {"name": "steady", "token": "never-token"}`,
		`"buckets": ["never-token", "never-token"]`,
		`"buckets": ["never-token", {"name": "NO", "token": "never-token2"}]`,
		`"buckets": ["never-token", {"name": "steady", "token": 7}]`,
		`"buckets": ["never-token"`,
	}
	p := startProcess(t, good(0))
	var at atomic.Int64      // the list that the process has taken
	var turning sync.RWMutex // of whom holds it for reading, at most one reload comes in the way
	stopped := make(chan struct{})
	var pushes sync.WaitGroup
	calm := sync.OnceFunc(func() {
		close(stopped)
		pushes.Wait()
	})
	defer calm()
	load := func(push func(i int)) {
		pushes.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stopped:
					return
				default:
					push(i)
				}
			}
		})
	}
	load(func(i int) { p.push("steady", "steady-token", fmt.Sprintf("s-%d", i), http.StatusOK) })
	load(func(i int) { p.push("", "bare-token", fmt.Sprintf("b-%d", i), http.StatusOK) })
	load(func(i int) { p.push("", "never-token", fmt.Sprintf("n-%d", i), http.StatusForbidden) })
	load(func(i int) {
		turning.RLock()
		defer turning.RUnlock()
		p.push("rotating", rotating(int(at.Load())+1), fmt.Sprintf("r-%d", i), http.StatusOK)
	})
	slow := startSlowPush(t, p.url+"passing-0000", "slow")
	slow.more(t, 0)
	elsewhere := filepath.Join(p.dir, "elsewhere")
	for i := 1; i <= 40; i++ {
		// Nothing else of the file is taken.
		p.configure(elsewhere, good(i))
		got := p.reload()
		turning.Lock()
		at.Store(int64(i))
		turning.Unlock()
		want := fmt.Sprintf("rotating tokens +1 tokens -1, passing-%d added, passing-%d removed", i, i-1)
		if got["changes"] != want {
			t.Errorf("logged %v, want %s", got, want)
		}
		p.push("rotating", rotating(i), fmt.Sprintf("first-%d", i), http.StatusOK)
		p.push("rotating", rotating(i+1), fmt.Sprintf("second-%d", i), http.StatusOK)
		p.push("", rotating(i-1), "dropped", http.StatusForbidden)
		p.push("", rotating(i+2), "not yet", http.StatusForbidden)
		p.push("", fmt.Sprintf("passing-%04d", i-1), "gone", http.StatusForbidden)

		p.configure(elsewhere, bad[i%len(bad)])
		if got := p.reload(); got["level"] != "error" || !strings.Contains(fmt.Sprint(got["error"]), p.config()) {
			t.Errorf("%s: logged %v", bad[i%len(bad)], got)
		}
		slow.more(t, i)
	}
	calm()
	if got := slow.end(t); got != http.StatusOK {
		t.Errorf("a push that was let in before all that: status %d", got)
	}
	p.note("passing-0", "slow", slow.sent.String())
	p.stop(filepath.Join(p.dir, "files"))
	if _, err := os.Stat(elsewhere); err == nil {
		t.Error("a reload has moved the home")
	}
}
