package verify

import (
	"database/sql"
	"fmt"
	"strings"

	"ducklens/schema"
)

// orphans asks of each row of a table whether what it refers to is there.
func orphans(table, one, many string, references ...string) (rules []rule) {
	for _, reference := range references {
		other, column, _ := strings.Cut(reference, " ")
		what, on := other, "o.run_id = t.run_id"
		switch other {
		case "example", "head":
			on += " AND o." + other + "_id = t." + other + "_id"
		case "component":
			on = "o.component_id = t." + column
		case "query", "key", "side":
			side := "'" + other + "'"
			if other == "side" {
				side = "t.side"
			}
			other, what = "basis", "basis of its side"
			on += " AND o.basis_id = t." + column + " AND o.side = " + side
		}
		rules = append(rules, rule{Orphan, one + " refers to no " + what, many + " refer to no " + what, missing(table, other, on)})
	}
	return rules
}

// factorBases lists the bases that a run has factors for: the subspaces of a side but for random ones, or none where
// the side has no such.
const factorBases = `SELECT b.run_id, b.side, b.basis_id FROM basis AS b
	WHERE b.null_number IS NULL AND (b.kind = 'subspace' OR (b.kind = 'whole' AND NOT EXISTS (FROM basis AS o
		WHERE o.run_id = b.run_id AND o.side = b.side AND o.kind = 'subspace' AND o.null_number IS NULL)))`

// factorsOf compares what a factor table has, by example, head and basis, with what it should have.
func factorsOf(side schema.Side) string {
	return counted(fmt.Sprintf(`
		SELECT coalesce(e.run_id, g.run_id) AS run_id, coalesce(e.example_id, g.example_id) AS case_order,
			format('example {}, head {}, basis {}: {} rows, want {} different components', case_order, coalesce(e.head_id, g.head_id), coalesce(e.basis_id, g.basis_id), coalesce(g.n, 0), coalesce(e.n, 0)) AS case_text
		FROM (SELECT x.run_id, x.example_id, w.head_id, f.basis_id, w.n, w.parts
			FROM run AS r JOIN example AS x ON x.run_id = r.run_id JOIN (%[2]s) AS w ON w.run_id = r.run_id AND w.side = '%[1]s'
			JOIN (%[3]s) AS f ON f.run_id = r.run_id AND f.side = w.side WHERE r.factors) AS e
		FULL JOIN (SELECT run_id, example_id, head_id, basis_id, count(*) AS n, sum(hash(component_id)) AS parts FROM %[1]s_factor GROUP BY ALL) AS g
			ON g.run_id = e.run_id AND g.example_id = e.example_id AND g.head_id = e.head_id AND g.basis_id = e.basis_id
		WHERE g.n IS DISTINCT FROM e.n OR g.parts IS DISTINCT FROM e.parts`, side, wantedSets, factorBases))
}

// wantedPairs lists the pairs of bases of each head that a run has pairs of components for, how many pairs there are, and a sum that tells
// sets of pairs apart.
const wantedPairs = `SELECT q.run_id, q.head_id, qb.basis_id AS query_basis_id, kb.basis_id AS key_basis_id, q.n, q.parts
	FROM (SELECT q.run_id, q.head_id, count(*) AS n, sum(hash(q.component_id, k.component_id)) AS parts
		FROM (` + wantedComponents + `) AS q JOIN (` + wantedComponents + `) AS k ON k.run_id = q.run_id AND k.head_id = q.head_id
		WHERE q.side = 'query' AND k.side = 'key' GROUP BY q.run_id, q.head_id) AS q
	JOIN (` + factorBases + `) AS qb ON qb.run_id = q.run_id AND qb.side = 'query'
	JOIN (` + factorBases + `) AS kb ON kb.run_id = q.run_id AND kb.side = 'key'`

