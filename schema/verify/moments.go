package verify

import (
	"database/sql"
	"errors"
	"math"

	"ducklens/schema/moment"
)

// moments compares the numbers of contribution_moment with the sums that are stored beside them.
func (v *verifier) moments() (err error) {
	rows, err := v.conn.QueryContext(v.ctx, `SELECT m.run_id, format('{}, head #{}, {} side, component #{}, bases #{} and #{}, {}', m.prompts, m.head_id, m.side, m.component_id,
		m.query_basis_id, m.key_basis_id, coalesce(m.quadrant::VARCHAR, 'their sum')), m.n, m.n_baseline, m.mean_score, m.variance_score, m.mean_baseline, m.variance_baseline,
		m.mean_diff, m.variance_diff, m.state FROM contribution_moment AS m`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	wrong, first := map[int]int64{}, map[int]string{}
	for rows.Next() {
		var run int
		var place string
		var n, nBaseline int64
		var numbers [6]sql.Null[float64]
		var state []byte
		if err := rows.Scan(&run, &place, &n, &nBaseline, &numbers[0], &numbers[1], &numbers[2], &numbers[3],
			&numbers[4], &numbers[5], &state); err != nil {
			return err
		}
		if !follows(n, nBaseline, numbers, state) {
			if wrong[run]++; wrong[run] == 1 {
				first[run] = place
			}
		}
	}
	for run, n := range wrong {
		v.problem(Conflicting, run, "%s; first: %s",
			plural(n, "moment of contributions does not follow from its exact sums",
				"moments of contributions do not follow from their exact sums"), v.named(run, first[run]))
	}
	return rows.Err()
}

// follows reports whether counts, means and variances equal those of a state, to the last bit.
func follows(n, nBaseline int64, numbers [6]sql.Null[float64], state []byte) bool {
	r, err := moment.ParseRow(state)
	if err != nil || r.Score.N() != n || r.Baseline.N() != nBaseline {
		return false
	}
	for i, want := range [...]float64{r.Score.Mean(), r.Score.Variance(), r.Baseline.Mean(),
		r.Baseline.Variance(), r.Diff.Mean(), r.Diff.Variance()} {
		if numbers[i].Valid == math.IsNaN(want) || numbers[i].Valid && numbers[i].V != want {
			return false
		}
	}
	return true
}
