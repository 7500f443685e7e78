package ingest

import (
	"slices"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// A batch holds at most maxBatchPrompts prompts and, as far as single prompts allow it, maxBatchRows
// contribution rows. Smaller batches spend more time on commits, and on short matrix products where there are few prompts for
// a forward pass; larger ones lose more when the process dies. 48 prompts of some 20 tokens are two passes of the engine.
// The default bases of a head in layer 10 of GPT-2 small make 165,000 rows of 48 prompts.
const (
	maxBatchPrompts = 48
	maxBatchRows    = 200_000
)

// maxPartRows bounds what lies in memory of edges that rules have chosen: rows of contributions and attention.
const maxPartRows = 50_000

// batchPrompts gives the number of prompts in a batch: what was asked for, or as many as the bounds allow, or a few
// less where that keeps the file small.
func batchPrompts(asked int, run *schema.Run) int {
	if asked > 0 {
		return asked
	}
	// Rows of an example in contributions, factors and coordinates; those of other tables are few.
	var contributions, factors int
	var coordinates [2]int
	for _, h := range run.Heads {
		rows := sideRows(run, h.Head)
		contributions += 2 * rows * countPairs(run.Bases)
		if run.Factors {
			factors += rows
			for side, axes := range countAxes(run.Bases) {
				coordinates[side] += rows * axes
			}
		}
	}
	most := min(maxBatchPrompts, max(1, maxBatchRows/max(1, contributions)))
	for n := most; n > most/2; n-- {
		if !slices.ContainsFunc([]int{contributions, factors, coordinates[0], coordinates[1]}, func(rows int) bool { return leavesHoles(n * rows) }) {
			return n
		}
	}
	return most
}

// leavesHoles tells whether batches of so many rows make DuckDB write a table twice. A batch larger than a row group is stored
// in row groups of its own, and when the file is closed up to three neighbours become one less if their rows fit: batches of
// one or two row groups and at most half of another are all written again, and the file keeps the holes. Measured on 200
// prompts of GPT-2 small's shape: batches of 29 with 8,294 query factors each, a fifth of the file is holes; of 24 or 48, a
// hundredth.
func leavesHoles(rows int) bool {
	groups, rest := rows/dbfile.RowGroupRows, rows%dbfile.RowGroupRows
	return (groups == 1 || groups == 2) && 0 < rest && rest <= dbfile.RowGroupRows/2
}

// sideRows counts the rows that a vector of a head is split into: the components that write before its layer, and the bias.
func sideRows(run *schema.Run, head schema.Head) int {
	n := 0
	for _, c := range run.Components {
		switch {
		case c.Kind == schema.QBias:
			n++
		case c.Kind != schema.KBias && c.Layer < head.Layer:
			n++
		}
	}
	return n
}

// countPairs bounds the pairs of bases that contributions of one side have: every one on the query side with every one on
// the key side, and random ones number by number.
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

// countAxes counts the axes of each side that factors have coordinates along.
func countAxes(bases []schema.Basis) (n [2]int) {
	for _, b := range bases {
		if splitsFactors(b) {
			n[b.Side] += b.Dimension
		}
	}
	return n
}

// splitsFactors tells whether factors are split along a basis: along subspaces, but for random ones.
func splitsFactors(b schema.Basis) bool {
	_, null := b.NullNumber()
	return b.Kind == schema.Subspace && !null
}

// countSplits counts the pairs of bases that split pairs of factors, with none on a side that has no subspace.
func countSplits(bases []schema.Basis) int {
	var n [2]int
	for _, b := range bases {
		if splitsFactors(b) {
			n[b.Side]++
		}
	}
	if n[schema.Query]+n[schema.Key] == 0 {
		return 0
	}
	return max(1, n[schema.Query]) * max(1, n[schema.Key])
}
