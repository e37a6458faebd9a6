package daemon

import "github.com/prometheus/client_golang/prometheus"

var _ prometheus.Collector = (*refusals)(nil)

// refusals tells what a door has not done, by reason.
type refusals struct {
	desc   *prometheus.Desc
	counts func() map[string]int64
}

// refusals has a door's counts told. They may be nil.
func (m *metrics) refusals(counts func() map[string]int64) {
	if m == nil || counts == nil {
		return
	}
	m.labelled.MustRegister(&refusals{desc: refusalsDesc(), counts: counts})
}

func refusalsDesc() *prometheus.Desc {
	return prometheus.NewDesc("file_bucket_refusals_total", "Pushes that were not stored, by reason.", []string{"reason"}, nil)
}

// Describe implements prometheus.Collector.
func (r *refusals) Describe(c chan<- *prometheus.Desc) { c <- r.desc }

// Collect implements prometheus.Collector.
func (r *refusals) Collect(c chan<- prometheus.Metric) {
	for reason, n := range r.counts() {
		c <- prometheus.MustNewConstMetric(r.desc, prometheus.CounterValue, float64(n), reason)
	}
}
