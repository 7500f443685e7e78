package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// Bounds of a run, unless [Options.Large] is set.
const (
	MaxRows  = 50_000_000
	MaxBytes = 2_000_000_000
)

// limits bounds a run.
type limits struct{ rows, bytes float64 }

// Size is the size of a run, or an estimate of it.
type Size struct {
	Prompts, Tokens int64
	Edges           int64
	Rows            map[string]int64 // by table
	Bytes           int64
	Seconds         float64 // to compute and write the run
	Sample          int     // prompts that were computed for the estimate
}

// TotalRows returns the number of rows in all tables.
func (s *Size) TotalRows() (n int64) {
	for _, rows := range s.Rows {
		n += rows
	}
	return n
}

// TooLargeError is the error for a run that would exceed the bounds without [Options.Large].
type TooLargeError struct {
	Path        string
	Rows, Bytes int64
	Prompts     int // prompts that the estimate is made from
	Total       int // of the run
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s: about %s rows and %s of them, as the first %d of %d prompts are, "+
		"want at most %s and %s", e.Path, millions(e.Rows), Bytes(e.Bytes), e.Prompts, e.Total,
		millions(MaxRows), Bytes(MaxBytes))
}

// Hint says how to make the run smaller.
func (e *TooLargeError) Hint() string {
	return "fewer prompts, heads, bases or edges make it smaller; it can be made all the same where " +
		"that is wanted"
}

// millions formats a large count.
func millions(n int64) string {
	if n < 1_000_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%.3g million", float64(n)/1e6)
}

// Bytes formats a size in bytes.
func Bytes(n int64) string {
	if n < 1_000_000_000 {
		return fmt.Sprintf("%.3g MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.3g GB", float64(n)/1e9)
}

// rowBytes estimates the size of a row of each table in the file. Floats hardly compress; everything else
// takes almost nothing. Rows with zero quadrants or without a baseline are smaller.
func rowBytes(run *schema.Run) (list [tableCount]float64, err error) {
	const other = 0.5 // ids of runs, examples, heads and components repeat
	tables, err := dbfile.Tables()
	if err != nil {
		return list, err
	}
	for i, name := range tableNames {
		t := tables[slices.IndexFunc(tables, func(t dbfile.Table) bool { return t.Name == name })]
		for _, c := range t.Columns {
			switch c.Type {
			case "FLOAT":
				list[i] += 4
			case "DOUBLE":
				list[i] += 8
			case "FLOAT[]":
				list[i] += 4 * float64(run.Model.DHead)
			case "BLOB":
				list[i] += 300 // sums and counts
			default:
				list[i] += other
			}
		}
	}
	return list, nil
}

// tooLarge refuses a run that is going to be too large. If the rows written are the first batch, and whole
// prompts, it extrapolates in proportion to the tokens of all prompts.
func (w *writer) tooLarge(written [tableCount]int64, prompts int, open bool) error {
	if w.opts.Large {
		return nil
	}
	width, err := rowBytes(&w.run)
	if err != nil {
		return err
	}
	share := 1.0
	if w.summary.Batches == 0 && w.resumed == nil && prompts > 0 && w.tokens > 0 && !open {
		share = float64(w.allTokens) / float64(w.tokens)
	}
	var rows, size float64
	for i, n := range written {
		more := share
		if i == tablePairMean || i == tableMoment {
			more = 1
		}
		rows += more * float64(n+w.rows[i])
		size += more * float64(n+w.rows[i]) * width[i]
	}
	if rows <= cmp.Or(w.opts.most.rows, MaxRows) && size <= cmp.Or(w.opts.most.bytes, MaxBytes) {
		return nil
	}
	return &TooLargeError{Path: w.opts.Path, Rows: int64(rows), Bytes: int64(size),
		Prompts: w.summary.Prompts + prompts, Total: w.wanted}
}

// Bounds of the sample that [Measure] computes.
const (
	samplePrompts = 24
	sampleTime    = 5 * time.Second
)

// Measure estimates the size of a run without making it. It counts prompts and tokens, analyses a few prompts
// of all lengths, and writes the results to a temporary file. It writes nothing to Path.
func Measure(ctx context.Context, opts Options) (size Size, err error) {
	if err := opts.Validate(); err != nil {
		return size, err
	}
	source, err := checkPrompts(ctx, &opts)
	if err != nil {
		return size, err
	}
	if err := prepare(ctx, &opts, source.probe); err != nil {
		return size, err
	}
	dir, err := os.MkdirTemp("", "ducklens-")
	if err != nil {
		return size, fmt.Errorf("a temporary folder for a sample of the run: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := newWriter(&opts, opts.manifest(source))
	if err := w.choose(source); err != nil {
		return size, err
	}
	wanted := sampled(source.tokens[w.firstPrompt : w.firstPrompt+w.wanted])
	begun := time.Now()
	opts.Path = filepath.Join(dir, "sample.duckdb")
	opts.Append, opts.Force, opts.Resume, opts.Large = false, false, false, true
	opts.Progress, opts.SavedQueries = nil, nil
	opts.only = func(prompt int) bool { return wanted[prompt-w.firstPrompt] }
	opts.enough = func() bool { return time.Since(begun) > sampleTime }
	prompts := w.wanted
	w.wanted = len(wanted)
	if err := w.pipe(ctx, slog.New(slog.DiscardHandler)); err != nil && !errors.Is(err, errSampled) {
		if w.db != nil {
			err = errors.Join(err, w.release())
		}
		return size, err
	}
	took := time.Since(begun)
	means := w.rows
	err = w.db.InTx(ctx, w.conn, func() error { return w.complete(ctx) })
	if err = errors.Join(err, w.close(ctx)); err != nil {
		return size, err
	}
	return w.size(prompts, means, took)
}

// size extrapolates the size of a sample to the run, in proportion to the tokens. sample counts the rows of
// the sample without those that a run has only once.
func (w *writer) size(prompts int, sample [tableCount]int64, took time.Duration) (size Size, err error) {
	size = Size{Prompts: int64(prompts), Tokens: w.allTokens, Rows: map[string]int64{},
		Sample: w.summary.Prompts}
	share := float64(size.Tokens) / float64(max(1, w.tokens))
	if w.summary.Prompts == prompts {
		share = 1
	}
	width, err := rowBytes(&w.run)
	if err != nil {
		return size, err
	}
	for i, name := range tableNames {
		n := math.Round(share*float64(sample[i])) + float64(w.rows[i]-sample[i])
		if size.Bytes += int64(n * width[i]); n > 0 {
			size.Rows[name] = int64(n)
		}
	}
	size.Bytes += emptyBytes
	size.Edges, size.Seconds = size.Rows["edge"], share*took.Seconds()
	return size, nil
}

// emptyBytes is the approximate size of a file without rows.
const emptyBytes = 2_500_000

// errSampled ends a sample that takes too long.
var errSampled = errors.New("enough is known")

// sampled chooses prompts of all lengths: it divides them into groups of similar length and takes the middle
// one of each.
func sampled(tokens []int32) map[int]bool {
	order := make([]int, len(tokens))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(tokens[a]) - int(tokens[b]) })
	n := min(samplePrompts, len(tokens))
	chosen := map[int]bool{}
	for i := range n {
		chosen[order[(2*i+1)*len(tokens)/(2*n)]] = true
	}
	return chosen
}
