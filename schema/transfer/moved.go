package transfer

import (
	"context"
	"fmt"
)

// Moved is a mean over the prompts of two runs.
type Moved struct {
	Head, What string  // the value that is averaged: prob, score, diff, or a side and a component
	A, B       float64 // the means
	Change     float64 // B - A
	Error      float64 // standard error of Change; negative if there is only one prompt
	CountA     int64   // number of examples in A
	CountB     int64
}

// Interval returns the 95 % confidence interval of Change.
func (m Moved) Interval() (low, high float64) {
	return m.Change - 1.96*m.Error, m.Change + 1.96*m.Error
}

// means compares the values that people look at first: the attention of the heads that both runs have, and
// the contributions of components to it. If both runs have the same prompts, changes are computed prompt by
// prompt.
func (d *differ) means(ctx context.Context) error {
	a, b := d.names[0]+".main.", d.names[1]+".main."
	if err := d.conn.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*) > 0 AND bool_and(x.key IS NOT NULL AND y.key IS NOT NULL)
		FROM (SELECT e.example_id, p.key FROM %[1]sedge AS e JOIN %[1]sprompt AS p ON p.run_id = e.run_id AND p.prompt_id = e.prompt_id WHERE e.run_id = %[3]d) AS x
		FULL JOIN (SELECT e.example_id, p.key FROM %[2]sedge AS e JOIN %[2]sprompt AS p ON p.run_id = e.run_id AND p.prompt_id = e.prompt_id WHERE e.run_id = %[4]d) AS y
		ON y.example_id = x.example_id AND y.key = x.key`, a, b, d.runs[0], d.runs[1])).Scan(&d.result.Paired); err != nil {
		return err
	}
	if err := d.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT EXISTS (FROM %shead AS a JOIN %shead AS b "+
		"ON b.label = a.label WHERE a.run_id = %d AND b.run_id = %d)", a, b, d.runs[0], d.runs[1])).
		Scan(&d.result.HeadsInCommon); err != nil {
		return err
	}
	rows, err := d.conn.QueryContext(ctx, fmt.Sprintf(`WITH a AS MATERIALIZED (%s), b AS MATERIALIZED (%s),
		alone AS (
			SELECT x.*, y.mean AS b, y.var AS var_b, y.n AS n_b
			FROM (SELECT head, place, what, component_place, avg(value) AS mean, var_samp(value) AS var, count(*) AS n FROM a GROUP BY ALL) AS x
			JOIN (SELECT head, what, avg(value) AS mean, var_samp(value) AS var, count(*) AS n FROM b GROUP BY ALL) AS y ON y.head = x.head AND y.what = x.what
		), paired AS (
			SELECT x.head, x.what, avg(y.value - x.value) AS change, stddev_samp(y.value - x.value) / sqrt(count(*)) AS error
			FROM a AS x JOIN b AS y ON y.head = x.head AND y.what = x.what AND y.example_id = x.example_id
			GROUP BY x.head, x.what
		), moved AS (
			SELECT x.head, x.place, x.what, x.component_place, x.mean AS a, x.b, x.b - x.mean AS change, x.n AS n_a, x.n_b,
				coalesce(CASE WHEN $1 THEN p.error ELSE sqrt(x.var / x.n + x.var_b / x.n_b) END, -1) AS error
			FROM alone AS x LEFT JOIN paired AS p ON p.head = x.head AND p.what = x.what
		)
		SELECT head, what, a, b, change, error, n_a, n_b FROM moved WHERE change <> 0
		ORDER BY place, CASE WHEN place = 0 THEN 0 ELSE -abs(change) END, head, component_place, what LIMIT $2`,
		meansOf(a, d.runs[0]), meansOf(b, d.runs[1])), d.result.Paired, max(0, d.opts.Limit))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var m Moved
		if err := rows.Scan(&m.Head, &m.What, &m.A, &m.B, &m.Change, &m.Error, &m.CountA,
			&m.CountB); err != nil {
			return err
		}
		d.result.Means = append(d.result.Means, m)
	}
	return rows.Err()
}

// meansOf returns the query for the values that are averaged: the scores of each head, and the contribution
// of each component to score - baseline, or to the score if a prompt has no baseline.
func meansOf(database string, run int) string {
	return fmt.Sprintf(`SELECT h.label AS head, 0 AS place, u.what, 0 AS component_place, s.example_id, u.value::DOUBLE AS value
		FROM %[1]sscore AS s JOIN %[1]shead AS h ON h.run_id = s.run_id AND h.head_id = s.head_id,
			unnest([{'what': 'probability of the key', 'value': s.prob}, {'what': 'score', 'value': s.score}, {'what': 'score difference', 'value': s.score - s.baseline}]) AS v(u)
		WHERE s.run_id = %[2]d AND u.value IS NOT NULL
		UNION ALL
		SELECT h.label, 1, w.side || ' side, ' || c.label, c.component_id, w.example_id,
			CASE WHEN bool_or(w.baseline_perp_perp IS NOT NULL) OVER () THEN w.score_perp_perp - w.baseline_perp_perp ELSE w.score_perp_perp END::DOUBLE
		FROM %[1]scontribution_wide AS w
		JOIN %[1]shead AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
		JOIN %[1]scomponent AS c ON c.component_id = w.component_id
		JOIN %[1]sbasis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id AND qb.kind = 'whole'
		JOIN %[1]sbasis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id AND kb.kind = 'whole'
		WHERE w.run_id = %[2]d
		QUALIFY NOT (bool_or(w.baseline_perp_perp IS NOT NULL) OVER ()) OR w.baseline_perp_perp IS NOT NULL`, database, run)
}
