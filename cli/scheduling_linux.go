package cli

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// PreferThroughput sets the batch scheduling policy for the process: Linux then makes a thread that wakes up
// wait for its turn. With the normal policy, the writer, the garbage collector and Go's monitor interrupt an
// ingest on two cores some ninety times per prompt, and each time a matrix product finds its operands gone
// from the cache.
//
// The policy applies to all threads of the process from now on, and to processes that they start, so only
// programs should call it. It is a hint: if the system refuses it, or a thread already has another policy,
// nothing changes.
func PreferThroughput() {
	seen := map[int]bool{}
	for more := true; more; { // the next round catches threads created meanwhile
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
