package session

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ducklens/queries"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// madeMeans is the name of a table in the in-memory database beside the stored means of pairs. Runs of many
// components store no means of pairs, which would be larger than everything else. For them, a saved query
// about one head and pair of bases computes the means from the factors into this table.
const madeMeans = "pair_mean_made"

// wantedMeansSQL finds the pair of bases whose means a saved query needs, if the run has no stored ones. Like
// in the shipped queries, the default basis of the query side is that of both unembeddings.
const wantedMeansSQL = `SELECT h.run_id, h.head_id, qb.basis_id AS query_basis_id, kb.basis_id AS key_basis_id
	FROM run AS r
	JOIN head AS h ON h.run_id = r.run_id
	JOIN basis AS qb ON qb.run_id = r.run_id AND qb.side = 'query'
	JOIN basis AS kb ON kb.run_id = r.run_id AND kb.side = 'key' AND kb.name = $key_basis
	WHERE r.run_id = coalesce($run, (SELECT max(x.run_id) FROM run AS x WHERE x.status = 'complete')) AND r.factors AND NOT r.pair_means
	AND CASE WHEN $head IS NULL THEN h.ordinal = 0 ELSE h.label = $head END
	AND CASE WHEN $query_basis IS NULL THEN qb.name IN ('unembed', 'unembed+baseline') ELSE qb.name = $query_basis END
	ORDER BY qb.name = 'unembed', qb.basis_id LIMIT 1`

// makeMeans computes the means of pairs that a saved query needs and the run does not store.
func (s *Session) makeMeans(ctx context.Context, t *tree, values map[string]any) error {
	if !slices.Contains(t.names, "pair_mean_wide") && !slices.Contains(t.names, "pair_mean") {
		return nil
	}
	params := map[string]any{}
	for _, name := range []string{"run", "head", "query_basis", "key_basis"} {
		value, ok := values[name]
		if !ok {
			return nil // the pairs are unknown, and computing all of them would take too long
		}
		params[name] = value
	}
	wanted, err := s.lookup(ctx, wantedMeansSQL, params)
	if err != nil || len(wanted.Rows) != 1 {
		return err
	}
	var which []string
	for i, c := range wanted.Columns {
		which = append(which, fmt.Sprintf("p.%s = %s", c.Name, queries.String(wanted.Rows[0][i])))
	}
	where := strings.Join(which, " AND ")
	if s.madeMeans[where] {
		return nil
	}
	if err := s.db.Make(ctx, s.conn, "pair_wide", "pair_mean_wide"); err != nil {
		return err
	}
	rows := meansOf(where)
	statements := []string{"INSERT INTO " + madeMeans + " " + rows}
	if len(s.madeMeans) == 0 {
		statements = []string{"CREATE TABLE " + madeMeans + " AS " + rows,
			"CREATE OR REPLACE VIEW pair_mean_wide AS SELECT " + strings.Join(meanColumns(), ", ") +
				" FROM " + s.db.Source("pair_mean_wide") + " UNION ALL SELECT " +
				strings.Join(meanColumns(), ", ") + " FROM " + madeMeans}
	}
	for _, statement := range statements {
		if _, err := s.conn.ExecContext(ctx, statement); err != nil {
			return dbfile.Wrap("average pairs of", s.path, err)
		}
	}
	s.madeMeans[where] = true
	return nil
}

// meanColumns lists the columns of pair_mean_wide.
func meanColumns() []string {
	columns := []string{"run_id", "head_id", "query_component_id", "key_component_id", "query_basis_id",
		"key_basis_id", "n", "n_baseline"}
	for _, prefix := range []string{"mean_score_", "se_score_", "mean_diff_", "se_diff_"} {
		for _, q := range schema.Quadrants() {
			columns = append(columns, prefix+q.String())
		}
	}
	return columns
}

// meansOf returns the statement that averages pairs.
func meansOf(where string) string {
	keys := meanColumns()[:6]
	list := slices.Clone(keys)
	list = append(list, "count(p.score_par_par)::INTEGER AS n",
		"count(p.baseline_par_par)::INTEGER AS n_baseline")
	for _, of := range []string{"score_", "diff_"} {
		for _, form := range []string{"avg(p.%[1]s)::FLOAT AS mean_%[1]s",
			"(stddev_samp(p.%[1]s) / sqrt(count(p.%[1]s)))::FLOAT AS se_%[1]s"} {
			for _, q := range schema.Quadrants() {
				list = append(list, fmt.Sprintf(form, of+q.String()))
			}
		}
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM pair_wide AS p WHERE " + where + " GROUP BY " +
		strings.Join(keys, ", ")
}
