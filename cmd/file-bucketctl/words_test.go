package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"hugbucket/internal/disk"
)

func TestCollectedText(t *testing.T) {
	c := disk.Collected{Files: 1200, Xorbs: 1, Packs: 3, Freed: 5 << 30, Rewritten: 3 << 20, Waiting: 2048}
	for want, got := range map[string]string{
		`freed 5.0 GiB in 3 files of the store, for which 3.0 MiB are copied
deleted the content of 1,200 files and 1 xorb that nothing refers to
2.0 KiB are not in use, but uploads, downloads or older backups of the catalog may still need them: a later gc frees them
`: collectedText(c, gcOptions{}),
		`freed nothing yet
copied 2.0 MiB: the store takes 1.0 MiB more until a later gc removes what that was copied from
`: collectedText(disk.Collected{Freed: -1 << 20, Rewritten: 2 << 20}, gcOptions{}),
		`would free nothing yet
would copy 2.0 MiB
`: collectedText(disk.Collected{Rewritten: 2 << 20}, gcOptions{dryRun: true}),
		`freed nothing yet: packs that hold what was deleted hold more that is in use, or are still written to
deleted the content of 2 files and 2 xorbs that nothing refers to
`: collectedText(disk.Collected{Files: 2, Xorbs: 2}, gcOptions{}),
		`would free nothing yet
1.0 KiB are not in use, but uploads, downloads or older backups of the catalog may still need them: a later gc frees them
`: collectedText(disk.Collected{Waiting: 1024}, gcOptions{dryRun: true}),
		`nothing to free
deleted the content of 1 file and 0 xorbs that nothing refers to
`: collectedText(disk.Collected{Files: 1}, gcOptions{}),
		"nothing to free\n": collectedText(disk.Collected{}, gcOptions{dryRun: true}),
		`nothing to free
recompressed 0 xorbs, which saves 0 B
removed 0 files that the catalog does not name, 0 B
`: collectedText(disk.Collected{}, gcOptions{recompress: true, orphans: true}),
		`nothing to free
would recompress 2 xorbs, which saves 10 B
would remove 1 file that the catalog does not name, 1.0 KiB
`: collectedText(disk.Collected{Recompressed: 2, Saved: 10, Orphans: 1, OrphanBytes: 1024}, gcOptions{dryRun: true}),
	} {
		if got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

// TestGCOptionsOfNothing sees that 0 % and no wait are not taken for the store's defaults.
func TestGCOptionsOfNothing(t *testing.T) {
	flags := newFlags(gcCommand())
	if err := flags.Parse(nil); err != nil {
		t.Fatal(err)
	}
	var g gcOptions
	for _, err := range []error{g.live.Set("0%"), g.wait.Set("0s")} {
		if err != nil {
			t.Error(err)
		}
	}
	if o := g.of(nil); o.Live <= 0 || o.Live > math.SmallestNonzeroFloat64 || o.Wait >= 0 {
		t.Errorf("got %+v", o)
	}
	for _, err := range []error{g.live.Set("12.5"), g.wait.Set("2d")} {
		if err != nil {
			t.Error(err)
		}
	}
	if o := g.of(nil); o.Live != 0.125 || o.Wait != 48*time.Hour {
		t.Errorf("got %+v", o)
	}
	expect(t, 64, "", "file-bucketctl: gc: invalid value \"101%\" for flag -live: must be a percentage like \"50%\"\n", "gc", "--live", "101%")
	expect(t, 64, "", "file-bucketctl: gc: invalid value \"NaN\" for flag -live: must be a percentage like \"50%\"\n", "gc", "--live", "NaN")
	expect(t, 64, "", "file-bucketctl: gc: invalid value \"-1m\" for flag -wait: \"-1m\" is not a duration; write it like \"10m\", \"26h\" or \"7d\"\n", "gc", "--wait", "-1m")
	expect(t, 64, "", "file-bucketctl: check: invalid value \"fast\" for flag -rate: \"fast\" is not a size; write it like \"100GiB\"\n", "check", "--rate", "fast")
}

// TestProblemText sees that there is one line for each object, whatever is in its key.
func TestProblemText(t *testing.T) {
	for want, p := range map[string]disk.Problem{
		"damaged: index.db is damaged\n": {What: "index.db is damaged"},
		`damaged: "backup/a: b\n\"c\"": xorb is gone` + "\n" + `damaged: "backup/ä": xorb is gone` + "\n": {
			What: "xorb\nis gone", Keys: []string{"backup/a: b\n\"c\"", "backup/ä"},
		},
		"orphan: packs/7.1 (2.0 KiB)\n": {What: "orphan: packs/7.1", Orphan: true, Size: 2048},
	} {
		if got := problemText(p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCheckText(t *testing.T) {
	for want, r := range map[string]checkResult{
		"checked 2 objects, 1 file and 0 xorbs\nno damage\n": {Keys: 2, Files: 1},
		"checked 0 objects, 0 files and 9 xorbs: 3.0 GiB at 1536.0 MiB/s\n1 orphan that the catalog does not name, 5 B\nDAMAGED: 2 problems\n": {
			Xorbs: 9, Bytes: 3 << 30, Seconds: 2, Orphans: 1, OrphanBytes: 5, Damaged: 2,
		},
	} {
		if got := r.text(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestStatsText(t *testing.T) {
	r := newStatsResult(disk.Stats{
		Buckets: []disk.BucketStats{
			{Name: "backup", Objects: 1234, Logical: 300 << 30, Unique: 100 << 30, Stored: 50 << 30}, {Name: "empty"},
		},
		Objects: 1234, Logical: 300 << 30, Unique: 100 << 30, Referenced: 100 << 30, Stored: 50 << 30, OnDisk: 60 << 30, Catalog: 3 << 20, Index: 2 << 20, Free: 1 << 40,
	})
	const want = `  OBJECTS     SIZE   UNIQUE  STORED  DEDUP  COMPRESSION  BUCKET
    1,234  300 GiB  100 GiB  50 GiB  3.00×        2.00×  backup
        0      0 B      0 B     0 B      -            -  empty
    1,234  300 GiB  100 GiB  50 GiB  3.00×        2.00×  (all)

on disk: 60 GiB of content, 3.0 MiB of catalog, 2.0 MiB of index; 1.0 TiB of the file system are free
`
	if got := r.text(); got != want+"what gc would free is not known: "+disk.ErrBusy.Error()+"\n" {
		t.Errorf("got\n%s", got)
	}
	r.Uploads, r.Parts, r.Pending = 2, 1200, 6<<30
	if got := r.text(); !strings.Contains(got, "\n\nuploads in parts under way: 2, of which 1,200 parts of 6.0 GiB in all have come\n\non disk: ") {
		t.Errorf("got\n%s", got)
	}
	r.Uploads = 0
	r.GC = &gcResult{Freed: 10 << 30, Waiting: 1 << 30}
	if got := r.text(); got != want+"gc would free 10 GiB, and 1.0 GiB more once nobody needs them\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestRebuildText(t *testing.T) {
	for want, r := range map[string]rebuildResult{
		"rebuilt 1 bucket, 2 objects, 2 files and 1 xorb\n": {Buckets: 1, Keys: 2, Files: 2, Xorbs: 1},
		"rebuilt 0 buckets, 0 objects, 0 files and 0 xorbs\nno object refers to 3 pieces of content; they stay until gc --orphans\n" +
			"LOST: 1 object\nthere may have been more objects: there was no catalog, or not all of one could be read\nthe old catalog is /s/catalog.db.old\n": {
			Orphans: 3, Lost: 1, Blind: true, Aside: "/s/catalog.db.old",
		},
	} {
		if got := r.text(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestNumbersGetUnits sees that singular and ratios are right where they end.
func TestNumbersGetUnits(t *testing.T) {
	got := strings.Join([]string{things(0, "file"), things(1, "file"), things(1000, "file"), times(0, 1), times(3, 2), bytesText(-1)}, ", ")
	if got != "0 files, 1 file, 1,000 files, -, 1.50×, 0 B" {
		t.Errorf("got %s", got)
	}
}
