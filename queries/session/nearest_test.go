package session_test

import (
	"math"
	"strings"
	"testing"

	"ducklens/queries/session"
)

// TestNearestTokens counts the nearest tokens again, from the rows of the table.
func TestNearestTokens(t *testing.T) {
	t.Parallel()
	s := open(t, session.Options{})
	result, err := ask(t.Context(), s, `SELECT n.example_id, n.vector, n.rank, n.token_id, n.cosine, n.token_id = k.token_id AS own
		FROM nearest_token AS n JOIN head AS h USING (run_id, head_id) JOIN edge AS e USING (run_id, example_id)
		JOIN prompt_token AS k ON k.run_id = e.run_id AND k.prompt_id = e.prompt_id AND k.pos = e.key_pos
		WHERE n.run_id = latest_run() AND h.label = 'L2H1' AND n.side = 'query'`, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := table{t, result}
	q := embedded(t, "nearest_tokens")
	for _, c := range []struct {
		vector string
		within float64
	}{{"map", 2}, {"0.0", 1}} {
		near, cosines, ranks := map[float64]float64{}, map[float64]float64{}, map[float64]float64{}
		n, first, top, random, key := 0.0, 0.0, 0.0, 0.0, 0.0
		for i := range result.Rows {
			vector, rank, cosine := rows.text(i, "vector"), rows.number(i, "rank"), rows.number(i, "cosine")
			own := rows.text(i, "own") == "true"
			if vector == "random" && rank == 1 {
				random += cosine
			}
			if vector != c.vector {
				continue
			}
			if rank == 1 {
				n, top = n+1, top+cosine
			}
			if own {
				if key += cosine; rank == 1 {
					first++
				}
			}
			if rank <= c.within {
				id := rows.number(i, "token_id")
				near[id], cosines[id], ranks[id] = near[id]+1, cosines[id]+cosine, ranks[id]+rank
			}
		}
		set := map[string]string{"head": "2.1", "side": "query", "vector": c.vector, "most": "100"}
		if c.within == 1 {
			set["within"] = "1"
		}
		got := ran(t, s, q, set)
		if len(got.result.Rows) != len(near) || n == 0 || first == 0 || first == n {
			t.Fatalf("%s: %d tokens, want %d; %v of %v prompts have the key's token first", c.vector, len(got.result.Rows), len(near), first, n)
		}
		last := math.Inf(1)
		for i := range got.result.Rows {
			id := got.number(i, "token_id")
			for column, want := range map[string]float64{
				"pct": 100 * near[id] / n, "mean_cosine": cosines[id] / near[id], "mean_rank": ranks[id] / near[id], "n": n, "places": c.within,
				"top_cosine": top / n, "random_cosine": random / n, "key_first_pct": 100 * first / n, "key_cosine": key / n,
			} {
				if x := got.number(i, column); !(math.Abs(x-want) <= 1e-6*max(1, math.Abs(want))) {
					t.Errorf("%s, token %v: %s is %v, want %v", c.vector, id, column, x, want)
				}
			}
			if pct := got.number(i, "pct"); pct > last {
				t.Errorf("%s: row %d is out of order", c.vector, i)
			} else {
				last = pct
			}
		}
	}
	for set, want := range map[string]string{
		"vector=9.9": "parameter vector: 9.9, want one of the key side: map, random",
		"within=3":   "parameter within: 3, want 1 to 2, which the run stores",
		"side=both":  "both",
	} {
		name, value, _ := strings.Cut(set, "=")
		if _, err := s.Run(t.Context(), q, map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", set, err, want)
		}
	}
}
