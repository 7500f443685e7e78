package ingest_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"codeberg.org/sbinet/npyio/npz"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// reference returns the path of reference data in the folder shared beside the checkout, and skips the test
// if there is none.
func reference(t *testing.T, elements ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "shared"}, elements...)...)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no reference data at %s beside the checkout", filepath.Join(elements...))
	}
	return path
}

// golden is a reference model and its heads.
type golden struct {
	name   string
	head   schema.Head
	movers []schema.Head
}

var goldens = []golden{
	{"m1", schema.Head{Layer: 10, Index: 7}, []schema.Head{{Layer: 9, Index: 9}, {Layer: 9, Index: 6}}},
	{"m2", schema.Head{Layer: 2, Index: 1}, []schema.Head{{Layer: 1, Index: 2}, {Layer: 1, Index: 3}}},
}

// run ingests a reference prompt set in the notebook convention and opens the file.
func (g golden) run(t *testing.T, path string, sampling prompts.Sampling, o engine.Options) *dbfile.DB {
	t.Helper()
	templates, err := prompts.ReadTemplates(reference(t, "goldens", "prompts", "lists.json"))
	if err != nil {
		t.Fatal(err)
	}
	o.Convention, o.Heads, o.Movers, o.Threads = schema.Notebook, []schema.Head{g.head}, g.movers, 1
	e, err := engine.Open(reference(t, "goldens", g.name, "model"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	_, err = os.Stat(path)
	mustRun(t, ingest.Options{
		Engine: e, Prompts: templates.Prompts(sampling), Names: templates.Names, Path: path, Append: err == nil,
		CreatedAt: created, Version: "test", PromptSource: "reference", Seed: sampling.Seed,
		Database: dbfile.Options{Threads: 1},
	})
	db, err := dbfile.OpenReader(t.Context(), path, dbfile.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// array reads one array of an .npz file.
func array[T int64 | float32](t *testing.T, path, name string) (list []T) {
	t.Helper()
	f, err := npz.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Read(name+".npy", &list); err != nil {
		t.Fatalf("%s of %s: %v", name, path, err)
	}
	return list
}

// column returns the only column of a query's result.
func column(t *testing.T, db *dbfile.DB, query string, args ...any) (list []float64) {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var x float64
		if err := rows.Scan(&x); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		list = append(list, x)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// distance returns the largest difference and the largest absolute value in want.
func distance(t *testing.T, got []float64, want []float32) (worst, size float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d numbers, want %d", len(got), len(want))
		return math.NaN(), 0
	}
	for i, w := range want {
		worst, size = max(worst, math.Abs(got[i]-float64(w))), max(size, math.Abs(float64(w)))
	}
	return worst, size
}

// TestReferenceSubstitutions compares the substitution table with the histograms of the published code: seeds
// 0 and 1, 40 prompts each, without BOS, and the names and tokens drawn for them.
func TestReferenceSubstitutions(t *testing.T) {
	t.Parallel()
	const tolerance = 2e-5 // of the largest score, and of a probability; the float32 noise of the original is 5e-6
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			arrays := reference(t, "goldens", g.name, "golden", "hist_f32.npz")
			path := filepath.Join(t.TempDir(), "run.duckdb")
			var db *dbfile.DB
			for seed := range 2 {
				if db != nil {
					if err := db.Close(); err != nil {
						t.Fatal(err)
					}
				}
				db = g.run(t, path, prompts.Sampling{N: 40, Seed: int64(seed)}, engine.Options{BOS: engine.BOSOff, Substitutions: true})
			}
			for ids, columnName := range map[string]string{"random_token_ids": "random_token_id", "random_name_token_ids": "random_name_id"} {
				got := column(t, db, "SELECT "+columnName+" FROM example ORDER BY run_id, example_id")
				want := array[int64](t, filepath.Join(filepath.Dir(arrays), "hist_f64.npz"), "queries/sub0/"+ids)
				for i := range want {
					if got[i] != float64(want[i]) {
						t.Fatalf("%s: example %d has %v, want %d", columnName, i, got[i], want[i])
					}
				}
			}
			mover := g.movers[0].String()
			sides := map[string]map[string]string{
				"queries": {"W_U[IO]": "W_U[key]", "W_U[S]": "W_U[baseline]", "W_U[random_name]": "W_U[random name]", "W_U[random]": "W_U[random]",
					"NMH_9.9_output": mover, "NMH_9.9,_perp_W_U[IO]": mover + " perp W_U[key]", "No_patching": "unpatched"},
				"keys": {"W_E[IO]": "W_E", "W_EE[IO]": "W_EE", "W_EE_subE[IO]": "W_EE0", "MLP0_out": "MLP0", "No_patching": "unpatched"},
			}
			subtracted := map[string]string{"W_E[IO]": "W_E[IO]_-_W_E[S1]", "W_EE[IO]": "W_EE[IO]_-_W_EE[S1]", "W_EE_subE[IO]": "W_EE_subE[IO]_-_W_EE_subE[S1]",
				"No_patching": "No_patching_(IO_-_S1)", "MLP0_out": "MLP0_out_(IO_-_S1)"}
			for side, vectors := range sides {
				word := map[string]string{"queries": "query", "keys": "key"}[side]
				for label, vector := range vectors {
					scoreLabel := label
					if side == "keys" {
						scoreLabel = subtracted[label]
					}
					for name, columnName := range map[string]string{"sub0/score/" + label: "score", "sub1/score/" + scoreLabel: "diff",
						"sub0/prob/" + label: "prob", "sub1/prob/" + label: "diff_prob"} {
						got := column(t, db, "SELECT "+columnName+" FROM head_substitution WHERE side = ? AND vector = ? ORDER BY run_id, example_id", word, vector)
						worst, size := distance(t, got, array[float32](t, arrays, side+"/"+name))
						if columnName == "prob" || columnName == "diff_prob" {
							size = 1
						}
						if !(worst <= tolerance*size) {
							t.Errorf("%s/%s: largest difference %.2g, largest value %.3g", side, name, worst, size)
						}
						t.Logf("%s/%s: largest difference %.2g, largest value %.3g", side, name, worst, size)
					}
				}
			}
		})
	}
}

// TestReferencePairMeans compares pair_mean with the published code's table of pairs: seed 0, 50 prompts,
// with span(W_U[IO], W_U[S]) on the query side and MLP0 on the key side, baseline subtracted.
func TestReferencePairMeans(t *testing.T) {
	t.Parallel()
	const tolerance = 5e-6 // of the largest mean
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			want := array[float32](t, reference(t, "goldens", g.name, "golden", "full_f32.npz"), "sub1/ee0/l00/inclS11")
			db := g.run(t, filepath.Join(t.TempDir(), "run.duckdb"), prompts.Sampling{N: 50, Seed: 0}, engine.Options{Factors: true})
			// The order of the original is bias, embeddings, MLPs, heads. It leaves out b_K, which cancels.
			got := column(t, db, `SELECT mean_diff FROM (
				SELECT quadrant, `+originalPlace("q")+` AS q_place, `+originalPlace("k")+` AS k_place, CASE quadrant
					WHEN 'par_par' THEN w.mean_diff_par_par WHEN 'par_perp' THEN w.mean_diff_par_perp
					WHEN 'perp_par' THEN w.mean_diff_perp_par ELSE w.mean_diff_perp_perp END AS mean_diff
				FROM pair_mean_wide AS w, (SELECT unnest(enum_range(NULL::quadrant)) AS quadrant)
				JOIN component AS q ON q.component_id = w.query_component_id
				JOIN component AS k ON k.component_id = w.key_component_id
				JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
				JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id
				WHERE qb.name = 'unembed+baseline' AND kb.name = 'mlp0'
			) ORDER BY quadrant, q_place, k_place`)
			worst, size := distance(t, got, want)
			if !(worst <= tolerance*size) {
				t.Errorf("largest difference %.2g, largest value %.3g", worst, size)
			}
			t.Logf("%d means: largest difference %.2g, largest value %.3g", len(got), worst, size)
		})
	}
}

// originalPlace returns the SQL expression that sorts components like the original.
func originalPlace(alias string) string {
	return "CASE " + alias + ".kind WHEN 'q_bias' THEN 0 WHEN 'k_bias' THEN 0 WHEN 'embed' THEN 1 WHEN 'pos_embed' THEN 2 WHEN 'mlp' THEN 100 + " +
		alias + ".layer ELSE 10000 + 100 * " + alias + ".layer + " + alias + ".head END"
}

// TestGoldensAreKnown checks that a test covers each reference model in the folder.
func TestGoldensAreKnown(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(reference(t, "goldens"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		known := slices.ContainsFunc(goldens, func(g golden) bool { return g.name == e.Name() })
		if e.IsDir() && e.Name() != "prompts" && !known {
			t.Errorf("a reference model %s that no test looks at", e.Name())
		}
	}
}
