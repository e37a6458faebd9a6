package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
)

// aged stores an object of each age, in days, named by it, and begins an upload that is as old as any.
func (s testStore) aged(t *testing.T, now time.Time, days ...int) {
	t.Helper()
	s.put(t, 0)
	s.use(t, func(store *object.Store) {
		for _, n := range days {
			opts := object.PutOptions{ModTime: now.AddDate(0, 0, -n)}
			if _, err := store.Put(t.Context(), "backup", fmt.Sprint(n), bytes.NewReader(noise("x", 1000)), opts); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.CreateUpload(t.Context(), "backup", "upload", object.UploadOptions{}); err != nil {
			t.Fatal(err)
		}
	})
}

// left are the keys of the bucket, and how many uploads are under way.
func (s testStore) left(t *testing.T) (keys []string, uploads int) {
	t.Helper()
	s.use(t, func(store *object.Store) {
		list, err := store.List(t.Context(), "backup", object.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range list.Objects {
			keys = append(keys, info.Key)
		}
		ups, _, err := store.ListUploads(t.Context(), "backup", object.UploadPage{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		uploads = len(ups)
	})
	return keys, uploads
}

// TestExpireCountsNoDirectories has a directory that is newer than all objects, and one that is older: neither is one of them.
func TestExpireCountsNoDirectories(t *testing.T) {
	s := newTestStore(t)
	s.aged(t, time.Now(), 2, 3, 4)
	s.use(t, func(store *object.Store) {
		for name, days := range map[string]int{"new/": 0, "old/": 400} {
			opts := object.PutOptions{ModTime: time.Now().AddDate(0, 0, -days)}
			if _, err := store.Put(t.Context(), "backup", name, bytes.NewReader(nil), opts); err != nil {
				t.Fatal(err)
			}
		}
	})
	s.configure(t, `"buckets": [{"name": "backup", "token": "token-one", "keep": 2, "max_age": "1d"}]`)
	if code, out, fail := s.ctl(t, "expire"); code != 0 {
		t.Fatalf("%d %s %s", code, out, fail)
	}
	if keys, _ := s.left(t); !slices.Equal(keys, []string{"2", "3", "new/", "old/"}) {
		t.Errorf("%q are left", keys)
	}
}

// TestExpire goes through what may be said of a bucket with objects of 0 to 400 days, the names of which are in another order.
func TestExpire(t *testing.T) {
	ages := []int{400, 9, 0, 30, 100, 2}
	for rules, want := range map[string][]string{
		``:                                 {"0", "100", "2", "30", "400", "9"},
		`, "keep": 10`:                     {"0", "100", "2", "30", "400", "9"},
		`, "keep": 3`:                      {"0", "2", "9"},
		`, "keep": 1`:                      {"0"},
		`, "max_age": "31d"`:               {"0", "2", "30", "9"},
		`, "max_age": "1d"`:                {"0"},
		`, "keep": 2, "max_age": "31d"`:    {"0", "2", "30", "9"},        // younger
		`, "keep": 5, "max_age": "31d"`:    {"0", "100", "2", "30", "9"}, // among the newest
		`, "keep": 14, "max_age": "1000d"`: {"0", "100", "2", "30", "400", "9"},
	} {
		t.Run(rules, func(t *testing.T) {
			s := newTestStore(t)
			s.aged(t, time.Now(), ages...)
			s.configure(t, `"buckets": [{"name": "backup", "token": "token-one"`+rules+`}]`)
			deleted := len(ages) - len(want)
			code, out, fail := s.ctl(t, "expire", "--dry-run", "--json")
			var r expireResult
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || fail != "" || !r.DryRun {
				t.Fatalf("%d %s %s %v", code, out, fail, err)
			}
			if keys, _ := s.left(t); len(keys) != len(ages) {
				t.Errorf("a dry run leaves %q", keys)
			}
			if rules != "" && (int(r.Buckets[0].Deleted) != deleted || r.Buckets[0].Bytes != int64(1000*deleted) || int(r.Buckets[0].Kept) != len(want)) {
				t.Errorf("it would delete %+v, want %d", r.Buckets[0], deleted)
			}
			if code, out, fail := s.ctl(t, "expire"); code != 0 || fail != "" || strings.Count(out, "\ndeleted ")+strings.Count(out[:7], "deleted") != deleted {
				t.Errorf("got %d %q %q", code, out, fail)
			}
			if keys, uploads := s.left(t); !slices.Equal(keys, want) || uploads != 1 {
				t.Errorf("left are %q and %d uploads, want %q", keys, uploads, want)
			}
			if code, out, fail := s.ctl(t, "expire", "--quiet"); code != 0 || out+fail != "" {
				t.Errorf("again, quiet: %d %q %q", code, out, fail)
			}
		})
	}
}

// TestExpireKeepsTheLastOne lets a bucket into which nothing comes any more grow old.
func TestExpireKeepsTheLastOne(t *testing.T) {
	s := newTestStore(t)
	s.aged(t, time.Now().AddDate(-10, 0, 0), 1, 3, 2)
	s.configure(t, `"buckets": [{"name": "backup", "token": "token-one", "max_age": "1d"}, {"name": "missing", "token": "token-two", "keep": 1}]`)
	if code, out, fail := s.ctl(t, "expire"); code != 0 || fail != "" || !strings.Contains(out, "missing: deleted 0 objects") {
		t.Errorf("got %d %q %q", code, out, fail)
	}
	if keys, _ := s.left(t); !slices.Equal(keys, []string{"1"}) {
		t.Errorf("left are %q", keys)
	}
}

// TestExpireLeavesWhatComesMeanwhile overwrites an object between the look at it and its deletion.
func TestExpireLeavesWhatComesMeanwhile(t *testing.T) {
	s := newTestStore(t)
	now := time.Now()
	s.aged(t, now, 10, 20, 5)
	s.use(t, func(store *object.Store) {
		x := newExpirer(store, config.Bucket{Name: "backup", Keep: 1}, now)
		x.tell = func(agedObject) error { return nil }
		list, err := store.List(t.Context(), "backup", object.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Put(t.Context(), "backup", "20", bytes.NewReader(nil), object.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := store.Delete(t.Context(), "backup", "10", object.Condition{}); err != nil {
			t.Fatal(err)
		}
		for _, info := range list.Objects {
			if err := x.see(t.Context(), info); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(x.result.Keys, []string{"10"}) { // that somebody else has deleted it is no matter
			t.Errorf("deleted %q", x.result.Keys)
		}
	})
	if keys, _ := s.left(t); !slices.Equal(keys, []string{"20", "5"}) {
		t.Errorf("left are %q", keys)
	}
}

// TestExpireLeavesWhatComesInTheSameSecond overwrites an object that is not a second old between the look at it and its deletion.
func TestExpireLeavesWhatComesInTheSameSecond(t *testing.T) {
	s := newTestStore(t)
	s.put(t, 0)
	now := time.Now().Truncate(time.Second).Add(500 * time.Millisecond)
	at := func(ms int) object.PutOptions {
		return object.PutOptions{ModTime: now.Add(time.Duration(ms) * time.Millisecond)}
	}
	s.use(t, func(store *object.Store) {
		put := func(key string, ms int) {
			if _, err := store.Put(t.Context(), "backup", key, strings.NewReader(key), at(ms)); err != nil {
				t.Fatal(err)
			}
		}
		put("a", -200)
		put("b", -100)
		list, err := store.List(t.Context(), "backup", object.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		put("a", 100) // the newest there is now
		x := newExpirer(store, config.Bucket{Name: "backup", Keep: 1}, now)
		x.tell = func(agedObject) error { return nil }
		for _, info := range list.Objects {
			if err := x.see(t.Context(), info); err != nil {
				t.Fatal(err)
			}
		}
	})
	if keys, _ := s.left(t); !slices.Equal(keys, []string{"a", "b"}) {
		t.Errorf("left are %q", keys)
	}
}

// TestExpireCountsNothingFromTheFuture keeps the backups of a bucket into which something came while a clock was ahead.
func TestExpireCountsNothingFromTheFuture(t *testing.T) {
	s := newTestStore(t)
	s.aged(t, time.Now(), -4000, 3, 1, 2)
	s.configure(t, `"buckets": [{"name": "backup", "token": "token-one", "keep": 1}]`)
	if code, out, fail := s.ctl(t, "expire"); code != 0 || fail != "" {
		t.Errorf("got %d %q %q", code, out, fail)
	}
	if keys, _ := s.left(t); !slices.Equal(keys, []string{"-4000", "1"}) {
		t.Errorf("left are %q", keys)
	}
}
