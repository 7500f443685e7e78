-- name: query_components
-- title: Head {head}: query-side components of the attention score
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: What each component contributes to the attention score by way of the query vector, with the
--   key vector held fixed. Mean over the prompts. One panel subtracts the score at the baseline position, the
--   other does not. The cells of a panel add up to the mean score. Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- say: only, prompts with {value}
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
-- y_group: row_group
-- y_title: layer
-- fill_title: mean contribution to the score
-- facet_columns: 2

WITH target AS (
  SELECT h.run_id, h.head_id
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
), unsplit AS (
  SELECT w.component_id,
    avg(w.score_perp_perp) AS mean_score, stddev_samp(w.score_perp_perp) AS sd_score, count(w.score_perp_perp) AS n_score,
    avg(w.diff_perp_perp) AS mean_diff, stddev_samp(w.diff_perp_perp) AS sd_diff, count(w.diff_perp_perp) AS n_diff
  FROM contribution_wide AS w -- bases first, because most row groups are skipped by them
  JOIN basis AS qb ON qb.basis_id = w.query_basis_id AND qb.run_id = w.run_id AND qb.kind = 'whole'
  JOIN basis AS kb ON kb.basis_id = w.key_basis_id AND kb.run_id = w.run_id AND kb.kind = 'whole'
  JOIN target AS t ON t.run_id = w.run_id AND t.head_id = w.head_id
  WHERE w.side = 'query'::side
    AND ($only::VARCHAR IS NULL OR w.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
  GROUP BY w.component_id
  UNION ALL -- of a run that stores only means
  SELECT m.component_id, m.mean_score, sqrt(m.variance_score), m.n, m.mean_diff, sqrt(m.variance_diff), m.n_baseline
  FROM target AS t
  JOIN moments(coalesce($run, latest_run()), $only::VARCHAR) AS m ON m.run_id = t.run_id AND m.head_id = t.head_id
  JOIN basis AS qb ON qb.run_id = m.run_id AND qb.basis_id = m.query_basis_id AND qb.kind = 'whole'
  JOIN basis AS kb ON kb.run_id = m.run_id AND kb.basis_id = m.key_basis_id AND kb.kind = 'whole'
  WHERE m.side = 'query'::side AND m.quadrant IS NULL
), cell AS (
  SELECT 1 AS place, 'baseline subtracted' AS panel, u.component_id, u.mean_diff AS mean, u.sd_diff AS sd, u.n_diff AS n
  FROM unsplit AS u
  UNION ALL
  SELECT 2 AS place, 'baseline not subtracted' AS panel, u.component_id, u.mean_score AS mean, u.sd_score AS sd, u.n_score AS n
  FROM unsplit AS u
), place AS ( -- components are in the order in which they write; a column is named after its components
  SELECT c.component_id, c.label, o.ordinal, c.grid_row, c.grid_column, coalesce(c.layer::VARCHAR, 'other') AS row_name,
    CASE WHEN c.layer IS NULL THEN 'other' ELSE 'layer' END AS row_group,
    coalesce(min(CASE c.kind WHEN 'head' THEN 'H' || c.head WHEN 'mlp' THEN 'MLP' WHEN 'attn_bias' THEN 'b_O' END)
      OVER (PARTITION BY c.grid_column), '') AS column_name
  FROM target AS t JOIN run_component AS o ON o.run_id = t.run_id JOIN component AS c ON c.component_id = o.component_id
)
SELECT d.panel, c.label AS component, c.grid_row, c.grid_column, d.mean, d.sd / sqrt(d.n) AS se, d.n, c.row_name, c.row_group, c.column_name
FROM cell AS d JOIN place AS c ON c.component_id = d.component_id
WHERE d.n > 0
ORDER BY d.place, c.ordinal
