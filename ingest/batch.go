package ingest

import (
	"slices"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// A batch holds at most maxBatchPrompts prompts and, unless a single prompt has more, maxBatchRows rows of
// contributions. Smaller batches spend more time on commits, and on short matrix products when a forward pass
// has few prompts. Larger batches lose more when the process dies. 48 prompts of some 20 tokens are two
// passes of the engine; with the default bases of a head in layer 10 of GPT-2 small they make 165,000 rows.
const (
	maxBatchPrompts = 48
	maxBatchRows    = 200_000
)

// maxPartRows bounds the rows of contributions and attention that are in memory for edges chosen by rules.
const maxPartRows = 50_000

// batchPrompts returns the number of prompts in a batch: asked if it is positive, else as many as the bounds
// allow, or a few less if that makes the file smaller.
func batchPrompts(asked int, run *schema.Run) int {
	if asked > 0 {
		return asked
	}
	// Rows of one example. Only contributions, factors and coordinates have many.
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
		if !slices.ContainsFunc([]int{contributions, factors, coordinates[0], coordinates[1]},
			func(rows int) bool { return leavesHoles(n * rows) }) {
			return n
		}
	}
	return most
}

// leavesHoles reports whether batches of so many rows make DuckDB write a table twice. DuckDB stores a batch
// larger than a row group in new row groups. When the file is closed, it merges up to three neighbours if
// that makes one group less. Batches of one or two row groups and at most half of another are all written
// again this way, and the file keeps the holes. On 200 prompts of GPT-2 small's shape, with 8,294 query
// factors each, a fifth of the file is holes with batches of 29 prompts, and a hundredth with batches of 24
// or 48.
func leavesHoles(rows int) bool {
	groups, rest := rows/dbfile.RowGroupRows, rows%dbfile.RowGroupRows
	return (groups == 1 || groups == 2) && 0 < rest && rest <= dbfile.RowGroupRows/2
}

// sideRows counts the rows of one side of a head: the components that write before its layer, and the bias.
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

// countPairs returns an upper bound of the pairs of bases of one side's contributions: each basis of the
// query side with each one of the key side, and random bases with the random basis of the same number.
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

// countAxes counts, for each side, the axes along which factors have coordinates.
func countAxes(bases []schema.Basis) (n [2]int) {
	for _, b := range bases {
		if splitsFactors(b) {
			n[b.Side] += b.Dimension
		}
	}
	return n
}

// splitsFactors reports whether factors are split along a basis. They are split along subspaces that are not
// random.
func splitsFactors(b schema.Basis) bool {
	_, null := b.NullNumber()
	return b.Kind == schema.Subspace && !null
}

// countSplits counts the pairs of bases that split pairs of factors. A side without a subspace counts as one
// basis.
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
