package session_test

import (
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

// published holds the columns of testdata/published/heatmaps.csv before the component.
type published struct {
	figure, side, baseline, query, queryPart, keyPart string
}

// readPublished reads published heatmaps as maps from component to value. rename converts a row of the file
// to the form of testdata.
func readPublished(t *testing.T, path string, rename func([]string) []string) map[published]map[string]float32 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	maps := map[published]map[string]float32{}
	for _, row := range rows[1:] {
		row = rename(row)
		key := published{row[0], row[1], row[2], row[3], row[4], row[5]}
		value, err := strconv.ParseFloat(row[7], 32)
		if err != nil {
			t.Fatal(err)
		}
		if maps[key] == nil {
			maps[key] = map[string]float32{}
		}
		maps[key][row[6]] = float32(value)
	}
	return maps
}

func publishedHeatmaps(t *testing.T) map[published]map[string]float32 {
	t.Helper()
	return readPublished(t, filepath.Join("..", "..", "testdata", "published", "heatmaps.csv"), func(row []string) []string { return row })
}

// publishedFile creates a run file of published heatmaps of head 10.7: one example, with the values as score
// and 0 as baseline.
func publishedFile(t *testing.T, panels []schematest.Panel) string {
	t.Helper()
	db := schematest.NewDB(t, verify.Incomplete, verify.NotClosed, verify.Conflicting)
	schematest.Panels(t, db, schema.Head{Layer: 10, Index: 7}, panels)
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db.Path()
}

// TestPublishedPercentages computes the published percentages from the published quadrants of figure K33:
// 23.48 and 41.95 (testdata/published/README.md), to all digits of the float32 data.
func TestPublishedPercentages(t *testing.T) {
	t.Parallel()
	var panels []schematest.Panel
	for key, values := range publishedHeatmaps(t) {
		if key.figure != "K33" {
			continue
		}
		quadrant, err := schema.ParseQuadrant(key.queryPart + "_" + key.keyPart)
		if err != nil {
			t.Fatal(err)
		}
		panels = append(panels, schematest.Panel{Side: schema.Key, QueryBasis: "unembed", KeyBasis: "mlp0", Quadrant: quadrant, Values: values})
	}
	if len(panels) != 4 {
		t.Fatalf("%d quadrants of K33, want 4", len(panels))
	}
	slices.SortFunc(panels, func(a, b schematest.Panel) int { return int(a.Quadrant) - int(b.Quadrant) })
	s := openFile(t, publishedFile(t, panels), session.Options{})
	for _, c := range []struct{ query, printed, digits string }{
		{"pct_explained_mlp0", "23.48", "23.483356"},
		{"pct_explained_all_mlps", "41.95", "41.945716"},
	} {
		result := ran(t, s, embedded(t, c.query), nil)
		pct := result.number(0, "pct")
		if got := fmt.Sprintf("%.2f", pct); got != c.printed {
			t.Errorf("%s: %s, printed %s", c.query, got, c.printed)
		}
		if got := fmt.Sprintf("%.6f", pct); got != c.digits {
			t.Errorf("%s: %s, want %s", c.query, got, c.digits)
		}
		t.Logf("%s: %.9f %% of %.6f", c.query, pct, result.number(0, "denominator"))
	}
	// The cells of the quadrants are unchanged.
	result := ran(t, s, embedded(t, "key_quadrants"), nil)
	frames := map[string]int{}
	for i := range result.result.Rows {
		frames[result.text(i, "frame")]++
		quadrant, err := schema.ParseQuadrant(result.text(i, "quadrant"))
		if err != nil {
			t.Fatal(err)
		}
		want, ok := panels[quadrant].Values[result.text(i, "component")]
		if got := result.number(i, "mean"); !ok || got != float64(want) {
			t.Errorf("%v %s: %v, want %v", quadrant, result.text(i, "component"), got, want)
		}
	}
	if want := map[string]int{"baseline subtracted": 4 * 133, "baseline not subtracted": 4 * 133}; !maps.Equal(frames, want) {
		t.Errorf("cells %v, want %v", frames, want)
	}
}

// TestPublishedComponents puts each published unsplit heatmap into a file, and expects its panel unchanged.
func TestPublishedComponents(t *testing.T) {
	t.Parallel()
	count := 0
	for key, values := range publishedHeatmaps(t) {
		if key.queryPart != "all" {
			continue
		}
		count++
		t.Run(fmt.Sprint(key.figure, " ", key.baseline), func(t *testing.T) {
			side, err := schema.ParseSide(key.side)
			if err != nil {
				t.Fatal(err)
			}
			s := openFile(t, publishedFile(t, []schematest.Panel{
				{Side: side, QueryBasis: "none", KeyBasis: "none", Quadrant: schema.PerpPerp, Values: values},
			}), session.Options{})
			result := ran(t, s, embedded(t, key.side+"_components"), nil)
			panel := map[string]string{"subtracted": "baseline subtracted", "kept": "baseline not subtracted"}[key.baseline]
			cells := 0
			for i := range result.result.Rows {
				if result.text(i, "panel") != panel {
					continue
				}
				cells++
				component := result.text(i, "component")
				want, ok := values[component]
				if got := result.number(i, "mean"); !ok || got != float64(want) {
					t.Errorf("%s: %v, want %v", component, got, want)
				}
			}
			if cells != 133 || len(values) != 133 {
				t.Errorf("%d cells of %d, want 133", cells, len(values))
			}
		})
	}
	if count != 5 {
		t.Errorf("%d unsplit heatmaps, want 5", count)
	}
}

// TestPublishedCopy compares testdata with the collection of published numbers that it comes from.
func TestPublishedCopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "..", "shared", "published", "heatmaps_attn_score_10.7.csv")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no reference data beside the checkout: %v", err)
	}
	words := map[string]string{"subtracted": "subtracted", "not": "kept", "none": "own", "sub_W_U_IO": "unembedding"}
	all := readPublished(t, path, func(row []string) []string {
		return []string{row[0], row[1], words[row[2]], words[row[3]], row[4], row[5], row[8], row[9]}
	})
	for key, values := range publishedHeatmaps(t) {
		if !maps.Equal(all[key], values) {
			t.Errorf("%v: not as published", key)
		}
	}
}
