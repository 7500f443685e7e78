package cli

import (
	"strings"
	"testing"
	"time"

	"ducklens/ingest"
)

// Without a terminal, a long run prints every few seconds the number of prompts done, the speed and the time
// left.
func TestProgressLines(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := newProgressBar(&out)
	clock := time.Unix(1000, 0)
	p.now = func() time.Time { return clock }
	for _, step := range []struct {
		after    time.Duration
		examples int
	}{{0, 100}, {5, 150}, {5, 200}, {1, 210}, {9, 300}, {30, 500}} {
		clock = clock.Add(step.after * time.Second)
		p.show(ingest.Progress{Prompts: step.examples, Total: 500})
	}
	p.stop()
	want := "200 of 500 prompts, 10 a second, 30s left\n300 of 500 prompts, 10 a second, 20s left\n"
	if out.String() != want {
		t.Errorf("said\n%swant\n%s", out.String(), want)
	}
}
