package cli_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"codeberg.org/sbinet/npyio"
	"codeberg.org/sbinet/npyio/npz"

	"ducklens/queries"
	"ducklens/queries/session"
)

// Largest differences that the reference data allow to float32 (their README): batch means and scores as a
// part of the largest value, probabilities and printed numbers as they are, shares as a part of themselves.
const (
	meanTolerance    = 5e-6
	scoreTolerance   = 2e-5
	probTolerance    = 2e-5
	printedTolerance = 1e-6
	shareTolerance   = 1e-5
)

// A referenceModel is a small model on which the published research code was run.
type referenceModel struct {
	name, head     string
	movers         []string
	layers, nHeads int // layers below the head; heads of a layer
}

var referenceModels = []referenceModel{
	{"m1", "10.7", []string{"9.9", "9.6"}, 10, 12},
	{"m2", "2.1", []string{"1.2", "1.3"}, 2, 4},
}

// goldenPath gives the path of reference data, which lies in the folder shared beside the checkout, and skips
// the test where there is none.
func goldenPath(t *testing.T, elements ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "shared", "goldens"}, elements...)...)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no reference data at %s beside the checkout", filepath.Join(elements...))
	}
	return path
}

// ingest runs `ducklens ingest` on the model, with a prompt set that is drawn as the original draws.
func (m referenceModel) ingest(t *testing.T, file string, flags ...string) {
	t.Helper()
	args := append([]string{"ingest", "--model", goldenPath(t, m.name, "model"), "--templates", goldenPath(t, "prompts", "lists.json"),
		"--head", m.head, "--mover", strings.Join(m.movers, ","), "-o", file, "--threads", "1"}, flags...)
	if code, _, stderr := run(t.Context(), args...); code != 0 {
		t.Fatalf("ducklens %s: exit %d\n%s", strings.Join(args, " "), code, stderr)
	}
}

// rows are the answer to a saved query.
type rows struct {
	*testing.T
	*queries.Result
}

// ask runs a shipped query on a file; set holds name=value.
func ask(t *testing.T, s *session.Session, name string, set ...string) rows {
	t.Helper()
	q, err := queries.Find(queries.Embedded(), name)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, v := range set {
		key, value, _ := strings.Cut(v, "=")
		values[key] = value
	}
	result, err := s.Run(t.Context(), q, values)
	if err != nil {
		t.Fatalf("%s %v: %v", name, set, err)
	}
	if len(result.Rows) == 0 {
		t.Fatalf("%s %v: no rows", name, set)
	}
	return rows{t, result}
}

func (r rows) text(row int, column string) string {
	r.Helper()
	i := r.Index(column)
	if i < 0 {
		r.Fatalf("no column %s in %v", column, r.Names())
	}
	return queries.String(r.Rows[row][i])
}

func (r rows) number(row int, column string) float64 {
	r.Helper()
	x, err := strconv.ParseFloat(r.text(row, column), 64)
	if err != nil {
		r.Fatalf("row %d, column %s: %q is no number", row, column, r.text(row, column))
	}
	return x
}

// find gives the row that has the given texts (column=text), of which there must be one.
func (r rows) find(texts ...string) int {
	r.Helper()
	found := -1
	for i := range r.Rows {
		all := true
		for _, v := range texts {
			column, text, _ := strings.Cut(v, "=")
			all = all && r.text(i, column) == text
		}
		if all && found >= 0 {
			r.Fatalf("two rows with %v", texts)
		}
		if all {
			found = i
		}
	}
	if found < 0 {
		r.Fatalf("no row with %v", texts)
	}
	return found
}

