package daemon

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
)

// lookTime bounds a look at all buckets, so that a store that hangs does not collect those who ask.
const lookTime = 10 * time.Second

// overview tells about the store as a whole, and its buckets.
type overview struct {
	store    *object.Store
	cfg      atomic.Pointer[config.Config]
	arrivals arrivals
	sampler  *sampler
	now      func() time.Time
}

var _ prometheus.Collector = (*overview)(nil)

func newOverview(cfg *config.Config, store *object.Store, log zerolog.Logger) *overview {
	o := &overview{
		store: store, now: time.Now,
		arrivals: arrivals{store: store, home: cfg.Home},
		sampler:  newSampler(filepath.Join(cfg.Storage.Path, historyName), store, log),
	}
	o.cfg.Store(cfg)
	return o
}

func (o *overview) use(cfg *config.Config) { o.cfg.Store(cfg) }

func (o *overview) buckets(ctx context.Context) (list []bucketState, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	return o.arrivals.list(ctx, o.cfg.Load(), o.now())
}

// What Collect tells.
var (
	descFree    = desc("file_bucket_free_bytes", "Bytes that may still be written where content is kept.")
	descSize    = desc("file_bucket_size_bytes", "Bytes that there are in all where content is kept.")
	descObjects = desc("file_bucket_store_objects", "Objects, when they were last counted.")
	descLogical = desc("file_bucket_store_logical_bytes", "Bytes that the objects are long, each counted, at that time.")
	descUsed    = desc("file_bucket_store_used_bytes", "Bytes of what they and uploads under way need, each chunk counted once, not compressed, at that time.")
	descStored  = desc("file_bucket_store_stored_bytes", "Bytes that all that is kept takes on disk, compressed, at that time.")
	descCounted = desc("file_bucket_store_counted_timestamp_seconds", "When they were last counted, which is done once an hour.")
	descLast    = desc("file_bucket_bucket_last_arrival_timestamp_seconds",
		"When something last came into a bucket, by whatever door; 0 for never.", "bucket")
	descExpect  = desc("file_bucket_bucket_expect_seconds", "In which time something is expected to come into a bucket.", "bucket")
	descUnknown = desc("file_bucket_buckets_unknown",
		"Buckets of which damage hides when something last came, and which no other metric names; one more when not all could be listed.")
	descOverdue = desc("file_bucket_bucket_overdue", "1 when nothing came into a bucket for longer than expected, else 0.", "bucket")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (o *overview) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descFree, descSize, descObjects, descLogical, descUsed, descStored, descCounted, descLast, descExpect, descOverdue, descUnknown,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (o *overview) Collect(out chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if free, size, err := o.store.Space(); err != nil {
		out <- prometheus.NewInvalidMetric(descFree, err)
	} else {
		tell(descFree, float64(free))
		tell(descSize, float64(size))
	}
	if s := o.sampler.last.Load(); s != nil {
		tell(descObjects, float64(s.Objects))
		tell(descLogical, float64(s.Logical))
		tell(descUsed, float64(s.Used))
		tell(descStored, float64(s.Stored))
		tell(descCounted, float64(s.Time.Unix()))
	}
	list, _, err := o.buckets(context.Background())
	unknown := 0
	if err != nil {
		unknown++
		out <- prometheus.NewInvalidMetric(descLast, err)
	}
	for _, b := range list {
		if b.Err != nil {
			unknown++
			out <- prometheus.NewInvalidMetric(descLast, b.Err)
			continue
		}
		last := 0.0
		if !b.Last.IsZero() {
			last = float64(b.Last.UnixMilli()) / 1000
		}
		tell(descLast, last, b.Name)
		if b.Expect > 0 {
			late := 0.0
			if b.Overdue {
				late = 1
			}
			tell(descExpect, b.Expect.Seconds(), b.Name)
			tell(descOverdue, late, b.Name)
		}
	}
	tell(descUnknown, float64(unknown))
}
