package disk

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"hugbucket/internal/object"
)

// TestListHoldsNoParts lists a page of objects, each of which was made of so many parts of changing sizes that its row is long: the
// page holds neither the parts nor the rows.
func TestListHoldsNoParts(t *testing.T) {
	d := openTest(t, t.TempDir())
	info := put(t, newStore(t, d), "key", []byte("x"))
	for i := range object.MaxParts {
		info.Parts = append(info.Parts, object.PartRun{Count: 1, Size: int64(5<<20 + i%2)})
	}
	const keys = 200
	err := d.commit.tx(t.Context(), func(ctx context.Context) error {
		for i := range keys {
			at := keyName{"bucket", 1, fmt.Sprintf("many/%04d", i)}
			info.Key = at.key
			row, err := encodeInfo(at, &info)
			if err != nil {
				return err
			}
			if _, err := d.commit.conn.ExecContext(ctx, `INSERT INTO keys (bucket, key, version, file, info) VALUES (1, ?, 0, 1, ?)`,
				[]byte(at.key), row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	held := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := held()
	page, _, err := d.List(t.Context(), "bucket", object.Page{Prefix: "many/", Limit: keys})
	if err != nil || len(page) != keys {
		t.Fatal(len(page), err)
	}
	if n := (held() - before) / keys; n > 8<<10 {
		t.Errorf("each object that is listed holds %d bytes", n)
	}
	last := page[keys-1]
	whole, err := d.Stat(t.Context(), "bucket", last.Key)
	if err != nil || len(whole.Parts) != object.MaxParts {
		t.Errorf("asked for alone, it has %d runs of parts: %v", len(whole.Parts), err)
	}
	if last.ETag != whole.ETag || string(last.Digests.CRC64NVME) != string(whole.Digests.CRC64NVME) || last.Size != whole.Size {
		t.Errorf("listed is %+v, not %+v", last, whole)
	}
	runtime.KeepAlive(page)
	write(t, d, `DELETE FROM keys WHERE length(key) > 3`)
}
