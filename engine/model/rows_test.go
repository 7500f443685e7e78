package model_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine/model"
)

// Tokens have the same row where their sequences are the same up to them, and nowhere else; rows are numbered
// as they come.
func TestRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seqs := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 2), 0, 8), 0, 8).Draw(t, "sequences")
		var rows model.Rows
		var beginnings [][]int // by row
		for _, seq := range seqs {
			got, shared := rows.Add(seq)
			if len(got) != len(seq) {
				t.Fatalf("%d rows for %d tokens", len(got), len(seq))
			}
			for i, row := range got {
				known := slices.IndexFunc(beginnings, func(b []int) bool { return slices.Equal(b, seq[:i+1]) })
				if known >= 0 != (i < shared) {
					t.Errorf("token %d of %v after %v: %d shared", i, seq, beginnings, shared)
				}
				if known < 0 {
					known = len(beginnings)
					beginnings = append(beginnings, seq[:i+1])
				}
				if row != known {
					t.Errorf("token %d of %v has row %d, want %d", i, seq, row, known)
				}
			}
			if rows.N != len(beginnings) {
				t.Errorf("%d rows, want %d", rows.N, len(beginnings))
			}
		}
	})
}
