package engine_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine"
	"ducklens/schema"
)

// beginningsOf counts the different beginnings of examples.
func beginningsOf(examples []schema.Example) int {
	beginnings := map[string]bool{}
	for _, x := range examples {
		beginning := ""
		for _, t := range x.Tokens[:x.Query+1] {
			beginning += fmt.Sprint(t.ID, " ")
			beginnings[beginning] = true
		}
	}
	return len(beginnings)
}

// alike makes an example of tokens 0, 1, ... up to a length, in which the first shared are those of every example and the others its own.
func alike(index, shared, query int) schema.Example {
	x := schema.Example{Index: index, Query: query, Tokens: make([]schema.Token, query+2)} // what follows the query position does not count
	for i := range x.Tokens {
		x.Tokens[i].ID = i
		if i >= shared {
			x.Tokens[i].ID += 1000 * (index + 1)
		}
	}
	return x
}

// Passes keep the order, and have no more examples and rows than their bounds, but for an example that has more rows by itself.
func TestPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shared := rapid.SampledFrom([]int{0, 1, 5, 300, 700}).Draw(t, "shared")
		queries := rapid.SliceOfN(rapid.IntRange(0, 900), 0, 150).Draw(t, "query positions")
		examples := make([]schema.Example, len(queries))
		for i, q := range queries {
			examples[i] = alike(i, shared, q)
		}
		next := 0
		for _, part := range engine.Passes(examples) {
			for _, x := range part {
				if x.Index != next {
					t.Fatalf("example %d after %d", x.Index, next-1)
				}
				next++
			}
			if n := beginningsOf(part); len(part) == 0 || len(part) > engine.PassExamples || len(part) > 1 && n > engine.PassRows {
				t.Errorf("a pass of %d examples and %d rows, want at most %d and %d", len(part), n, engine.PassExamples, engine.PassRows)
			}
		}
		if next != len(examples) {
			t.Errorf("%d of %d examples", next, len(examples))
		}
	})
}

// Examples of one length make as few passes as there can be, of about one size: none is left with a few at the end.
func TestPassesAreEven(t *testing.T) {
	for _, shared := range []int{0, 1, 10, 20} {
		for n := 1; n < 200; n++ {
			examples := make([]schema.Example, n)
			for i := range examples {
				examples[i] = alike(i, shared, 21)
			}
			passes := engine.Passes(examples)
			most := min(engine.PassExamples, (engine.PassRows-shared)/(22-shared))
			if want := (n + most - 1) / most; len(passes) != want {
				t.Errorf("%d examples that share %d tokens: %d passes, want %d", n, shared, len(passes), want)
			}
			if most, last := len(passes[0]), len(passes[len(passes)-1]); most-last >= len(passes) {
				t.Errorf("%d examples in %d passes: the first has %d, the last %d", n, len(passes), most, last)
			}
		}
	}
}
