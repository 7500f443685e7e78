package conformance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"codeberg.org/sbinet/npyio/npy"
	"codeberg.org/sbinet/npyio/npz"

	"ducklens/cli/conformance"
)

// goldens is the folder of reference data beside the checkout; without it the test is skipped.
func goldens(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "goldens")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("there is no reference data beside the checkout (../shared/goldens)")
	}
	return dir
}

// Tolerances of reference numbers, for float32.
const (
	printedNumber = 1e-6 // absolute
	batchMean     = 5e-6 // of the largest cell
	onePrompt     = 2e-5 // of the largest value; of probabilities absolute
)

// readJSON reads a file of the reference data.
func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// reference gives the numbers of the public research code for one of the models, in the roles of the
// published ones.
func reference(t *testing.T, dir string) (conformance.Subject, conformance.Reference) {
	t.Helper()
	var notebook struct {
		Head   [2]int
		Movers [2][2]int
		Values map[string]struct{ Float64 float64 }
	}
	readJSON(t, filepath.Join(dir, "golden", "notebook_numbers.json"), &notebook)
	label := func(h [2]int) string { return fmt.Sprintf("%d.%d", h[0], h[1]) }
	subject := conformance.Subject{
		Dir: filepath.Join(dir, "model"), Templates: filepath.Join(dir, "..", "prompts", "lists.json"),
		Head: label(notebook.Head), Movers: [2]string{label(notebook.Movers[0]), label(notebook.Movers[1])},
		Seeds: []conformance.Seed{{Seed: 0, N: 40}, {Seed: 1, N: 40}},
	}
	ref := conformance.Reference{Column: "reference", Source: filepath.Base(dir) + ": numbers of the public research code"}
	for name, key := range map[string]string{
		"frac_9.9_par_IO":                "In14/io_component_fraction_explained",
		"frac_9.9_perp_IO":               "In14/io_perp_component_fraction_explained",
		"frac_9.9_par_IO_S":              "In14/io_s_component_fraction_explained",
		"frac_9.9_perp_IO_S":             "In14/io_s_perp_component_fraction_explained",
		"cos_9.9_par_IO_vs_map":          "In15/cos_io",
		"cos_9.9_perp_IO_vs_map":         "In15/cos_io_perp",
		"cos_9.9_par_IO_vs_map_subS1":    "In15/cos_io_sub",
		"cos_9.9_perp_IO_vs_map_subS1":   "In15/cos_io_perp_sub",
		"cos_9.9_par_IO_S_vs_map_subS1":  "In15/cos_io_s_sub",
		"cos_9.9_perp_IO_S_vs_map_subS1": "In15/cos_io_s_perp_sub",
		"cos_9.9_vs_9.6_par_IO_S":        "In16/cos_parallel",
		"cos_9.9_vs_9.6_perp_IO_S":       "In16/cos_perp",
		"mlp0_component_norm":            "MLP0/component_norm",
		"mlp0_perp_component_norm":       "MLP0/perp_component_norm",
		"cos_mlp0_par_vs_map":            "MLP0/cos",
		"cos_mlp0_perp_vs_map":           "MLP0/cos_perp",
		"cos_mlp0_par_vs_map_subS1":      "MLP0/cos_sub",
		"cos_mlp0_perp_vs_map_subS1":     "MLP0/cos_perp_sub",
		"pct_key_MLP0_parpar":            "pct/keys_only_MLP0",
		"pct_key_allMLP_parpar":          "pct/keys_all_MLPs",
		"pct_query_9.9+9.6_parpar":       "pct/queries_movers",
	} {
		number, ok := notebook.Values[key]
		if !ok {
			t.Fatalf("no %s in the reference numbers", key)
		}
		s := conformance.ScalarReference{Name: name, Value: number.Float64, Allowed: printedNumber}
		if strings.HasPrefix(key, "pct/") {
			s.Value *= 100
			s.Allowed = 100*printedNumber + 1e-5*math.Abs(s.Value)
		}
		ref.Scalars = append(ref.Scalars, s)
	}
	ref.Scalars = append(ref.Scalars, conformance.ScalarReference{Name: "ov_mean_rank"}) // is listed as one that is not measured
	ref.Heatmaps = heatmaps(t, dir)
	ref.Histograms = histograms(t, dir)
	return subject, ref
}

