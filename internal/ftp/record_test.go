package ftp

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/disk"
	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// What is written down goes with what it is about: nothing is left to be taken for a file that comes later.
func TestRecordsGoWithTheirFile(t *testing.T) {
	r := newRig(t)
	c, other := r.login(), r.login()
	rename := func(from, to string) {
		t.Helper()
		other.cmd(350, "RNFR /bkt/%s", from)
		other.cmd(250, "RNTO /bkt/%s", to)
	}
	none := func(when string) {
		t.Helper()
		if n := r.records(); n != 0 {
			t.Errorf("%s: %d records", when, n)
		}
	}
	r.put("f", "old content")
	data := c.begin("STOR /bkt/f")
	other.cmd(250, "DELE /bkt/f")
	none("deleted beside an upload")
	c.reset(data)
	r.put("f", "old content")
	r.isWhole("/bkt/f", "11")

	data = c.begin("STOR /bkt/f")
	if err := r.store.Remove(t.Context(), "bkt", "f", object.Condition{}); err != nil {
		t.Fatal(err)
	}
	c.reset(data)
	none("deleted by another door")

	r.put("f", "old content")
	c.cut("STOR /bkt/f", "new")
	other.stor("STOR /bkt/tmp", "new content")
	rename("tmp", "f")
	none("renamed onto")
	r.isWhole("/bkt/f", "11")

	data = c.begin("STOR /bkt/f")
	other.stor("STOR /bkt/tmp", "newer content")
	rename("tmp", "f")
	r.second().isUnended("/bkt/f") // as if it were killed
	c.reset(data)
	r.isUnended("/bkt/f")
	c.stor("STOR /bkt/f", "content")
	none("stored")
}

// Nothing can be mixed with the beginning of an empty file.
func TestOverwriteOfAnEmptyFile(t *testing.T) {
	r := newRig(t)
	r.put("f", "")
	c := r.login()
	data := c.begin("STOR /bkt/f")
	if n := r.records(); n != 0 {
		t.Errorf("%d records", n)
	}
	c.reset(data)
	r.isWhole("/bkt/f", "0")
}

