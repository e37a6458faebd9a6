package daemon

import (
	"bytes"
	"context"
	_ "embed" // the template
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"hugbucket/internal/config"
)

//go:embed page.html
var pageText string

// Where the page's policy does not allow it, a browser runs nothing and fetches nothing, whatever got into the page.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// askTime is how long another daemon may take to say how it is.
const askTime = time.Second

// page is what the template shows.
type page struct {
	Now     time.Time
	Version string
	Doors   []pageDoor
	Buckets []bucketState
	More    bool  // there are more buckets
	Failure error // to list the buckets
	Overdue int   // how many buckets
	Store   *sample
	Free    int64
	Size    int64 // 0 when it is not known
	Chart   *chart
}

// pageDoor is a daemon, which need not run.
type pageDoor struct {
	doorState

	Runs bool
}

// UsedPercent is how much of the file system is taken.
func (p *page) UsedPercent() int { return int(100 - 100*float64(p.Free)/float64(max(p.Size, 1))) }

// Scarce says that room runs out.
func (p *page) Scarce() bool { return p.Size > 0 && p.Free < p.Size/20 }

// Ratio is how many times what is stored the objects are long.
func (p *page) Ratio() float64 {
	if p.Store == nil || p.Store.Stored == 0 {
		return 0
	}
	return float64(p.Store.Logical) / float64(p.Store.Stored)
}

func (m *metrics) servePage(w http.ResponseWriter, r *http.Request) {
	var out bytes.Buffer
	p := m.page(r.Context())
	tmpl, err := template.New("page").Funcs(template.FuncMap{
		"bytes": func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) },
		"count": humanize.Comma,
		"ago":   func(t time.Time) string { return humanize.RelTime(t, p.Now, "ago", "from now") },
		"time":  func(t time.Time) string { return t.Local().Format("2006-01-02 15:04 MST") },
		"unix":  func(s int64) time.Time { return time.Unix(s, 0) },
	}).Parse(pageText)
	if err == nil {
		err = tmpl.Execute(&out, p)
	}
	if err != nil {
		m.log.Error().Err(err).Msg("no status page")
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = out.WriteTo(w) // a client that is gone does not read its answer
}

// page gathers what is shown.
func (m *metrics) page(ctx context.Context) *page {
	o := m.overview
	p := &page{Now: o.now(), Version: version, Doors: m.doors(ctx), Store: o.sampler.last.Load()}
	p.Buckets, p.More, p.Failure = o.buckets(ctx)
	for _, b := range p.Buckets {
		if b.Overdue {
			p.Overdue++
		}
		if b.Err != nil {
			m.log.Warn().Err(b.Err).Str("bucket", b.Name).Msg("not known when something last came into a bucket")
		}
	}
	if p.Failure != nil {
		m.log.Warn().Err(p.Failure).Msg("the buckets were not listed")
	}
	var err error
	if p.Free, p.Size, err = o.store.Space(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		m.log.Warn().Err(err).Msg("not known how much is free")
	}
	history, err := readHistory(o.sampler.path)
	if err != nil {
		m.log.Warn().Err(err).Msg("the history of the store was not read")
	}
	p.Chart = newChart(history)
	return p
}

// doors asks all other daemons how they are.
func (m *metrics) doors(ctx context.Context) []pageDoor {
	cfg := m.overview.cfg.Load()
	out := make([]pageDoor, len(measured))
	client := &http.Client{Timeout: askTime, Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: noRedirect}
	var asked sync.WaitGroup
	for i, name := range measured {
		if name == m.name {
			out[i] = pageDoor{m.state(), true}
			continue
		}
		asked.Go(func() {
			state, err := askDoor(ctx, client, "http://"+reachable(cfg.Metrics, i)+"/door.json")
			state.Name = name
			out[i] = pageDoor{state, err == nil}
		})
	}
	asked.Wait()
	return out
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// reachable is where the metrics of a daemon are asked for on this machine.
func reachable(cfg config.Metrics, nth int) string {
	if addr, err := netip.ParseAddr(cfg.Host); cfg.Host == "" || err == nil && addr.IsUnspecified() {
		cfg.Host = "127.0.0.1"
		if addr.Is6() {
			cfg.Host = "::1"
		}
	}
	return metricsAddress(cfg, nth)
}

// askDoor asks a daemon how it is. Its port could be anybody's on this machine while it does not run.
func askDoor(ctx context.Context, client *http.Client, url string) (s doorState, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return doorState{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return doorState{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode != http.StatusOK {
		return doorState{}, errors.New(resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<10)).Decode(&s); err != nil {
		return doorState{}, err
	}
	return s, nil
}
