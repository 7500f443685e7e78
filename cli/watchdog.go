package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"ducklens/cli/confine"
	"ducklens/queries/session"
	"ducklens/schema/draft"
)

const (
	// defaultTimeout ends a query that never would, which may come from somebody else's file. Queries on the
	// files of runs that took days take seconds; the error of one that takes minutes mentions --timeout.
	defaultTimeout = 5 * time.Minute

	// wholeTimeout is for commands that read all of a file.
	wholeTimeout = 30 * time.Minute

	// patience is how long a query may continue after its time is over, or a command after an interrupt,
	// before the process ends. A single call of some of DuckDB's scalar functions takes that long, and may
	// never return.
	patience = 5 * time.Second

	// promptness is how long a command may continue after an interrupt. Most stop at once by themselves; one
	// that waits in a call of DuckDB or of the system does not.
	promptness = 120 * time.Millisecond
)

// A process is the operating system's process, if the command has it to itself. Methods of a nil process do
// nothing.
type process struct {
	once      sync.Once
	ending    sync.Mutex  // held for good by what ends the process: [Run], or leave
	terminal  *term.State // the state to restore; nil if standard input is not a terminal
	temporary string      // its temporary folder, or ""
	browser   *browser    // of `ducklens explore`; nil to open none
	words     atomic.Pointer[lastWords]
}

// lastWords say how an interrupt ends a process. A process with something to lose waits. One that runs until
// it is interrupted, such as a server, is done and prints nothing.
type lastWords struct {
	why  string
	now  func() string // what to print, in place of why, once no file can appear any more; may be nil
	wait bool
	done bool
}

// say sets the last words.
func (p *process) say(words lastWords) {
	if p != nil {
		p.words.Store(&words)
	}
}

type processKey struct{}

// OwnProcess tells [Run] that it has the process to itself. Commands that run SQL then limit the address
// space, because DuckDB does not count all its memory against its own limit, and end the process if DuckDB
// does not stop in time.
func OwnProcess(ctx context.Context) context.Context {
	ignoreFileSize()
	p := &process{}
	if state, err := term.GetState(int(os.Stdin.Fd())); err == nil {
		p.terminal = state
	}
	return context.WithValue(ctx, processKey{}, p)
}

// ownProcess returns the process of [OwnProcess], or nil.
func ownProcess(ctx context.Context) *process {
	p, _ := ctx.Value(processKey{}).(*process)
	return p
}

// confine gives up access to everything that the command line does not name. If the system cannot do that,
// the process continues without; ducklens version says so.
func (p *process) confine(cmd *cobra.Command, args []string) {
	if p == nil || cmd.Name() == "pull" { // it uses the network and opens no file
		return
	}
	paths := reach(cmd, args)
	if wantsTemporary(cmd, args) {
		if dir, err := os.MkdirTemp("", "ducklens-"); err == nil && os.Setenv("TMPDIR", dir) == nil {
			p.temporary, paths.Temporary = dir, dir
		}
	}
	if cmd.Name() == "explore" && flagIs(cmd, "no-browser", "false") {
		p.browser = newBrowser()
	}
	_ = confine.Process(paths)
}

// show opens an address in the browser, if there is one.
func (p *process) show(address func() string) {
	if p != nil && p.browser != nil {
		p.browser.open(address())
	}
}

// done says that the command has returned: the caller may cancel the context now, and ends the process
// itself. If leave is ending it, done waits for that: errors of a command whose files are being removed mean
// nothing.
func (p *process) done() {
	if p != nil {
		p.ending.Lock()
	}
}

// finish removes the temporary folder.
func (p *process) finish() {
	if p == nil || p.temporary == "" {
		return
	}
	// os.RemoveAll of the folder itself would open its parent, which is out of reach.
	entries, _ := os.ReadDir(p.temporary)
	for _, e := range entries {
		_ = os.RemoveAll(filepath.Join(p.temporary, e.Name()))
	}
	_ = os.Remove(p.temporary)
}

// guard limits the memory of the process before a file is opened. memory and answer are the limits of a query
// in bytes. Only the first call has an effect.
func (p *process) guard(ctx context.Context, memory, answer int64) {
	if p == nil {
		return
	}
	p.once.Do(func() {
		if memory == 0 {
			memory = session.DefaultMemory
		}
		limitAddressSpace(budget(memory, answer))
		go p.watchMemory(memory)
		context.AfterFunc(ctx, func() {
			time.AfterFunc(patience, func() {
				p.end(ExitInterrupted, fmt.Sprintf("interrupted, and did not stop within %v", patience))
			})
		})
	})
}

