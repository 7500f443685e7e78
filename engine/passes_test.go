package engine_test

import (
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine"
	"ducklens/schema"
)

// tokens counts those of a pass.
func tokens(examples []schema.Example) (n int) {
	for _, x := range examples {
		n += x.Query + 1
	}
	return n
}

// Passes keep the order, are no longer than their bound but for an example that is.
func TestPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		queries := rapid.SliceOfN(rapid.IntRange(0, 900), 0, 120).Draw(t, "query positions")
		examples := make([]schema.Example, len(queries))
		for i, q := range queries {
			examples[i] = schema.Example{Index: i, Query: q}
		}
		next := 0
		passes := engine.Passes(examples)
		for _, part := range passes {
			for _, x := range part {
				if x.Index != next {
					t.Fatalf("example %d after %d", x.Index, next-1)
				}
				next++
			}
			if n := tokens(part); len(part) == 0 || len(part) > 1 && n > engine.PassTokens {
				t.Errorf("a pass of %d examples and %d tokens, want at most %d", len(part), n, engine.PassTokens)
			}
		}
		if next != len(examples) {
			t.Errorf("%d of %d examples", next, len(examples))
		}
	})
}

// Examples of one length make passes of about one size: none is left with a few at the end.
func TestPassesAreEven(t *testing.T) {
	for n := 1; n < 200; n++ {
		examples := make([]schema.Example, n)
		for i := range examples {
			examples[i].Query = 21
		}
		passes := engine.Passes(examples)
		fewest := (tokens(examples) + engine.PassTokens - 1) / engine.PassTokens
		if len(passes) != fewest {
			t.Errorf("%d examples: %d passes, want %d", n, len(passes), fewest)
		}
		if most, last := len(passes[0]), len(passes[len(passes)-1]); most-last >= len(passes) {
			t.Errorf("%d examples in %d passes: the first has %d, the last %d", n, len(passes), most, last)
		}
	}
}
