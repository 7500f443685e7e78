-- name: key_components_unembed_query
-- title: Head {head}: key-side components, with the model's query and with an unembedding as query
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: The contributions of key_components, with the model's own query vectors, and with each query
--   vector replaced by the unembedding of the prompt's key token. The replacement is normalised like the
--   stream before the layer. It shows how the head would attend if the query position held nothing but a
--   prediction of that token. Both with and without the baseline subtracted. b_K has a cell; b_Q is part of
--   the query. Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- param: query_basis TEXT = 'sub_unembed', what replaces the query vector: a basis of the kind replacement
-- say: query_basis, query replaced by {value}
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
), query_vector AS (
  SELECT t.run_id, t.head_id, qb.basis_id, kb.basis_id AS key_basis_id,
    CASE WHEN qb.kind = 'whole' THEN 'own query'
      WHEN qb.kind <> 'replacement' THEN error('parameter query_basis: ' || qb.name || ' splits query vectors, want a basis that replaces them')
      WHEN qb.name = 'sub_unembed' THEN 'query W_U[' || CASE WHEN e.ioi THEN 'IO' ELSE 'key' END || ']'
      ELSE 'query ' || qb.name END AS label
  FROM target AS t
  JOIN basis AS qb ON qb.run_id = t.run_id AND qb.side = 'query'::side AND (qb.kind = 'whole' OR qb.name = $query_basis)
  JOIN basis AS kb ON kb.run_id = t.run_id AND kb.side = 'key'::side AND kb.kind = 'whole'
  CROSS JOIN (SELECT count(x.prompt_order) > 0 AS ioi FROM target AS y JOIN example AS x ON x.run_id = y.run_id) AS e
), total AS ( -- the bias of a replacing query is in its perpendicular part, so both parts are added
  SELECT w.query_basis_id, w.component_id,
    avg(w.score_par_perp::DOUBLE + w.score_perp_perp) AS mean_score,
    stddev_samp(w.score_par_perp::DOUBLE + w.score_perp_perp) AS sd_score, count(w.score_perp_perp) AS n_score,
    avg(w.diff_par_perp::DOUBLE + w.diff_perp_perp) AS mean_diff,
    stddev_samp(w.diff_par_perp::DOUBLE + w.diff_perp_perp) AS sd_diff, count(w.diff_perp_perp) AS n_diff
  FROM query_vector AS v -- bases first, because most row groups are skipped by them
  JOIN contribution_wide AS w ON w.query_basis_id = v.basis_id AND w.key_basis_id = v.key_basis_id AND w.run_id = v.run_id AND w.head_id = v.head_id
  WHERE w.side = 'key'::side
    AND ($only::VARCHAR IS NULL OR w.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
  GROUP BY w.query_basis_id, w.component_id
  UNION ALL -- of a run that stores only means
  SELECT m.query_basis_id, m.component_id, m.mean_score, sqrt(m.variance_score), m.n, m.mean_diff, sqrt(m.variance_diff), m.n_baseline
  FROM query_vector AS v
  JOIN moments(coalesce($run, latest_run()), $only::VARCHAR) AS m ON m.run_id = v.run_id AND m.head_id = v.head_id AND m.query_basis_id = v.basis_id AND m.key_basis_id = v.key_basis_id
  WHERE m.side = 'key'::side AND m.quadrant IS NULL
), cell AS (
  SELECT 1 AS place, 'baseline subtracted' AS panel, u.query_basis_id, u.component_id,
    u.mean_diff AS mean, u.sd_diff AS sd, u.n_diff AS n
  FROM total AS u
  UNION ALL
  SELECT 2 AS place, 'baseline not subtracted' AS panel, u.query_basis_id, u.component_id,
    u.mean_score AS mean, u.sd_score AS sd, u.n_score AS n
  FROM total AS u
), place AS ( -- components are in the order in which they write; a column is named after its components
  SELECT c.component_id, c.label, o.ordinal, c.grid_row, c.grid_column, coalesce(c.layer::VARCHAR, 'other') AS row_name,
    CASE WHEN c.layer IS NULL THEN 'other' ELSE 'layer' END AS row_group,
    coalesce(min(CASE c.kind WHEN 'head' THEN 'H' || c.head WHEN 'mlp' THEN 'MLP' WHEN 'attn_bias' THEN 'b_O' END)
      OVER (PARTITION BY c.grid_column), '') AS column_name
  FROM target AS t JOIN run_component AS o ON o.run_id = t.run_id JOIN component AS c ON c.component_id = o.component_id
)
SELECT d.panel || ', ' || v.label AS panel, c.label AS component, c.grid_row, c.grid_column, d.mean, d.sd / sqrt(d.n) AS se, d.n, c.row_name, c.row_group, c.column_name
FROM cell AS d
JOIN query_vector AS v ON v.basis_id = d.query_basis_id
JOIN place AS c ON c.component_id = d.component_id
WHERE d.n > 0
ORDER BY d.place, d.query_basis_id, c.ordinal