func openSession(t *testing.T, file string) *session.Session {
	t.Helper()
	s, err := session.Open(t.Context(), file, session.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// worst collects the largest difference between numbers and what they should be.
type worst struct {
	count            int
	difference, size float64
}

func (w *worst) add(got, want float64) {
	w.count++
	d := math.Abs(got - want)
	if d > w.difference || math.IsNaN(d) {
		w.difference = d
	}
	w.size = max(w.size, math.Abs(want))
}

// and takes both together.
func (w worst) and(v worst) worst {
	return worst{w.count + v.count, max(w.difference, v.difference), max(w.size, v.size)}
}

// within fails the test where the largest difference is above the tolerance, and logs it in any case.
func (w *worst) within(t *testing.T, what string, tolerance float64) {
	t.Helper()
	t.Logf("%s: %d numbers, largest difference %.2g, allowed %.2g, largest value %.3g", what, w.count, w.difference, tolerance, w.size)
	if w.count == 0 || !(w.difference <= tolerance) {
		t.Errorf("%s: %d numbers, largest difference %.3g, allowed %.3g", what, w.count, w.difference, tolerance)
	}
}

// decomposition is the original's batch means: a heatmap for each set of arguments.
type decomposition struct {
	model referenceModel
	means []float64 // [row, 1 + layer, n_heads + 1]
	index struct {
		Rows []struct {
			Row            int      `json:"row"`
			By             string   `json:"decompose_by"`
			Subtract       bool     `json:"subtract_S1_attn_scores"`
			Query          *string  `json:"intervene_on_query"`
			Key            *string  `json:"intervene_on_key"`
			Span           bool     `json:"include_S1_in_unembed_projection"`
			Effective      bool     `json:"use_effective_embedding"`
			LayerZeroHeads bool     `json:"use_layer0_heads"`
			Part           []string `json:"part"`
		} `json:"rows"`
	}
}

func readDecomposition(t *testing.T, m referenceModel) decomposition {
	t.Helper()
	d := decomposition{model: m}
	f, err := os.Open(goldenPath(t, m.name, "golden", "decompose_target_f64.npy"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := npyio.Read(f, &d.means); err != nil {
		t.Fatal(err)
	}
	readJSON(t, goldenPath(t, m.name, "golden", "decompose_target_index.json"), &d.index)
	return d
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// call is one call of the original, and a part of what it gives: both parts of a pair, query first, or none.
type call struct {
	by                  string
	subtract            bool
	query, key          string
	span                bool
	queryPart, keyPart  string
	effective, withHead bool
}

// slice gives the cells of a call, as [1 + layer, n_heads + 1].
func (d decomposition) slice(t *testing.T, c call) []float64 {
	t.Helper()
	word := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	for _, r := range d.index.Rows {
		part := ""
		if len(r.Part) > 0 {
			part = strings.Join(r.Part, " ")
		}
		wanted := strings.TrimSpace(c.queryPart + " " + c.keyPart)
		if r.By == c.by && r.Subtract == c.subtract && word(r.Query) == c.query && word(r.Key) == c.key && r.Span == c.span &&
			r.Effective == c.effective && r.LayerZeroHeads == c.withHead && part == wanted {
			n := (1 + d.model.layers) * (1 + d.model.nHeads)
			return d.means[r.Row*n : (r.Row+1)*n]
		}
	}
	t.Fatalf("no such call of the original: %+v", c)
	return nil
}

// compare holds the cells of a heatmap against a slice. The places of cells are the original's, but for b_O,
// which it has none of; cells in which it has nothing are zero.
func (d decomposition) compare(t *testing.T, r rows, want []float64, texts ...string) worst {
	t.Helper()
	var w worst
	for i := range r.Rows {
		matches := true
		for _, v := range texts {
			column, text, _ := strings.Cut(v, "=")
			matches = matches && r.text(i, column) == text
		}
		if matches {
			w.add(r.number(i, "mean"), want[int(r.number(i, "grid_row"))*(1+d.model.nHeads)+int(r.number(i, "grid_column"))])
			if n := r.number(i, "n"); n != 50 || r.number(i, "se") < 0 {
				t.Errorf("%s: n %v, se %v", r.text(i, "component"), n, r.number(i, "se"))
			}
		}
	}
	if cells := 3 + d.model.layers*(1+d.model.nHeads); w.count != cells {
		t.Errorf("%v: %d cells, want %d", texts, w.count, cells)
	}
	return w
}

// TestNotebookHeatmaps compares the heatmap queries of a notebook run with the original's decompositions: 50
// prompts, seed 42, BOS.
func TestNotebookHeatmaps(t *testing.T) {
	t.Parallel()
	for _, m := range referenceModels {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			d := readDecomposition(t, m)
			file := filepath.Join(t.TempDir(), "run.duckdb")
			m.ingest(t, file, "--convention", "notebook", "-n", "50", "--seed", "42", "--factors", "off",
				"--query-basis", "unembed,unembed+baseline,sub_unembed", "--key-basis", "mlp0,mlp0+attn0,effective,effective+attn0")
			s := openSession(t, file)
			panels := map[bool]string{true: "baseline subtracted", false: "baseline not subtracted"}
			for by, side := range map[string]string{"keys": "key", "queries": "query"} {
				unsplit := ask(t, s, side+"_components")
				for subtract, panel := range panels {
					want := d.slice(t, call{by: by, subtract: subtract})
					w := d.compare(t, unsplit, want, "panel="+panel)
					w.within(t, side+"_components, "+panel, meanTolerance*w.size)
				}
				for keyBasis, flags := range map[string][2]bool{"mlp0": {false, false}, "mlp0+attn0": {false, true}, "effective": {true, false}, "effective+attn0": {true, true}} {
					split := ask(t, s, side+"_quadrants", "key_basis="+keyBasis)
					for _, frame := range []struct {
						name           string
						subtract, span bool
					}{
						{"baseline subtracted", true, false},
						{"baseline subtracted, query split along both unembeddings", true, true},
						{"baseline not subtracted", false, false},
					} {
						// The four are one array: what is small in one corner is the rounding of another.
						var w worst
						for quadrant, parts := range map[string][2]string{"par_par": {"IO_dir", "MLP0_dir"}, "par_perp": {"IO_dir", "MLP0_perp"},
							"perp_par": {"IO_perp", "MLP0_dir"}, "perp_perp": {"IO_perp", "MLP0_perp"}} {
							want := d.slice(t, call{by: by, subtract: frame.subtract, query: "project_to_W_U_IO", key: "project_to_MLP0", span: frame.span,
								queryPart: parts[0], keyPart: parts[1], effective: flags[0], withHead: flags[1]})
							w = w.and(d.compare(t, split, want, "frame="+frame.name, "quadrant="+quadrant))
						}
						w.within(t, fmt.Sprintf("%s_quadrants, %s, %s", side, keyBasis, frame.name), meanTolerance*w.size)
					}
				}
			}
			replaced := ask(t, s, "key_components_unembed_query")
			for subtract, panel := range panels {
				for label, query := range map[string]string{"own query": "", "query W_U[IO]": "sub_W_U_IO"} {
					want := d.slice(t, call{by: "keys", subtract: subtract, query: query})
					w := d.compare(t, replaced, want, "panel="+panel+", "+label)
					w.within(t, "key_components_unembed_query, "+panel+", "+label, meanTolerance*w.size)
				}
			}
		})
	}
}

// TestNotebookNumbers compares the queries that print numbers with those that the original printed: fractions
// and cosines of 100 prompts, shares of 50; seed 42, BOS.
func TestNotebookNumbers(t *testing.T) {
	t.Parallel()
	for _, m := range referenceModels {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			var numbers struct {
				Values map[string]struct{ Float64 float64 } `json:"values"`
			}
			readJSON(t, goldenPath(t, m.name, "golden", "notebook_numbers.json"), &numbers)
			file := filepath.Join(t.TempDir(), "run.duckdb")
			m.ingest(t, file, "--convention", "notebook", "-n", "50", "--seed", "42", "--factors", "off", "--null", "5")
			m.ingest(t, file, "--convention", "notebook", "-n", "100", "--seed", "42", "--factors", "off", "--append")
			s := openSession(t, file)
			seen := map[string]bool{}
			check := func(name string, got, tolerance float64) {
				t.Helper()
				want, ok := numbers.Values[name]
				if !ok {
					t.Fatalf("no number %s", name)
				}
				seen[name] = true
				var w worst
				w.add(got, want.Float64)
				w.within(t, name, tolerance)
			}

			fraction := ask(t, s, "unembed_fraction")
			for prefix, basis := range map[string]string{"In14/io_": "unembed", "In14/io_s_": "unembed+baseline"} {
				row := fraction.find("vector="+m.movers[0], "basis="+basis)
				check(prefix+"component_norm", fraction.number(row, "par_norm"), printedTolerance)
				check(prefix+"perp_component_norm", fraction.number(row, "perp_norm"), printedTolerance)
				check(prefix+"component_fraction_explained", fraction.number(row, "par_fraction"), printedTolerance)
				check(prefix+"perp_component_fraction_explained", fraction.number(row, "perp_fraction"), printedTolerance)
			}

			cosines := ask(t, s, "map_cosines")
			for _, c := range []struct {
				par, perp, vector, basis string
				subtract                 bool
			}{
				{"In15/cos_io", "In15/cos_io_perp", m.movers[0], "unembed", false},
				{"In15/cos_io_sub", "In15/cos_io_perp_sub", m.movers[0], "unembed", true},
				{"In15/cos_io_s_sub", "In15/cos_io_s_perp_sub", m.movers[0], "unembed+baseline", true},
				{"MLP0/cos", "MLP0/cos_perp", "resid_pre", "mlp0", false},
				{"MLP0/cos_sub", "MLP0/cos_perp_sub", "resid_pre", "mlp0", true},
			} {
				row := cosines.find("vector="+c.vector, "basis="+c.basis, "subtract="+strconv.FormatBool(c.subtract))
				check(c.par, cosines.number(row, "par_cos"), printedTolerance)
				check(c.perp, cosines.number(row, "perp_cos"), printedTolerance)
			}

			heads := ask(t, s, "head_cosines")
			row := heads.find("vector_a="+m.movers[0], "vector_b="+m.movers[1], "basis=unembed+baseline")
			check("In16/cos_parallel", heads.number(row, "par_cos"), printedTolerance)
			check("In16/cos_perp", heads.number(row, "perp_cos"), printedTolerance)

			norms := ask(t, s, "mlp0_norms")
			check("MLP0/component_norm", norms.number(0, "par_norm"), printedTolerance)
			check("MLP0/perp_component_norm", norms.number(0, "perp_norm"), printedTolerance)
			check("MLP0/assert_value", math.Abs(1-norms.number(0, "fraction_sum")), printedTolerance)

			for _, c := range []struct{ number, denominator, query string }{
				{"pct/keys_only_MLP0", "pct/keys_denominator", "pct_explained_mlp0"},
				{"pct/keys_all_MLPs", "pct/keys_denominator", "pct_explained_all_mlps"},
				{"pct/queries_movers", "pct/queries_denominator", "pct_explained_name_movers"},
			} {
				share := ask(t, s, c.query, "run=1")
				want := math.Abs(numbers.Values[c.number].Float64)
				check(c.number, share.number(0, "pct")/100, shareTolerance*want+printedTolerance)
				check(c.denominator, share.number(0, "denominator"), shareTolerance)
				for _, order := range [][3]string{{"low", "pct", "high"}, {"null_low", "null_high", "null_high"}} {
					if a, b, c := share.number(0, order[0]), share.number(0, order[1]), share.number(0, order[2]); !(a <= b && b <= c) {
						t.Errorf("%v: %v, %v, %v, want them to rise", order, a, b, c)
					}
				}
				if n := share.number(0, "null_n"); n != 5 {
					t.Errorf("null_n %v, want 5", n)
				}
				// The run without random directions says so.
				if other := ask(t, s, c.query); other.text(0, "null_low") != "" || other.number(0, "null_n") != 0 || other.number(0, "n") != 100 {
					t.Errorf("%s of run 2: %v", c.query, other.Rows)
				}
			}
			for name := range numbers.Values {
				if !seen[name] {
					t.Errorf("no query gives %s", name)
				}
			}
		})
	}
}

// TestNotebookHistograms compares the histogram queries with the original's arrays: seeds 0 and 1, 40 prompts
// each, no BOS.
func TestNotebookHistograms(t *testing.T) {
	t.Parallel()
	for _, m := range referenceModels {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			arrays, err := npz.Open(goldenPath(t, m.name, "golden", "hist_f64.npz"))
			if err != nil {
				t.Fatal(err)
			}
			defer arrays.Close()
			file := filepath.Join(t.TempDir(), "run.duckdb")
			for seed, extra := range []string{"--force", "--append"} {
				m.ingest(t, file, "--convention", "notebook", "-n", "40", "--seed", strconv.Itoa(seed), "--no-bos", "--factors", "off", extra)
			}
			s := openSession(t, file)
			queryNames := map[string]string{"W_U[IO]": "W_U[IO]", "W_U[S]": "W_U[S]", "W_U[random name]": "W_U[random_name]", "W_U[random]": "W_U[random]",
				m.movers[0] + " output": "NMH_9.9_output", m.movers[0] + " output ⊥ W_U[IO]": "NMH_9.9,_perp_W_U[IO]", "unpatched": "No_patching"}
			keyNames := map[string]string{"W_E[IO]": "W_E[IO]", "W_EE[IO]": "W_EE[IO]", "W_EE0[IO]": "W_EE_subE[IO]", "MLP0 output": "MLP0_out", "unpatched": "No_patching"}
			diffNames := map[string]string{"W_E[IO] - W_E[S1]": "W_E[IO]_-_W_E[S1]", "W_EE[IO] - W_EE[S1]": "W_EE[IO]_-_W_EE[S1]",
				"W_EE0[IO] - W_EE0[S1]": "W_EE_subE[IO]_-_W_EE_subE[S1]", "MLP0 output, IO - S1": "MLP0_out_(IO_-_S1)", "unpatched, IO - S1": "No_patching_(IO_-_S1)"}
			for _, c := range []struct {
				query, column, folder string
				names                 map[string]string
				set                   []string
			}{
				{"query_substitution_scores", "score", "queries/sub0/score/", queryNames, nil},
				{"query_substitution_scores", "score", "queries/sub1/score/", queryNames, []string{"subtract=true"}},
				{"query_substitution_probs", "prob", "queries/sub0/prob/", queryNames, nil},
				{"query_substitution_probs", "prob", "queries/sub1/prob/", queryNames, []string{"subtract=true"}},
				{"key_substitution_scores", "score", "keys/sub0/score/", keyNames, nil},
				{"key_substitution_probs", "prob", "keys/sub0/prob/", keyNames, nil},
				{"key_substitution_probs", "prob", "keys/sub1/prob/", keyNames, []string{"subtract=true"}},
				{"key_substitution_diff", "diff", "keys/sub1/score/", diffNames, nil},
			} {
				got := map[string][]float64{}
				for run := range 2 {
					r := ask(t, s, c.query, append(c.set, fmt.Sprint("run=", run+1))...)
					for i := range r.Rows {
						got[r.text(i, "series")] = append(got[r.text(i, "series")], r.number(i, c.column))
					}
				}
				if len(got) != len(c.names) {
					t.Errorf("%s %v: %d series, want %d", c.query, c.set, len(got), len(c.names))
				}
				for series, name := range c.names {
					var want []float64
					if err := arrays.Read(c.folder+name+".npy", &want); err != nil {
						t.Fatal(err)
					}
					var w worst
					for i, x := range got[series] {
						w.add(x, want[i])
					}
					tolerance := scoreTolerance * w.size
					if c.column == "prob" {
						tolerance = probTolerance
					}
					if w.count != len(want) {
						t.Errorf("%s%s: %d values, want %d", c.folder, name, w.count, len(want))
					}
					w.within(t, c.folder+name, tolerance)
				}
			}
		})
	}
}