// wantedComponents lists the components that each side of each head is split over, in runs that have pairs.
const wantedComponents = `SELECT h.run_id, h.head_id, s.side, c.component_id
	FROM head AS h JOIN run AS r ON r.run_id = h.run_id JOIN component AS c ON c.model_id = r.model_id,
		(SELECT unnest(enum_range(NULL::side)) AS side) AS s
	WHERE (r.factors OR r.pairs) AND ` + splitOver

// pairsOf compares what a table of pairs has, by the keys given, with what it should have.
func pairsOf(table, keys, wanted string) string {
	var on []string
	for _, k := range strings.Split(keys, ", ") {
		on = append(on, "g."+k+" = e."+k)
	}
	return counted(`
		SELECT coalesce(e.run_id, g.run_id) AS run_id, coalesce(e.head_id, g.head_id) AS case_order,
			format('head {}, bases {} and {}: {} rows, want {} different pairs', case_order, coalesce(e.query_basis_id, g.query_basis_id),
				coalesce(e.key_basis_id, g.key_basis_id), coalesce(g.n, 0), coalesce(e.n, 0)) AS case_text
		FROM (` + wanted + `) AS e
		FULL JOIN (SELECT ` + keys + `, count(*) AS n, sum(hash(query_component_id, key_component_id)) AS parts FROM ` + table + ` GROUP BY ` + keys + `) AS g
			ON ` + strings.Join(on, " AND ") + `
		WHERE g.n IS DISTINCT FROM e.n OR g.parts IS DISTINCT FROM e.parts`)
}

