package conformance

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestParts: what stays of a score difference when a part of the query or of the key is taken out, and what
// goes, are the whole; and taking out moves the difference. There are no reference numbers for these
// measurements on small models.
func TestParts(t *testing.T) {
	t.Parallel()
	goldens := filepath.Join("..", "..", "..", "shared", "goldens")
	if _, err := os.Stat(goldens); err != nil {
		t.Skip("there is no reference data beside the checkout (../shared/goldens)")
	}
	b := &bench{ctx: t.Context(), dir: t.TempDir(), progress: func(string) {}, subject: Subject{Dir: filepath.Join(goldens, "m2", "model"),
		Templates: filepath.Join(goldens, "prompts", "lists.json"), Head: "2.1", Movers: [2]string{"1.2", "1.3"}}}
	if err := b.run(plain30, "--seed=0", "-n=30"); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	measure := func(m measurement) {
		t.Helper()
		value, err := b.scalar(m)
		if err != nil {
			t.Fatal(err)
		}
		got[m.name] = value
	}
	for _, m := range measurements() {
		switch {
		case m.file == plain30:
			measure(m)
		case strings.HasSuffix(m.name, "_query_projected"):
			m.file = plain30
			measure(m)
		}
	}
	measure(measurement{name: "b_Q", file: plain30, sql: "SELECT avg(diff) AS value FROM contribution_unsplit WHERE head = $head AND component = 'b_Q'"})
	measure(measurement{name: "key off MLP0", file: plain30, sql: `SELECT sum(diff) / count(DISTINCT example_id) AS value FROM contribution
WHERE head = $head AND side = 'key' AND query_basis = 'none' AND key_basis = 'mlp0' AND quadrant = 'perp_perp'`})
	measure(measurement{name: "query in span, key on MLP0", file: plain30, sql: `SELECT sum(diff) / count(DISTINCT example_id) AS value FROM contribution
WHERE head = $head AND side = 'key' AND query_basis = 'unembed+baseline' AND key_basis = 'mlp0' AND quadrant = 'par_par'`})
	clean := got["score_diff_plain_clean"]
	for _, sum := range []struct {
		name      string
		got, want float64
	}{
		{"query: perpendicular, and span with b_Q, less b_Q that is in both", got["score_diff_plain_q"] + got["score_diff_N150_query_projected"] - got["b_Q"], clean},
		{"key: along MLP0, and off it", got["score_diff_plain_k"] + got["key off MLP0"], clean},
		{"key along MLP0: query perpendicular, and in the span", got["score_diff_plain_qk"] + got["query in span, key on MLP0"], got["score_diff_plain_k"]},
	} {
		if math.Abs(sum.got-sum.want) > 1e-5 {
			t.Errorf("%s: %g, want %g", sum.name, sum.got, sum.want)
		}
	}
	for name, value := range got {
		if strings.HasPrefix(name, "score_diff") && name != "score_diff_plain_clean" && math.Abs(value-clean) < 1e-3 {
			t.Errorf("%s is %g, and so is the whole", name, value)
		}
	}
	t.Log(got)
}
