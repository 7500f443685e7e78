package engine_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine"
	"ducklens/engine/model"
	"ducklens/schema"
)

// Bounds on the passes in these tests.
const (
	passRows     = 640
	passExamples = 48
)

// beginningsOf counts the distinct beginnings of examples.
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

// alike returns an example of tokens 0, 1, ... up to a length. The first shared tokens are those of every
// example, and the others are its own.
func alike(index, shared, query int) schema.Example {
	x := schema.Example{Index: index, PromptIndex: index, Query: query, Tokens: make([]schema.Token, query+2)} // what follows the query position does not count
	for i := range x.Tokens {
		x.Tokens[i].ID = i
		if i >= shared {
			x.Tokens[i].ID += 1000 * (index + 1)
		}
	}
	return x
}

// Passes keep the order, and have at most as many examples and rows as their bounds, unless a single example
// has more rows.
func TestPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shared := rapid.SampledFrom([]int{0, 1, 5, 300, 700}).Draw(t, "shared")
		queries := rapid.SliceOfN(rapid.IntRange(0, 900), 0, 150).Draw(t, "query positions")
		examples := make([]schema.Example, len(queries))
		for i, q := range queries {
			examples[i] = alike(i, shared, q)
		}
		next := 0
		for _, part := range engine.PassesOf(examples, passRows, passExamples) {
			for _, x := range part {
				if x.Index != next {
					t.Fatalf("example %d after %d", x.Index, next-1)
				}
				next++
			}
			if n := beginningsOf(part); len(part) == 0 || len(part) > passExamples || len(part) > 1 && n > passRows {
				t.Errorf("a pass of %d examples and %d rows, want at most %d and %d", len(part), n, passExamples, passRows)
			}
		}
		if next != len(examples) {
			t.Errorf("%d of %d examples", next, len(examples))
		}
	})
}

// Examples of one length make as few passes as possible, of about the same size, without a small one at the
// end.
func TestPassesAreEven(t *testing.T) {
	for _, shared := range []int{0, 1, 10, 20} {
		for n := 1; n < 200; n++ {
			examples := make([]schema.Example, n)
			for i := range examples {
				examples[i] = alike(i, shared, 21)
			}
			passes := engine.PassesOf(examples, passRows, passExamples)
			most := min(passExamples, (passRows-shared)/(22-shared))
			if want := (n + most - 1) / most; len(passes) != want {
				t.Errorf("%d examples that share %d tokens: %d passes, want %d", n, shared, len(passes), want)
			}
			if most, last := len(passes[0]), len(passes[len(passes)-1]); most-last >= len(passes) {
				t.Errorf("%d examples in %d passes: the first has %d, the last %d", n, len(passes), most, last)
			}
		}
	}
}

// Passes are bounded by bytes: for GPT-2 small, about 640 rows and 48 examples, half as many if numbers have
// twice the size, and fewer examples if more is computed for each. A large model gets a share of its weights.
func TestPassBounds(t *testing.T) {
	t.Parallel()
	small := model.Spec{Layers: 12, Heads: 12, KVHeads: 12, DModel: 768, DHead: 64, DMLP: 3072, NCtx: 1024, Position: true, PreNorm: true,
		Norm: model.Norm{Centre: true}, Bias: model.Biases{QKV: true, O: true, Norm: true, MLP: true}}
	large := model.Spec{Layers: 16, Heads: 32, KVHeads: 8, DModel: 2048, DHead: 64, DMLP: 8192, NCtx: 131072, PreNorm: true, Gated: true}
	one := []schema.Head{{Layer: 10, Index: 7}}
	for name, c := range map[string]struct {
		spec                    model.Spec
		options                 engine.Options
		heads                   []schema.Head
		rows, examples, atLeast int
	}{
		"GPT-2 small": {small, engine.Options{Factors: true}, one, 640, 48, 600},
		"float64":     {small, engine.Options{Factors: true, Precision: engine.Float64}, one, 320, 27, 300},
		"pairs":       {small, engine.Options{Pairs: true}, one, 640, 8, 600},
		"1B":          {large, engine.Options{Factors: true}, one, 1000, 16, 500},
	} {
		rows, examples := engine.PassBounds(&c.spec, c.options, c.heads, 21)
		t.Logf("%s: %d rows, %d examples", name, rows, examples)
		near := func(got, want int) bool { return got >= want*9/10 && got <= want*11/10 }
		if !near(rows, c.rows) || !near(examples, c.examples) || rows < c.atLeast {
			t.Errorf("%s: %d rows and %d examples, want about %d and %d", name, rows, examples, c.rows, c.examples)
		}
	}
}
