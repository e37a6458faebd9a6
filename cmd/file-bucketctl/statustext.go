package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"hugbucket/internal/config"
)

// text is the status for people.
func (r *statusResult) text(now time.Time) string {
	var b strings.Builder // which takes everything
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, d := range r.Doors {
		state := d.State
		if d.Error != "" {
			state += ": " + d.Error
		}
		if d.Note != "" {
			state += " (" + d.Note + ")"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", d.Name, d.Address, state)
	}
	_ = w.Flush()
	b.WriteByte('\n')
	for _, x := range r.Buckets {
		_, _ = fmt.Fprintln(w, x.row(now))
	}
	_ = w.Flush()
	if len(r.Buckets) == 0 {
		b.WriteString("no buckets\n")
	}
	fmt.Fprintf(&b, "\nstore %s: %s of the file system are free\n", r.Store.Path, bytesText(r.Store.Free))
	if c := r.Store.Count; c != nil {
		fmt.Fprintf(&b, "%s of %s take %s", things(c.Objects, "object"), bytesText(c.Logical), bytesText(c.Stored))
		if c.Dedup > 0 {
			fmt.Fprintf(&b, "; deduplication %.2f×", c.Dedup)
		}
		fmt.Fprintf(&b, "; gc would free about %s\n", bytesText(c.Loose))
	}
	return b.String()
}

// row is a bucket in columns.
func (x bucketStatus) row(now time.Time) string {
	what, last, mark := "bucket "+x.Name, "never", ""
	if x.Token != "" {
		what = "token " + x.Token
	}
	if x.Last != nil {
		last = timeText(*x.Last) + ", " + ageText(now.Sub(*x.Last)) + " ago"
	}
	if x.Expect > 0 {
		mark = "every " + config.Duration(time.Duration(x.Expect*float64(time.Hour))).String()
	}
	if x.Overdue {
		mark += ": OVERDUE"
	}
	return strings.TrimRight(what+"\tlast "+last+"\t"+mark, "\t")
}

// ageText is a length of time for people, in its largest unit or two.
func ageText(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + ageText(-d)
	case d < time.Minute:
		return "a moment"
	case d < time.Hour:
		return things(int64(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return things(int64(d/time.Hour), "hour")
	}
	return things(int64(d/(24*time.Hour)), "day")
}
