-- name: key_components
-- title: Head {head}: key-side components of the attention score
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: What each component of the model contributes to the score with which the head attends from the query to
--   the key position, by way of the key vector, the query vector held fixed. Mean over the prompts, with the score at
--   the baseline position subtracted and not. The cells of a panel add up to the mean score. Terms of a score are not
--   causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- chart: heatmap
-- x: grid_column
-- y: grid_row
-- fill: mean
-- label: component
-- facet: panel
-- error: se
-- count: n
-- x_tick: column_name
-- y_tick: row_name
-- y_title: layer
-- fill_title: mean contribution to the score
-- facet_columns: 2

WITH target AS (
  SELECT r.run_id, r.model_id, h.head_id, m.n_heads
  FROM run AS r JOIN model AS m ON m.model_id = r.model_id JOIN head AS h ON h.run_id = r.run_id
  WHERE r.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
), unsplit AS (
  SELECT w.component_id, any_value(t.n_heads) AS n_heads,
    avg(w.score_perp_perp) AS mean_score, stddev_samp(w.score_perp_perp) AS sd_score, count(w.score_perp_perp) AS n_score,
    avg(w.diff_perp_perp) AS mean_diff, stddev_samp(w.diff_perp_perp) AS sd_diff, count(w.diff_perp_perp) AS n_diff
  FROM target AS t
  JOIN contribution_wide AS w ON w.run_id = t.run_id AND w.head_id = t.head_id
  JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id AND qb.kind = 'whole'
  JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id AND kb.kind = 'whole'
  WHERE w.side = 'key'::side
  GROUP BY w.component_id
), cell AS (
  SELECT 1 AS place, 'baseline subtracted' AS panel, u.component_id, u.n_heads, u.mean_diff AS mean, u.sd_diff AS sd, u.n_diff AS n
  FROM unsplit AS u
  UNION ALL
  SELECT 2 AS place, 'baseline not subtracted' AS panel, u.component_id, u.n_heads, u.mean_score AS mean, u.sd_score AS sd, u.n_score AS n
  FROM unsplit AS u
)
SELECT d.panel, c.label AS component, c.grid_row, c.grid_column, d.mean, d.sd / sqrt(d.n) AS se, d.n,
  CASE WHEN c.grid_row = 0 THEN 'other' ELSE (c.grid_row - 1)::VARCHAR END AS row_name,
  CASE WHEN c.grid_column < d.n_heads THEN 'H' || c.grid_column WHEN c.grid_column = d.n_heads THEN 'MLP' ELSE 'b_O' END AS column_name
FROM cell AS d JOIN component AS c ON c.component_id = d.component_id
WHERE d.n > 0
ORDER BY d.place, c.component_id
