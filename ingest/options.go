package ingest

import (
	"context"
	"encoding/json"
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

// Engine computes the results that a run writes. It is the part of engine.Engine that ingest uses.
type Engine interface {
	// Run returns the manifest of the run as far as the engine knows it: model, target heads, components,
	// bases, movers, and how numbers are computed. Results refer to these by index.
	Run() schema.Run
	// Example turns a prompt into tokens, BOS included, and positions.
	Example(schema.Prompt) (schema.Example, error)
	// Windows cuts a document, which is a prompt without positions, into prompts of at most window tokens.
	// Each begins stride tokens after the one before.
	Windows(document schema.Prompt, window, stride int) iter.Seq2[schema.Example, error]
	// Prepare settles what depends on the prompts, and is given some of them. It is called once, before
	// Stream, and may change the heads, bases and movers of the run.
	Prepare(context.Context, []schema.Example) error
	// Notices lists what was left out, one sentence each.
	Notices() []string
	// Passes groups prompts by forward pass, for calls of Stream.
	Passes([]schema.Example) [][]schema.Example
	// Stream yields the results of each prompt, in order: an example for each of its edges (the given one,
	// and those chosen by rules), and the measures of heads on it. They do not depend on the other prompts.
	// Prompt i comes in one or more consecutive parts, and the first part has the measures. Calls of Stream
	// do not overlap. In the exact convention, contributions that do not add up are an error.
	Stream(ctx context.Context, prompts []schema.Example,
		yield func(i int, part schema.PromptResult) error) error
}

// SavedQuery is a query that is stored in the file.
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
	// Resumable reports that the file has its final name: if the process ends now, Resume continues after
	// these prompts.
	Resumable bool
}

// Options says what to run and where to write it.
type Options struct {
	Engine  Engine
	Prompts iter.Seq2[schema.Prompt, error] // ranged over twice, with the same prompts both times

	Path   string // database file
	Append bool   // add a run to the file, which must exist
	Force  bool   // replace the file if it exists

	// Resume continues the last unfinished run of the file that was begun with the same model, prompts and
	// options. If that run is complete, nothing is written, and [Summary.Known] is set. If there is none, the
	// run fails with an error that wraps [ErrNotResumable]. A missing file, or one without runs, gets a new
	// run.
	Resume bool

	// Shard is the part of the run to compute; the zero value is all of it. Everything that depends on other
	// prompts (default bases, movers, random draws, ids) is as in the whole run. The file of a shard appears
	// when the shard is complete. If the file already holds the same shard, the run writes nothing and sets
	// [Summary.Known]; if it holds another one, the run fails with a [DifferentError].
	Shard schema.Shard

	// There reports whether a shard with a run key is already in the final place of the file. If it is,
	// nothing is written, and [Summary.Known] is set. A nil There means that Path is the only place.
	There func(runKey string) (bool, error)

	// These fields go into the manifest as they are.
	CreatedAt    time.Time
	Version      string // of ducklens
	CommandLine  string
	PromptSource string
	Seed         int64 // of the prompts, and of the random names and tokens

	// Names are the names from which the substitution W_U[random name] is drawn, without a leading space; nil
	// leaves out this substitution. See [prompts.Draws] for the draws. The exact convention uses the token of
	// a name with a leading space, as it appears in a prompt. The notebook convention uses the first token of
	// the name without the space, like the published research code.
	Names []string

	// Window and Stride are the arguments of [Engine.Windows] for documents; 0 if there are no documents.
	Window, Stride int

	// MeansOnly stores moments of contributions over the prompts instead of rows of contributions and
	// factors. By names fields (template, prompt_order, or a column of the prompt file); moments are also
	// stored for each group of prompts with the same value of a field.
	MeansOnly bool
	By        []string

	// MadeFor names what has a part for each prompt, such as "query basis mine" with one subspace for each,
	// and the number of prompts that it was made for. If the run has a different number, it fails with a
	// [MadeForError] before it begins.
	MadeFor map[string]int

	// BatchPrompts is the number of prompts that are committed together; 0 chooses a number that bounds the
	// rows of a batch. Results do not depend on it.
	BatchPrompts int

	// Large allows a run to exceed [MaxRows] and [MaxBytes]. Otherwise such a run fails with a
	// [TooLargeError], after its first batch if that shows it, or as soon as it exceeds the bounds.
	Large bool

	only   func(prompt int) bool // reports whether a prompt is in the sample; nil: no sample
	enough func() bool           // reports whether the sample is large enough
	most   limits                // set by tests; zero: MaxRows and MaxBytes

	SavedQueries []SavedQuery   // added to the file unless it has a query of the same name
	Database     dbfile.Options // Replace is ignored: Force decides
	// Progress, if not nil, is called from one goroutine, at the start and after each batch.
	Progress func(Progress)
	Logger   *slog.Logger // nil: none
}

