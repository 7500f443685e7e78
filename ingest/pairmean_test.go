package ingest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
)

// twoHeads are two heads of the demo model, in different layers.
var twoHeads = []schema.Head{{Layer: 3, Index: 1}, {Layer: 2, Index: 0}}

// quadrantColumns lists columns for the four quadrants, each in forms such as avg(score_%s).
func quadrantColumns(forms ...string) string {
	var list []string
	for _, form := range forms {
		for _, q := range schema.Quadrants() {
			list = append(list, fmt.Sprintf(form, q))
		}
	}
	return strings.Join(list, ", ")
}

// TestPairMeans checks that the means are those of the pairs, stored or multiplied out, and do not depend on
// which of the two the run stores.
func TestPairMeans(t *testing.T) {
	t.Parallel()
	var first []string
	for name, o := range map[string]engine.Options{"factors": {Factors: true}, "pairs": {Pairs: true}, "both": {Factors: true, Pairs: true}} {
		o.Heads = twoHeads
		run := realOptions(t, 12, o)
		mustRun(t, run)
		const whole = " | 0 | 4 | 12 | 12 | " // without bases
		check(t, run.Path)
		rows := tables(t, run.Path)
		means := rows["pair_mean_wide"]
		// Layer 3 of the demo model has 2 + 3*6 writers below it, layer 2 has 2 + 2*6. There are two query
		// bases and one key basis, and the pair without bases if the run has factors.
		want := 2
		if o.Factors {
			want = 3
		}
		if want *= 21*21 + 15*15; len(means) != want {
			t.Errorf("%s: %d means, want %d", name, len(means), want)
		}
		if (len(rows["query_factor"]) > 0) != o.Factors || (len(rows["pair_contribution_wide"]) > 0) != o.Pairs {
			t.Errorf("%s: %d factors, %d pairs", name, len(rows["query_factor"]), len(rows["pair_contribution_wide"]))
		}
		split := slices.DeleteFunc(slices.Clone(means), func(row string) bool { return strings.Contains(row, whole) })
		if first == nil {
			first = split
		}
		if diff := differ(first, split); diff != "" {
			t.Errorf("%s changes the means:\n%.2000s", name, diff)
		}

		source, found := "pair_contribution_wide", len(split) // stored pairs are split if there are bases that split them
		if !o.Pairs {
			source, found = "pair_wide", len(means)
		}
		db, err := dbfile.OpenFor(t.Context(), run.Path, dbfile.Options{Threads: 1}, "pair_mean_wide", "pair_wide", "pair_contribution_wide")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var worst float64
		var n int
		if err := db.SQL().QueryRowContext(t.Context(), `SELECT count(*), max(greatest(`+quadrantColumns("abs(p.mean_score_%[1]s - s.mean_score_%[1]s)", "abs(p.mean_diff_%[1]s - s.mean_diff_%[1]s)",
			"abs(p.se_score_%[1]s - s.se_score_%[1]s)", "abs(p.se_diff_%[1]s - s.se_diff_%[1]s)")+`))
			FROM pair_mean_wide AS p JOIN (SELECT head_id, query_component_id, key_component_id, query_basis_id, key_basis_id, count(score_perp_perp) AS n, count(diff_perp_perp) AS n_baseline,
				`+quadrantColumns("avg(score_%[1]s) AS mean_score_%[1]s", "avg(diff_%[1]s) AS mean_diff_%[1]s",
			"stddev_samp(score_%[1]s) / sqrt(count(*)) AS se_score_%[1]s", "stddev_samp(diff_%[1]s) / sqrt(count(*)) AS se_diff_%[1]s")+`
				FROM `+source+` GROUP BY ALL) AS s USING (head_id, query_component_id, key_component_id, query_basis_id, key_basis_id, n, n_baseline)`).Scan(&n, &worst); err != nil {
			t.Fatal(err)
		}
		if n != found || !(worst <= 1e-6) {
			t.Errorf("%s: %d means are of pairs, want %d; largest difference %g", name, n, found, worst)
		}
		t.Logf("%s: largest difference from SQL's means %.2g", name, worst)
	}
}

