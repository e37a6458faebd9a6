package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/cheggaaa/pb/v3"
	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"

	"hugbucket/internal/disk"
)

const (
	// redrawEvery is how often the bar is drawn at most.
	redrawEvery = 100 * time.Millisecond
	// lineEvery is how often a line is written at most where there is no terminal, beside those that begin and end a step.
	lineEvery = 10 * time.Second
	// usualColumns is how wide a terminal is taken to be that does not say.
	usualColumns = 80
	// wipe clears the line of a terminal that the cursor is on.
	wipe = "\r\x1b[K"
)

const (
	barTemplate = `{{string . "name"}}: {{counters .}} {{bar .}} {{percent .}} {{speed . "%s/s" "-/s"}} {{rtime . "%s left" "%s" "? left"}}`
	// Without a total there is no percentage and no time left.
	endlessTemplate = `{{string . "name"}}: {{counters .}} {{bar .}} {{speed . "%s/s" "-/s"}}`
)

// meter shows how far a long piece of work is: by a bar with rate and time left on a terminal, else by a line when a step
// begins and ends, and now and then between. Its methods may be called by several goroutines.
type meter struct {
	out  io.Writer // nil shows nothing
	bars bool
	now  func() time.Time

	mu    sync.Mutex
	step  disk.Step
	bar   *pb.ProgressBar // of step; nil on lines
	began time.Time       // step; zero when there is none
	said  time.Time       // when step was last shown
}

// newMeter shows on w, which may be a terminal.
func newMeter(w io.Writer, quiet bool) *meter {
	m := &meter{out: w, now: time.Now}
	if quiet {
		m.out = nil
	}
	f, ok := w.(*os.File)
	m.bars = ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb"
	return m
}

// show is a disk.Progress.
func (m *meter) show(s disk.Step) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.out == nil {
		return
	}
	first := m.began.IsZero() || s.Name != m.step.Name
	if first {
		m.finish()
		m.began = m.now()
	}
	m.step = s
	every := lineEvery
	if m.bars {
		every = redrawEvery
	}
	if !first && m.now().Sub(m.said) < every {
		return
	}
	m.said = m.now()
	switch {
	case m.bars:
		m.draw()
	case first:
		m.say(firstLine(s))
	default:
		m.say(line(s, m.said.Sub(m.began)))
	}
}

// end ends the step that is under way, if one is.
func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finish()
}

// print writes lines that the bar does not tear apart.
func (m *meter) print(w io.Writer, text string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bar != nil {
		m.say(wipe)
	}
	_, err := io.WriteString(w, text)
	if m.bar != nil {
		m.bar.Write()
	}
	return err
}

func (m *meter) finish() {
	if m.began.IsZero() {
		return
	}
	if m.bar != nil {
		m.draw()
		m.bar.Finish().Write()
	} else {
		m.say(lastLine(m.step, m.now().Sub(m.began)))
	}
	m.bar, m.began = nil, time.Time{}
}

func (m *meter) draw() {
	if m.bar == nil {
		// Static: it is drawn when we say so, by this goroutine.
		m.bar = pb.New64(0).Set(pb.Static, true).Set(pb.Terminal, true).Set(pb.Color, false).Set(pb.Bytes, m.step.Bytes).
			Set("name", m.step.Name).SetWriter(m.out).SetTemplateString(endlessTemplate).Start()
	}
	if m.bar.Total() <= 0 && m.step.Total > 0 {
		m.bar.SetTemplateString(barTemplate)
	}
	m.bar.SetWidth(m.columns()) // it may change
	m.bar.SetTotal(m.step.Total).SetCurrent(m.step.Done).Write()
}

// columns returns how wide the terminal is. A serial line or a container's does not know: it says 0.
func (m *meter) columns() int {
	if f, ok := m.out.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return usualColumns
}

// say shows what can be shown: work goes on when nobody can be told of it.
func (m *meter) say(text string) { _, _ = io.WriteString(m.out, text) }

// firstLine says what begins.
func firstLine(s disk.Step) string {
	if s.Total == 0 {
		return s.Name + "\n"
	}
	return fmt.Sprintf("%s: %s to do\n", s.Name, amount(s, s.Total))
}

// line says how far a step is.
func line(s disk.Step, took time.Duration) string {
	if s.Total == 0 || s.Done == 0 {
		return fmt.Sprintf("%s: %s%s\n", s.Name, amount(s, s.Done), rate(s, took))
	}
	left := ""
	if rest := s.Total - s.Done; took > 0 && rest >= 0 {
		left = ", " + roughly(time.Duration(float64(took)/float64(s.Done)*float64(rest))) + " left"
	}
	return fmt.Sprintf("%s: %s of %s (%d%%)%s%s\n", s.Name, amount(s, s.Done), amount(s, s.Total), s.Done*100/s.Total, rate(s, took), left)
}

// lastLine says how far a step came.
func lastLine(s disk.Step, took time.Duration) string {
	if s.Done == 0 {
		return fmt.Sprintf("%s: took %s\n", s.Name, roughly(took))
	}
	of := ""
	if s.Done < s.Total {
		of = " of " + amount(s, s.Total)
	}
	return fmt.Sprintf("%s: %s%s in %s%s\n", s.Name, amount(s, s.Done), of, roughly(took), rate(s, took))
}

// rate is what is done in a second; nothing while that cannot be told.
func rate(s disk.Step, took time.Duration) string {
	if took < time.Second {
		return ""
	}
	return fmt.Sprintf(", %s/s", amount(s, int64(float64(s.Done)/took.Seconds())))
}

func amount(s disk.Step, n int64) string {
	if s.Bytes {
		return bytesText(n)
	}
	return count(n)
}

// roughly leaves off what nobody wants to know of a time.
func roughly(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
