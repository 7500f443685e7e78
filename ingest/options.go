package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/draft"
)

// Engine computes the results that a run writes. It is what ingest needs of an engine.Engine.
type Engine interface {
	// Run is the manifest of the run as far as the engine knows it: model, target heads, components, bases, movers,
	// and how numbers are made. Results refer to these by index.
	Run() schema.Run
	// Example makes a prompt ready: tokens, BOS included, and positions.
	Example(schema.Prompt) (schema.Example, error)
	// Windows cuts a document, a prompt without positions, into prompts of at most window tokens, each stride tokens
	// after the one before.
	Windows(document schema.Prompt, window, stride int) iter.Seq2[schema.Example, error]
	// Prepare settles what depends on the prompts, from some of them. It is called once, before Stream, and may
	// change the heads, the bases and the movers of the run.
	Prepare(context.Context, []schema.Example) error
	// Notices says, a sentence each, what was left out.
	Notices() []string
	// Passes cuts prompts into what Stream takes best at once.
	Passes([]schema.Example) [][]schema.Example
	// Stream gives results of each prompt, in their order, that do not depend on the others: an example for each of its
	// edges, the given one and those that rules choose, and what heads do on it. Prompt i comes in one part or several that
	// follow each other, the first of them with what heads do. Stream is called again only after it has returned. In the
	// exact convention it refuses contributions that do not add up.
	Stream(ctx context.Context, prompts []schema.Example, yield func(i int, part schema.PromptResult) error) error
}

// SavedQuery is a question that travels with the file.
type SavedQuery struct {
	Name string
	SQL  string // with its header
}

// Progress says how far a run has come.
type Progress struct {
	Prompts  int   // written and committed
	Total    int   // prompts of the whole run
	Examples int   // written and committed: the edges of those prompts
	Rows     int64 // written, in all tables
	// Resumable tells that the file has its name: should the process end now, Resume goes on after these prompts.
	Resumable bool
}

// Options says what to run and where to write it.
type Options struct {
	Engine  Engine
	Prompts iter.Seq2[schema.Prompt, error] // ranged over twice, and must give the same both times

	Path   string // database file
	Append bool   // add a run to the file, which must exist
	Force  bool   // replace the file if it exists

	// Resume continues the last unfinished run of the file that was begun with the same model, prompts and options,
	// and refuses with a [DifferentError] if there is none. A file without any run gets one, and so does one that is not there.
	Resume bool

	// What the manifest says beside what the engine knows; it must be true.
	CreatedAt    time.Time
	Version      string // of ducklens
	CommandLine  string
	PromptSource string
	Seed         int64 // of the prompts, and of the random names and tokens

	// Names are what the names of the substitution W_U[random name] are drawn from, without a space in front; nil:
	// there is no such substitution. See [prompts.Draws] for the draws. The exact convention takes the token of a name
	// with a space in front, as it stands in a prompt; the notebook convention, as the published research code, the
	// first token of the name without.
	Names []string

	// Window and Stride say how documents, prompts without positions, are cut: see [Engine.Windows]. 0 where there are none.
	Window, Stride int

	// MadeFor names what has something for each prompt, such as "query basis mine" with one subspace each, and for
	// how many prompts it was made: a run over another number is refused with a [MadeForError] before it begins.
	MadeFor map[string]int

	// BatchPrompts is the number of prompts that are committed together; 0 chooses one for a
	// bounded number of rows. Results do not depend on it.
	BatchPrompts int

	// Large lets a run become larger than [MaxRows] and [MaxBytes]. Otherwise it is refused with a [TooLargeError] as soon as its first
	// batch says that it will, or is stopped when it does.
	Large bool

	only   func(prompt int) bool // of a sample: whether a prompt is in it
	enough func() bool           // and whether it has enough
	most   limits                // of tests; zero: MaxRows and MaxBytes

	SavedQueries []SavedQuery   // those that the file does not have yet are added to it
	Database     dbfile.Options // Replace is ignored: Force decides
	Progress     func(Progress) // called in order from one goroutine, at the start and after each batch; may be nil
	Logger       *slog.Logger   // nil: none
}

