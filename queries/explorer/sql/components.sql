-- name: components
-- title: Head {head}: {side}-side components of the attention score
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: What each component contributes to the score with which the head attends from the query to the key position, by way of one
--   side, the other held fixed: the cells of key_components and query_components, for any pair of bases and quadrant, and for fewer
--   prompts. Mean over the prompts; mean, se and n are with the baseline subtracted where that is asked for. Contributions are not causal
--   effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE; NULL is all
-- param: side TEXT = 'key', side that is split over components, query or key
-- param: query_basis TEXT = 'none', basis that splits query vectors
-- param: key_basis TEXT = 'none', basis that splits key vectors
-- param: quadrant TEXT = NULL, par_par, par_perp, perp_par or perp_perp; NULL adds them up
-- param: subtract BOOLEAN = true, whether the score at the baseline position is subtracted
-- param: example INTEGER = NULL, the one prompt to take; NULL is all
-- param: within TEXT = NULL, component whose contribution, on within_side, chooses the prompts; NULL is all
-- param: within_side TEXT = 'key', side of that component
-- param: low DOUBLE = NULL, least contribution of it
-- param: high DOUBLE = NULL, largest contribution of it
-- say: only, prompts with {value}
-- say: example, prompt {value} alone
-- say: within, prompts chosen by the contribution of {value}
-- chart: heatmap
-- x: grid_column
-- y: grid_row
-- fill: mean
-- label: component
-- error: se
-- count: n
-- x_tick: column_name
-- y_tick: row_name
-- y_title: layer
-- fill_title: mean contribution to the score{subtract? difference|}

WITH target AS (
  SELECT h.run_id, h.head_id, q.basis_id AS query_basis_id, k.basis_id AS key_basis_id
  FROM head AS h
  JOIN basis AS q ON q.run_id = h.run_id AND q.side = 'query' AND q.name = $query_basis
  JOIN basis AS k ON k.run_id = h.run_id AND k.side = 'key' AND k.name = $key_basis
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
  ORDER BY h.ordinal LIMIT 1
), term AS (
  SELECT w.example_id, w.side, w.component_id,
    CASE $quadrant::VARCHAR WHEN 'par_par' THEN w.score_par_par WHEN 'par_perp' THEN w.score_par_perp WHEN 'perp_par' THEN w.score_perp_par
      WHEN 'perp_perp' THEN w.score_perp_perp ELSE w.score_par_par::DOUBLE + w.score_par_perp + w.score_perp_par + w.score_perp_perp END AS score,
    CASE $quadrant::VARCHAR WHEN 'par_par' THEN w.diff_par_par WHEN 'par_perp' THEN w.diff_par_perp WHEN 'perp_par' THEN w.diff_perp_par
      WHEN 'perp_perp' THEN w.diff_perp_perp ELSE w.diff_par_par::DOUBLE + w.diff_par_perp + w.diff_perp_par + w.diff_perp_perp END AS diff
  FROM target AS t
  JOIN contribution_wide AS w ON w.run_id = t.run_id AND w.head_id = t.head_id AND w.query_basis_id = t.query_basis_id
    AND w.key_basis_id = t.key_basis_id
), chosen AS (
  SELECT m.example_id
  FROM term AS m JOIN component AS c ON c.component_id = m.component_id
  WHERE m.side = $within_side::side AND c.label = $within::VARCHAR
    AND CASE WHEN $subtract THEN m.diff ELSE m.score END BETWEEN coalesce($low, '-inf'::DOUBLE) AND coalesce($high, 'inf'::DOUBLE)
), moment AS (
  SELECT m.component_id, avg(m.score) AS mean_score, stddev_samp(m.score) / sqrt(count(m.score)) AS se_score, count(m.score) AS n_score,
    avg(m.diff) AS mean_diff, stddev_samp(m.diff) / sqrt(count(m.diff)) AS se_diff, count(m.diff) AS n_baseline
  FROM term AS m
  WHERE m.side = $side::side AND ($example::INTEGER IS NULL OR m.example_id = $example)
    AND ($only::VARCHAR IS NULL OR m.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
    AND ($within::VARCHAR IS NULL OR m.example_id IN (SELECT k.example_id FROM chosen AS k))
  GROUP BY m.component_id
  UNION ALL -- of a run that keeps means alone
  SELECT m.component_id, m.mean_score, sqrt(m.variance_score / m.n), m.n, m.mean_diff, sqrt(m.variance_diff / nullif(m.n_baseline, 0)), m.n_baseline
  FROM target AS t
  JOIN moments(coalesce($run, latest_run()), $only::VARCHAR) AS m ON m.run_id = t.run_id AND m.head_id = t.head_id
    AND m.query_basis_id = t.query_basis_id AND m.key_basis_id = t.key_basis_id
  WHERE m.side = $side::side AND m.quadrant IS NOT DISTINCT FROM $quadrant::quadrant AND $example::INTEGER IS NULL AND $within::VARCHAR IS NULL
)
SELECT c.label AS component, c.kind::VARCHAR AS kind, c.grid_row, c.grid_column, coalesce(c.layer::VARCHAR, 'other') AS row_name,
  coalesce(min(CASE c.kind WHEN 'head' THEN 'H' || c.head WHEN 'mlp' THEN 'MLP' WHEN 'attn_bias' THEN 'b_O' END)
    OVER (PARTITION BY c.grid_column), '') AS column_name,
  CASE WHEN $subtract THEN m.mean_diff ELSE m.mean_score END AS mean, CASE WHEN $subtract THEN m.se_diff ELSE m.se_score END AS se,
  CASE WHEN $subtract THEN m.n_baseline ELSE m.n_score END AS n
FROM target AS t
JOIN run_component AS o ON o.run_id = t.run_id
JOIN component AS c ON c.component_id = o.component_id
JOIN moment AS m ON m.component_id = c.component_id
WHERE CASE WHEN $subtract THEN m.n_baseline ELSE m.n_score END > 0
ORDER BY o.ordinal
