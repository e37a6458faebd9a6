package disk

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/xet"
)

// TestRecompress makes text smaller, keeps its hashes, and tries nothing twice.
func TestRecompress(t *testing.T) {
	dir := t.TempDir()
	d := openTest(t, dir)
	s := newStore(t, d)
	var text strings.Builder
	for i, b := range randomBytes(400_000, 9) {
		fmt.Fprintf(&text, "insert into t%d values (%d, 'row');\n", b%7, i%1000)
	}
	bodies := map[string][]byte{"small": []byte(text.String()[:200_000]), "large": []byte(text.String()), "random": randomBytes(2<<20, 3)}
	hashes := make(map[string]xet.Hash)
	for key, body := range bodies {
		hashes[key] = put(t, s, key, body).File
	}
	xorbs := count(t, d, `SELECT count(*) FROM xorbs`)
	got := collectNow(t, d, CollectOptions{Recompress: true})
	t.Logf("%+v", got)
	if got.Recompressed == 0 || got.Saved < 1000 || got.Xorbs != 0 {
		t.Errorf("%+v", got)
	}
	if n := count(t, d, `SELECT count(*) FROM xorbs WHERE packed = 1`); n != xorbs {
		t.Errorf("%d of %d xorbs were tried", n, xorbs)
	}
	if again := collectNow(t, d, CollectOptions{Recompress: true}); again.Recompressed+again.Saved != 0 {
		t.Errorf("a second time: %+v", again)
	}
	for key, body := range bodies {
		info, err := s.Stat(t.Context(), "bucket", key)
		if err != nil || info.File != hashes[key] || !bytes.Equal(get(t, s, key), body) {
			t.Errorf("%s: %v, %v", key, info.File, err)
		}
	}
}

// TestRecompressWaits for another process to stop writing.
func TestRecompressWaits(t *testing.T) {
	dir := t.TempDir()
	d, other := openTest(t, dir), openTest(t, dir)
	s, busy := newStore(t, d), object.New(other, object.Config{})
	for i := range 40 {
		put(t, s, fmt.Sprint(i), bytes.Repeat(fmt.Appendf(nil, "some text %d that gets smaller, ", i), 3000))
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				put(t, busy, "busy", fmt.Append(nil, i))
			}
		}
	})
	var steps []string
	var once sync.Once
	got := collectNow(t, d, CollectOptions{Recompress: true, Progress: func(s Step) {
		if s.Name == "waiting until nobody writes" {
			once.Do(func() { close(stop) })
		}
		if s.Name == "waiting until nobody writes" || s.Name == "compressing" && s.Bytes {
			steps = append(steps, s.Name)
		}
	}})
	writer.Wait()
	if got.Recompressed == 0 || len(steps) == 0 || !slices.Contains(steps, "waiting until nobody writes") {
		t.Errorf("%+v: %q", got, steps)
	}
}

// TestEncodedIsDecoded finds a record that is not what was encoded.
func TestEncodedIsDecoded(t *testing.T) {
	raw := bytes.Repeat([]byte("to be or not to be, "), 1000)
	record := xet.AppendSmallRecord(nil, raw)
	if _, err := isRecordOf(nil, record, raw); err != nil {
		t.Error(err)
	}
	record[xet.RecordHeaderSize+60] ^= 1
	if _, err := isRecordOf(nil, record, raw); err == nil {
		t.Error("a wrong record was taken")
	}
}