// heatmaps reads the panels that correspond to the published figures.
func heatmaps(t *testing.T, dir string) []conformance.HeatmapReference {
	t.Helper()
	var index struct {
		Shape [3]int
		Rows  []struct {
			Row       int
			By        string   `json:"decompose_by"`
			Subtract  bool     `json:"subtract_S1_attn_scores"`
			Query     *string  `json:"intervene_on_query"`
			Key       *string  `json:"intervene_on_key"`
			Baseline  bool     `json:"include_S1_in_unembed_projection"`
			Effective bool     `json:"use_effective_embedding"`
			Layer0    bool     `json:"use_layer0_heads"`
			Part      []string `json:"part"`
		}
	}
	readJSON(t, filepath.Join(dir, "golden", "decompose_target_index.json"), &index)
	f, err := os.Open(filepath.Join(dir, "golden", "decompose_target_f64.npy"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cells []float64
	if err := npy.Read(f, &cells); err != nil {
		t.Fatal(err)
	}
	var list []conformance.HeatmapReference
	for _, r := range index.Rows {
		if r.Effective || r.Layer0 || r.Baseline && r.Query == nil {
			continue
		}
		name := func(s *string) string {
			if s == nil {
				return ""
			}
			return *s
		}
		h := conformance.HeatmapReference{Name: "row " + fmt.Sprint(r.Row), Side: strings.TrimSuffix(strings.Replace(r.By, "queries", "query", 1), "s"), Subtracted: r.Subtract, Cells: map[string]float64{}}
		split := func(part string) string {
			if slices.Contains(r.Part, part) {
				return "par"
			}
			return "perp"
		}
		switch name(r.Query) + " " + name(r.Key) {
		case " ":
			h.QueryBasis, h.KeyBasis = "none", "none"
		case "sub_W_U_IO ":
			h.QueryBasis, h.KeyBasis = "sub_unembed", "none"
		case "project_to_W_U_IO project_to_MLP0":
			h.QueryBasis, h.KeyBasis, h.Quadrant = "unembed", "mlp0", split("IO_dir")+"_"+split("MLP0_dir")
			if r.Baseline {
				h.QueryBasis = "unembed+baseline"
			}
		default:
			continue
		}
		scale := 0.0
		row := cells[r.Row*index.Shape[1]*index.Shape[2]:][:index.Shape[1]*index.Shape[2]]
		for i, v := range row {
			scale = max(scale, math.Abs(v))
			layer, column := i/index.Shape[2]-1, i%index.Shape[2]
			switch {
			case layer >= 0 && column == index.Shape[2]-1:
				h.Cells[fmt.Sprint("MLP", layer)] = v
			case layer >= 0:
				h.Cells[fmt.Sprintf("%d.%d", layer, column)] = v
			case column < 3:
				h.Cells[[]string{"W_E", "W_pos", map[string]string{"query": "b_Q", "key": "b_K"}[h.Side]}[column]] = v
			}
		}
		h.Allowed = batchMean * scale
		list = append(list, h)
	}
	return list
}

// histograms reads the distributions that correspond to the published figures and summarises them.
func histograms(t *testing.T, dir string) []conformance.HistogramReference {
	t.Helper()
	path := filepath.Join(dir, "golden", "hist_f64.npz")
	var list []conformance.HistogramReference
	add := func(figure, vector, array string) {
		var values []float64
		f, err := npz.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Read(array+".npy", &values); err != nil {
			t.Fatalf("%s: %v", array, err)
		}
		h := conformance.HistogramReference{Figure: figure, Vector: vector, N: len(values)}
		slices.Sort(values)
		n := float64(len(values))
		mean, squares, scale := 0.0, 0.0, 0.0
		for _, v := range values {
			mean += v / n
			scale = max(scale, math.Abs(v))
		}
		for _, v := range values {
			squares += (v - mean) * (v - mean)
		}
		middle := len(values) / 2
		h.Summary = [5]float64{mean, math.Sqrt(squares / (n - 1)), (values[(len(values)-1)/2] + values[middle]) / 2, values[0], values[len(values)-1]}
		h.Allowed = onePrompt * scale
		if strings.Contains(array, "prob") {
			h.Allowed = onePrompt
		}
		list = append(list, h)
	}
	for vector, array := range map[string]string{
		"NMH 9.9 output": "NMH_9.9_output", "NMH 9.9, perp W_U[IO]": "NMH_9.9,_perp_W_U[IO]", "No patching": "No_patching",
		"W_U[IO]": "W_U[IO]", "W_U[S]": "W_U[S]", "W_U[random name]": "W_U[random_name]", "W_U[random]": "W_U[random]",
	} {
		add("Q6_scores", vector, "queries/sub0/score/"+array)
		add("Q9_probs", vector, "queries/sub0/prob/"+array)
	}
	for vector, array := range map[string]string{
		"No patching": "No_patching_(IO_-_S1)", "W_E[IO]": "W_E[IO]_-_W_E[S1]", "W_EE[IO]": "W_EE[IO]_-_W_EE[S1]",
		"W_EE_subE[IO]": "W_EE_subE[IO]_-_W_EE_subE[S1]", "MLP0 out": "MLP0_out_(IO_-_S1)",
	} {
		add("K17_scores_IO_minus_S1", vector, "keys/sub1/score/"+array)
	}
	list = append(list, conformance.HistogramReference{Figure: "K17_scores_IO_minus_S1", Vector: "an unknown vector"}) // is listed
	return list
}

// TestGoldenModels runs the comparison on small models, with the numbers of the public research code in place
// of published ones: every check passes, and none does when its reference is moved by more than is allowed.
func TestGoldenModels(t *testing.T) {
	t.Parallel()
	dir := goldens(t)
	for _, model := range []string{"m1", "m2"} {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			subject, ref := reference(t, filepath.Join(dir, model))
			files := t.TempDir()
			if err := conformance.Ingest(t.Context(), subject, files, nil); err != nil {
				t.Fatal(err)
			}
			report, err := conformance.Compare(t.Context(), subject, ref, files)
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			if err := report.Print(&text); err != nil {
				t.Fatal(err)
			}
			t.Log("\n" + text.String())
			if len(report.Checks) < 100 || report.Failed() > 0 {
				t.Errorf("%d of %d checks failed, want none of 100 or more", report.Failed(), len(report.Checks))
			}
			if len(report.Left) != 2 {
				t.Errorf("not measured: %v, want the two that ducklens cannot measure", report.Left)
			}
			for _, c := range report.Checks {
				c.Reference += max(1e-9, 3*c.Allowed)
				if c.Pass() {
					t.Errorf("%s passes with %g as reference, and %g was measured", c.Name, c.Reference, c.Measured)
				}
			}
			if model == "m2" {
				wrongReferences(t, subject, ref, files)
			}
		})
	}
}

