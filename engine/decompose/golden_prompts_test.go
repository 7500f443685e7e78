package decompose_test

import (
	"path/filepath"
	"strings"
	"testing"

	"ducklens/engine/internal/refdata"
	"ducklens/engine/model"
)

// promptSet gives the tokens and the positions END, IO, S1 of a reference prompt set, such as
// mixed_n40_seed0_nobos, in the vocabulary of the model in dir. The repository has them for m2; the full
// reference data for both models.
func promptSet(tb testing.TB, dir, name string) []model.Sequence {
	tb.Helper()
	var sequences []model.Sequence
	if dir == refdata.M2(tb) {
		var sets map[string]struct {
			Tokens      [][]int
			End, IO, S1 []int
		}
		refdata.JSON(tb, filepath.Join(dir, "golden", "prompt_tokens.json"), &sets)
		set, ok := sets[name]
		if !ok {
			tb.Fatalf("no prompt set %s", name)
		}
		for i, tokens := range set.Tokens {
			sequences = append(sequences, model.Sequence{Tokens: tokens, Positions: []int{set.End[i], set.IO[i], set.S1[i]}})
		}
		return sequences
	}
	var set struct {
		Words   map[string][]int `json:"word_idx"`
		Prompts []struct {
			Full  []int `json:"toks"`
			Small []int `json:"small_toks"`
		}
	}
	refdata.JSON(tb, filepath.Join(refdata.Prompts(tb), "prompts_"+name+".json"), &set)
	for i, p := range set.Prompts {
		tokens := p.Full
		if strings.HasSuffix(filepath.Clean(dir), "m2") {
			tokens = p.Small
		}
		end := set.Words["end"][i]
		sequences = append(sequences, model.Sequence{Tokens: tokens[:end+1], Positions: []int{end, set.Words["IO"][i], set.Words["S1"][i]}})
	}
	return sequences
}

// targets gives the target head and the mover heads of a reference folder.
func targets(tb testing.TB, dir string) notebookNumbers {
	tb.Helper()
	var n notebookNumbers
	refdata.JSON(tb, filepath.Join(dir, "golden", "notebook_numbers.json"), &n)
	if len(n.Movers) != 2 || len(n.Values) == 0 {
		tb.Fatalf("notebook_numbers.json: %+v", n)
	}
	return n
}