// TestNotebookPairs compares pair_matrix and top_pairs with the original's table of pairs: 50 prompts, seed
// 0, BOS.
func TestNotebookPairs(t *testing.T) {
	t.Parallel()
	for _, m := range referenceModels {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			arrays, err := npz.Open(goldenPath(t, m.name, "golden", "full_f64.npz"))
			if err != nil {
				t.Fatal(err)
			}
			defer arrays.Close()
			file := filepath.Join(t.TempDir(), "run.duckdb")
			m.ingest(t, file, "--convention", "notebook", "-n", "50", "--seed", "0")
			s := openSession(t, file)
			// The original's order: bias, W_E, W_pos, MLPs, then heads.
			place := func(label string) int {
				switch {
				case label == "b_Q" || label == "b_K":
					return 0
				case label == "W_E":
					return 1
				case label == "W_pos":
					return 2
				case strings.HasPrefix(label, "MLP"):
					layer, err := strconv.Atoi(label[3:])
					if err != nil {
						t.Fatal(err)
					}
					return 3 + layer
				}
				var layer, head int
				if _, err := fmt.Sscanf(label, "%d.%d", &layer, &head); err != nil {
					t.Fatalf("component %q: %v", label, err)
				}
				return 3 + m.layers + layer*m.nHeads + head
			}
			n := 3 + m.layers*(1+m.nHeads)
			corners := map[string]int{"par_par": 0, "par_perp": 1, "perp_par": 2, "perp_perp": 3}
			for name, set := range map[string][]string{
				"sub1/ee0/l00/inclS11":         nil,
				"sub1/ee0/l00/inclS10":         {"query_basis=unembed"},
				"sub0_patched/ee0/l00/inclS10": {"query_basis=unembed", "subtract=false"},
			} {
				var want []float64
				if err := arrays.Read(name+".npy", &want); err != nil {
					t.Fatal(err)
				}
				at := func(r rows, i int) float64 {
					return want[(corners[r.text(i, "quadrant")]*n+place(r.text(i, "query_component")))*n+place(r.text(i, "key_component"))]
				}
				matrix := ask(t, s, "pair_matrix", slices.Concat(set, []string{"most=1000"})...) // all of them
				var w worst
				for i := range matrix.Rows {
					w.add(matrix.number(i, "mean"), at(matrix, i))
				}
				if w.count != 4*n*n {
					t.Errorf("%s: %d cells, want %d", name, w.count, 4*n*n)
				}
				w.within(t, "pair_matrix, "+name, meanTolerance*w.size)
				var total float64
				for _, x := range want {
					total += x
				}
				top := ask(t, s, "top_pairs", append([]string{"expected_heads=" + strings.Join(m.movers, ",")}, set...)...)
				var shares worst
				for i := range top.Rows {
					shares.add(top.number(i, "pct"), 100*at(top, i)/total)
					expected := top.text(i, "key_component") == "MLP0" && (top.text(i, "query_component") == m.movers[0] || top.text(i, "query_component") == m.movers[1])
					category := "not expected"
					if corner := top.text(i, "quadrant"); expected && corner == "par_par" {
						category = "expected"
					} else if expected && corner == "perp_par" {
						category = "half expected"
					}
					if got := top.text(i, "category"); got != category {
						t.Errorf("%s: %s, want %s", top.text(i, "pair"), got, category)
					}
					if i > 0 && math.Abs(top.number(i, "pct")) > math.Abs(top.number(i-1, "pct")) {
						t.Errorf("rank %d is larger than the one before", i)
					}
				}
				if shares.count != 40 {
					t.Errorf("%d pairs, want 40", shares.count)
				}
				shares.within(t, "top_pairs, "+name, 2*meanTolerance*shares.size)
			}
		})
	}
}

