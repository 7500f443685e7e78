package cli

import (
	"context"
	"slices"
	"strings"

	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/session"
)

// runsSQL says how the runs of a file were made.
const runsSQL = `SELECT r.run_id, r.status, r.created_at, r.ducklens_version, m.name AS model, m.family,
  m.n_layers || ' layers, ' || m.n_heads || ' heads, d_model ' || m.d_model AS size, m.sha256,
  (SELECT count(*) FROM prompt AS p WHERE p.run_id = r.run_id) AS prompts, r.n_prompts AS of_prompts,
  (SELECT count(*) FROM edge AS e WHERE e.run_id = r.run_id) AS edges, r.prompt_source, r.seed, r.bos,
  (SELECT string_agg(h.label, ', ' ORDER BY h.ordinal) FROM head AS h WHERE h.run_id = r.run_id) AS heads,
  (SELECT string_agg(b.name, ', ' ORDER BY b.basis_id) FROM basis AS b WHERE b.run_id = r.run_id
    AND b.side = 'query' AND b.null_number IS NULL) AS query_bases,
  (SELECT string_agg(b.name, ', ' ORDER BY b.basis_id) FROM basis AS b WHERE b.run_id = r.run_id
    AND b.side = 'key' AND b.null_number IS NULL) AS key_bases,
  (SELECT count(*) FROM basis AS b WHERE b.run_id = r.run_id AND b.side = 'query'
    AND b.null_number IS NOT NULL) AS random_bases,
  (SELECT string_agg(v.label, ', ' ORDER BY v.ordinal) FROM mover AS v WHERE v.run_id = r.run_id) AS movers,
    r.factors, r.pairs, r.pair_means, r.logits,
  r.convention, r.processing, r.precision, r.blas, r.threads, r.max_closure_residual, r.command_line
FROM run AS r JOIN model AS m ON m.model_id = r.model_id
ORDER BY r.run_id`

// allRuns describes the runs of a file, a row for each. The last column, data_sha256, identifies the data of
// a run; it is NULL while the run is not complete.
func allRuns(ctx context.Context, s *session.Session) (*queries.Result, error) {
	result, err := ask(ctx, s, runsSQL, nil)
	if err != nil {
		return nil, err
	}
	of := map[any]any{}
	if slices.ContainsFunc(result.Rows, func(row []any) bool { return row[1] == "complete" }) {
		data, err := s.Run(ctx, queries.Fingerprint(), nil)
		if err != nil {
			return nil, err
		}
		for _, row := range data.Rows {
			of[row[0]] = row[1]
		}
	}
	result.Columns = append(result.Columns, queries.Column{Name: "data_sha256", Type: queries.Text})
	for i, row := range result.Rows {
		result.Rows[i] = append(row, of[row[0]])
	}
	return result, nil
}

// runFacts says which run a figure shows: the facts of the answer, and the digest of the data. A query about
// the whole file has no such facts, and the digests of all complete runs.
func runFacts(
	ctx context.Context, s *session.Session, q queries.Query, result *queries.Result,
) ([]figure.Fact, error) {
	var list []figure.Fact
	run := map[string]string{}
	for _, fact := range result.Facts {
		name := fact.Name
		switch name {
		case "run":
			run["run"] = fact.Value
		case "processing":
			name = "weights"
		case "version":
			name = "made by ducklens"
		case "sha256":
			name = "model SHA-256"
		case "head", "edges", "baseline", "seed", "bos", "precision", "created": // titles name what matters of these
			continue
		}
		// What the subtitle says is not said again below the figure.
		quiet := strings.Contains(name, " ") || name == "command" ||
			strings.Contains(q.Title+q.Subtitle, "{"+name+"}")
		list = append(list, figure.Fact{Name: name, Value: queries.Printable(fact.Value), Quiet: quiet})
	}
	data, err := s.Run(ctx, queries.Fingerprint(), run)
	if err != nil {
		return nil, err
	}
	var digests []string
	for _, row := range data.Rows {
		digests = append(digests, queries.String(row[1]))
	}
	return append(list, figure.Fact{Name: "data SHA-256", Value: strings.Join(digests, ", "), Quiet: true}), nil
}
