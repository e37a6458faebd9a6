package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"hugbucket/internal/disk"
)

// lineMeter is a meter that writes lines and has a clock that ticks when it is told to.
func lineMeter(out io.Writer) (m *meter, pass func(time.Duration)) {
	m = newMeter(out, false)
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	m.now = func() time.Time { return at }
	return m, func(d time.Duration) { at = at.Add(d) }
}

func TestLinesSayHowFarItIs(t *testing.T) {
	var out bytes.Buffer
	m, pass := lineMeter(&out)
	m.show(disk.Step{Name: "reading", Total: 100 << 20, Bytes: true})
	for range 24 { // 3 s each
		pass(3 * time.Second)
		m.show(disk.Step{Name: "reading", Done: m.step.Done + 3<<20, Total: 100 << 20, Bytes: true})
	}
	m.show(disk.Step{Name: "looking at names"})
	pass(20 * time.Second)
	m.show(disk.Step{Name: "looking at names", Done: 40_000})
	pass(time.Millisecond)
	m.end()
	m.end()
	m.show(disk.Step{Name: "looking at names", Done: 1, Total: 2})
	pass(time.Minute)
	m.show(disk.Step{Name: "looking at names", Total: 2})
	m.end()
	const want = `reading: 100 MiB to do
reading: 12 MiB of 100 MiB (12%), 1.0 MiB/s, 1m28s left
reading: 24 MiB of 100 MiB (24%), 1.0 MiB/s, 1m16s left
reading: 36 MiB of 100 MiB (36%), 1.0 MiB/s, 1m4s left
reading: 48 MiB of 100 MiB (48%), 1.0 MiB/s, 52s left
reading: 60 MiB of 100 MiB (60%), 1.0 MiB/s, 40s left
reading: 72 MiB of 100 MiB (72%), 1.0 MiB/s, 28s left
reading: 72 MiB of 100 MiB in 1m12s, 1.0 MiB/s
looking at names
looking at names: 40,000, 2,000/s
looking at names: 40,000 in 20s, 1,999/s
looking at names: 2 to do
looking at names: 0, 0/s
looking at names: took 1m0s
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

func TestQuietMeterShowsNothing(t *testing.T) {
	var out bytes.Buffer
	m := newMeter(&out, true)
	m.show(disk.Step{Name: "reading", Done: 1})
	m.end()
	if err := m.print(&out, "a line\n"); err != nil || out.String() != "a line\n" {
		t.Errorf("got %q %v", &out, err)
	}
}

// TestBarIsNotTornByLines sees that what is printed meanwhile begins on an empty line, and that the bar comes again below.
func TestBarIsNotTornByLines(t *testing.T) {
	var out bytes.Buffer
	m, pass := lineMeter(&out)
	m.bars = true
	for done := range int64(3) {
		m.show(disk.Step{Name: "reading", Done: done << 20, Total: 2 << 20, Bytes: true})
		pass(redrawEvery / 2) // so that the second one is not drawn
	}
	if err := m.print(&out, "damaged\n"); err != nil {
		t.Fatal(err)
	}
	if want := wipe + "damaged\n\rreading: 2.00 MiB / 2.00 MiB"; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in %q", want, &out)
	}
	m.show(disk.Step{Name: "names", Done: 7})
	m.end()
	text := out.String()
	for _, want := range []string{"\rreading: 0 B / 2.00 MiB", "100.00%", "\rnames: 7 "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
	if strings.Contains(text, "1.00 MiB /") || strings.Count(text, "\n") != 3 || !strings.HasSuffix(text, "\n") {
		t.Errorf("got %q", text)
	}
}

// showSteps is what TestBarFitsTheTerminal runs on one.
func showSteps() {
	m := newMeter(os.Stderr, false)
	for i := range int64(20) {
		m.show(disk.Step{Name: "reading content", Done: i << 30, Total: 20 << 30, Bytes: true})
		m.show(disk.Step{Name: "reading names that are many", Done: i << 20})
	}
	m.end()
}

func TestBarFitsTheTerminal(t *testing.T) {
	for _, columns := range []uint16{200, 80, 40, 12, 1, 0} {
		text := onTerminal(t, columns)
		drawn := regexp.MustCompile(`[\r\n]+`).Split(text, -1)
		if len(drawn) < 40 {
			t.Fatalf("%d columns: got %q", columns, text)
		}
		for _, line := range drawn {
			if utf8.RuneCountInString(line) > int(cmp.Or(columns, usualColumns)) {
				t.Errorf("%d columns: drew %q", columns, line)
			}
		}
		if (columns >= 80 || columns == 0) && !regexp.MustCompile(`reading content: 19\.00 GiB / 20\.00 GiB \[.*\] 95\.00% .*/s`).MatchString(text) {
			t.Errorf("%d columns: got %q", columns, text)
		}
	}
}

// onTerminal runs showSteps on a terminal and returns what came there.
func onTerminal(t *testing.T, columns uint16) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close() //nolint:errcheck // a test's
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "FB_TEST_CTL=meter", "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()                   //nolint:errcheck // a test's
	text, err := io.ReadAll(master) // ends with EIO when the last one has closed the other end
	if waitErr := cmd.Wait(); waitErr != nil {
		t.Fatalf("%v, %v: %q", waitErr, err, text)
	}
	return string(text)
}
