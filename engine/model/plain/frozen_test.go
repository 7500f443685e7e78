package plain_test

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"testing"

	"ducklens/engine/family/familytest"
	"ducklens/engine/model/plain"
	"ducklens/schema"
)

var update = flag.Bool("update", false, "write testdata/frozen.json anew")

// frozen are numbers of a random model: the scores of head 2.1 at the last position, key-side contributions
// to the score of position 20, and the first logits.
type frozen struct{ Scores, KeySide, Logits []float64 }

// The random model of every family keeps the numbers that it had when this package agreed with the reference
// numbers of all families, which a clone by itself does not have; and contributions add up to scores in both
// forms of the weights.
func TestFrozen(t *testing.T) {
	const file, layer, head, key = "testdata/frozen.json", 2, 1, 20
	stored := map[string]frozen{}
	if text, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(text, &stored); err != nil {
			t.Fatal(err)
		}
	} else if !*update {
		t.Fatal(err)
	}
	tokens := make([]int, 24)
	for i := range tokens {
		tokens[i] = (7*i*i + 3) % 101
	}
	last := len(tokens) - 1
	computed := map[string]frozen{}
	for _, kind := range familytest.Types() {
		m, err := plain.Open(familytest.Open(t, familytest.Tiny(kind), 5))
		if err != nil {
			t.Fatal(err)
		}
		r := m.Forward(tokens)
		x := frozen{Logits: m.LogitsAt(r, last)[:5]}
		for j := range tokens {
			if m.Sees(layer, last, j) {
				x.Scores = append(x.Scores, r.Layer[layer].Score[head][last][j])
			}
		}
		for _, form := range []schema.Processing{schema.Raw, schema.Processed} {
			keySide, _ := plain.Sums(m.Pairs(r, form, layer, head, last, key))
			total, size := 0.0, 0.0
			for _, v := range keySide {
				total, size = total+v, max(size, math.Abs(v))
			}
			if score := r.Layer[layer].Score[head][last][key]; math.Abs(total-score) > 1e-12*size {
				t.Errorf("%s: contributions add up to %v, want %v", kind, total, score)
			}
			x.KeySide = keySide
		}
		computed[kind] = x
		if *update {
			continue
		}
		want := stored[kind]
		same(t, kind+" scores", x.Scores, want.Scores)
		same(t, kind+" key side", x.KeySide, want.KeySide)
		same(t, kind+" logits", x.Logits, want.Logits)
	}
	if *update {
		text, err := json.MarshalIndent(computed, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// same compares to a billionth of the largest number.
func same(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d numbers, want %d", what, len(got), len(want))
		return
	}
	size := 0.0
	for _, w := range want {
		size = max(size, math.Abs(w))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= tolerance*size) {
			t.Errorf("%s: number %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}