// pairRules are about factors and pairs of components.
var pairRules = concat(
	orphans("query_factor", "query factor", "query factors", "example", "head", "component component_id", "query basis_id"),
	orphans("key_factor", "key factor", "key factors", "example", "head", "component component_id", "key basis_id"),
	orphans("pair_contribution_wide", "pair", "pairs", "example", "head", "component query_component_id", "component key_component_id", "query query_basis_id", "key key_basis_id"),
	orphans("pair_mean_wide", "mean of pairs", "means of pairs", "run", "head", "component query_component_id", "component key_component_id", "query query_basis_id", "key key_basis_id"),
	[]rule{
		{Conflicting, "random direction has no partner on the other side", "random directions have no partner on the other side", counted(`
			SELECT b.run_id, b.null_number AS case_order, format('{} of the {} side', b.name, b.side) AS case_text
			FROM basis AS b ANTI JOIN basis AS o ON o.run_id = b.run_id AND o.null_number = b.null_number AND o.side <> b.side
			WHERE b.null_number IS NOT NULL`)},
		{Miscounted, "run has factors although it says none, or none although it says so", "runs have factors although they say none, or none although they say so", counted(`
			SELECT r.run_id, 0 AS case_order, format('factors is {}', r.factors) AS case_text FROM run AS r
			WHERE EXISTS (FROM example AS e WHERE e.run_id = r.run_id) AND r.factors <> EXISTS (FROM query_factor AS f WHERE f.run_id = r.run_id)`)},
		{Miscounted, "run has pairs although it says none, or none although it says so", "runs have pairs although they say none, or none although they say so", counted(`
			SELECT r.run_id, 0 AS case_order, format('pairs is {}', r.pairs) AS case_text FROM run AS r
			WHERE EXISTS (FROM example AS e WHERE e.run_id = r.run_id) AND r.pairs <> EXISTS (FROM pair_contribution_wide AS p WHERE p.run_id = r.run_id)`)},
		{Incomplete, "query vector has not each factor once", "query vectors have not each factor once", factorsOf(schema.Query)},
		{Incomplete, "key vector has not each factor once", "key vectors have not each factor once", factorsOf(schema.Key)},
		{Conflicting, "key factor has a baseline its example has not, or lacks one", "key factors have a baseline their examples have not, or lack one", counted(`
			SELECT k.run_id, k.example_id AS case_order, format('example {}, head {}, component {}', k.example_id, k.head_id, k.component_id) AS case_text
			FROM key_factor AS k JOIN example AS e ON e.run_id = k.run_id AND e.example_id = k.example_id
			WHERE (k.baseline_par IS NULL) <> (e.baseline_pos IS NULL) OR (k.baseline_perp IS NULL) <> (e.baseline_pos IS NULL)`)},
		{Conflicting, "factor has not d_head numbers", "factors have not d_head numbers", counted(`
			SELECT f.run_id, f.example_id AS case_order, format('example {}, head {}, component {} of the {}: {} and {}, want {}', f.example_id, f.head_id, f.component_id, f.side, f.par, f.perp, m.d_head) AS case_text
			FROM (SELECT run_id, example_id, head_id, component_id, 'query' AS side, len(par) AS par, len(perp) AS perp FROM query_factor
				UNION ALL SELECT run_id, example_id, head_id, component_id, 'key', len(par), len(perp) FROM key_factor
				UNION ALL SELECT run_id, example_id, head_id, component_id, 'baseline', len(baseline_par), len(baseline_perp) FROM key_factor WHERE baseline_par IS NOT NULL) AS f
			JOIN run AS r ON r.run_id = f.run_id JOIN model AS m ON m.model_id = r.model_id WHERE f.par <> m.d_head OR f.perp <> m.d_head`)},
		{Incomplete, "example, head and pair of bases has not each pair once", "examples, heads and pairs of bases have not each pair once",
			pairsOf("pair_contribution_wide", "run_id, example_id, head_id, query_basis_id, key_basis_id",
				`SELECT e.example_id, w.* FROM (`+wantedPairs+`) AS w JOIN run AS r ON r.run_id = w.run_id JOIN example AS e ON e.run_id = r.run_id WHERE r.pairs`)},
		{Incomplete, "head and pair of bases has not each mean once", "heads and pairs of bases have not each mean once",
			pairsOf("pair_mean_wide", "run_id, head_id, query_basis_id, key_basis_id",
				`SELECT w.* FROM (`+wantedPairs+`) AS w JOIN run AS r ON r.run_id = w.run_id WHERE r.status = 'complete' AND EXISTS (FROM example AS e WHERE e.run_id = r.run_id)`)},
		{Conflicting, "mean of pairs is over another number of examples", "means of pairs are over another number of examples", counted(`
			SELECT p.run_id, p.head_id AS case_order, format('head {}, components {} and {}: {} and {} with a baseline, want {} and {}', p.head_id, p.query_component_id, p.key_component_id, p.n, p.n_baseline, e.n, e.n_baseline) AS case_text
			FROM pair_mean_wide AS p JOIN (SELECT run_id, count(*) AS n, count(baseline_pos) AS n_baseline FROM example GROUP BY run_id) AS e ON e.run_id = p.run_id
			WHERE p.n <> e.n OR p.n_baseline <> e.n_baseline OR (p.mean_diff_perp_perp IS NULL) <> (p.n_baseline = 0)`)},
		{Conflicting, "pair has a baseline its example has not, or lacks one", "pairs have a baseline their examples have not, or lack one", counted(`
			SELECT p.run_id, p.example_id AS case_order, format('example {}, head {}, components {} and {}', p.example_id, p.head_id, p.query_component_id, p.key_component_id) AS case_text
			FROM pair_contribution_wide AS p JOIN example AS e ON e.run_id = p.run_id AND e.example_id = p.example_id
			WHERE (p.baseline_par_par IS NULL) <> (e.baseline_pos IS NULL) OR (p.baseline_perp_perp IS NULL) <> (e.baseline_pos IS NULL)`)},
	})

