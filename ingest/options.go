package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// Engine computes the results that a run writes. It is what ingest needs of an engine.Engine.
type Engine interface {
	// Model describes the model, Heads lists the target heads.
	Model() schema.Model
	Heads() []schema.Head
	// Example makes a prompt ready: tokens, BOS included, and positions.
	Example(schema.Prompt) (schema.Example, error)
	// Prepare settles what depends on the prompts, from some of them. It is called once, before Analyze, and may
	// change what the next three methods say.
	Prepare(context.Context, []schema.Example) error
	// Bases lists the bases that results refer to by index, Movers the heads whose outputs are substituted and
	// projected, and Notices, a sentence each, what was left out.
	Bases() []schema.Basis
	Movers() []schema.Head
	Notices() []string
	// Analyze gives one result for each example, in their order, that does not depend on the others. It is
	// called again only after it has returned.
	Analyze(context.Context, []schema.Example) ([]schema.Result, error)
}

// SavedQuery is a question that travels with the file.
type SavedQuery struct {
	Name string
	SQL  string // with its header
}

// Progress says how far a run has come.
type Progress struct {
	Examples int   // written and committed
	Total    int   // in the whole run
	Rows     int64 // written, in all tables
}

// Options says what to run and where to write it.
type Options struct {
	Engine  Engine
	Prompts iter.Seq2[schema.Prompt, error] // ranged over twice, and must give the same both times

	Path   string // database file
	Append bool   // add a run to the file, which must exist
	Force  bool   // replace the file if it exists

	// Resume continues the last unfinished run of the file that was begun with the same model, prompts and options, and refuses with a
	// [DifferentError] if there is none. A file without any run gets one.
	Resume bool

	// Run is the manifest. Model, Heads, Bases, Movers, Factors and Pairs are taken from the engine and from what it gives,
	// whatever is in it; the rest must be filled in, and be true.
	Run schema.Run

	// Names are what the names of the substitution W_U[random name] are drawn from, without a space in front; nil: there is
	// no such substitution. See [prompts.Draws] for the draws. The exact convention takes the token of a name with a space in
	// front, as it stands in a prompt; the notebook convention, as the published research code, the first token of the name without.
	Names []string

	// MadeFor names what has something for each example, such as "query basis mine" with one subspace each, and for how many
	// examples it was made: a run over another number is refused with a [MadeForError] before it begins.
	MadeFor map[string]int

	// BatchExamples is the number of examples that are committed together; 0 chooses one for a
	// bounded number of rows. Results do not depend on it.
	BatchExamples int

	SavedQueries []SavedQuery   // those that the file does not have yet are added to it
	Database     dbfile.Options // Replace is ignored: Force decides
	Progress     func(Progress) // called in order from one goroutine, at the start and after each batch; may be nil
	Logger       *slog.Logger   // nil: none
}

