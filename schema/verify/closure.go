package verify

import (
	"database/sql"
	"errors"
)

// maxGroups bounds how many sums are held at a time; a sum takes about 100 bytes.
const maxGroups = 400_000

// closure adds up the stored contributions of every run, some examples at a time, and applies the
// rules below to the sums.
func (v *verifier) closure() (err error) {
	defer func() {
		_, derr := v.conn.ExecContext(v.ctx, "DROP TABLE IF EXISTS temp.main.verify_sum")
		if v.ctx.Err() == nil {
			err = errors.Join(err, derr)
		}
	}()
	for i := range v.report.Runs {
		if err := v.closureOf(&v.report.Runs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) closureOf(run *RunReport) error {
	runArg := sql.Named("run", run.RunID)
	var first, last sql.NullInt64
	row := v.conn.QueryRowContext(v.ctx, "SELECT count(*), (SELECT min(example_id) FROM example WHERE run_id = $run), (SELECT max(example_id) FROM example WHERE run_id = $run) FROM ("+pairs+")", runArg)
	if err := row.Scan(&run.Pairs, &first, &last); err != nil {
		return err
	}
	if !first.Valid {
		return nil
	}
	step := max(1, maxGroups/max(1, run.Heads*run.Pairs))
	broken := make([]found, len(closureRules))
	for from := first.Int64; from <= last.Int64; from += step {
		args := []any{runArg, sql.Named("first", from), sql.Named("last", min(from+step-1, last.Int64))}
		if _, err := v.conn.ExecContext(v.ctx, sumContributions, args...); err != nil {
			return err
		}
		if err := v.worst(run, runArg); err != nil {
			return err
		}
		for i, r := range closureRules {
			if r.kind == NotClosed && !run.Judged {
				continue
			}
			list, err := v.ask(r.rule, args[:r.args]...)
			if err != nil {
				return err
			}
			for _, c := range list {
				if broken[i].n == 0 {
					broken[i] = c
				} else {
					broken[i].n += c.n
				}
			}
		}
	}
	for i, c := range broken {
		if c.n > 0 {
			v.cases(closureRules[i].rule, c)
		}
	}
	return nil
}

// worst looks for a larger residual among the sums at hand.
func (v *verifier) worst(run *RunReport, runArg any) error {
	var residual, rel sql.NullFloat64
	var where sql.NullString
	if err := v.conn.QueryRowContext(v.ctx, "SELECT max(residual), max(rel), arg_max(place, rel) FROM ("+residuals+")", runArg).Scan(&residual, &rel, &where); err != nil {
		return err
	}
	run.WorstResidual = max(run.WorstResidual, residual.Float64) // NaN wins
	if rel.Valid && (run.WorstAt == "" || !(rel.Float64 <= run.WorstRelative)) {
		run.WorstRelative, run.WorstAt = rel.Float64, where.String
	}
	return nil
}

const (
	// pairs lists the pairs of bases that a run has on each side: all, but for those that would replace the
	// vector that is being split, and those of a random direction with anything but the one of its number.
	pairs = `SELECT s.side, q.basis_id AS query_basis_id, k.basis_id AS key_basis_id
		FROM basis AS q, basis AS k, (SELECT unnest(enum_range(NULL::side)) AS side) AS s
		WHERE q.run_id = $run AND k.run_id = $run AND q.side = 'query' AND k.side = 'key'
			AND q.null_number IS NOT DISTINCT FROM k.null_number AND NOT (s.side = 'query' AND q.kind = 'replacement') AND NOT (s.side = 'key' AND k.kind = 'replacement')`

	// sumContributions makes one row per example, head, side and pair of bases. parts tells sets of
	// components apart; query_par and key_par are how much is in the parallel parts, absolutely.
	sumContributions = `CREATE OR REPLACE TEMP TABLE verify_sum AS
		SELECT run_id, example_id, head_id, side, query_basis_id, key_basis_id, count(*) AS n, sum(hash(component_id)) AS parts,
			sum(score_par_par::DOUBLE + score_par_perp + score_perp_par + score_perp_perp) AS score,
			sum(baseline_par_par::DOUBLE + baseline_par_perp + baseline_perp_par + baseline_perp_perp) AS baseline,
			count(baseline_par_par::DOUBLE + baseline_par_perp + baseline_perp_par + baseline_perp_perp) AS n_baseline,
			count(coalesce(baseline_par_par, baseline_par_perp, baseline_perp_par, baseline_perp_perp)) AS n_any_baseline,
			sum(abs(score_par_par) + abs(score_par_perp) + abs(coalesce(baseline_par_par, 0)) + abs(coalesce(baseline_par_perp, 0))) AS query_par,
			sum(abs(score_par_par) + abs(score_perp_par) + abs(coalesce(baseline_par_par, 0)) + abs(coalesce(baseline_perp_par, 0))) AS key_par
		FROM contribution_wide WHERE run_id = $run AND example_id BETWEEN $first AND $last
		GROUP BY run_id, example_id, head_id, side, query_basis_id, key_basis_id`

	// named gives a sum its names and the kinds of its bases.
	named = `SELECT g.*, q.kind AS query_kind, k.kind AS key_kind,
			format('example {}, head {}, {} side, bases {} and {}', g.example_id, h.label, g.side, q.name, k.name) AS place
		FROM verify_sum AS g JOIN head AS h ON h.run_id = g.run_id AND h.head_id = g.head_id
		JOIN basis AS q ON q.run_id = g.run_id AND q.basis_id = g.query_basis_id
		JOIN basis AS k ON k.run_id = g.run_id AND k.basis_id = g.key_basis_id WHERE g.run_id = $run`

	// residuals compares the sums that should be scores with the scores.
	residuals = `SELECT g.run_id, g.example_id, g.place, s.score AS model_score, g.score, s.baseline AS model_baseline, g.baseline,
			greatest(abs(g.score - s.score), coalesce(abs(g.baseline - s.baseline), 0)) AS residual,
			greatest(abs(g.score - s.score), coalesce(abs(g.baseline - s.baseline), 0)) / greatest(1, abs(s.score), abs(coalesce(s.baseline, 0))) AS rel
		FROM (` + named + `) AS g
		JOIN score AS s ON s.run_id = g.run_id AND s.example_id = g.example_id AND s.head_id = g.head_id
		WHERE g.query_kind <> 'replacement' AND g.key_kind <> 'replacement'`

	// wantedSets lists the sets of components that the sides of a head are split over, for all runs; wanted for one.
	wantedSets = `SELECT h.run_id, h.head_id, s.side, count(*) AS n, sum(hash(c.component_id)) AS parts
		FROM head AS h JOIN run AS r ON r.run_id = h.run_id JOIN component AS c ON c.model_id = r.model_id,
			(SELECT unnest(enum_range(NULL::side)) AS side) AS s
		WHERE ` + splitOver + `
		GROUP BY h.run_id, h.head_id, s.side`
	wanted = "SELECT * FROM (" + wantedSets + ") WHERE run_id = $run"

	// splitOver tells whether side s of head h in run r is split over component c.
	splitOver = `(c.kind IN ('embed', 'pos_embed') OR (c.kind = 'q_bias' AND s.side = 'query') OR (c.kind = 'k_bias' AND s.side = 'key')
			OR (c.layer < h.layer AND NOT (c.kind = 'attn_bias' AND r.convention = 'notebook')))`
)

// closureRule is a rule about verify_sum; its query takes the first args of $run, $first, $last.
type closureRule struct {
	rule
	args int
}

// closureRules are asked of each batch of sums. Those of kind [NotClosed] do not concern notebook runs.
var closureRules = []closureRule{
	{rule{Incomplete, "example, head, side and pair of bases has no contributions", "examples, heads, sides and pairs of bases have no contributions", counted(`
		SELECT x.run_id, x.example_id AS case_order, x.place AS case_text
		FROM (SELECT e.run_id, e.example_id, h.head_id, p.side, p.query_basis_id, p.key_basis_id,
				format('example {}, head {}, {} side, bases {} and {}', e.example_id, h.label, p.side, q.name, k.name) AS place
			FROM example AS e JOIN head AS h ON h.run_id = e.run_id CROSS JOIN (` + pairs + `) AS p
			JOIN basis AS q ON q.run_id = e.run_id AND q.basis_id = p.query_basis_id
			JOIN basis AS k ON k.run_id = e.run_id AND k.basis_id = p.key_basis_id
			WHERE e.run_id = $run AND e.example_id BETWEEN $first AND $last) AS x
		ANTI JOIN verify_sum AS g ON g.example_id = x.example_id AND g.head_id = x.head_id AND g.side = x.side
			AND g.query_basis_id = x.query_basis_id AND g.key_basis_id = x.key_basis_id`)}, 3},
	{rule{Incomplete, "sum has not each component once", "sums have not each component once", counted(`
		SELECT g.run_id, g.example_id AS case_order, format('{}: {} rows, want {} different components', g.place, g.n, w.n) AS case_text
		FROM (` + named + `) AS g JOIN (` + wanted + `) AS w ON w.head_id = g.head_id AND w.side = g.side
		WHERE g.n <> w.n OR g.parts <> w.parts`)}, 1},
	{rule{Conflicting, "sum is over a vector that is itself replaced", "sums are over a vector that is itself replaced", counted(`
		SELECT g.run_id, g.example_id AS case_order, g.place AS case_text FROM (` + named + `) AS g
		ANTI JOIN (` + pairs + `) AS p ON p.side = g.side AND p.query_basis_id = g.query_basis_id AND p.key_basis_id = g.key_basis_id`)}, 1},
	{rule{Conflicting, "sum has baselines its example has not, or lacks some", "sums have baselines their examples have not, or lack some", counted(`
		SELECT g.run_id, g.example_id AS case_order, format('{}: {} of {} rows have one', g.place, g.n_any_baseline, g.n) AS case_text
		FROM (` + named + `) AS g JOIN example AS e ON e.run_id = g.run_id AND e.example_id = g.example_id
		WHERE CASE WHEN e.baseline_pos IS NULL THEN g.n_any_baseline <> 0 ELSE g.n_baseline <> g.n END`)}, 1},
	{rule{Conflicting, "sum has a parallel part where the basis is none", "sums have a parallel part where the basis is none", counted(`
		SELECT g.run_id, g.example_id AS case_order, g.place AS case_text FROM (` + named + `) AS g
		WHERE (g.query_kind = 'whole' AND g.query_par <> 0) OR (g.key_kind = 'whole' AND g.key_par <> 0)`)}, 1},
	{rule{NotClosed, "sum of contributions is not the score", "sums of contributions are not the score", counted(`
		SELECT run_id, -rel AS case_order, place || format(': contributions add up to {} and {}, the model says {} and {}',
			score, coalesce(baseline::VARCHAR, 'no baseline'), model_score, coalesce(model_baseline::VARCHAR, 'no baseline')) AS case_text
		FROM (` + residuals + `) WHERE NOT rel <= ` + toleranceSQL)}, 1},
	{rule{NotClosed, "replaced score depends on how the other side is split", "replaced scores depend on how the other side is split", counted(`
		SELECT run_id, min(example_id) AS case_order, min(place) || format(': {} to {} at the key, {} to {} at the baseline', min(score), max(score), coalesce(min(baseline)::VARCHAR, 'none'), coalesce(max(baseline)::VARCHAR, 'none')) AS case_text
		FROM (` + named + `) WHERE query_kind = 'replacement' OR key_kind = 'replacement'
		GROUP BY run_id, example_id, head_id, side, CASE side WHEN 'key' THEN query_basis_id ELSE key_basis_id END
		HAVING NOT greatest(max(score) - min(score), coalesce(max(baseline) - min(baseline), 0))
			<= ` + toleranceSQL + ` * greatest(1, max(abs(score)), coalesce(max(abs(baseline)), 0))`)}, 1},
}
