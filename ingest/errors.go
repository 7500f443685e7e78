package ingest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ducklens/engine"
	"ducklens/internal/advice"
)

// ErrNoPrompts is returned if the source has no prompts.
var ErrNoPrompts = errors.New("no prompts")

// Unusable is the error for prompts that the engine refuses: the first of them, with the reasons.
type Unusable struct {
	Source string // of the prompts
	count  int
	faults []promptFault // in order of their first prompt
}

// promptFault is a reason and the prompts that it holds for, counted from 1 like the records of a file.
type promptFault struct {
	prompts []int
	err     error
}

// maxFaults is the number of refused prompts that an error names.
const maxFaults = 10

// Add records that a prompt, counted from 1, is refused. It reports false, and records nothing, if err is not
// about the prompt.
func (u *Unusable) Add(prompt int, err error) bool {
	if !errors.Is(err, engine.ErrPrompt) && !errors.Is(err, engine.ErrBasis) {
		return false
	}
	if u.count++; u.count > maxFaults {
		return true
	}
	why := engine.Brief(err)
	i := slices.IndexFunc(u.faults, func(f promptFault) bool { return engine.Brief(f.err) == why })
	if i < 0 {
		i, u.faults = len(u.faults), append(u.faults, promptFault{err: err})
	}
	u.faults[i].prompts = append(u.faults[i].prompts, prompt)
	return true
}

// Err returns u, or nil if no prompt has been refused.
func (u *Unusable) Err() error {
	if u.count == 0 {
		return nil
	}
	return u
}

func (u *Unusable) Error() string {
	if u.count == 1 {
		return fmt.Sprintf("prompt %d of %s: %v", u.faults[0].prompts[0], u.Source, u.faults[0].err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d prompts of %s are unusable", u.count, u.Source)
	for _, f := range u.faults {
		for i, n := range f.prompts {
			switch {
			case i > 0:
				fmt.Fprintf(&b, ", %d", n)
			case len(f.prompts) == 1:
				fmt.Fprintf(&b, "\nprompt %d", n)
			default:
				fmt.Fprintf(&b, "\nprompts %d", n)
			}
		}
		fmt.Fprintf(&b, ": %s", engine.Brief(f.err))
	}
	if more := u.count - maxFaults; more > 0 {
		fmt.Fprintf(&b, "\nand %d more", more)
	}
	return b.String()
}

// Unwrap returns the reasons.
func (u *Unusable) Unwrap() []error {
	list := make([]error, len(u.faults))
	for i, f := range u.faults {
		list[i] = f.err
	}
	return list
}

// Hint returns the advice about each reason, once.
func (u *Unusable) Hint() string {
	var lines []string
	for _, f := range u.faults {
		if hint := advice.Of(f.err); hint != "" && !slices.Contains(lines, hint) {
			lines = append(lines, hint)
		}
	}
	return strings.Join(lines, "\n")
}

// ErrCounts is wrapped by the error for a file that does not hold the rows that were written to it.
var ErrCounts = errors.New("row counts differ")

// Incomplete is the error of a run that stopped after its first batch. The file holds whole prompts, and the
// run is marked running.
type Incomplete struct {
	Path    string
	RunID   int
	Prompts int    // in the file
	Total   int    // wanted
	Kept    string // the unchanged file that the run was to replace; "": none
	Err     error
}

func (e *Incomplete) Error() string {
	return fmt.Sprintf("run %d in %s stopped after %d of %d prompts: %v", e.RunID, e.Path, e.Prompts,
		e.Total, e.Err)
}

// Unwrap returns the reason.
func (e *Incomplete) Unwrap() error { return e.Err }

// Hint says what to do about the reason, what is left of the run, and how to continue.
func (e *Incomplete) Hint() string {
	first := advice.Of(e.Err)
	if first != "" {
		first += "\n"
	}
	if e.Kept != "" {
		return first + fmt.Sprintf("%s is as it was; the first %d prompts are in %s: "+
			"the same command with -o %[3]s, and --resume in place of --force, computes the other %[4]d",
			e.Kept, e.Prompts, e.Path, e.Total-e.Prompts)
	}
	return first + fmt.Sprintf("the file is sound; run %d in it is marked running and holds the first %d "+
		"prompts: the same command with --resume computes the other %d",
		e.RunID, e.Prompts, e.Total-e.Prompts)
}

// Lost is the error of a run of means that stopped. Such a run is written in one piece, so nothing of it is
// left.
type Lost struct {
	Prompts int // analysed
	Total   int // wanted
	Err     error
}

func (e *Lost) Error() string {
	return fmt.Sprintf("stopped after %d of %d prompts, and nothing of a run that keeps means is left: %v",
		e.Prompts, e.Total, e.Err)
}

// Unwrap returns the reason.
func (e *Lost) Unwrap() error { return e.Err }

// Taken is the error of a complete run whose file got another name, because another program has created or
// changed a file at the intended path in the meantime.
type Taken struct {
	Path string // where the run is
	Err  error
}

func (e *Taken) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *Taken) Unwrap() error { return e.Err }

// Hint says where the run is.
func (e *Taken) Hint() string {
	return fmt.Sprintf("the run is complete, in %s: move that to where you want it", e.Path)
}

// MadeForError is the error for an option that was made for a different number of prompts; see
// [Options.MadeFor].
type MadeForError struct {
	What     string
	Examples int // number that it was made for
	Total    int // prompts in the run
}

func (e *MadeForError) Error() string {
	return fmt.Sprintf("%s is made for %d examples, one part for each, and the run has %d", e.What,
		e.Examples, e.Total)
}

// Hint says how to make the numbers equal.
func (e *MadeForError) Hint() string {
	if e.Examples < e.Total {
		return fmt.Sprintf("run the first %d prompts only, or give a part for each of the %d",
			e.Examples, e.Total)
	}
	return fmt.Sprintf("give %d prompts, or one part for each of the %d", e.Examples, e.Total)
}