// TestExactQueries holds the exact convention's answers against the model and against identities: everything
// adds up, cells that have no quirk are the original's, and the percentages are of what adds up.
func TestExactQueries(t *testing.T) {
	t.Parallel()
	for _, m := range referenceModels {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			d := readDecomposition(t, m)
			file := filepath.Join(t.TempDir(), "run.duckdb")
			m.ingest(t, file, "-n", "50", "--seed", "42")
			s := openSession(t, file)
			if closure := ask(t, s, "closure"); closure.text(0, "ok") != "true" {
				t.Errorf("closure: %v", closure.Rows)
			}
			top := ask(t, s, "top_heads")
			means := map[string]float64{"baseline subtracted": top.number(0, "mean_diff"), "baseline not subtracted": top.number(0, "mean_score")}
			sum := func(r rows, group string) map[string]float64 {
				sums := map[string]float64{}
				for i := range r.Rows {
					sums[r.text(i, group)] += r.number(i, "mean")
				}
				return sums
			}
			adds := func(what string, got, want float64) {
				t.Helper()
				var w worst
				w.add(got, want)
				w.within(t, what, 2e-5*max(1, math.Abs(want)))
			}
			for by, side := range map[string]string{"keys": "key", "queries": "query"} {
				unsplit := ask(t, s, side+"_components")
				for panel, total := range sum(unsplit, "panel") {
					adds(side+"_components, "+panel, total, means[panel])
				}
				// Cells that are not split have no quirk: the original's, beside those for b_O, which it
				// leaves out.
				for subtract, panel := range map[bool]string{true: "baseline subtracted", false: "baseline not subtracted"} {
					want := d.slice(t, call{by: by, subtract: subtract})
					var w worst
					for i := range unsplit.Rows {
						if column := int(unsplit.number(i, "grid_column")); unsplit.text(i, "panel") == panel && column <= m.nHeads {
							w.add(unsplit.number(i, "mean"), want[int(unsplit.number(i, "grid_row"))*(1+m.nHeads)+column])
						}
					}
					w.within(t, side+"_components, the original's cells, "+panel, meanTolerance*w.size)
				}
				for frame, total := range sum(ask(t, s, side+"_quadrants"), "frame") {
					want := means["baseline subtracted"]
					if frame == "baseline not subtracted" {
						want = means[frame]
					}
					adds(side+"_quadrants, "+frame, total, want)
				}
			}
			for set, panel := range map[string]string{"subtract=true": "baseline subtracted", "subtract=false": "baseline not subtracted"} {
				var total float64
				matrix := ask(t, s, "pair_matrix", set, "most=1000")
				for i := range matrix.Rows {
					total += matrix.number(i, "mean")
				}
				adds("pair_matrix, "+panel, total, means[panel])
			}
			// Nothing put in place of a vector: the model's own score, and in the exact convention to the
			// last bit but rounding.
			for _, side := range []string{"query", "key"} {
				scores := ask(t, s, side+"_substitution_scores")
				probs := ask(t, s, side+"_substitution_probs")
				var score, prob float64
				for i := range scores.Rows {
					if scores.text(i, "series") == "unpatched" {
						score += scores.number(i, "score") / 50
					}
					if probs.text(i, "series") == "unpatched" {
						prob += probs.number(i, "prob") / 50
					}
				}
				adds(side+"_substitution_scores, unpatched", score, means["baseline not subtracted"])
				adds(side+"_substitution_probs, unpatched", prob, top.number(0, "mean_prob"))
			}
			for _, name := range []string{"unembed_fraction", "mlp0_norms"} {
				r := ask(t, s, name)
				for i := range r.Rows {
					adds(name+", fractions", r.number(i, "par_fraction")+r.number(i, "perp_fraction"), 1)
				}
			}
			for _, name := range []string{"pct_explained_mlp0", "pct_explained_all_mlps", "pct_explained_name_movers"} {
				r := ask(t, s, name)
				adds(name+", denominator", r.number(0, "denominator"), means["baseline subtracted"])
			}
			// A replaced query is another query: its panels differ from the model's own.
			replaced := sum(ask(t, s, "key_components_unembed_query"), "panel")
			for panel, want := range means {
				adds("key_components_unembed_query, "+panel+", own query", replaced[panel+", own query"], want)
				if got := replaced[panel+", query W_U[IO]"]; math.Abs(got-want) < 1e-3 {
					t.Errorf("%s: replacing the query moves the score by %v only", panel, got-want)
				}
			}
		})
	}
}