// What others keep with uploads in parts of the same and other keys is no record.
func TestUploadsOfOtherDoorsAreNoRecords(t *testing.T) {
	r := newRig(t)
	r.put("f", "old content")
	for _, key := range []string{"f", "f2", "e"} {
		for _, note := range []string{"", "x", `{"by":"AK"}`, `{"push":1,"name":"f"}`, `{"ftp":2,"file":""}`} {
			for range 60 { // more than a page
				if _, err := r.store.CreateUpload(t.Context(), "bkt", key, object.UploadOptions{Note: note}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	r.isWhole("/bkt/f", "11")
	c := r.login()
	before := r.records()
	c.cut("STOR /bkt/f", "new")
	r.isUnended("/bkt/f")
	c.stor("STOR /bkt/f", "new content")
	r.put("f3", "new content")
	c.cut("STOR /bkt/f3", "x")
	r.isWhole("/bkt/f", "11")
	c.stor("STOR /bkt/f3", "x")
	if n := r.records(); n != before {
		t.Errorf("%d of %d uploads of others are left", n, before)
	}
}

// faulty is a store that panics when an upload in parts is created, as often as it is told to.
type faulty struct {
	object.Driver
	panics int
}

func (p *faulty) CreateUpload(ctx context.Context, u object.Upload) error {
	if p.panics > 0 {
		p.panics--
		panic("a fault of the store")
	}
	return p.Driver.CreateUpload(ctx, u)
}

// A fault of the store ends the one upload: nobody else waits for its name, and the door can be closed, as the rig does.
func TestPanicBeforeAnOverwrite(t *testing.T) {
	d, err := disk.Open(t.Context(), t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &faulty{Driver: d}
	r := newRigOver(t, p)
	r.put("f", "old content")
	c := r.login()
	p.panics = 1
	c.open()
	c.cmd(550, "STOR /bkt/f")
	if p.panics != 0 {
		t.Fatal("the test shows nothing")
	}
	if r.door.overwrites.underWay(place{"bkt", "f"}) {
		t.Fatal("it is still under way")
	}
	r.isWhole("/bkt/f", "11")
	r.login().stor("STOR /bkt/f", "new content")
	r.isWhole("/bkt/f", "11")
}

// Records expire by the time at which they were made. Here each is as old as what it is about: another break is another record, and one of
// an upload that takes longer than any record is kept is made anew.
func TestRecordsAreAsOldAsWhatTheyAreAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := object.New(objecttest.NewMemory(), object.Config{})
		at := place{"bkt", "f"}
		if err := store.CreateBucket(t.Context(), at.bucket, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Put(t.Context(), at.bucket, at.key, strings.NewReader("old content"), object.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		expired := func(after, idle time.Duration) int {
			t.Helper()
			<-time.After(after) // the clock is the bubble's
			synctest.Wait()
			n, err := store.ExpireUploads(t.Context(), idle)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		w := newOverwrites(store)
		for night := range 9 {
			o, err := w.begin(t.Context(), at, netip.Addr{})
			if err != nil {
				t.Fatal(err)
			}
			if n := expired(5*time.Hour, 7*24*time.Hour); n != 0 {
				t.Errorf("night %d: the record of what is under way has expired", night)
			}
			if err := o.end(t.Context(), resultBroken); err != nil {
				t.Fatal(err)
			}
			if n := expired(19*time.Hour, 20*time.Hour); n != 0 {
				t.Errorf("night %d: the record of an upload that broke off 19 hours ago has expired", night)
			}
		}
		if _, err := w.begin(t.Context(), at, netip.Addr{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		logs, done := &logs{}, make(chan struct{})
		go func() {
			defer close(done)
			w.tend(ctx, zerolog.New(logs))
		}()
		for range 100 {
			if n := expired(time.Hour, time.Hour-time.Minute); n != 0 {
				t.Fatal("the record of what is under way has expired")
			}
		}
		cancel()
		<-done
		// Killed and started anew, it knows.
		if unended, err := newOverwrites(store).has(t.Context(), at); !unended || err != nil || logs.String() != "" {
			t.Error(unended, err, logs.String())
		}
		page, _, err := store.ListUploads(t.Context(), at.bucket, object.UploadPage{Limit: 10})
		if len(page) != 1 || err != nil {
			t.Errorf("%d records, %v", len(page), err)
		}
	})
}

// The door renews the records of what is under way by itself.
func TestDoorTendsOverwrites(t *testing.T) {
	r := newRig(t)
	r.put("f", "old content")
	door, err := New(testConfig(t), r.store, zerolog.New(r.logs))
	if err != nil {
		t.Fatal(err)
	}
	door.overwrites.every = time.Millisecond
	two := &rig{t: t, store: r.store, door: door, logs: r.logs}
	two.addr = two.listen("127.0.0.1:0").Addr().String()
	two.login().begin("STOR /bkt/f")
	id := func() string {
		records, err := r.door.overwrites.records(t.Context(), place{"bkt", "f"})
		if err != nil || len(records) == 0 {
			t.Fatal(records, err)
		}
		return records[len(records)-1].id
	}
	for first, n := id(), 0; id() == first; n++ {
		if n == 30_000 {
			t.Fatal("the record stays as it is")
		}
		<-time.After(time.Millisecond)
	}
	if err := door.Close(); err != nil { // which breaks it off
		t.Error(err)
	}
	r.isUnended("/bkt/f")
}

// askedDuring is a store that calls a function, once, when somebody lists uploads.
type askedDuring struct {
	object.Driver
	ask *func()
}

func (d askedDuring) ListUploads(ctx context.Context, bucket string, q object.UploadPage) ([]object.Upload, bool, error) {
	if ask := *d.ask; ask != nil {
		*d.ask = nil
		ask()
	}
	return d.Driver.ListUploads(ctx, bucket, q)
}

// TestChangeIsNoUpload: while a name is taken note of as deleted or replaced, no upload to it is under way, or one that ends just then
// would leave a record of the whole file.
func TestChangeIsNoUpload(t *testing.T) {
	var ask func()
	store := object.New(askedDuring{objecttest.NewMemory(), &ask}, object.Config{})
	at := place{bucket: "bkt", key: "f"}
	if err := store.CreateBucket(t.Context(), at.bucket, ""); err != nil {
		t.Fatal(err)
	}
	w := newOverwrites(store)
	asked := false
	ask = func() {
		asked = true
		if has, err := w.has(t.Context(), at); has || err != nil {
			t.Errorf("has %v, %v", has, err)
		}
	}
	if err := w.changed(t.Context(), at); err != nil || !asked {
		t.Error(asked, err)
	}
	if has, err := w.has(t.Context(), place{bucket: at.bucket}); has || err != nil {
		t.Errorf("a bucket: %v, %v", has, err)
	}
}
