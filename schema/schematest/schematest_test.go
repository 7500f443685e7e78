package schematest_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

func TestSyntheticVerifies(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	first := schematest.Synthetic(t, db, 1, 3, schema.Head{Layer: 10, Index: 7}, schema.Head{Layer: 1, Index: 0})
	second := schematest.Synthetic(t, db, 2, 2, schema.Head{Layer: 2, Index: 11})
	if first != 1 || second != 2 {
		t.Errorf("runs %d and %d, want 1 and 2", first, second)
	}
	var models int
	if err := db.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM model").Scan(&models); err != nil || models != 1 {
		t.Errorf("%d models, %v, want the one that both runs share", models, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := verify.File(t.Context(), db.Path(), dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Error(p)
	}
	// 3 examples x 4 pairs x 2 sides of (2 + 10*14 + 1) and (2 + 1*14 + 1) components.
	if got, want := report.Runs[0].Contributions, int64(3*4*2*(143+17)); got != want {
		t.Errorf("%d contributions, want %d", got, want)
	}
	if r := report.Runs[0]; r.Pairs != 8 || r.Examples != 3 || r.Heads != 2 || !r.Judged || r.WorstResidual > 1e-5 || r.WorstAt == "" {
		t.Errorf("report %+v", r)
	}
}

func TestRandomIsReproducible(t *testing.T) {
	t.Parallel()
	run := schema.Run{Model: schematest.GPT2Small(), Heads: schematest.Targets(schema.Head{Layer: 1, Index: 0}), Bases: schematest.Bases()}
	a, b, c := schematest.Random(run, 5, 2), schematest.Random(run, 5, 2), schematest.Random(run, 6, 2)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Error("the same seed gives other numbers")
	}
	if fmt.Sprint(a) == fmt.Sprint(c) {
		t.Error("another seed gives the same numbers")
	}
	var total float64
	for _, p := range a[0].Heads[0].Attention {
		total += float64(p.Prob)
	}
	if math.Abs(total-1) > 1e-6 {
		t.Errorf("attention adds up to %v", total)
	}
}

// recorder is a test that records its errors instead of failing, and runs its cleanups on request.
type recorder struct {
	testing.TB
	errors   []string
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Context() context.Context { return r.TB.Context() }

func (r *recorder) end() string {
	for _, f := range r.cleanups {
		f()
	}
	return strings.Join(r.errors, "\n")
}

// TestNewDBChecks checks that a spoiled database fails its test, unless the kind of the problem is tolerated.
func TestNewDBChecks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		damage    string
		tolerated []verify.ProblemKind
		want      string
	}{
		{"sound", "", nil, ""},
		{"spoilt", "DELETE FROM prompt_token WHERE pos = 0", nil, "database does not verify: incomplete: run 1: 1 prompt lacks tokens"},
		{"tolerated", "DELETE FROM prompt_token WHERE pos = 0", []verify.ProblemKind{verify.Incomplete}, ""},
		{"other tolerated", "DELETE FROM prompt_token WHERE pos = 0", []verify.ProblemKind{verify.NotClosed}, "database does not verify"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{TB: t}
			db := schematest.NewDB(r, tt.tolerated...)
			schematest.Synthetic(r, db, 1, 1, schema.Head{Layer: 0, Index: 0})
			if tt.damage != "" {
				if _, err := db.SQL().ExecContext(t.Context(), tt.damage); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.end(); !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("errors %q, want %q", got, tt.want)
			}
		})
	}
	r := &recorder{TB: t}
	db := schematest.NewDB(r)
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(db.Path()); err != nil {
		t.Fatal(err)
	}
	if got := r.end(); !strings.Contains(got, "no such file") {
		t.Errorf("a lost database gives %q", got)
	}
}

func TestPanels(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t, verify.Incomplete)
	head := schema.Head{Layer: 10, Index: 7}
	id := schematest.Panels(t, db, head, []schematest.Panel{
		{Side: schema.Key, QueryBasis: "none", KeyBasis: "none", Quadrant: schema.PerpPerp, Values: map[string]float32{"W_E": 0.25, "9.9": -1}},
		{Side: schema.Key, QueryBasis: "unembed", KeyBasis: "mlp0", Quadrant: schema.ParPar, Values: map[string]float32{"MLP0": 2}},
		{Side: schema.Key, QueryBasis: "unembed", KeyBasis: "mlp0", Quadrant: schema.PerpPar, Values: map[string]float32{"MLP0": 3}},
	})
	got := schematest.Texts(t, db.SQL(), `SELECT format('{} {} {} {} {} {} {}', component, query_basis, key_basis, quadrant, score, baseline, diff)
		FROM contribution WHERE run_id = ? AND diff <> 0 ORDER BY ALL`, id)
	want := "9.9 none none perp_perp -1.0 0.0 -1.0\nMLP0 unembed mlp0 par_par 2.0 0.0 2.0\nMLP0 unembed mlp0 perp_par 3.0 0.0 3.0\nW_E none none perp_perp 0.25 0.0 0.25"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func ExampleSideComponents() {
	model := schema.Model{NLayers: 2, NHeads: 2}
	all := schematest.Layout(model).Components()
	for _, convention := range []schema.Convention{schema.Exact, schema.Notebook} {
		fmt.Print(convention, ":")
		for _, i := range schematest.SideComponents(model, convention, schema.Head{Layer: 1, Index: 0}, schema.Key) {
			fmt.Print(" ", all[i].Label())
		}
		fmt.Println()
	}
	// Output:
	// exact: W_E W_pos 0.0 0.1 b_O0 MLP0 b_K
	// notebook: W_E W_pos 0.0 0.1 MLP0 b_K
}

func TestFullVerifies(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	schematest.Full(t, db, 1, 3, schema.Head{Layer: 2, Index: 7}, schema.Head{Layer: 1, Index: 0})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := verify.File(t.Context(), db.Path(), dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Error(p)
	}
	t.Logf("%+v", report)
}
