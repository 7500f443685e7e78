-- name: query_components
-- title: Head {head}: query-side components of the attention score
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: What each component of the model contributes to the score with which the head attends from the query to the key
--   position, by way of the query vector, the key vector held fixed. Mean over the prompts, with the score at the baseline position
--   subtracted and not. The cells of a panel add up to the mean score. Terms of a score are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7; NULL is the first of the run
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
  SELECT r.run_id, r.model_id, m.n_heads, coalesce($head, default_head(r.run_id)) AS head
  FROM run AS r JOIN model AS m ON m.model_id = r.model_id
  WHERE r.run_id = coalesce($run, latest_run())
), panels AS (
  SELECT p.place, p.panel, p.subtract
  FROM (VALUES (1, 'baseline subtracted', true), (2, 'baseline not subtracted', false)) AS p(place, panel, subtract)
), cell AS (
  SELECT p.place, p.panel, u.component, any_value(t.model_id) AS model_id, any_value(t.n_heads) AS n_heads,
    avg(CASE WHEN p.subtract THEN u.diff ELSE u.score END) AS mean,
    stddev_samp(CASE WHEN p.subtract THEN u.diff ELSE u.score END) AS sd,
    count(CASE WHEN p.subtract THEN u.diff ELSE u.score END) AS n
  FROM target AS t
  JOIN contribution_unsplit AS u ON u.run_id = t.run_id AND u.head = t.head
  CROSS JOIN panels AS p
  WHERE u.side = 'query'
  GROUP BY p.place, p.panel, u.component
)
SELECT d.panel, c.label AS component, c.grid_row, c.grid_column, d.mean, d.sd / sqrt(d.n) AS se, d.n,
  CASE WHEN c.grid_row = 0 THEN 'other' ELSE (c.grid_row - 1)::VARCHAR END AS row_name,
  CASE WHEN c.grid_column < d.n_heads THEN 'H' || c.grid_column WHEN c.grid_column = d.n_heads THEN 'MLP' ELSE 'b_O' END AS column_name
FROM cell AS d JOIN component AS c ON c.model_id = d.model_id AND c.label = d.component
WHERE d.n > 0
ORDER BY d.place, c.component_id
