package daemon

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// The picture of the page, in units of its SVG.
const (
	chartWidth, chartHeight = 760, 260
	chartLeft, chartRight   = 80, 10 // room for labels
	chartTop, chartBottom   = 10, 30
	chartPoints             = 360 // at most; more would be finer than the eye
)

// chart is what the template draws: two lines over time, as SVG paths.
type chart struct {
	Logical, Stored string // lines
	LogicalArea     string // what is below them
	StoredArea      string
	Rows            []chartMark // with their Y
	Columns         []chartMark // with their X
	From, To        time.Time
}

// chartMark is a line of the grid and its label.
type chartMark struct {
	At     float64
	Label  string
	Anchor string // which end of the label is at the line, so that none is cut off
}

// newChart draws a history; nil when there are not two samples of different times. Samples behind one of a later time, which a
// clock that was set back leaves, are left out.
func newChart(history []sample) *chart {
	list := inOrder(history)
	if len(list) < 2 {
		return nil
	}
	from, to := list[0].Time, list[len(list)-1].Time
	most := int64(0)
	for _, s := range list {
		most = max(most, s.Logical, s.Stored)
	}
	step := gridStep(most)
	top := step * math.Max(1, math.Ceil(float64(most)/step))
	x := func(t time.Time) float64 {
		return chartLeft + (chartWidth-chartLeft-chartRight)*float64(t.Sub(from))/float64(to.Sub(from))
	}
	y := func(v float64) float64 { return chartHeight - chartBottom - (chartHeight-chartTop-chartBottom)*v/top }

	c := &chart{From: from, To: to}
	var logical, stored strings.Builder
	for i, s := range thinned(list) {
		command := byte('L')
		if i == 0 {
			command = 'M'
		}
		point(&logical, command, x(s.Time), y(float64(s.Logical)))
		point(&stored, command, x(s.Time), y(float64(s.Stored)))
	}
	c.Logical, c.Stored = logical.String(), stored.String()
	for _, b := range []*strings.Builder{&logical, &stored} {
		point(b, 'L', x(to), y(0))
		point(b, 'L', x(from), y(0))
		b.WriteByte('Z')
	}
	c.LogicalArea, c.StoredArea = logical.String(), stored.String()
	for v := 0.0; v <= top; v += step {
		c.Rows = append(c.Rows, chartMark{At: y(v), Label: humanize.IBytes(uint64(v))})
	}
	layout := "2 Jan"
	if to.Sub(from) < 3*24*time.Hour {
		layout = "2 Jan 15:04"
	}
	for i := range 5 {
		t := from.Add(to.Sub(from) * time.Duration(i) / 4)
		c.Columns = append(c.Columns, chartMark{At: x(t), Label: t.Format(layout), Anchor: [...]string{"start", "middle", "middle", "middle", "end"}[i]})
	}
	return c
}

// inOrder returns the samples that are younger than all before them.
func inOrder(history []sample) []sample {
	var out []sample
	for _, s := range history {
		// One from before the clock was set right takes those with it that it made look old.
		for len(out) > 0 && !s.Time.After(out[len(out)-1].Time) {
			out = out[:len(out)-1]
		}
		out = append(out, s)
	}
	return out
}

// thinned leaves out samples between the first and the last.
func thinned(list []sample) []sample {
	if len(list) <= chartPoints {
		return list
	}
	out := make([]sample, chartPoints)
	for i := range out {
		out[i] = list[i*(len(list)-1)/(chartPoints-1)]
	}
	return out
}

// gridStep is a power of two bytes of which most takes two to four.
func gridStep(most int64) float64 {
	step := 1.0
	for step*4 < float64(most) {
		step *= 2
	}
	return step
}

func point(b *strings.Builder, command byte, x, y float64) {
	b.WriteByte(command)
	b.WriteString(strconv.FormatFloat(x, 'f', 1, 64))
	b.WriteByte(' ')
	b.WriteString(strconv.FormatFloat(y, 'f', 1, 64))
}