// ErrOptions is wrapped by the error for options that cannot be run.
var ErrOptions = errors.New("wrong ingest options")

// Validate reports all faults at once. It does not look at the file system.
func (o *Options) Validate() error {
	var faults []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(o.Engine == nil, "no engine")
	fault(o.Prompts == nil, "no prompts")
	fault(o.Path == "", "no file to write to")
	fault(o.Append && o.Force, "both append and force, want at most one: append keeps the file, force replaces it")
	fault(o.Resume && (o.Append || o.Force), "resume together with append or force, want it alone: it continues a run that the file has")
	fault(o.BatchPrompts < 0, "batches of %d prompts, want at least 1, or 0 to choose", o.BatchPrompts)
	fault(o.CreatedAt.IsZero(), "no creation time in the manifest")
	if o.Engine != nil {
		run := o.Engine.Run()
		fault(len(run.Heads) == 0, "no target heads")
		for _, side := range []schema.Side{schema.Query, schema.Key} {
			ofSide := func(b schema.Basis) bool { return b.Side == side }
			fault(!slices.ContainsFunc(run.Bases, ofSide), "no bases for the %s side", side)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}

// manifest says what the run is, now that the engine has seen the prompts.
func (o *Options) manifest(p prompted) schema.Run {
	run := o.Engine.Run()
	run.CreatedAt, run.Version, run.CommandLine = o.CreatedAt, o.Version, o.CommandLine
	run.PromptSource, run.Prompts, run.PromptsSHA256, run.Seed = o.PromptSource, p.total, p.sha256, o.Seed
	run.Options = o.further(run.Options)
	run.PairMeans = keepsMeans(&run)
	return run
}

// further adds to a JSON object what ingest was asked for beside what has a column: how documents are cut.
func (o *Options) further(engine string) string {
	if o.Window == 0 {
		return engine
	}
	text := fmt.Sprintf(`"window":%d`, o.Window)
	if o.Stride != 0 {
		text += fmt.Sprintf(`,"stride":%d`, o.Stride)
	}
	if rest := strings.TrimPrefix(engine, "{"); rest != "" && rest != "}" {
		return "{" + text + "," + rest
	}
	return "{" + text + "}"
}

// begins tells whether there is no file yet: a run that was stopped before its first batch has left none.
func (o *Options) begins() bool {
	_, err := os.Lstat(o.Path)
	return errors.Is(err, fs.ErrNotExist)
}

// CheckTarget tells early whether a run could be written to the path: for a new file, that there is none
// yet (or Force is set and nobody writes it) and that its folder is there; to append or resume, that the file is ours and
// is not in use. [Run] checks again.
func (o *Options) CheckTarget(ctx context.Context) error {
	if o.Append || o.Resume && !o.begins() {
		db, err := dbfile.OpenWriter(ctx, o.Path, dbfile.Options{})
		if err != nil {
			return err
		}
		return db.Close()
	}
	target, err := draft.Resolve(o.Path)
	if err == nil {
		err = dbfile.CheckTarget(ctx, target, o.Force)
	}
	if err == nil {
		err = dbfile.CheckParent(target)
	}
	return dbfile.Fail("create", o.Path, err)
}

// MaxFactorHeads is the largest number of target heads for which factors should be stored unless somebody says
// otherwise; see [FactorsByDefault].
const MaxFactorHeads = 12

// FactorsByDefault tells whether a run with so many target heads should store factors if nobody has said. A head in layer 10 of
// GPT-2 small, with the default bases, takes 130 kB of them for each prompt, twice as much as its contributions: a dozen heads
// over 100 prompts are 160 MB, all 144 would be gigabytes for tables of pairs that nobody looks at.
func FactorsByDefault(heads int) bool { return 0 < heads && heads <= MaxFactorHeads }
