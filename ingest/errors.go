package ingest

import (
	"errors"
	"fmt"

	"ducklens/internal/advice"
)

// ErrNoPrompts is returned if the source has no prompts.
var ErrNoPrompts = errors.New("no prompts")

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
