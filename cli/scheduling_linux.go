package cli

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// PreferThroughput tells the system that nobody waits for the single steps of this process, only for the end: Linux then lets a
// thread that wakes up wait for its turn. Without it, an ingest on two cores is interrupted some ninety times for each prompt, by
// the writer, the collector and Go's monitor, and every time a product finds its operands gone from the cache.
//
// It holds for all threads of the process from now on, and for processes that they start, so it is for programs. It is a hint: where
// the system does not take it, or has been told something else about a thread, all stays as it was.
func PreferThroughput() {
	seen := map[int]bool{}
	for more := true; more; { // threads that are made meanwhile come with the next round
		more = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil || seen[id] {
				continue
			}
			seen[id], more = true, true
			attr, err := unix.SchedGetAttr(id, 0)
			if err != nil || attr.Policy != unix.SCHED_NORMAL {
				continue
			}
			attr.Policy = unix.SCHED_BATCH
			_ = unix.SchedSetAttr(id, attr, 0) // a hint
		}
	}
}
