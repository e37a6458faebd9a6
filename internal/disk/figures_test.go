package disk

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// figures is a table of what was measured: a line for each figure, a column for each size of the store.
type figures struct {
	columns []string
	rows    []*figure
}

type figure struct {
	what, unit string
	values     []float64 // of the columns so far
}

func (f *figures) column(name string) { f.columns = append(f.columns, name) }

func (f *figures) note(what, unit string, v float64) {
	i := slices.IndexFunc(f.rows, func(r *figure) bool { return r.what == what })
	if i < 0 {
		i = len(f.rows)
		f.rows = append(f.rows, &figure{what: what, unit: unit})
	}
	f.rows[i].values = append(f.rows[i].values, v)
}

// sample asks n times and notes the median of what it is told that took.
func (f *figures) sample(what string, n int, ask func() time.Duration) {
	took := make([]time.Duration, max(n/stride, 50))
	for i := range took {
		took[i] = ask()
	}
	slices.Sort(took)
	f.note(what, "µs", float64(took[len(took)/2].Nanoseconds())/1e3)
}

// print writes the table, with the last column in terms of the first.
func (f *figures) print(t *testing.T) {
	t.Helper()
	w := tabwriter.NewWriter(t.Output(), 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(cells ...string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")+"\t") } // Flush has the error
	line(slices.Concat([]string{"keys and chunks", ""}, f.columns, []string{"last/first"})...)
	for _, r := range f.rows {
		cells := []string{r.what, r.unit}
		for _, v := range r.values {
			cells = append(cells, fmt.Sprintf("%.1f", v))
		}
		ratio := "-"
		if first := r.values[0]; first != 0 {
			ratio = fmt.Sprintf("%.2f", r.values[len(r.values)-1]/first)
		}
		line(append(cells, ratio)...)
	}
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
}
