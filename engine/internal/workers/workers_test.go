package workers_test

import (
	"sync/atomic"
	"testing"

	"ducklens/engine/internal/workers"
)

func TestDoCallsEachPartOnce(t *testing.T) {
	for _, threads := range []int{0, 1, 2, 7} {
		for _, n := range []int{0, 1, 2, 100} {
			calls := make([]atomic.Int32, n)
			workers.Do(threads, n, func(i int) { calls[i].Add(1) })
			for i := range calls {
				if got := calls[i].Load(); got != 1 {
					t.Errorf("%d threads, %d parts: part %d ran %d times", threads, n, i, got)
				}
			}
		}
	}
}

func TestDoNeverExceedsThreads(t *testing.T) {
	var running, most atomic.Int32
	workers.Do(3, 200, func(int) {
		now := running.Add(1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		running.Add(-1)
	})
	if got := most.Load(); got > 3 {
		t.Errorf("%d parts ran at once, want at most 3", got)
	}
}

func TestDoRaisesPanicInCaller(t *testing.T) {
	defer func() {
		if p := recover(); p != "part 5" {
			t.Errorf("recovered %v, want the panic of part 5", p)
		}
	}()
	workers.Do(2, 10, func(i int) {
		if i == 5 {
			panic("part 5")
		}
	})
	t.Error("Do returned normally")
}

func TestRowsCover(t *testing.T) {
	seen := make([]atomic.Int32, 101)
	workers.Rows(2, len(seen), 10, func(from, to int) {
		if to-from > 10 {
			t.Errorf("range [%d, %d) is longer than 10", from, to)
		}
		for i := from; i < to; i++ {
			seen[i].Add(1)
		}
	})
	for i := range seen {
		if seen[i].Load() != 1 {
			t.Errorf("row %d seen %d times", i, seen[i].Load())
		}
	}
}
