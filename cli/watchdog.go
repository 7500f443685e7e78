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
	// defaultTimeout ends a query that a stranger made to run for ever. Queries on the files of runs of days take seconds; one that
	// takes minutes is told about --timeout.
	defaultTimeout = 5 * time.Minute

	// wholeTimeout is for commands that read all of a file.
	wholeTimeout = 30 * time.Minute

	// patience is how long a query, or a command that is interrupted, may go on after its end before the process is ended for
	// it. A single call of some scalar functions of DuckDB takes that long, and one of them may never return.
	patience = 5 * time.Second

	// promptness is how long a command may go on after an interrupt. Most stop by themselves at once; what
	// waits in one call, of DuckDB or of the system, does not.
	promptness = 120 * time.Millisecond
)

// A process is the one that a command runs in, where it has one to itself. Its methods do nothing on a nil process.
type process struct {
	once      sync.Once
	over      atomic.Bool // [Run] has returned: nothing is left to be ended, whatever becomes of the context
	terminal  *term.State // as it was found; nil where standard input is none
	temporary string      // folder of its own, or ""
	words     atomic.Pointer[lastWords]
}

// lastWords are what a process says that is ended by an interrupt. A command that has something to lose says
// so, and is waited for.
type lastWords struct {
	why  string
	wait bool
}

// say sets the last words.
func (p *process) say(words lastWords) {
	if p != nil {
		p.words.Store(&words)
	}
}

type processKey struct{}

// OwnProcess tells [Run] that it has the process to itself. Commands that run SQL then limit the address space, since DuckDB does not count
// all memory against its own limit, and end the process if DuckDB does not stop when it is told to.
func OwnProcess(ctx context.Context) context.Context {
	ignoreFileSize()
	p := &process{}
	if state, err := term.GetState(int(os.Stdin.Fd())); err == nil {
		p.terminal = state
	}
	return context.WithValue(ctx, processKey{}, p)
}

// ownProcess gives the process of [OwnProcess], or nil.
func ownProcess(ctx context.Context) *process {
	p, _ := ctx.Value(processKey{}).(*process)
	return p
}

// confine takes away what the command line does not name. Where that cannot be had, the process goes on
// without: ducklens version tells.
func (p *process) confine(cmd *cobra.Command, args []string) {
	if p == nil || cmd.Name() == "pull" { // it uses the network, and opens no file
		return
	}
	paths := reach(cmd, args)
	if wantsTemporary(cmd, args) {
		if dir, err := os.MkdirTemp("", "ducklens-"); err == nil && os.Setenv("TMPDIR", dir) == nil {
			p.temporary, paths.Temporary = dir, dir
		}
	}
	_ = confine.Process(paths)
}

// finish removes what the process has made for itself, and says that the command is done: the caller, who may
// cancel the context now, ends the process.
func (p *process) finish() {
	if p == nil {
		return
	}
	p.over.Store(true)
	if p.temporary == "" {
		return
	}
	// os.RemoveAll of the folder itself would open the one that it is in.
	entries, _ := os.ReadDir(p.temporary)
	for _, e := range entries {
		_ = os.RemoveAll(filepath.Join(p.temporary, e.Name()))
	}
	_ = os.Remove(p.temporary)
}

// guard limits what SQL can do to the process, before a file is opened: memory and answer are what a query may use, in bytes. The
// first call counts.
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

// watchMemory ends the process when what is outside Go's heap grows by more than 1.4 times the memory of a
// query: some of DuckDB's functions take memory that it does not count. Answers are in Go's heap, and have a limit of their own.
func (p *process) watchMemory(memory int64) {
	const pause = 10 * time.Millisecond
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
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
			p.leave(ExitFailed, fmt.Sprintf("memory limit reached: %d MB\nhint: ask for less at once, or raise the limit with --memory", memory>>20))
		}
	}
}

// obey ends the process soon after an interrupt. Nothing is left half done: what commands write appears when
// it is whole, and the batches of a run are transactions.
func (p *process) obey(ctx context.Context) {
	if p == nil {
		return
	}
	context.AfterFunc(ctx, func() {
		time.AfterFunc(promptness, func() {
			switch words := p.words.Load(); {
			case words == nil:
				p.leave(ExitInterrupted, "interrupted")
			case !words.wait:
				p.leave(ExitInterrupted, words.why)
			}
		})
	})
}

// stuck is [session.Options].Stuck: it ends the process unless the query stops after all.
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

// watch ends the process if open takes longer than limit and patience.
func (p *process) watch(limit time.Duration, open func() (*session.Session, error)) (*session.Session, error) {
	if p == nil || limit <= 0 {
		return open()
	}
	timer := time.AfterFunc(limit+patience, func() {
		p.end(ExitFailed, fmt.Sprintf("the file was not open within %v; --timeout gives it more time", limit))
	})
	defer timer.Stop()
	return open()
}

// timeoutVar adds --timeout to a command that reads all of a file, for [within].
func timeoutVar(flags *pflag.FlagSet, timeout *time.Duration) {
	flags.DurationVar(timeout, "timeout", wholeTimeout, "most time that it may take, such as 5m; 0 is no limit")
}

// within runs f for at most limit; 0 is no limit. It ends the process if f does not return soon after.
func within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	if limit < 0 {
		return usagef("--timeout %v, want 0 or more", limit)
	}
	if limit == 0 {
		return f(ctx)
	}
	if p := ownProcess(ctx); p != nil {
		timer := time.AfterFunc(limit+patience, func() {
			p.end(ExitFailed, fmt.Sprintf("not done within %v; --timeout gives it more time", limit))
		})
		defer timer.Stop()
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := f(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return &session.LimitError{Limit: session.ErrTime, Value: limit.String(), Advice: "give it more time with --timeout"}
	}
	return err
}

// end ends the process at once. Nothing is lost: what commands write appears when it is whole.
func (p *process) end(code int, why string) { p.leave(code, why+"; the process is ended") }

func (p *process) leave(code int, why string) {
	if p.over.Load() {
		return
	}
	if p.terminal != nil {
		_ = term.Restore(int(os.Stdin.Fd()), p.terminal) // there is nobody left to tell
	}
	draft.Abandon()
	p.finish()
	_, _ = io.WriteString(os.Stderr, "ducklens: "+why+"\n")
	os.Exit(code)
}

// budget is how much the address space may grow: twice the memory of a query, because sorting and aggregating take up to that much where
// DuckDB counts half; twice the answer, for Go's garbage; and what the threads reserve and libraries need.
func budget(memory, answer int64) int64 {
	const spare, perThread = 1 << 30, 128 << 20
	if answer == 0 {
		answer = session.DefaultAnswer
	}
	return 2*memory + 2*answer + spare + perThread*int64(runtime.GOMAXPROCS(0))
}
