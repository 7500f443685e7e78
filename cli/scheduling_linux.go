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
// It holds for all threads of the process from now on, so it is for programs. It is a hint: where the system does not take it, or
// has been told something else about a thread, all stays as it was.
func PreferThroughput() {
	for changed := true; changed; { // threads that are made while others are changed come with the next round
		changed = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			attr, err := unix.SchedGetAttr(id, 0)
			if err != nil || attr.Policy != unix.SCHED_NORMAL {
				continue
			}
			attr.Policy = unix.SCHED_BATCH
			changed = unix.SchedSetAttr(id, attr, 0) == nil || changed
		}
	}
}
