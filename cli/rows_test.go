package cli_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"codeberg.org/sbinet/npyio/npz"

	"ducklens/cli"
	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema/schematest"
)

// TestReferenceRowsInSQL takes the prompts of the reference folders through the commands, and reads rows and
// baselines that are means out of the file in SQL: they are the reference's numbers, within what a FLOAT
// column rounds, and the rules of verify hold.
func TestReferenceRowsInSQL(t *testing.T) {
	t.Parallel()
	for _, family := range []string{"gpt2", "llama3", "qwen3", "gemma2"} {
		dir := filepath.Join("..", "..", "shared", "families", family)
		if _, err := os.Stat(dir); err != nil {
			t.Skipf("no reference data beside the checkout: %v", err)
		}
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			var golden struct {
				Heads []string
				BOS   *string
			}
			text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
			if err == nil {
				err = json.Unmarshal(text, &golden)
			}
			if err != nil {
				t.Fatal(err)
			}
			archive, err := npz.Open(filepath.Join(dir, "deep.npz"))
			if err != nil {
				t.Fatal(err)
			}
			defer archive.Close()
			s := smoked{T: t, dir: t.TempDir(), model: filepath.Join(dir, "model"), prompts: filepath.Join(dir, "prompts.jsonl")}
			for _, kind := range []string{"mean", "attention"} {
				flags := []string{"--head", strings.Join(golden.Heads, ","), "-n", "3", "--precision", "float64", "--baseline", kind, "--keys", "all:unembed,mlp0"}
				if golden.BOS == nil {
					flags = append(flags, "--no-bos")
				}
				file := s.ingest(kind+".duckdb", flags...)
				s.ducklens("verify", file)
				asked := opened(t, file)
				for example := range 3 {
					for _, head := range golden.Heads {
						compare := func(name, sql string) {
							t.Helper()
							var want []float64
							if err := archive.Read(fmt.Sprintf("%d/%s/%s.npy", example, head, name), &want); err != nil {
								t.Fatal(err)
							}
							got := numbersOf(t, asked, fmt.Sprintf(sql, example, head))
							top, off, n := 0.0, 0.0, 0
							for _, w := range want {
								switch {
								case math.IsNaN(w): // the query does not see it, and there is no row of it
								case n >= len(got): // b_K of a model without
									off = max(off, math.Abs(w))
								default:
									top, off, n = max(top, math.Abs(w)), max(off, math.Abs(w-got[n])), n+1
								}
							}
							if n != len(got) || top == 0 || !(off <= 1e-6*top) {
								t.Errorf("example %d, head %s, %s: %d numbers of %d, off by %g of %g", example, head, name, n, len(got), off, top)
							}
						}
						compare("rows", `SELECT w.score FROM row_contribution_unsplit AS w JOIN component AS c ON c.label = w.component JOIN run_component AS o USING (run_id, component_id)
							WHERE w.example_id = %d AND w.head = head_label('%s') AND w.side = 'key' ORDER BY o.ordinal, w.pos`)
						compare("baseline_"+kind, `SELECT w.diff FROM contribution_unsplit AS w JOIN component AS c ON c.label = w.component JOIN run_component AS o USING (run_id, component_id)
							WHERE w.example_id = %d AND w.head = head_label('%s') AND w.side = 'key' ORDER BY o.ordinal`)
					}
				}
				// Both sides and both pairs of bases add up to the model's own scores at every token.
				worst := numbersOf(t, asked, `SELECT max(abs(t.total - a.score) / greatest(1, abs(a.score))) FROM (SELECT example_id, head, side, query_basis, key_basis, pos, sum(score) AS total
					FROM row_contribution GROUP BY ALL) AS t JOIN head_attention AS a USING (example_id, head, pos)`)
				if len(worst) != 1 || !(worst[0] <= 1e-6) {
					t.Errorf("sums of rows are off by %v", worst)
				}
			}
		})
	}
}

// numbersOf asks for one column.
func numbersOf(t *testing.T, s *session.Session, sql string) (list []float64) {
	t.Helper()
	for _, row := range answer(t, s, sql) {
		v, ok := queries.Number(row[0])
		if !ok {
			t.Fatalf("%s gives %v, want numbers", sql, row[0])
		}
		list = append(list, v)
	}
	return list
}

// TestMeansOfPairsWithMixedBaselines: where prompts have an edge with a baseline token and rules add edges
// whose baseline is a mean, means of pairs with a split key side are over the former alone, and verify holds
// them to that.
func TestMeansOfPairsWithMixedBaselines(t *testing.T) {
	t.Parallel()
	file := runCopy(t, filepath.Join(t.TempDir(), "run.duckdb"), "--head", "3.0", "-n", "3", "--edges", "given,top:1", "--factors", "on")
	got, _ := succeed(t, "query", file, "--format", "csv", "-e", `SELECT k.kind, any_value(p.n) = any_value(e.n) AS every_example,
		any_value(p.n_baseline) = any_value(CASE k.kind WHEN 'whole' THEN e.some ELSE e.token END) AS those_with_a_baseline, any_value(e.token < e.some) AS mixed
		FROM pair_mean_wide AS p JOIN basis AS k ON k.run_id = p.run_id AND k.basis_id = p.key_basis_id,
		(SELECT count(*) AS n, count(*) FILTER (baseline_kind <> 'none') AS some, count(baseline_pos) AS token FROM edge) AS e GROUP BY k.kind ORDER BY k.kind`)
	if want := "kind,every_example,those_with_a_baseline,mixed\nwhole,true,true,true\nsubspace,true,true,true\n"; got != want {
		t.Errorf("means of pairs:\n%swant\n%s", got, want)
	}
	succeed(t, "verify", file)
	schematest.Plant(t, file, `UPDATE pair_mean_wide SET mean_diff_perp_perp = mean_diff_perp_perp + 0.01
		WHERE query_component_id = 5 AND key_component_id = 3 AND key_basis_id = (SELECT basis_id FROM basis WHERE side = 'key' AND kind = 'subspace')`)
	code, stdout, _ := run(t.Context(), "verify", file)
	if code != cli.ExitFailed || !strings.Contains(stdout, "2 sums of the means of the pairs of a component are not its mean contribution") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
}
