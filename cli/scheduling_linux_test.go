package cli_test

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"ducklens/cli"
)

// Existing and new threads get the batch policy, and a thread with another policy keeps it.
func TestPreferThroughput(t *testing.T) {
	// thread gives a thread what is wanted and asks, once it may, what has become of it.
	thread := func(policy uint32, nice int32) (ask func() *unix.SchedAttr) {
		ready, may, attr := make(chan error), make(chan bool), make(chan *unix.SchedAttr, 1)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends here
			ready <- unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Nice: nice}, 0)
			<-may
			a, err := unix.SchedGetAttr(0, 0)
			if err != nil {
				t.Error(err)
				a = &unix.SchedAttr{}
			}
			attr <- a
		}()
		if err := <-ready; err != nil {
			t.Skipf("the system does not let a thread say how it is scheduled: %v", err)
		}
		return func() *unix.SchedAttr { close(may); return <-attr }
	}
	plain, nice, idle := thread(unix.SCHED_NORMAL, 0), thread(unix.SCHED_NORMAL, 5), thread(unix.SCHED_IDLE, 0)
	cli.PreferThroughput()
	if a := plain(); a.Policy != unix.SCHED_BATCH || a.Nice != 0 {
		t.Errorf("a thread has policy %d at nice %d, want SCHED_BATCH at 0", a.Policy, a.Nice)
	}
	if a := nice(); a.Policy != unix.SCHED_BATCH || a.Nice != 5 {
		t.Errorf("a nice thread has policy %d at nice %d, want SCHED_BATCH at 5", a.Policy, a.Nice)
	}
	if a := idle(); a.Policy != unix.SCHED_IDLE {
		t.Errorf("a thread that was told to idle has policy %d, want SCHED_IDLE", a.Policy)
	}
	later := make(chan uint32)
	for range 8 { // some of them need threads that were not there
		go func() {
			runtime.LockOSThread()
			a, err := unix.SchedGetAttr(0, 0)
			if err != nil {
				t.Error(err)
				a = &unix.SchedAttr{}
			}
			later <- a.Policy
		}()
	}
	for range 8 {
		if p := <-later; p != unix.SCHED_BATCH {
			t.Errorf("a later thread has policy %d, want SCHED_BATCH", p)
		}
	}
}
