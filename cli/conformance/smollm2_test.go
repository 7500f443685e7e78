package conformance

import (
	"encoding/csv"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/cli/smollm2"
)

var update = flag.Bool("update", false, "write the expected numbers of SmolLM2 anew")

// Largest differences of two computers' float32, as a part of what is measured, or of the largest value of a
// distribution.
const smolNoise = 5e-5

// TestSmolLM2 compares with what the model gave before, and holds that a number that is wrong by three times
// what is allowed fails.
func TestSmolLM2(t *testing.T) {
	root := filepath.Join("..", "..")
	model := smollm2.At(root)
	switch {
	case testing.Short():
		t.Skip("runs a model of 135 million parameters")
	case model == "":
		t.Skipf("there is no SmolLM2 here (make smollm2 gets it; %s may hold its path)", smollm2.Variable)
	}
	subject, files, dir := SmolLM2(model, filepath.Join("..", "smollm2", "templates.json")), t.TempDir(), filepath.Join(root, "testdata", "smollm2")
	if err := Ingest(t.Context(), subject, files, nil); err != nil {
		t.Fatal(err)
	}
	if *update {
		writeExpected(t, &bench{ctx: t.Context(), subject: subject, dir: files}, dir)
	}
	ref, err := Expected(dir)
	if err != nil {
		t.Fatal(err)
	}
	report, err := Compare(t.Context(), subject, ref, files)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.Print(&text); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
	if len(report.Checks) < 80 || report.Failed() > 0 || len(report.Without) > 0 {
		t.Errorf("%d of %d checks failed, and %d numbers are not expected, want none of 80 or more", report.Failed(), len(report.Checks), len(report.Without))
	}
	for _, c := range report.Checks {
		if c.Reference += max(1e-9, 3*c.Allowed); c.Pass() {
			t.Errorf("%s passes with %g as reference, and %g was measured", c.Name, c.Reference, c.Measured)
		}
	}
}

// writeExpected measures everything and writes it in the form of the published numbers.
func writeExpected(t *testing.T, b *bench, dir string) {
	t.Helper()
	number := func(x float64) string { return fmt.Sprintf("%.7g", x) }
	noise := func(x float64) string { return fmt.Sprintf("%.1g", smolNoise*max(1e-2, math.Abs(x))) }
	scalars := [][]string{{"name", "value", "allowed"}}
	for _, m := range measurements() {
		value, err := b.scalar(m)
		if err != nil {
			t.Fatal(err)
		}
		scalars = append(scalars, []string{m.name, number(value), noise(value)})
	}
	summaries := [][]string{{"figure", "vector", "n", "mean", "std", "median", "min", "max", "allowed"}}
	for _, figure := range []string{"Q6_scores", "Q9_probs", "K17_scores_IO_minus_S1", "P6_prob_diff_10.7"} {
		for _, vector := range vectorsOf(figure) {
			sql, why := histogramSQL(figure, vector)
			if sql == "" {
				t.Fatalf("%s %s: %s", figure, vector, why)
			}
			n, summary, err := b.summary(figure, sql)
			if err != nil {
				t.Fatal(err)
			}
			row := []string{figure, vector, fmt.Sprint(n)}
			for _, x := range summary {
				row = append(row, number(x))
			}
			summaries = append(summaries, append(row, noise(max(math.Abs(summary[3]), math.Abs(summary[4])))))
		}
	}
	cells := [][]string{{"figure", "side", "baseline", "query", "query_part", "key_part", "component", "value"}}
	for figure, side := range map[string]string{"K25": "key", "Q26": "query"} {
		panel, err := b.heatmap(HeatmapReference{Side: side, Subtracted: true, QueryBasis: "none", KeyBasis: "none"})
		if err != nil {
			t.Fatal(err)
		}
		for component, value := range panel {
			cells = append(cells, []string{figure, side, "subtracted", "own", "all", "all", component, number(value)})
		}
	}
	slices.SortFunc(cells[1:], func(a, b []string) int { return strings.Compare(strings.Join(a, ","), strings.Join(b, ",")) })
	for name, rows := range map[string][][]string{"scalars.csv": scalars, "histogram_summary.csv": summaries, "heatmaps.csv": cells} {
		var text strings.Builder
		w := csv.NewWriter(&text)
		if err := w.WriteAll(rows); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// vectorsOf lists what a figure substitutes, in order; of a figure that substitutes nothing, its one
// distribution.
func vectorsOf(figure string) []string {
	if strings.HasPrefix(figure, "P6") {
		return []string{"difference"}
	}
	var names []string
	for name := range vectors(figure) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
