package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

func TestHistoryComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), historyName)
	if got, err := readHistory(path); err != nil || got != nil {
		t.Errorf("no file: %v, %v", got, err)
	}
	want := []sample{
		{Totals: object.Totals{Objects: 1, Logical: 1 << 60, Used: 3, Stored: 4}, Time: time.Unix(5, 0), Free: -1},
		{Totals: object.Totals{Objects: 6, Logical: 7, Used: 8, Stored: 9}, Time: time.Unix(1_800_000_000, 0), Free: 10},
	}
	if err := writeHistory(path, want); err != nil {
		t.Fatal(err)
	}
	if got, err := readHistory(path); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	// The layout, once.
	const text = historyHead + "5,1,1152921504606846976,3,4,-1\n1800000000,6,7,8,9,10\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestHistoryWithDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), historyName)
	for name, c := range map[string]struct {
		text string
		n    int
		err  error
	}{
		"empty":    {"", 0, nil},
		"no line":  {historyHead, 0, nil},
		"torn":     {historyHead + "5,1,2,3,4,5\n6,1,2", 1, nil},
		"rubbish":  {historyHead + "5,1,2,3,4,5\n\x00\x00\n6,1,2,3,4,x\n7,1,2,3,4,5,6\n8,1,2,3,4,5\n", 2, nil},
		"newer":    {strings.Replace(historyHead, " 1:", " 2:", 1) + "5,1,2,3,4,5\n", 0, errHistory},
		"no title": {"5,1,2,3,4,5\n", 0, errHistory},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readHistory(path); len(got) != c.n || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), historyName)
	list := make([]sample, historyKeep+10)
	for i := range list {
		list[i].Time = time.Unix(int64(i), 0)
	}
	if err := writeHistory(path, list); err != nil {
		t.Fatal(err)
	}
	if got, err := readHistory(path); err != nil || len(got) != historyKeep || got[0].Time.Unix() != 10 {
		t.Errorf("%d samples, %v", len(got), err)
	}
}

// TestSampler follows a sampler through a day: one sample an hour, also across a restart.
func TestSampler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), historyName)
		d := &roomy{Memory: objecttest.NewMemory(), counted: make(chan time.Time), totals: object.Totals{Objects: 1, Logical: 2, Used: 3, Stored: 4}}
		begin := time.Now()
		run := func() (s *sampler, end func()) {
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan struct{})
			s = newSampler(path, object.New(d, object.Config{}), zerolog.Nop())
			go func() { s.run(ctx); close(ended) }()
			return s, func() { stop(); <-ended }
		}
		at := func(want time.Duration) {
			t.Helper()
			if got := (<-d.counted).Sub(begin); got.Truncate(time.Second) != want {
				t.Errorf("a sample after %v, want %v", got, want)
			}
			synctest.Wait()
		}
		s, end := run()
		at(0)
		if got := s.last.Load(); got == nil || got.Totals != d.totals || got.Free != 3<<30 {
			t.Errorf("%+v", got)
		}
		at(time.Hour)
		<-time.After(10 * time.Minute)
		end()
		s, end = run()
		synctest.Wait()
		if got := s.last.Load(); got == nil || got.Totals != d.totals {
			t.Errorf("after a restart: %+v", got)
		}
		at(2 * time.Hour)
		d.mu.Lock()
		d.err = errors.New("damaged")
		d.mu.Unlock()
		at(3 * time.Hour)
		d.mu.Lock()
		d.err = nil
		d.mu.Unlock()
		at(4 * time.Hour)
		end()
		got, err := readHistory(path)
		if err != nil || len(got) != 4 {
			t.Errorf("%v, %v", got, err)
		}

		// The clock was ahead by a year.
		if err := writeHistory(path, []sample{{Time: time.Now().Add(366 * 24 * time.Hour)}}); err != nil {
			t.Fatal(err)
		}
		_, end = run()
		at(4 * time.Hour)
		end()
		// What another version wrote stays.
		if err := os.WriteFile(path, []byte("other"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, end = run()
		at(4 * time.Hour)
		end()
		if got, err := os.ReadFile(path); err != nil || string(got) != "other" {
			t.Errorf("%s, %v", got, err)
		}
	})
}

// TestSamplerRests has a store count in slices, and watches that the sampler rests for as long as one took.
func TestSamplerRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &slicer{Memory: objecttest.NewMemory()}
		s := newSampler(filepath.Join(t.TempDir(), historyName), object.New(d, object.Config{}), zerolog.Nop())
		begin := time.Now()
		if err := s.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 2*(10+20+30)*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// slicer counts in three slices of 10, 20 and 30 s.
type slicer struct{ *objecttest.Memory }

func (slicer) Totals(_ context.Context, rest func()) (object.Totals, error) {
	for _, took := range []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second} {
		<-time.After(took)
		rest()
	}
	return object.Totals{}, nil
}

func (slicer) Space() (free, size int64, err error) { return 1, 2, nil }

func (slicer) Room(int64) error { return nil }

// TestSamplerOfADriverThatCannotTell ends by itself.
func TestSamplerOfADriverThatCannotTell(t *testing.T) {
	newSampler(filepath.Join(t.TempDir(), historyName), object.New(objecttest.NewMemory(), object.Config{}), zerolog.Nop()).run(t.Context())
}
