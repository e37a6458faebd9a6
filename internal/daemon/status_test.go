package daemon

import (
	"fmt"
	"regexp"
	"testing"
	"time"
)

// TestFiguresAreLive: the status is told anew when its figures change, and only then.
func TestFiguresAreLive(t *testing.T) {
	i := start(t, testProgram(hello), fmt.Sprintf(`{"host": "127.0.0.1", "port": 0, "storage": {"path": %q}}`, t.TempDir()), func(env *surroundings) {
		env.figures = time.Millisecond
	})
	addr := i.address()
	want := regexp.MustCompile(`^STATUS=serving on ` + addr + `; tested; 2 requests since the start, 0 running; [0-9.]+ [KMGTP]?i?B free$`)
	for range 2 {
		get(t, "http://"+addr+"/")
	}
	last := ""
	for state := range i.states {
		if state == last {
			t.Errorf("told twice: %s", state)
		}
		if last = state; want.MatchString(state) {
			break
		}
	}
	go func() {
		for range i.states {
			continue // or the daemon would wait until somebody listens
		}
	}()
	i.stop()
	close(i.states)
}
