package plain_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model/plain"
	"ducklens/schema"
)

// expected is what a case of the reports says: a number, or the words one of which a refusal has to contain.
type expected struct {
	Head                 string
	Query, Key, Baseline int
	Tokens               []int    `json:"token_ids"`
	Score                *float64 `json:"score"`
	BaselineScore        float64  `json:"baseline_score"`
	Prob                 *float64 `json:"prob"`
	UnembedScore         *float64 `json:"unembed_score"`
	Refuse               []string
	File                 string
	SameAs               string `json:"same_as"`
}

// Models rebuilt from bug reports of other tools give the right numbers, or are refused by the name of what
// is wrong.
func TestReports(t *testing.T) {
	root := refdata.Reports(t)
	refusable := map[string][]string{"tl-no-norm": {"normalization_type"},
		"hf-scale-null": {"scale_attn_weights"}}
	for _, pattern := range []string{"*/expected.json", "checkpoints/*/expected.json"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %d cases", pattern, err, len(paths))
		}
		for _, path := range paths {
			name := filepath.Base(filepath.Dir(path))
			t.Run(name, func(t *testing.T) {
				var x expected
				refdata.JSON(t, path, &x)
				x.Refuse = append(x.Refuse, refusable[name]...)
				if len(x.Tokens) == 0 {
					t.Skip("a case about something else than the model")
				}
				checkReport(t, filepath.Join(filepath.Dir(path), "model", x.File), x)
			})
		}
	}
}

func checkReport(t *testing.T, path string, x expected) {
	m, err := openReport(t, path)
	if err != nil {
		said := strings.ReplaceAll(err.Error(), path, "")
		for _, word := range x.Refuse {
			if strings.Contains(said, word) {
				t.Logf("refused, naming %s: %v", word, err)
				return
			}
		}
		t.Fatalf("refused: %v; want one of %q", err, x.Refuse)
	}
	if x.Score == nil {
		t.Fatalf("read, want a refusal with one of %q", x.Refuse)
	}
	l, h := headOf(x.Head).Layer, headOf(x.Head).Index
	r := m.Forward(x.Tokens)
	tolerance := 1e-9
	if x.File != "" && x.SameAs != "" { // eps and the divisors of frequencies are float32 in a GGUF
		tolerance = 1e-6
	}
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > tolerance*max(1, math.Abs(want)) {
			t.Errorf("%s %v, want %v", what, got, want)
		}
	}
	near("score", r.Layer[l].Score[h][x.Query][x.Key], *x.Score)
	near("baseline", r.Layer[l].Score[h][x.Query][x.Baseline], x.BaselineScore)
	if x.Prob != nil {
		near("probability", r.Layer[l].Pattern[h][x.Query][x.Key], *x.Prob)
	}
	if x.UnembedScore != nil {
		score, _ := m.Substitute(r, plain.Query, l, h, x.Query, x.Key,
			m.UnembedDirection(x.Tokens[x.Key], schema.Processed))
		near("score with W_U[key] in place of the query", score, *x.UnembedScore)
	}
}

func openReport(t *testing.T, path string) (*plain.Model, error) {
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	c, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	return plain.Open(c)
}