// TestPairMeansFromStoredFactors computes the means from the factors of the file, in the order of examples,
// and expects the same bits.
func TestPairMeansFromStoredFactors(t *testing.T) {
	t.Parallel()
	o := realOptions(t, 9, engine.Options{Heads: twoHeads, Factors: true})
	o.BatchPrompts = 4
	mustRun(t, o)
	db, err := dbfile.OpenFor(t.Context(), o.Path, dbfile.Options{Threads: 1}, storedTables...)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	manifest := o.Engine.Run()
	means := engine.NewPairMeans(manifest.BLAS, manifest.Bases, manifest.Heads)
	for example := range 9 {
		for _, head := range twoHeads {
			h := schema.HeadResult{Head: head, Factors: storedFactors(t, db, example, head)}
			if err := means.Add(&h); err != nil {
				t.Fatal(err)
			}
		}
	}
	rows, err := db.SQL().QueryContext(t.Context(), "SELECT "+quadrantColumns("mean_score_%s", "se_score_%s", "mean_diff_%s", "se_diff_%s")+" FROM pair_mean_wide") // one thread reads in the order of the file
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var want [][]dbfile.Value
	for _, head := range twoHeads {
		for _, m := range means.Of(head) {
			for i := range len(m.QueryComponents) * len(m.KeyComponents) {
				var row []dbfile.Value
				score, diff := m.Entry(i)
				for _, x := range slices.Concat(score[:], diff[:]) {
					row = append(row, x)
				}
				want = append(want, row)
			}
		}
	}
	n := 0
	for rows.Next() {
		values, into := make([]dbfile.Value, 16), make([]any, 16)
		for i := range into {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		if n < len(want) && !slices.Equal(values, want[n]) {
			t.Fatalf("mean %d is %v, from stored factors %v", n, values, want[n])
		}
		n++
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if n != len(want) || n == 0 {
		t.Errorf("%d means stored, %d from stored factors", n, len(want))
	}
}

// storedFactors reads the factors of one head on one example, those of the baseline first.
func storedFactors(t *testing.T, db *dbfile.DB, example int, head schema.Head) (list []schema.Factors) {
	t.Helper()
	for _, from := range []struct {
		factors                         schema.Factors
		side, vector, image, coordinate string
	}{
		{schema.Factors{Side: schema.Key, AtBaseline: true}, "key", "baseline", "baseline", "baseline"},
		{schema.Factors{Side: schema.Key}, "key", "vector", "image", "coordinate"},
		{schema.Factors{Side: schema.Query}, "query", "vector", "image", "coordinate"},
	} {
		f := from.factors
		where := fmt.Sprintf(" JOIN head AS h USING (run_id, head_id) WHERE t.example_id = %d AND h.label = '%s' ORDER BY ", example, head.TLName())
		each(t, db, "SELECT t.component_id, "+from.vector+" FROM "+from.side+"_factor AS t"+where+"component_id", func(rows *sql.Rows) error {
			var component int
			var vector list32
			if err := rows.Scan(&component, &vector); err != nil {
				return err
			}
			f.DHead, f.Components, f.Vectors = len(vector), append(f.Components, component), append(f.Vectors, vector...)
			return nil
		})
		each(t, db, "SELECT t.basis_id, t.axis, "+from.image+" FROM "+from.side+"_axis AS t"+where+"basis_id, axis", func(rows *sql.Rows) error {
			var a schema.Axis
			err := rows.Scan(&a.Basis, &a.Number, (*list32)(&a.Image))
			f.Axes = append(f.Axes, a)
			return err
		})
		each(t, db, "SELECT t."+from.coordinate+" FROM "+from.side+"_coordinate AS t"+where+"component_id, basis_id, axis", func(rows *sql.Rows) error {
			var x float32
			err := rows.Scan(&x)
			f.Coordinates = append(f.Coordinates, x)
			return err
		})
		list = append(list, f)
	}
	return list
}

// each calls f for every row of a query.
func each(t *testing.T, db *dbfile.DB, query string, f func(*sql.Rows) error) {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// list32 scans a list of floats.
type list32 []float32

func (l *list32) Scan(src any) error {
	list, ok := src.([]any)
	if !ok {
		return fmt.Errorf("a %T, want a list", src)
	}
	for _, x := range list {
		*l = append(*l, x.(float32))
	}
	return nil
}

// mixed returns n ioi prompts; those at the given indices have no baseline.
func mixed(o *ingest.Options, n int, bare ...int) {
	o.Prompts = func(yield func(schema.Prompt, error) bool) {
		i := 0
		for p, err := range prompts.IOI().Prompts(prompts.Sampling{N: n, Seed: 1}) {
			if slices.Contains(bare, i) {
				p.Baseline = schema.Position{}
			}
			i++
			if !yield(p, err) {
				return
			}
		}
	}
}

// TestBaselineMissingLate has one prompt without a baseline, after those that the engine sees first. The run
// then lacks the default bases that need a baseline, and the means of differences count one prompt less.
func TestBaselineMissingLate(t *testing.T) {
	t.Parallel()
	o := realOptions(t, 0, everything(engine.Options{Heads: twoHeads}))
	mixed(&o, 50, 45, 47)
	mustRun(t, o)
	check(t, o.Path)
	rows := tables(t, o.Path)
	for _, basis := range rows["basis"] {
		if strings.Contains(basis, "baseline") {
			t.Errorf("basis %s is there", basis)
		}
	}
	if e := o.Engine.(*engine.Engine); len(e.Notices()) == 0 || !strings.Contains(e.Notices()[0], "example 45 has no baseline") {
		t.Errorf("notices %q, want one about example 45", e.Notices())
	}
	for _, mean := range rows["pair_mean_wide"] {
		if !strings.Contains(mean, " | 50 | 48 | ") {
			t.Fatalf("mean %s, want n 50 and 48", mean)
		}
	}
}

// TestNoBaselines checks that a run without baselines has means of scores but not of differences.
func TestNoBaselines(t *testing.T) {
	t.Parallel()
	o := realOptions(t, 0, everything(engine.Options{Heads: twoHeads}))
	mixed(&o, 2, 0, 1)
	mustRun(t, o)
	check(t, o.Path)
	db, err := dbfile.OpenFor(t.Context(), o.Path, dbfile.Options{Threads: 1}, "pair_mean_wide", "key_factor", "key_axis", "key_coordinate", "substitution", "projection")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var means, differences, errs, baselines int
	if err := db.SQL().QueryRowContext(t.Context(), `SELECT count(mean_score_par_par), count(mean_diff_par_par) + count(se_diff_perp_perp), count(se_score_par_par),
		(SELECT count(baseline) FROM key_factor) + (SELECT count(baseline) FROM key_axis) + (SELECT count(baseline) FROM key_coordinate) + (SELECT count(baseline) FROM substitution) + (SELECT count(*) FROM projection WHERE measure = 'diff')
		FROM pair_mean_wide`).Scan(&means, &differences, &errs, &baselines); err != nil {
		t.Fatal(err)
	}
	if means == 0 || errs != means || differences != 0 || baselines != 0 {
		t.Errorf("%d means, %d of differences, %d standard errors, %d baselines", means, differences, errs, baselines)
	}
}

// TestOnePrompt checks that a mean over one prompt has no standard error.
func TestOnePrompt(t *testing.T) {
	t.Parallel()
	o := realOptions(t, 1, engine.Options{Heads: twoHeads, Factors: true})
	mustRun(t, o)
	check(t, o.Path)
	for _, mean := range tables(t, o.Path)["pair_mean_wide"] {
		if n := strings.Count(mean, "<nil>"); n != 8 {
			t.Fatalf("mean %s has %d NULLs, want the 8 standard errors", mean, n)
		}
	}
}

// TestRandomNames checks that names are drawn if any are given, and that the convention decides on the
// leading space.
func TestRandomNames(t *testing.T) {
	t.Parallel()
	names := prompts.IOI().Names
	for _, convention := range []schema.Convention{schema.Exact, schema.Notebook} {
		o := realOptions(t, 8, engine.Options{Heads: twoHeads, Substitutions: true, Convention: convention})
		mustRun(t, o)
		check(t, o.Path)
		db, err := dbfile.OpenFor(t.Context(), o.Path, dbfile.Options{Threads: 1}, "example")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		e := o.Engine.(*engine.Engine)
		draws := prompts.NewDraws(o.Seed, len(names), e.Model().DVocab)
		got := column(t, db, "SELECT unnest([random_name_id, random_token_id]) FROM example ORDER BY example_id")
		for i := range 8 {
			name, token := draws.Next()
			text := names[name]
			if convention == schema.Exact {
				text = " " + text
			}
			example, err := e.Example(schema.Prompt{Text: text, Query: schema.AtIndex(-1), Key: schema.AtIndex(-1), Baseline: schema.AtIndex(-1)})
			if err != nil {
				t.Fatal(err)
			}
			if want := []float64{float64(example.Tokens[1].ID), float64(token)}; !slices.Equal(got[2*i:2*i+2], want) {
				t.Errorf("%s, example %d: %v, want %v, the name %q", convention, i, got[2*i:2*i+2], want, text)
			}
			if convention == schema.Exact && len(example.Tokens) != 2 {
				t.Errorf("%q is %d tokens", text, len(example.Tokens)-1)
			}
		}
	}
	o := realOptions(t, 3, engine.Options{Heads: twoHeads, Substitutions: true})
	o.Names = nil
	mustRun(t, o)
	check(t, o.Path)
	for _, row := range tables(t, o.Path)["substitution"] {
		if strings.Contains(row, "random name") {
			t.Errorf("row %s without names", row)
		}
	}
	o = realOptions(t, 3, engine.Options{Heads: twoHeads, Substitutions: true})
	o.Names, o.Path = []string{"Mary", strings.Repeat("too long ", 100)}, o.Path+"2"
	if _, err := ingest.Run(t.Context(), o); !errors.Is(err, engine.ErrPrompt) || !strings.Contains(err.Error(), "to draw random names from") {
		t.Errorf("a name of 200 tokens: %v", err)
	}
	nothingBeside(t, o.Path)
}

// TestProbe checks that the engine sees the first examples, whatever the batches, and the first one without a
// baseline.
func TestProbe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n    int
		want []int // the last indices
	}{{3, []int{0, 1, 2}}, {100, []int{29, 30, 31}}} {
		e := newFake(head1)
		o := options(t, e, c.n)
		o.BatchPrompts = 2
		mustRun(t, o)
		var got []int
		for _, x := range e.probe {
			got = append(got, x.Index)
		}
		if len(got) != min(c.n, engine.ProbeExamples) || !slices.Equal(got[len(got)-len(c.want):], c.want) {
			t.Errorf("%d examples: shown %v", c.n, got)
		}
	}
	e := newFake(head1)
	o := options(t, e, 0)
	o.Prompts = func(yield func(schema.Prompt, error) bool) {
		for i := range 60 {
			p := schema.Prompt{Text: fmt.Sprintf("a b c %d", i), Query: schema.AtIndex(-1), Key: schema.AtIndex(0), Baseline: schema.AtIndex(1)}
			if i == 40 || i == 50 {
				p.Baseline = schema.Position{}
			}
			if !yield(p, nil) {
				return
			}
		}
	}
	mustRun(t, o)
	if n := len(e.probe); n != 33 || e.probe[32].Index != 40 {
		t.Errorf("shown %d examples, the last number %d, want 33 and 40", n, e.probe[n-1].Index)
	}
}

// TestBadRows checks that invalid rows are refused with an error that names the example and the head.
func TestBadRows(t *testing.T) {
	t.Parallel()
	factors := func(value float32) []schema.Factors {
		var list []schema.Factors
		for _, side := range []schema.Side{schema.Query, schema.Key} {
			list = append(list, schema.Factors{Side: side, Components: []int{0, 1}, DHead: 2, Vectors: []float32{1, value, 1, value},
				Axes: []schema.Axis{{Basis: 1 + 2*int(side), Image: []float32{1, 0}}}, Coordinates: []float32{0.5, 0}})
		}
		return list
	}
	for name, c := range map[string]struct {
		spoil func(*schema.HeadResult)
		want  error
		text  string
	}{
		"NaN":        {func(h *schema.HeadResult) { h.Factors = factors(float32(math.NaN())) }, dbfile.ErrConstraint, "factors of the query side"},
		"infinite":   {func(h *schema.HeadResult) { h.Factors = factors(float32(math.Inf(-1))) }, dbfile.ErrConstraint, "factors of the query side"},
		"image":      {func(h *schema.HeadResult) { h.Factors[1].Axes[0].Image[1] = float32(math.NaN()) }, dbfile.ErrConstraint, "factors of the key side"},
		"coordinate": {func(h *schema.HeadResult) { h.Factors[1].Coordinates[1] = float32(math.Inf(1)) }, dbfile.ErrConstraint, "factors of the key side"},
		"half":       {func(h *schema.HeadResult) { h.Factors = factors(1)[:1] }, nil, "want factors of the query and of the key"},
		"other set":  {func(h *schema.HeadResult) { h.Factors[1].Components = []int{0, 3} }, nil, "pair table of 2 and 2 components"},
		"sure": {func(h *schema.HeadResult) {
			h.Substitutions = []schema.Substitution{{Vector: "x", Prob: float32(math.Inf(1))}}
		}, dbfile.ErrConstraint, "substitution"},
		"too far": {func(h *schema.HeadResult) {
			h.Projections = []schema.Projection{{Vector: "x", ParNorm: float32(math.Inf(1))}}
		}, dbfile.ErrConstraint, "projection"},
		"too alike": {func(h *schema.HeadResult) {
			h.Cosines = []schema.VectorCosine{{VectorA: "x", PerpCos: float32(math.Inf(1))}}
		}, dbfile.ErrConstraint, "vector_cosine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newFake(head1)
			e.run.Factors = true
			e.analyze = func(_ context.Context, results []schema.Result) error {
				for i := range results {
					h := &results[i].Heads[0]
					if h.Factors = factors(1); results[i].Example.Index == 3 {
						c.spoil(h)
					}
				}
				return nil
			}
			o := options(t, e, 6)
			o.BatchPrompts = 2
			_, err := ingest.Run(t.Context(), o)
			var incomplete *ingest.Incomplete
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || !errors.As(err, &incomplete) || incomplete.Prompts != 2 {
				t.Errorf("error %v, want %v with %q after 2 examples", err, c.want, c.text)
			}
			if got := tables(t, o.Path); len(got["pair_mean_wide"]) != 0 || len(got["query_factor"]) != 4 {
				t.Errorf("%d means and %d factors of an incomplete run, want 0 and 4", len(got["pair_mean_wide"]), len(got["query_factor"]))
			}
		})
	}
}

