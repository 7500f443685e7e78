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

// What a run may become unless somebody says that it may be larger: see [Options.Large].
const (
	MaxRows  = 50_000_000
	MaxBytes = 2_000_000_000
)

// limits are what a run may become.
type limits struct{ rows, bytes float64 }

// Size is what a run is going to be, or is.
type Size struct {
	Prompts, Tokens int64
	Edges           int64
	Rows            map[string]int64 // by table
	Bytes           int64
	Seconds         float64 // to compute and write it
	Sample          int     // prompts that were computed to know
}

// TotalRows counts the rows of all tables.
func (s *Size) TotalRows() (n int64) {
	for _, rows := range s.Rows {
		n += rows
	}
	return n
}

// TooLargeError is the error of a run that would become larger than it may without somebody's saying so.
type TooLargeError struct {
	Path        string
	Rows, Bytes int64
	Prompts     int // that it is known from
	Total       int // of the run
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s: about %s rows and %s of them, as the first %d of %d prompts are, want at most %s and %s",
		e.Path, millions(e.Rows), Bytes(e.Bytes), e.Prompts, e.Total, millions(MaxRows), Bytes(MaxBytes))
}

// Hint says what makes it smaller.
func (e *TooLargeError) Hint() string {
	return "fewer prompts, heads, bases or edges make it smaller; it can be made all the same where that is wanted"
}

// millions writes a large count as people read it.
func millions(n int64) string {
	if n < 1_000_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%.3g million", float64(n)/1e6)
}

// Bytes writes a size as people read it.
func Bytes(n int64) string {
	if n < 1_000_000_000 {
		return fmt.Sprintf("%.3g MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.3g GB", float64(n)/1e9)
}

// rowBytes says what a row of each table takes in the file: its numbers, which hardly compress, and next to nothing for the rest. Where
// quadrants are zero or there is no baseline it is less.
func rowBytes(run *schema.Run) (list [tableCount]float64, err error) {
	const other = 0.5 // numbers of runs, examples, heads, components repeat
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
			default:
				list[i] += other
			}
		}
	}
	return list, nil
}

// tooLarge refuses a run that is going to be too large, by what is written of it: where that is the first batch, and whole prompts, in
// proportion to the tokens of all prompts.
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
		if i == tablePairMean {
			more = 1
		}
		rows += more * float64(n+w.rows[i])
		size += more * float64(n+w.rows[i]) * width[i]
	}
	if rows <= cmp.Or(w.opts.most.rows, MaxRows) && size <= cmp.Or(w.opts.most.bytes, MaxBytes) {
		return nil
	}
	return &TooLargeError{Path: w.opts.Path, Rows: int64(rows), Bytes: int64(size), Prompts: w.summary.Prompts + prompts, Total: w.run.Prompts}
}

// Bounds of the sample that [Measure] computes.
const (
	samplePrompts = 24
	sampleTime    = 5 * time.Second
)

// Measure says what a run is going to be, without making it: prompts and tokens are counted, and a few prompts, of all lengths, are
// computed and written to a temporary file. Nothing is written to Path.
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
	wanted := sampled(source.tokens)
	begun := time.Now()
	opts.Path, opts.Append, opts.Force, opts.Resume, opts.Large = filepath.Join(dir, "sample.duckdb"), false, false, false, true
	opts.Progress, opts.SavedQueries = nil, nil
	opts.only = func(prompt int) bool { return wanted[prompt] }
	opts.enough = func() bool { return time.Since(begun) > sampleTime }
	w := newWriter(&opts, opts.manifest(source))
	w.run.Prompts = len(wanted)
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
	return w.size(source, means, took)
}

// size makes the size of a run of that of a sample, in proportion to the tokens. sample counts its rows without those that a run has once.
func (w *writer) size(source prompted, sample [tableCount]int64, took time.Duration) (size Size, err error) {
	size = Size{Prompts: int64(source.total), Rows: map[string]int64{}, Sample: w.summary.Prompts}
	for _, n := range source.tokens {
		size.Tokens += int64(n)
	}
	share := float64(size.Tokens) / float64(max(1, w.tokens))
	if w.summary.Prompts == source.total {
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

// emptyBytes is about what a file takes without rows.
const emptyBytes = 2_500_000

// errSampled ends a sample that takes long.
var errSampled = errors.New("enough is known")

// sampled chooses prompts of all lengths: the middle one of each of several groups of like length.
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
