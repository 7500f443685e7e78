// Package workers runs the independent parts of one computation on a bounded number of goroutines.
package workers

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Do calls f(0), ..., f(n-1), each once, on at most threads goroutines including the caller's, and returns
// when all calls have returned. Which goroutine makes a call is arbitrary, so f(i) must depend only on i. A
// panic in f is raised again in the caller.
func Do(threads, n int, f func(i int)) {
	threads = min(threads, n)
	if threads <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var (
		next  atomic.Int64
		wait  sync.WaitGroup
		once  sync.Once
		fault any
	)
	work := func() {
		defer func() {
			if p := recover(); p != nil {
				once.Do(func() { fault = p })
				next.Store(int64(n)) // no goroutine starts another part
			}
		}()
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			f(i)
			// Go's monitor takes a goroutine that has not been scheduled for 10 ms, such as one that goes
			// from one C call to the next, for one that blocks. It then checks 20,000 times a second whether
			// others block: 7 % of the time of two cores.
			runtime.Gosched()
		}
	}
	for range threads - 1 {
		wait.Go(work)
	}
	work()
	wait.Wait()
	if fault != nil {
		panic(fault)
	}
}

// Rows calls f on consecutive ranges [from, to) that cover 0..n, each at most size long, as [Do] does.
func Rows(threads, n, size int, f func(from, to int)) {
	Do(threads, (n+size-1)/size, func(i int) { f(i*size, min(n, (i+1)*size)) })
}