// vectorRules are about movers, substitutions, projections and cosines.
var vectorRules = concat(
	orphans("mover", "mover", "movers", "run"),
	orphans("substitution", "substitution", "substitutions", "example", "head"),
	orphans("projection", "projection", "projections", "example", "head", "side basis_id"),
	orphans("vector_cosine", "cosine", "cosines", "example", "side basis_id"),
	[]rule{
		{Conflicting, "mover does not fit the model, its label or the target heads", "movers do not fit the model, their labels or the target heads", counted(`
			SELECT v.run_id, v.ordinal AS case_order, format('layer {}, head {}, labelled {}', v.layer, v.head, v.label) AS case_text
			FROM mover AS v JOIN run AS r ON r.run_id = v.run_id JOIN model AS m ON m.model_id = r.model_id
			WHERE v.head >= m.n_heads OR v.label <> v.layer || '.' || v.head OR EXISTS (FROM head AS h WHERE h.run_id = v.run_id AND h.layer <= v.layer)`)},
		everyExample("substitution", "head_id, side, vector", `CASE t.vector WHEN 'W_U[baseline]' THEN e.n_baseline WHEN 'W_U[random name]' THEN e.n_name WHEN 'W_U[random]' THEN e.n_token ELSE e.n END`),
		everyExample("projection", "head_id, side, vector, basis_id, measure", `CASE t.measure WHEN 'diff' THEN e.n_baseline ELSE e.n END`),
		everyExample("vector_cosine", "side, vector_a, vector_b, basis_id", "e.n"),
		{Conflicting, "substitution of nothing differs from the score", "substitutions of nothing differ from the score", counted(`
			SELECT t.run_id, t.example_id AS case_order, format('example {}, head {}, {} side: {} and {}, want {} and {}', t.example_id, t.head_id, t.side, t.score, t.prob, s.score, s.prob) AS case_text
			FROM substitution AS t JOIN run AS r ON r.run_id = t.run_id JOIN score AS s ON s.run_id = t.run_id AND s.example_id = t.example_id AND s.head_id = t.head_id
			WHERE r.convention = 'exact' AND t.vector = 'unpatched' AND (abs(t.score - s.score) > ` + relative + ` * greatest(1, abs(s.score)) OR abs(t.prob - s.prob) > ` + relative + `
				OR abs(t.baseline - s.baseline) > ` + relative + ` * greatest(1, abs(s.baseline)))`)},
		{Conflicting, "substitution has a baseline its example has not, or lacks one", "substitutions have a baseline their examples have not, or lack one", counted(`
			SELECT t.run_id, t.example_id AS case_order, format('example {}, head {}, {}', t.example_id, t.head_id, t.vector) AS case_text
			FROM substitution AS t JOIN example AS e ON e.run_id = t.run_id AND e.example_id = t.example_id
			WHERE (t.baseline IS NULL) <> (e.baseline_pos IS NULL)`)},
		{Conflicting, "unit vector does not have length 1", "unit vectors do not have length 1", counted(`
			SELECT run_id, example_id AS case_order, format('example {}, head {}, {}: parts of length {} and {}', example_id, head_id, vector, par_norm, perp_norm) AS case_text
			FROM projection WHERE (measure = 'score' OR side = 'query') AND NOT abs(par_fraction + perp_fraction - 1) <= 1e-3`)},
	})

func concat(lists ...[]rule) (all []rule) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// everyExample asks of a table that has a row for each example, or for each of some sort, whether any is missing or there
// twice, for each combination of the keys that the run has.
func everyExample(table, keys, want string) rule {
	return rule{Incomplete, "kind of row of " + table + " is not there once for every example", "kinds of rows of " + table + " are not there once for every example", counted(`
		SELECT t.run_id, 0 AS case_order, format('{}: {} rows over {} examples, want {}', t.names, t.n, t.examples, ` + want + `) AS case_text
		FROM (SELECT run_id, ` + keys + `, {` + keyed(keys) + `}::VARCHAR AS names, count(*) AS n, count(DISTINCT example_id) AS examples FROM ` + table + ` GROUP BY run_id, ` + keys + `) AS t
		JOIN (SELECT run_id, count(*) AS n, count(baseline_pos) AS n_baseline, count(random_name_id) AS n_name, count(random_token_id) AS n_token FROM example GROUP BY run_id) AS e ON e.run_id = t.run_id
		WHERE t.n <> ` + want + ` OR t.examples <> t.n`)}
}