// A batch holds at most maxBatchExamples examples and, as far as single examples allow it, maxBatchRows
// contribution rows. Smaller batches spend more time on commits, and on short matrix products where there are few examples for a
// forward pass; larger ones lose more when the process dies. 48 prompts of some 20 tokens are two passes of the engine.
// The default bases of a head in layer 10 of GPT-2 small make 165,000 rows of 48 prompts.
const (
	maxBatchExamples = 48
	maxBatchRows     = 200_000
)

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
	fault(o.BatchExamples < 0, "batches of %d examples, want at least 1, or 0 to choose", o.BatchExamples)
	fault(o.Run.Threads < 1, "%d threads in the manifest, want at least 1", o.Run.Threads)
	fault(o.Run.Precision != "float32" && o.Run.Precision != "float64", "precision %q in the manifest, want float32 or float64", o.Run.Precision)
	fault(o.Run.CreatedAt.IsZero(), "no creation time in the manifest")
	if o.Engine != nil {
		fault(len(o.Engine.Heads()) == 0, "no target heads")
		for _, side := range []schema.Side{schema.Query, schema.Key} {
			fault(countBases(o.Engine.Bases(), side) == 0, "no bases for the %s side", side)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}

// CheckTarget tells early whether a run could be written to path: for a new file, that there is none
// yet (or force is set and nobody writes it) and that its folder is there; for append, that the file is there, is ours and
// is not in use. [Run] checks again.
func CheckTarget(ctx context.Context, path string, add, force bool) error {
	if add {
		db, err := dbfile.OpenWriter(ctx, path, dbfile.Options{})
		if err != nil {
			return err
		}
		return db.Close()
	}
	_, err := os.Lstat(path)
	switch {
	case err == nil && !force:
		return &dbfile.Error{Op: "create", Path: path, Kind: dbfile.ErrExists}
	case err == nil:
		// Only what forbids a replacement counts; a damaged or old file may be replaced.
		db, err := dbfile.OpenReader(ctx, path, dbfile.Options{})
		if err == nil {
			return db.Close()
		}
		if errors.Is(err, dbfile.ErrLocked) || errors.Is(err, dbfile.ErrNotDatabase) {
			return err
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return dbfile.Wrap("create", path, err)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return dbfile.Wrap("create", path, err)
	}
	return nil
}

// batchExamples gives the number of examples in a batch: as many as the bounds allow, or a few less where that keeps the file small.
func (o *Options) batchExamples() int {
	if o.BatchExamples > 0 {
		return o.BatchExamples
	}
	var perExample [3]int // rows of contributions, query factors and key factors; those of other tables are few
	bases := o.Engine.Bases()
	for _, h := range o.Engine.Heads() {
		components := schema.StreamComponents(h.Layer, o.Engine.Model().NHeads) + 1
		perExample[0] += 2 * components * countPairs(bases)
		perExample[1] += components * countFactored(bases, schema.Query)
		perExample[2] += components * countFactored(bases, schema.Key)
	}
	most := min(maxBatchExamples, max(1, maxBatchRows/max(1, perExample[0])))
	for n := most; n > most/2; n-- {
		if !slices.ContainsFunc(perExample[:], func(rows int) bool { return leavesHoles(n * rows) }) {
			return n
		}
	}
	return most
}

// leavesHoles tells whether batches of so many rows make DuckDB write a table twice. A batch larger than a row group is stored in row groups of
// its own, and when the file is closed up to three neighbours become one less if their rows fit: batches of one or two
// row groups and at most half of another are all written again, and the file keeps the holes. Measured on 200 prompts of GPT-2 small's
// shape: batches of 29 with 8,294 query factors each, a fifth of the file is holes; of 24 or 48, a hundredth.
func leavesHoles(rows int) bool {
	groups, rest := rows/dbfile.RowGroupRows, rows%dbfile.RowGroupRows
	return (groups == 1 || groups == 2) && 0 < rest && rest <= dbfile.RowGroupRows/2
}

// countFactored counts the bases of a side that have factors: its subspaces but for random ones, or none.
func countFactored(bases []schema.Basis, side schema.Side) int {
	n := 0
	for _, b := range bases {
		if _, null := b.NullNumber(); b.Side == side && b.Kind == schema.Subspace && !null {
			n++
		}
	}
	return max(1, n)
}

// countPairs bounds the pairs of bases of one side: every one on the query side with every one on the key side, and
// random ones number by number.
func countPairs(bases []schema.Basis) int {
	var named [2]int
	random := 0
	for _, b := range bases {
		if _, null := b.NullNumber(); !null {
			named[b.Side]++
		} else if b.Side == schema.Query {
			random++
		}
	}
	return named[schema.Query]*named[schema.Key] + random
}

// MaxFactorHeads is the largest number of target heads for which factors should be stored unless somebody says
// otherwise; see [FactorsByDefault].
const MaxFactorHeads = 12

// FactorsByDefault tells whether a run with so many target heads should store factors if nobody has said. A head in layer 10 of
// GPT-2 small, with the default bases, takes 300 kB of them for each prompt, four times as much as its contributions: a dozen heads over
// 100 prompts are 350 MB, all 144 would be gigabytes for tables of pairs that nobody looks at.
func FactorsByDefault(heads int) bool { return 0 < heads && heads <= MaxFactorHeads }

// countBases counts the bases of one side.
func countBases(bases []schema.Basis, side schema.Side) int {
	n := 0
	for _, b := range bases {
		if b.Side == side {
			n++
		}
	}
	return n
}
