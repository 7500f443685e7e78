package ingest_test

import (
	"errors"
	"iter"
	"maps"
	"math"
	"os"
	"slices"
	"testing"

	"ducklens/ingest"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// TestMeasure compares the estimate with the run. They are equal if all prompts are in the sample.
func TestMeasure(t *testing.T) {
	t.Parallel()
	for _, n := range []int{6, 30} {
		o := textOptions(t, n)
		if n == 30 {
			o.Window = 24
		}
		size, err := ingest.Measure(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(o.Path); err == nil {
			t.Error("there is a file")
		}
		s := mustRun(t, o)
		db, err := dbfile.OpenFor(t.Context(), o.Path, dbfile.Options{Threads: 1}, slices.Collect(maps.Keys(size.Rows))...)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		rows := func(table string) int { return int(column(t, db, "SELECT count(*) FROM "+table)[0]) }
		tolerance := 0.0
		if n == 30 {
			tolerance = 0.1
		}
		if off := math.Abs(float64(size.TotalRows()-s.Rows)) / float64(s.Rows); off > tolerance || size.Prompts != int64(s.Prompts) || size.Tokens != int64(rows("prompt_token")) {
			t.Errorf("%d documents: %+v, and the run has %d prompts and %d rows", n, size, s.Prompts, s.Rows)
		}
		if off := math.Abs(float64(size.Edges-int64(s.Examples))) / float64(s.Examples); off > tolerance {
			t.Errorf("%d documents: %d edges, and the run has %d", n, size.Edges, s.Examples)
		}
		if n == 6 {
			for table, n := range size.Rows {
				if stored := rows(table); int(n) != stored {
					t.Errorf("table %s: %d rows, and the run has %d", table, n, stored)
				}
			}
		}
	}
}

// TestTooLarge checks that a run that would become too large is refused after its first batch and leaves no
// file, that one that grows later is stopped and can be resumed, and that both run with Large.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	whole := textOptions(t, 12)
	s := mustRun(t, whole)
	o := textOptions(t, 12)
	o.BatchPrompts = 2
	o.Limit(float64(s.Rows)/3, 0)
	var tooLarge *ingest.TooLargeError
	if _, err := ingest.Run(t.Context(), o); !errors.As(err, &tooLarge) || errors.As(err, new(*ingest.Incomplete)) {
		t.Errorf("error %v, want it refused", err)
	} else if off := math.Abs(float64(tooLarge.Rows-s.Rows)) / float64(s.Rows); off > 0.5 {
		t.Errorf("%d rows are foreseen, and there are %d", tooLarge.Rows, s.Rows)
	}
	if _, err := os.Lstat(o.Path); err == nil {
		t.Error("there is a file")
	}
	nothingBeside(t, o.Path)

	// The first documents suggest that all are small.
	growing := func() iter.Seq2[schema.Prompt, error] {
		return func(yield func(schema.Prompt, error) bool) {
			for p, err := range texts(12) {
				if p.Document == "doc 11" {
					p.Text += " once"
				}
				if !yield(p, err) {
					return
				}
			}
		}
	}
	late := textOptions(t, 12)
	late.Prompts, late.BatchPrompts = growing(), 2
	want := textOptions(t, 12)
	want.Prompts = growing()
	s = mustRun(t, want)
	late.Limit(float64(s.Rows)*0.9, 0)
	var incomplete *ingest.Incomplete
	if _, err := ingest.Run(t.Context(), late); !errors.As(err, &tooLarge) || !errors.As(err, &incomplete) || incomplete.Prompts == 0 {
		t.Fatalf("error %v, want the run stopped", err)
	}
	late.Resume, late.Large = true, true
	mustRun(t, late)
	if diff := differAll(tables(t, want.Path), tables(t, late.Path)); diff != "" {
		t.Errorf("resumed:\n%.2000s", diff)
	}
}