// keyed makes the fields of a struct out of a list of columns.
func keyed(columns string) string {
	list := strings.Split(columns, ", ")
	for i, c := range list {
		list[i] = "'" + c + "': " + c
	}
	return strings.Join(list, ", ")
}

// marginFactors bounds how many factors are added up at a time; a factor takes 600 bytes for d_head 64.
const marginFactors = 200_000

// margins compares factors, pairs and their means with contributions, in exact runs: in the notebook convention the
// side that is held fixed is not the sum of its factors.
func (v *verifier) margins() error {
	for _, run := range v.report.Runs {
		if !run.Judged {
			continue
		}
		if err := v.marginsOf(run.RunID); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) marginsOf(id int) error {
	runArg := sql.Named("run", id)
	var factors, pairs bool
	var first, last, perExample sql.NullInt64
	if err := v.conn.QueryRowContext(v.ctx, `SELECT r.factors, r.pairs, (SELECT min(example_id) FROM example WHERE run_id = $run), (SELECT max(example_id) FROM example WHERE run_id = $run),
		(SELECT count(*) FROM query_factor WHERE run_id = $run) // greatest(1, (SELECT count(*) FROM example WHERE run_id = $run)) FROM run AS r WHERE r.run_id = $run`,
		runArg).Scan(&factors, &pairs, &first, &last, &perExample); err != nil {
		return err
	}
	if !first.Valid || !factors && !pairs {
		return nil
	}
	broken := make([]found, len(marginRules))
	step := max(1, marginFactors/max(1, perExample.Int64, 1000))
	for from := first.Int64; from <= last.Int64; from += step {
		args := []any{runArg, sql.Named("first", from), sql.Named("last", min(from+step-1, last.Int64))}
		if factors {
			if _, err := v.conn.ExecContext(v.ctx, sumFactors, args...); err != nil {
				return err
			}
		}
		for i, r := range marginRules {
			if r.onFactors && !factors || !r.onFactors && !pairs {
				continue
			}
			list, err := v.ask(r.rule, args...)
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
	if factors {
		if _, err := v.conn.ExecContext(v.ctx, "DROP TABLE IF EXISTS temp.main.verify_vector"); err != nil {
			return err
		}
	}
	for i, c := range broken {
		if c.n > 0 {
			v.cases(marginRules[i].rule, c)
		}
	}
	list, err := v.ask(meanRule, runArg)
	if err != nil {
		return err
	}
	for _, c := range list {
		v.cases(meanRule, c)
	}
	return nil
}

// marginRule is a rule about $run and the examples $first to $last.
type marginRule struct {
	rule
	onFactors bool // needs verify_vector; else the stored pairs
}

// sumFactors adds up the factors of each vector, entry by entry.
var sumFactors = `CREATE OR REPLACE TEMP TABLE verify_vector AS
	SELECT run_id, example_id, head_id, vector, basis_id, list(par ORDER BY i) AS par, list(perp ORDER BY i) AS perp
	FROM (SELECT run_id, example_id, head_id, vector, basis_id, i, sum(par::DOUBLE) AS par, sum(perp::DOUBLE) AS perp FROM (` +
	entries("query", "query_factor", "") + " UNION ALL " + entries("key", "key_factor", "") + " UNION ALL " + entries("baseline", "key_factor", "baseline_") + `)
		GROUP BY run_id, example_id, head_id, vector, basis_id, i)
	GROUP BY run_id, example_id, head_id, vector, basis_id`

func entries(vector, table, prefix string) string {
	return fmt.Sprintf(`SELECT run_id, example_id, head_id, '%s' AS vector, basis_id, unnest(%[3]spar) AS par, unnest(%[3]sperp) AS perp, unnest(range(len(%[3]spar))) AS i
		FROM %[2]s WHERE run_id = $run AND example_id BETWEEN $first AND $last`, vector, table, prefix)
}

// marginRules hold the tables together. Each compares the eight numbers of a row of contribution_wide.
var marginRules = []marginRule{
	{rule{NotClosed, "query factor and the sum of key factors give another contribution", "query factors and the sum of key factors give other contributions",
		marginQuery(schema.Query, factorMargin(schema.Query))}, true},
	{rule{NotClosed, "key factor and the sum of query factors give another contribution", "key factors and the sum of query factors give other contributions",
		marginQuery(schema.Key, factorMargin(schema.Key))}, true},
	{rule{NotClosed, "sum over the pairs of a query component is not its contribution", "sums over the pairs of a query component are not its contribution",
		marginQuery(schema.Query, pairMargin(schema.Query))}, false},
	{rule{NotClosed, "sum over the pairs of a key component is not its contribution", "sums over the pairs of a key component are not its contribution",
		marginQuery(schema.Key, pairMargin(schema.Key))}, false},
}

// marginColumns are the eight numbers.
func marginColumns(of func(prefix string, q schema.Quadrant) string) string {
	var list []string
	for _, prefix := range []string{"score_", "baseline_"} {
		for _, q := range schema.Quadrants() {
			list = append(list, of(prefix, q)+" AS "+prefix+q.String())
		}
	}
	return strings.Join(list, ", ")
}

// factorMargin multiplies each factor of one side with the summed vector of the other.
func factorMargin(side schema.Side) string {
	columns := marginColumns(func(prefix string, q schema.Quadrant) string {
		queryPart, keyPart := parts(q)
		query, key := "f."+queryPart, "key."+keyPart
		if prefix == "baseline_" {
			key = "base." + keyPart
		}
		if side == schema.Key {
			query, key = "query."+queryPart, "f."+strings.TrimPrefix(prefix, "score_")+keyPart
		}
		return "list_inner_product(" + query + "::DOUBLE[], " + key + "::DOUBLE[]) / sqrt(len(" + query + "))"
	})
	const on = " AND %[1]s.example_id = f.example_id AND %[1]s.head_id = f.head_id"
	if side == schema.Key {
		return `SELECT f.run_id, f.example_id, f.head_id, f.component_id, query.basis_id AS query_basis_id, f.basis_id AS key_basis_id, ` + columns + `
			FROM key_factor AS f JOIN verify_vector AS query ON query.vector = 'query'` + fmt.Sprintf(on, "query") + `
			WHERE f.run_id = $run AND f.example_id BETWEEN $first AND $last`
	}
	return `SELECT f.run_id, f.example_id, f.head_id, f.component_id, f.basis_id AS query_basis_id, key.basis_id AS key_basis_id, ` + columns + `
		FROM query_factor AS f JOIN verify_vector AS key ON key.vector = 'key'` + fmt.Sprintf(on, "key") + `
		LEFT JOIN verify_vector AS base ON base.vector = 'baseline' AND base.basis_id = key.basis_id` + fmt.Sprintf(on, "base") + `
		WHERE f.run_id = $run AND f.example_id BETWEEN $first AND $last`
}

// parts names the query part and the key part of a quadrant.
func parts(q schema.Quadrant) (query, key string) {
	query, key, _ = strings.Cut(q.String(), "_")
	return query, key
}

// pairMargin adds up the stored pairs of each component of one side.
func pairMargin(side schema.Side) string {
	columns := marginColumns(func(prefix string, q schema.Quadrant) string { return "sum(" + prefix + q.String() + "::DOUBLE)" })
	return fmt.Sprintf(`SELECT run_id, example_id, head_id, %s_component_id AS component_id, query_basis_id, key_basis_id, %s
		FROM pair_contribution_wide WHERE run_id = $run AND example_id BETWEEN $first AND $last
		GROUP BY run_id, example_id, head_id, %[1]s_component_id, query_basis_id, key_basis_id`, side, columns)
}

// marginQuery compares margins, rows like those of contribution_wide, with the contributions of a side.
func marginQuery(side schema.Side, margins string) string {
	var distances []string
	for _, q := range schema.Quadrants() {
		distances = append(distances, fmt.Sprintf("abs(m.score_%[1]s - c.score_%[1]s), coalesce(abs(m.baseline_%[1]s - c.baseline_%[1]s), 0)", q))
	}
	return counted(fmt.Sprintf(`
		SELECT run_id, example_id AS case_order, format('example {}, head {}, component {}, bases {} and {}: off by {}', example_id, head_id, component_id, query_basis_id, key_basis_id, distance) AS case_text
		FROM (SELECT m.run_id, m.example_id, m.head_id, m.component_id, m.query_basis_id, m.key_basis_id, s.score, s.baseline, greatest(%s) AS distance
			FROM (%s) AS m JOIN contribution_wide AS c ON c.run_id = m.run_id AND c.example_id = m.example_id AND c.head_id = m.head_id
				AND c.component_id = m.component_id AND c.query_basis_id = m.query_basis_id AND c.key_basis_id = m.key_basis_id
			JOIN score AS s ON s.run_id = m.run_id AND s.example_id = m.example_id AND s.head_id = m.head_id
			WHERE c.side = '%s' AND c.run_id = $run AND c.example_id BETWEEN $first AND $last)
		WHERE NOT distance <= %s * greatest(1, abs(score), abs(coalesce(baseline, 0)))`, strings.Join(distances, ", "), margins, side, toleranceSQL))
}

// meanRule compares the means of pairs, added up over the components of one side, with the means of contributions.
var meanRule = rule{NotClosed, "sum of the means of the pairs of a component is not its mean contribution", "sums of the means of the pairs of a component are not its mean contribution",
	counted("FROM (" + meanMargin(schema.Query) + ") UNION ALL FROM (" + meanMargin(schema.Key) + ")")}

func meanMargin(side schema.Side) string {
	var sums, means, distances []string
	for _, of := range []string{"score_", "diff_"} {
		for _, q := range schema.Quadrants() {
			name := of + q.String()
			sums = append(sums, "sum(mean_"+name+"::DOUBLE) AS "+name)
			means = append(means, "avg("+name+") AS "+name)
			distance := "abs(p." + name + " - c." + name + ")"
			if of == "diff_" {
				distance = "coalesce(" + distance + ", 0)"
			}
			distances = append(distances, distance)
		}
	}
	return fmt.Sprintf(`SELECT run_id, head_id AS case_order, format('head {}, {} component {}, bases {} and {}: off by {}', head_id, '%[1]s', component_id, query_basis_id, key_basis_id, distance) AS case_text
		FROM (SELECT p.run_id, p.head_id, p.component_id, p.query_basis_id, p.key_basis_id, s.size, greatest(%[4]s) AS distance
			FROM (SELECT run_id, head_id, %[1]s_component_id AS component_id, query_basis_id, key_basis_id, %[2]s FROM pair_mean_wide WHERE run_id = $run
				GROUP BY run_id, head_id, %[1]s_component_id, query_basis_id, key_basis_id) AS p
			JOIN (SELECT head_id, component_id, query_basis_id, key_basis_id, %[3]s FROM contribution_wide WHERE run_id = $run AND side = '%[1]s'
				GROUP BY head_id, component_id, query_basis_id, key_basis_id) AS c
				ON c.head_id = p.head_id AND c.component_id = p.component_id AND c.query_basis_id = p.query_basis_id AND c.key_basis_id = p.key_basis_id
			JOIN (SELECT head_id, max(greatest(abs(score), abs(coalesce(baseline, 0)))) AS size FROM score WHERE run_id = $run GROUP BY head_id) AS s ON s.head_id = p.head_id)
		WHERE NOT distance <= %[5]s * greatest(1, size)`, side, strings.Join(sums, ", "), strings.Join(means, ", "), strings.Join(distances, ", "), toleranceSQL)
}
