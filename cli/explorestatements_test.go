package cli_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/family/familytest"
	"ducklens/queries"
	"ducklens/queries/session"
)

// TestExploreStatements compares the statements of the explorer's views, which read tables so that DuckDB
// plans them fast, with the views, macros and saved queries that give the same numbers.
func TestExploreStatements(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"", "qwen3", "gemma2", "gpt_oss"} { // the demo's model; QK-norm, a soft cap, sinks
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			made := smoked{T: t, dir: t.TempDir(), model: "demo"}
			options := []string{"--head", "3.0", "--norms", "on", "--nearest", "5"}
			if kind != "" {
				made.model, options[1] = t.TempDir(), "2.1"
				if err := familytest.Write(made.model, familytest.Tiny(kind).With("vocab_size", 50257), 3); err != nil {
					t.Fatal(err)
				}
			}
			made.near("Our guests were Evan and Dylan. After dinner, Dylan described the hat to", "When the rain had stopped, Ruth and Olga went home, and then Olga wrote to",
				"Somebody had left a hat at the factory. Only Fred and Heather noticed it, and")
			file := made.ingest("run.duckdb", options...)
			s, err := session.Open(t.Context(), file, session.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			ask := func(q queries.Query, all map[string]string, columns string) (rows []string) {
				t.Helper()
				set := map[string]string{}
				for _, p := range q.Params {
					if value, ok := all[p.Name]; ok {
						set[p.Name] = value
					}
				}
				q.SQL = strings.Replace(q.SQL, "-- name:", "-- of:", 1)
				q.SQL = "SELECT " + columns + " FROM (\n" + q.SQL + "\n) ORDER BY ALL"
				result, err := s.Run(t.Context(), q, set)
				if err != nil {
					t.Fatalf("%s with %v: %v", q.Name, set, err)
				}
				for _, row := range result.Rows {
					for i, v := range row {
						if x, ok := queries.Number(v); ok { // rounding and the order of sums may differ
							row[i] = math.Round(x*1e4) / 1e4
						}
					}
					rows = append(rows, fmt.Sprint(row...))
				}
				return rows
			}
			text := func(sql string) queries.Query {
				q, err := queries.AdHoc(sql)
				if err != nil {
					t.Fatal(err)
				}
				return q
			}
			saved := func(name string) queries.Query {
				q, err := queries.Find(queries.Embedded(), name)
				if err != nil {
					t.Fatal(err)
				}
				return q
			}
			statement := func(name string) queries.Query {
				sql, err := os.ReadFile("../queries/explorer/sql/" + name + ".sql")
				if err != nil {
					t.Fatal(err)
				}
				return text(string(sql))
			}
			// part is a statement with a condition on its rows.
			part := func(name, condition string) queries.Query {
				q := statement(name)
				q.SQL = "SELECT * FROM (\n" + strings.Replace(q.SQL, "-- name:", "-- of:", 1) + "\n) WHERE " + condition
				return q
			}
			compare := func(as, of queries.Query, set map[string]string, columns string) {
				t.Helper()
				got, want := ask(as, set, columns), ask(of, set, columns)
				if len(want) == 0 && set["low"] != "0" || strings.Join(got, "\n") != strings.Join(want, "\n") {
					t.Errorf("%s with %v has %d rows and differs from the %d that it stands for:\n%.300s\nwant\n%.300s", as.Name, set, len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			check := func(name string, set map[string]string, of queries.Query, columns string) {
				t.Helper()
				compare(statement(name), of, set, columns)
			}
			for _, norm := range []string{"frozen", "responding"} {
				check("prompt_without", map[string]string{"example": "1", "norm": norm},
					text("SELECT * FROM prob_without(at := 'key', norm := '"+norm+"') WHERE example_id = 1"), "component, score, score_without, prob, prob_without")
			}
			check("prompt_nearest", map[string]string{"example": "1", "most": "3"}, text("SELECT n.*, n.token = e.key_token AS is_key FROM nearest_token AS n JOIN head AS h USING (run_id, head_id) JOIN edge AS e USING (run_id, example_id) "+
				"WHERE example_id = 1 AND (vector = 'map' AND (rank <= 3 OR token = key_token) OR vector = 'random' AND rank = 1)"), "side::VARCHAR AS side, vector, rank, token, cosine, is_key")
			word := ask(text("SELECT trim(key_token) AS word FROM edge WHERE example_id = 0"), nil, "word")[0]
			for _, only := range []map[string]string{nil, {"only": "key_token=" + word}} {
				compare(part("projection_means", "is_subspace"), saved("map_cosines"), only, "side::VARCHAR AS side, vector, basis, subtract, par_cos, par_se, perp_cos, perp_se")
				compare(part("projection_means", "side = 'query' AND NOT subtract"), saved("unembed_fraction"), only, "vector, basis, par_fraction, par_fraction_se")
				for _, side := range []string{"query", "key"} {
					set := map[string]string{"side": side, "most": "7", "only": only["only"]}
					if only == nil {
						delete(set, "only")
					}
					compare(part("nearest_means", "side = '"+side+"'"), saved("nearest_tokens"), set,
						"name, pct, se, n, mean_cosine, places, top_cosine, random_cosine, key_first_pct, key_rank")
				}
			}
			for _, subtract := range []string{"true", "false"} {
				value := map[string]string{"true": "diff", "false": "score"}[subtract]
				set := func(pairs ...string) map[string]string {
					m := map[string]string{"subtract": subtract, "most": "10000"}
					for i := 0; i < len(pairs); i += 2 {
						m[pairs[i]] = pairs[i+1]
					}
					return m
				}
				for _, bases := range [][2]string{{"none", "none"}, {"unembed", "mlp0"}} {
					for _, side := range []string{"query", "key"} {
						check("prompt_components", set("example", "1", "side", side, "query_basis", bases[0], "key_basis", bases[1]), statement("components"), "component, mean")
						check("cell_prompts", set("component", "0.1", "side", side, "query_basis", bases[0], "key_basis", bases[1]), saved("drill_down"),
							"example_id, value, pct_of_total, key_token, baseline_token, text")
					}
					check("component_pairs", set("query_basis", bases[0], "key_basis", bases[1]), text(fmt.Sprintf("SELECT query_component, key_component, "+
						"sum(mean_%[1]s) AS mean, CASE WHEN count(*) = 1 THEN any_value(se_%[1]s) END AS se FROM pair_mean WHERE query_basis = '%[2]s' AND key_basis = '%[3]s' GROUP BY ALL",
						value, bases[0], bases[1])), "query_component, key_component, mean, se")
				}
				check("component_pairs", set("query_basis", "unembed", "key_basis", "mlp0", "quadrant", "perp_par"), text("SELECT query_component, key_component, mean_"+value+
					" AS mean, se_"+value+" AS se FROM pair_mean WHERE query_basis = 'unembed' AND key_basis = 'mlp0' AND quadrant = 'perp_par'"), "query_component, key_component, mean, se")
				// The block has every pair of the components that the largest pairs are made of.
				for _, name := range []string{"component_pairs", "prompt_pairs", "prompt_pairs_split"} {
					want := statement(name)
					want.Params = slices.DeleteFunc(want.Params, func(p queries.Param) bool { return p.Name == "grid" })
					all := strings.NewReplacer("-- name:", "-- of:", "$grid", "NULL").Replace(want.SQL)
					best := func(side string) string {
						return "(SELECT " + side + " FROM (\n" + all + "\n) GROUP BY ALL ORDER BY max(abs(mean)) DESC, " + side + " LIMIT 6)"
					}
					block := set("example", "1")
					block["grid"] = "6"
					want.SQL = "SELECT * FROM (\n" + all + "\n) WHERE query_component IN " + best("query_component") +
						" AND key_component IN " + best("key_component")
					check(name, block, want, "query_component, key_component, mean")
					if got := ask(statement(name), block, "query_component, key_component, mean"); len(got) < 30 {
						t.Errorf("%s: a block of 6 by 6 has %d pairs", name, len(got))
					}
				}
				for _, side := range []string{"query", "key"} {
					const of = "SELECT query_component, key_component, avg(%[1]s) AS mean, count(%[1]s) AS n FROM pair AS p WHERE query_basis = 'none' AND key_basis = 'none' " +
						"AND %[2]s_component = '0.1' AND example_id IN (SELECT example_id FROM contribution_unsplit WHERE side = '%[2]s' AND component = '0.1' AND %[1]s >= %[3]s) GROUP BY ALL"
					for _, low := range []string{"-1000", "0"} {
						check("cell_pairs", set("component", "0.1", "side", side, "low", low), text(fmt.Sprintf(of, value, side, low)), "query_component, key_component, mean, n")
					}
				}
				check("prompt_components", set("example", "1", "query_basis", "unembed", "key_basis", "mlp0", "quadrant", "perp_par"), statement("components"), "component, mean")
				check("substitution_means", set(), text("SELECT side, vector, avg("+value+") AS mean, stddev_samp("+value+") / sqrt(count("+value+")) AS se, count("+value+") AS n, avg(prob) AS mean_prob "+
					"FROM head_substitution GROUP BY side, vector HAVING n > 0"), "side::VARCHAR AS side, vector, mean, se, n, mean_prob")
				check("prompt_pairs", set("example", "1"), text("SELECT query_component, key_component, "+value+" AS mean FROM pair WHERE example_id = 1 AND query_basis = 'none' AND key_basis = 'none'"),
					"query_component, key_component, mean")
			}
		})
	}
}
