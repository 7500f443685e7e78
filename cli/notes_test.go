package cli

import (
	"bytes"
	"strings"
	"testing"

	"ducklens/queries/session"
	"ducklens/schema/schematest"
)

// readingOf opens a file and gives what SQL reads of it.
func readingOf(t *testing.T) func(sql string) reading {
	t.Helper()
	db := schematest.NewDB(t)
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := session.Open(t.Context(), db.Path(), session.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return func(sql string) reading {
		t.Helper()
		r, err := s.Reads(t.Context(), sql)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return reading{r}
	}
}

func TestMixesRuns(t *testing.T) {
	t.Parallel()
	read := readingOf(t)
	for sql, want := range map[string]bool{
		"SELECT avg(score) FROM main.head_score":                                                           true,
		`SELECT avg(score) FROM "head_score"`:                                                              true,
		"SELECT avg(score) FROM /* run_id */ head_score -- of every run_id":                                true,
		"WITH score AS (SELECT 1 AS score) SELECT avg(score) FROM score":                                   false,
		"SELECT avg(score) FROM head_score WHERE 'run_id' <> head":                                         true,
		"SELECT avg(score) FROM head_score":                                                                true,
		"from Head_Score":                                                                                  true,
		"SELECT 1 FROM head, score":                                                                        true,
		"SELECT r.seed, avg(score) FROM score JOIN run AS r USING (run_id) GROUP BY ALL":                   false,
		"SELECT avg(x.score) FROM score AS x JOIN edge AS e USING (run_id, example_id)":                    true,
		"SELECT avg(x.score) FROM score AS x JOIN edge AS e ON e.run_id = x.run_id AND e.prompt_id = 1":    true,
		"SELECT avg(score) FROM score WHERE run_id = 2":                                                    false,
		"SELECT run_id, avg(score) FROM score GROUP BY ALL":                                                false,
		"SELECT avg(x.score) FROM score AS x JOIN edge AS e USING (run_id, example_id) WHERE x.run_id = 1": false,
		"FROM heatmap(head := '3.0')":                                                                      false,
		"SELECT name FROM model":                                                                           false,
		"SELECT score FROM (SELECT 1 AS score)":                                                            false,
		"FROM closure":                                                                                     false,
	} {
		if got, err := read(sql).mixesRuns(); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", sql, got, err, want)
		}
	}
}

func TestNoteBases(t *testing.T) {
	t.Parallel()
	read := readingOf(t)
	for sql, want := range map[string]string{
		"FROM contribution_mean WHERE head = 'L10H7' AND component = 'MLP0'":       "use component_mean",
		"SELECT sum(diff) FROM contribution":                                       "use contribution_unsplit",
		"SELECT mean_diff FROM pair_mean WHERE quadrant = 'par_par'":               "set query_basis and key_basis\n",
		"FROM contribution_mean WHERE query_basis = 'none'":                        "set key_basis, or use component_mean",
		"FROM contribution_mean WHERE query_basis = 'none' AND key_basis = 'none'": "",
		"FROM component_mean": "",
		"SELECT contribution FROM contribution_unsplit AS x(contribution)": "",
	} {
		var out bytes.Buffer
		if err := noteBases(read(sql), &out); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: note %q, want %q", sql, got, want)
		}
	}
}

func TestNoteSides(t *testing.T) {
	t.Parallel()
	read := readingOf(t)
	for sql, want := range map[string]string{
		"SELECT sum(diff) / 200 FROM contribution_unsplit":               "the parts of each side add up to the whole score: set side = 'key'",
		"SELECT component, avg(diff) FROM Contribution GROUP BY ALL":     "rows of both sides",
		"SELECT vector, avg(diff) FROM head_substitution GROUP BY ALL":   "a substitution replaces either the query or the key",
		"SELECT side, sum(diff) FROM contribution_unsplit GROUP BY side": "",
		"FROM contribution_unsplit LIMIT 3":                              "",
		"SELECT avg(diff) FROM head_score":                               "",
		"SELECT sum(mean_diff) FROM component_mean WHERE side = 'key'":   "",
	} {
		var out bytes.Buffer
		if err := noteSides(read(sql), &out); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: note %q, want %q", sql, got, want)
		}
	}
}
