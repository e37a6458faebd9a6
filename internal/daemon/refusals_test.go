package daemon

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"hugbucket/internal/object/objecttest"
)

// TestMetricsOfRefusals: what a door has refused is told by reason, as it is now.
func TestMetricsOfRefusals(t *testing.T) {
	m := testMetrics(t, &roomy{Memory: objecttest.NewMemory()}, nil)
	counts := map[string]int64{"quota": 2}
	d := &Door{Handler: http.NotFoundHandler(), Refusals: func() map[string]int64 { return counts }}
	if _, err := d.server(t.Context(), m, nil, nil, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	counts["space"] = 1
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/metrics", nil))
	has(t, w.Body.String(), `file_bucket_refusals_total{daemon="file-bucketd",reason="quota"} 2`, `file_bucket_refusals_total{daemon="file-bucketd",reason="space"} 1`)
	problems, err := testutil.CollectAndLint(&refusals{desc: refusalsDesc(), counts: d.Refusals})
	if err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}