// ErrOptions is wrapped by the error for invalid options.
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
	fault(o.Append && o.Force, "both append and force, want at most one: append keeps the file, "+
		"force replaces it")
	fault(o.Resume && (o.Append || o.Force),
		"resume together with append or force, want it alone: it continues a run that the file has")
	fault(o.MeansOnly && (o.Append || o.Resume),
		"means alone together with append or resume, want neither: such a run is written in one piece")
	fault(len(o.By) > 0 && !o.MeansOnly, "means by %s, want means alone: rows can be grouped when "+
		"they are asked", strings.Join(o.By, ", "))
	fault(!o.Shard.Whole() && (o.Resume || o.Append), "a shard together with resume or append, "+
		"want it alone: it is a file of its own, and is begun again")
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

// manifest returns the manifest of the run. It is called after the engine has been prepared.
func (o *Options) manifest(p prompted) schema.Run {
	run := o.Engine.Run()
	run.CreatedAt, run.Version, run.CommandLine = o.CreatedAt, o.Version, o.CommandLine
	run.PromptSource, run.Prompts, run.PromptsSHA256, run.Seed = o.PromptSource, p.total, p.sha256, o.Seed
	run.Options, run.Shard = o.further(run.Options), o.Shard
	run.PairMeans = keepsMeans(&run)
	if o.MeansOnly {
		run.Factors, run.Pairs = false, false // computed for the means of pairs, but not stored
	}
	return run
}

// further adds the options of ingest that have no column to the JSON object of the engine's options.
func (o *Options) further(engine string) string {
	var list []string
	if o.Window != 0 {
		list = append(list, fmt.Sprintf(`"window":%d`, o.Window))
	}
	if o.Window != 0 && o.Stride != 0 {
		list = append(list, fmt.Sprintf(`"stride":%d`, o.Stride))
	}
	if o.MeansOnly {
		by, err := json.Marshal(slices.Concat([]string{}, o.By))
		if err != nil {
			panic(err) // strings always marshal
		}
		list = append(list, `"keep":"means"`, `"by":`+string(by))
	}
	if len(list) == 0 {
		return engine
	}
	text := strings.Join(list, ",")
	if rest := strings.TrimPrefix(engine, "{"); rest != "" && rest != "}" {
		return "{" + text + "," + rest
	}
	return "{" + text + "}"
}

// begins reports that there is no file yet. A run that stops before its first batch leaves none.
func (o *Options) begins() bool {
	_, err := os.Lstat(o.Path)
	return errors.Is(err, fs.ErrNotExist)
}

// CheckTarget reports early whether a run could be written to the path. For a new file, its folder must exist
// and the file must not, unless Force is set and nobody writes it. To append or resume, the file must be a
// ducklens file that nobody else has open. [Run] checks again.
func (o *Options) CheckTarget(ctx context.Context) error {
	if o.Append && o.begins() {
		return &dbfile.Error{Op: "open", Path: o.Path, Kind: dbfile.ErrNotFound,
			Advice: "check the path, or leave out --append to make the file"}
	}
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
		if !o.Shard.Whole() && errors.Is(err, dbfile.ErrExists) {
			err = nil // it may be this shard
		}
	}
	if err == nil {
		err = dbfile.CheckParent(target)
	}
	return dbfile.Fail("create", o.Path, err)
}

// MaxFactorHeads is the largest number of target heads for which factors are stored by default; see
// [FactorsByDefault].
const MaxFactorHeads = 12

// FactorsByDefault reports whether a run with so many target heads stores factors by default. With the
// default bases, a head in layer 10 of GPT-2 small has 130 kB of them for each prompt, twice the size of its
// contributions. A dozen heads over 100 prompts take 160 MB; all 144 would take gigabytes for tables of pairs
// that nobody looks at.
func FactorsByDefault(heads int) bool { return 0 < heads && heads <= MaxFactorHeads }