// watchMemory ends the process when memory outside Go's heap grows by more than 1.4 times the limit of a
// query, because some of DuckDB's functions take memory that it does not count. Answers are in Go's heap and
// have their own limit.
func (p *process) watchMemory(memory int64) {
	const pause = 10 * time.Millisecond
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"}}
	outside := func() (int64, bool) {
		own, ok := ownMemory()
		metrics.Read(sample)
		return own - int64(sample[0].Value.Uint64()-sample[1].Value.Uint64()), ok
	}
	before, ok := outside()
	for ok {
		time.Sleep(pause)
		var now int64
		if now, ok = outside(); ok && now-before > memory/5*7 {
			p.leave(ExitFailed,
				fmt.Sprintf(
					"memory limit reached: %d MB\nhint: ask for less at once, "+
						"or raise the limit with --memory", memory>>20))
		}
	}
}

// obey ends the process soon after an interrupt. Nothing is left half done: files appear when they are
// complete, and batches of a run are transactions.
func (p *process) obey(ctx context.Context) {
	if p == nil {
		return
	}
	context.AfterFunc(ctx, func() {
		time.AfterFunc(promptness, func() {
			switch words := p.words.Load(); {
			case words == nil:
				p.leave(ExitInterrupted, "interrupted")
			case words.done:
				p.leave(ExitOK, "")
			case words.now != nil:
				p.leaveSaying(ExitInterrupted, words.now)
			case !words.wait:
				p.leave(ExitInterrupted, words.why)
			}
		})
	})
}

// stuck returns a [session.Options].Stuck that ends the process unless the query stops within patience.
func (p *process) stuck() func(stopped <-chan struct{}) {
	if p == nil {
		return nil
	}
	return func(stopped <-chan struct{}) {
		select {
		case <-stopped:
		case <-time.After(patience):
			p.end(ExitFailed, fmt.Sprintf("a query did not stop within %v after its end", patience))
		}
	}
}

// watch calls open, and ends the process if it takes longer than limit and patience.
func (p *process) watch(
	limit time.Duration, open func() (*session.Session, error),
) (*session.Session, error) {
	if p == nil || limit <= 0 {
		return open()
	}
	timer := time.AfterFunc(limit+patience, func() {
		p.end(ExitFailed, fmt.Sprintf("opening the file took more than %v; allow more with --timeout", limit))
	})
	defer timer.Stop()
	return open()
}

// timeoutVar adds --timeout to a command that reads all of a file, for [within].
func timeoutVar(flags *pflag.FlagSet, timeout *time.Duration) {
	flags.DurationVar(timeout, "timeout", wholeTimeout, "maximum time, such as 5m; 0 is no limit")
}

// within runs f for at most limit; 0 is no limit. If f does not return soon after, the process ends.
func within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	if limit < 0 {
		return usagef("--timeout %v, want 0 or more", limit)
	}
	if limit == 0 {
		return f(ctx)
	}
	if p := ownProcess(ctx); p != nil {
		timer := time.AfterFunc(limit+patience, func() {
			p.end(ExitFailed, fmt.Sprintf("not done within %v; allow more with --timeout", limit))
		})
		defer timer.Stop()
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := f(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return &session.LimitError{Limit: session.ErrTime, Value: limit.String(),
			Advice: "allow more time with --timeout"}
	}
	return err
}

// end ends the process at once. Nothing is lost, because files appear when they are complete.
func (p *process) end(code int, why string) { p.leave(code, why+"; the process is ended") }

func (p *process) leave(code int, why string) { p.leaveSaying(code, func() string { return why }) }

// leaveSaying ends the process and prints what words returns after the files in progress have been removed.
func (p *process) leaveSaying(code int, words func() string) {
	if !p.ending.TryLock() {
		return
	}
	if p.terminal != nil {
		_ = term.Restore(int(os.Stdin.Fd()), p.terminal) // nothing can be done about an error
	}
	draft.Abandon()
	p.finish()
	if why := words(); why != "" {
		_, _ = io.WriteString(os.Stderr, "ducklens: "+why+"\n")
	}
	os.Exit(code)
}

// budget returns how much the address space may grow: twice the memory of a query, because DuckDB counts only
// about half of what sorting and aggregating take; twice the answer, for Go's garbage; and what threads
// reserve and libraries need.
func budget(memory, answer int64) int64 {
	const spare, perThread = 1 << 30, 128 << 20
	if answer == 0 {
		answer = session.DefaultAnswer
	}
	return 2*memory + 2*answer + spare + perThread*int64(runtime.GOMAXPROCS(0))
}