// wrongReferences holds that the comparison fails where a reference number is wrong, a cell is missing or too
// many, or a summary is of other prompts.
func wrongReferences(t *testing.T, subject conformance.Subject, ref conformance.Reference, files string) {
	t.Helper()
	scalar, heatmap, histogram := &ref.Scalars[0], &ref.Heatmaps[0], &ref.Histograms[0]
	scalar.Value += 3 * scalar.Allowed
	delete(heatmap.Cells, "W_pos")
	ref.Heatmaps[1].Cells["9.9"] = 0
	ref.Heatmaps[2].Cells["W_E"] += 3 * ref.Heatmaps[2].Allowed
	histogram.N, histogram.Summary[4] = 79, histogram.Summary[4]+3*histogram.Allowed
	report, err := conformance.Compare(t.Context(), subject, ref, files)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, c := range report.Checks {
		if !c.Pass() {
			failed = append(failed, strings.TrimSpace(c.Name+" "+c.Where))
		}
	}
	want := []string{scalar.Name, "W_pos", "9.9", "W_E", histogram.Vector + ": n", histogram.Vector + ": max"}
	if len(failed) != len(want) {
		t.Fatalf("failed: %q, want %d", failed, len(want))
	}
	for i, w := range want {
		if !strings.HasSuffix(failed[i], w) {
			t.Errorf("failure %d is %q, want %q", i, failed[i], w)
		}
	}
	var text strings.Builder
	if err := report.Print(&text); err != nil || strings.Count(text.String(), "FAIL") != len(want) {
		t.Errorf("printed with error %v and %d FAIL, want %d\n%s", err, strings.Count(text.String(), "FAIL"), len(want), text.String())
	}
}

// TestPublished: every published number is measured or known as one that is not, and the figures are whole.
func TestPublished(t *testing.T) {
	t.Parallel()
	ref, err := conformance.Published(filepath.Join("..", "..", "testdata", "published"))
	if err != nil {
		t.Fatal(err)
	}
	measured, left, err := conformance.Plan(ref)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("measured: %d; not measured: %d", len(measured), len(left))
	if len(ref.Scalars) != 134 || len(ref.Heatmaps) != 9 || len(ref.Histograms) != 22 {
		t.Errorf("%d scalars, %d panels, %d distributions, want 134, 9, 22", len(ref.Scalars), len(ref.Heatmaps), len(ref.Histograms))
	}
	for _, h := range ref.Heatmaps {
		if len(h.Cells) != 133 {
			t.Errorf("%s has %d cells, want 133", h.Name, len(h.Cells))
		}
	}
	for _, s := range ref.Scalars {
		if s.Allowed <= 0 {
			t.Errorf("scalar %s allows %g, want a number above 0", s.Name, s.Allowed)
		}
	}
	if _, _, err := conformance.Plan(conformance.Reference{Scalars: []conformance.ScalarReference{{Name: "nobody_knows"}}}); err == nil {
		t.Error("a scalar that is neither measured nor known passes")
	}
	if _, err := conformance.Published(t.TempDir()); err == nil || !strings.Contains(err.Error(), "scalars.csv") {
		t.Errorf("an empty folder gives %v, want an error that names the file", err)
	}
}

// TestMissing: what is not set or not there is named.
func TestMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"config.json": "{}", "lists.json": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := conformance.Missing(dir, filepath.Join(dir, "lists.json")); got != "" {
		t.Errorf("with both there: %q, want nothing missing", got)
	}
	if got := conformance.Missing("", ""); strings.Count(got, "is not set") != 2 {
		t.Errorf("without both: %q, want two lines", got)
	}
	if got := conformance.Missing(filepath.Join(dir, "no"), filepath.Join(dir, "no.json")); strings.Count(got, "is not there") != 2 {
		t.Errorf("with wrong paths: %q, want two lines", got)
	}
}

// TestInterrupt: a comparison that is interrupted ends with an error.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	subject := conformance.Subject{Dir: filepath.Join("..", "..", "testdata", "m2", "model"), Head: "2.1", Movers: [2]string{"1.2", "1.3"}}
	if err := conformance.Ingest(ctx, subject, t.TempDir(), nil); err == nil {
		t.Error("no error")
	}
}
