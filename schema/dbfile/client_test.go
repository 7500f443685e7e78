package dbfile_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ducklens/schema"
	"ducklens/schema/schematest"
)

// TestOtherClients reads the views, macros and comments of a file with other DuckDB clients, from the oldest
// supported to a recent one. The clients come from npm; the test is skipped without npm, node or a network.
func TestOtherClients(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("installs packages with npm; left out by -short")
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no other DuckDB client to test with: %v", err)
		}
	}
	db := schematest.NewDB(t)
	schematest.Full(t, db, 1, 2, schema.Head{Layer: 1, Index: 0})
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	questions := []struct{ query, want string }{
		{"SELECT latest_run(), default_head(1)", `[[1,"L1H0"]]`},
		{"SELECT count(*), count(diff) FROM contribution WHERE head = 'L1H0' AND side = 'key' AND query_basis = 'unembed' AND key_basis = 'mlp0'", `[[136,136]]`},
		{"SELECT count(*) FROM contribution WHERE query_basis = 'none' AND key_basis = 'none' AND quadrant <> 'perp_perp'", `[[0]]`},
		{"SELECT count(*) FROM contribution_unsplit", `[[68]]`},
		{"SELECT component, n FROM contribution_mean WHERE side = 'query' AND query_basis = 'none' AND key_basis = 'none' AND kind = 'mlp'", `[["MLP0",2]]`},
		{"SELECT max(score_residual) < 1e-5, count(*) FROM contribution_sum", `[[true,32]]`},
		{"SELECT ok, tolerance FROM closure", `[[true,0.0001]]`},
		{"SELECT count(*), sum(prob) > 1.9999 FROM head_attention", `[[10,true]]`},
		{"SELECT text, key_token FROM head_score WHERE example_id = 1", `[[" Mary John gave to"," Mary"]]`},
		{"SELECT component, kind, n FROM heatmap(quadrant := 'perp_perp') WHERE grid_row = 1 AND grid_column = 13", `[["b_O0","attn_bias",2]]`},
		{"SELECT count(*), round(sum(pct), 6), count(DISTINCT denominator_is) FROM pct_explained()", `[[68,100,1]]`},
		{"SELECT quadrant, count(*), count(diff) FROM contribution_null WHERE draw = 1 AND component = 'W_E' AND side = 'key' GROUP BY ALL ORDER BY 1",
			`[["par_par",2,2],["par_perp",2,2],["perp_par",2,2],["perp_perp",2,2]]`},
		{"SELECT round(max(abs(p.score - s.score) + abs(p.diff - s.diff)), 4), count(*) FROM pair AS p JOIN pair_contribution AS s USING (example_id, query_component, key_component, query_basis, key_basis, quadrant)", `[[0,5202]]`},
		{"SELECT count(*) FROM pair WHERE query_component = 'b_Q' AND key_component = 'MLP0' AND quadrant = 'perp_par'", `[[6]]`},
		{"SELECT count(*), min(n), count(se_diff) FROM pair_mean WHERE query_basis = 'unembed' AND quadrant = 'par_par'", `[[289,2,289]]`},
		{"SELECT text, key_token, n_tokens, baseline_kind, rule, prompt_id FROM example WHERE example_id = 1", `[[" Mary John gave to"," Mary",5,"token","given",1]]`},
		{"SELECT token_id, text FROM token WHERE example_id = 0 ORDER BY pos LIMIT 2", `[[0,"<|endoftext|>"],[1," Mary"]]`},
		{"SELECT count(*), min(capped) = min(score) FROM head_attention", `[[10,true]]`},
		{"SELECT head_label('10.7'), head_label('L10H7'), head_name('L11H10')", `[["L10H7","L10H7","11.10"]]`},
		{"SELECT count(*) FROM heatmap(head := '1.0', side := 'query')", `[[17]]`},
		{`SELECT count(*), count(h.se_diff), max(abs(m.mean_diff - h.mean_diff)) < 1e-12, max(abs(m.se_diff - h.se_diff)) < 1e-12, bool_and(m.n = h.n AND m.n_baseline = h.n_baseline)
			FROM component_mean AS m JOIN heatmap(head := '1.0', side := 'query') AS h USING (component) WHERE m.run_id = latest_run() AND m.head = 'L1H0' AND m.side = 'query'`, `[[17,17,true,true,true]]`},
		{"SELECT count(*), count(DISTINCT vector) FROM head_substitution WHERE side = 'key'", `[[10,5]]`},
		{"SELECT count(*), round(avg(par_fraction + perp_fraction), 4) FROM head_projection WHERE basis = 'mlp0'", `[[4,1]]`},
		{"SELECT vector_a, vector_b, count(*) FROM vector_cosine GROUP BY ALL", `[["0.1","0.0",4]]`},
		{"SELECT count(*) - count(comment) FROM duckdb_columns() WHERE NOT internal", `[[0]]`},
		{"SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NOT NULL ORDER BY 1",
			`[["attention"],["closure"],["component_mean"],["component_source"],["contribution"],["contribution_mean"],["contribution_null"],["contribution_sum"],["contribution_unsplit"],["edge_rule"],["example"],["example_field"],["head_ablation"],["head_attention"],["head_measure_mean"],["head_projection"],["head_score"],["head_substitution"],["pair"],["pair_contribution"],["pair_mean"],["pair_wide"],["prompt_measure"],["rotary_band"],["row_contribution"],["row_contribution_unsplit"],["token"]]`},
		{"SELECT function_name FROM duckdb_functions() WHERE NOT internal AND comment IS NOT NULL ORDER BY 1",
			`[["bootstrap_ci"],["component_names"],["default_head"],["examples_where"],["head_label"],["head_name"],["heatmap"],["known_basis"],["known_components"],["known_example"],["known_head"],["known_run"],["latest_run"],["moments"],["pct_explained"],["prob_without"],["score_without"],["what_if"]]`},
		{"SELECT round(ci.low, 3), round(ci.high, 3) FROM (SELECT bootstrap_ci(list(i ORDER BY i)) AS ci FROM range(100) AS t(i))", `[[43.649,55.661]]`},
		{"SELECT bootstrap_ci([1]), bootstrap_ci([]), bootstrap_ci(NULL), round(what_if(0.5, ln(3)), 9), what_if(0.5, 1000), what_if(1, -1000)", `[[null,null,null,0.75,1,1]]`},
		{"FROM heatmap(head := '7.7')", `"Invalid Input Error: run 1 has no target head 7.7, it has L1H0"`},
		{"FROM heatmap(key_basis := 'unembd')", `"Invalid Input Error: run 1 has no key basis unembd, it has none, mlp0, sub_mlp0"`},
		{"SELECT count(*), (SELECT count(*) FROM examples_where(latest_run(), 'key_token=nobody')) FROM examples_where(latest_run(), 'key_token=' || (SELECT trim(min(key_token)) FROM example WHERE run_id = latest_run()))", `[[2,0]]`},
		{"FROM examples_where(latest_run(), 'template')", `"Invalid Input Error: prompts with template, want FIELD=VALUE such as prompt_order=ABBA"`},
		{"SELECT count(*), count(DISTINCT s.component), round(max(abs(s.score - s.score_without - c.score)), 4) FROM score_without(norm := 'frozen') AS s JOIN contribution_unsplit AS c USING (example_id, head, component) WHERE c.side = 'key'", `[[32,16,0]]`},
		{"SELECT DISTINCT component FROM score_without(component := ['0.1', 'MLP0'], at := 'both', norm := 'frozen')", `[["0.1 + MLP0"]]`},
		{"FROM score_without(at := 'there')", `"Invalid Input Error: a component removed at there, want query, key or both"`},
		{"FROM heatmap(run := 3)", `"Invalid Input Error: there is no run 3, there is 1"`},
	}
	for _, version := range []string{"1.1.3-alpha.12", "1.4.5-r.1"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			folder := installClient(t, version)
			arguments := []string{filepath.Join("testdata", "client.mjs"), folder, db.Path()}
			for _, q := range questions {
				arguments = append(arguments, q.query)
			}
			cmd := exec.CommandContext(t.Context(), "node", arguments...)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("node: %v\n%s", err, out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			number, _, _ := strings.Cut(version, "-")
			if lines[0] != `[["v`+number+`"]]` {
				t.Errorf("version %s, want %s", lines[0], number)
			}
			for i, q := range questions {
				if i+1 >= len(lines) || lines[i+1] != q.want {
					t.Errorf("%s:\ngot  %s\nwant %s", q.query, strings.Join(lines[min(i+1, len(lines)):min(i+2, len(lines))], ""), q.want)
				}
			}
		})
	}
	if names := folder(t, db.Path()); len(names) != 1 {
		t.Errorf("beside the file lies %q", names)
	}
}

// installClient installs a version of npm's DuckDB client into a folder of the test, or skips the test.
func installClient(t *testing.T, version string) string {
	t.Helper()
	folder := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, "@duckdb/node-api@"+version)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install DuckDB %s (no network?): %v\n%s", version, err, out)
	}
	return folder
}