// TestKeepsMeans checks that means of pairs are stored for heads of models of GPT-2 small's size, but not for
// much larger ones.
func TestKeepsMeans(t *testing.T) {
	t.Parallel()
	run := func(layers, heads, targets int, with schema.Run) schema.Run {
		with.Bases = schematest.AllBases()
		with.Components = schema.Layout{Layers: layers, Heads: heads, Position: true, AttnBias: true, QKBias: true}.Components()
		for i := range targets {
			with.Heads = append(with.Heads, schema.Target{Head: schema.Head{Layer: layers - 1, Index: i}})
		}
		return with
	}
	for name, c := range map[string]struct {
		run  schema.Run
		want bool
	}{
		"a dozen heads of GPT-2 small": {run(12, 12, 12, schema.Run{Factors: true}), true},
		"stored pairs":                 {run(12, 12, 1, schema.Run{Pairs: true}), true},
		"neither":                      {run(12, 12, 1, schema.Run{}), false},
		"a head of 7 billion":          {run(32, 32, 1, schema.Run{Factors: true}), false},
	} {
		if got := ingest.KeepsMeans(c.run); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestFactorsByDefault(t *testing.T) {
	t.Parallel()
	for heads, want := range map[int]bool{0: false, 1: true, 12: true, 13: false, 144: false} {
		if got := ingest.FactorsByDefault(heads); got != want {
			t.Errorf("%d heads: %v, want %v", heads, got, want)
		}
	}
}
