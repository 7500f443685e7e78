-- name: key_quadrants
-- title: Head {head}: key-side components by quadrant
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}; ∥ is along
--   {query_basis} at the query and along {key_basis} at the key
-- description: The contributions of key_components, split by the part of the query vector and the part of the
--   key vector that make them: ∥ is the part along the basis of its side, ⊥ the rest. There are three frames:
--   baseline subtracted; baseline subtracted, with the query vectors split along the unembeddings of both key
--   token and baseline token; baseline not subtracted. The quadrants of a frame add up to the unsplit
--   contributions.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- param: query_basis TEXT = 'unembed', basis that splits query vectors in the first and the third frame
-- param: key_basis TEXT = 'mlp0', basis that splits key vectors
-- say: only, prompts with {value}
-- chart: heatmap
-- x: grid_column
-- y: grid_row
-- fill: mean
-- label: component
-- facet: panel
-- frame: frame
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
), frames AS (
  SELECT f.place, f.frame, f.subtract, qb.basis_id AS query_basis_id, qb.kind <> 'whole' AS query_split
  FROM target AS t
  CROSS JOIN (VALUES
    (1, 'baseline subtracted', $query_basis, true),
    (2, 'baseline subtracted, query split along both unembeddings', 'unembed+baseline', true),
    (3, 'baseline not subtracted', $query_basis, false)
  ) AS f(place, frame, query_basis, subtract)
  JOIN basis AS qb ON qb.run_id = t.run_id AND qb.side = 'query'::side AND qb.name = f.query_basis
), asked AS (
  SELECT DISTINCT t.run_id, t.head_id, f.query_basis_id, kb.basis_id AS key_basis_id, kb.kind <> 'whole' AS key_split
  FROM target AS t CROSS JOIN frames AS f
  JOIN basis AS kb ON kb.run_id = t.run_id AND kb.side = 'key'::side AND kb.name = $key_basis
), moment AS ( -- lists have the quadrants in the order of corner below
  SELECT w.query_basis_id, a.key_split, w.component_id,
    [avg(w.score_par_par), avg(w.score_par_perp), avg(w.score_perp_par), avg(w.score_perp_perp)] AS mean_score,
    [stddev_samp(w.score_par_par), stddev_samp(w.score_par_perp), stddev_samp(w.score_perp_par), stddev_samp(w.score_perp_perp)] AS sd_score,
    count(w.score_par_par) AS n_score,
    [avg(w.diff_par_par), avg(w.diff_par_perp), avg(w.diff_perp_par), avg(w.diff_perp_perp)] AS mean_diff,
    [stddev_samp(w.diff_par_par), stddev_samp(w.diff_par_perp), stddev_samp(w.diff_perp_par), stddev_samp(w.diff_perp_perp)] AS sd_diff,
    count(w.diff_par_par) AS n_diff
  FROM asked AS a -- bases first, because most row groups are skipped by them
  JOIN contribution_wide AS w ON w.query_basis_id = a.query_basis_id AND w.key_basis_id = a.key_basis_id AND w.run_id = a.run_id AND w.head_id = a.head_id
  WHERE w.side = 'key'::side
    AND ($only::VARCHAR IS NULL OR w.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
  GROUP BY w.query_basis_id, a.key_split, w.component_id
  UNION ALL -- of a run that stores only means
  SELECT m.query_basis_id, a.key_split, m.component_id,
    [max(m.mean_score) FILTER (m.quadrant = 'par_par'), max(m.mean_score) FILTER (m.quadrant = 'par_perp'), max(m.mean_score) FILTER (m.quadrant = 'perp_par'), max(m.mean_score) FILTER (m.quadrant = 'perp_perp')],
    [max(sqrt(m.variance_score)) FILTER (m.quadrant = 'par_par'), max(sqrt(m.variance_score)) FILTER (m.quadrant = 'par_perp'), max(sqrt(m.variance_score)) FILTER (m.quadrant = 'perp_par'), max(sqrt(m.variance_score)) FILTER (m.quadrant = 'perp_perp')], max(m.n),
    [max(m.mean_diff) FILTER (m.quadrant = 'par_par'), max(m.mean_diff) FILTER (m.quadrant = 'par_perp'), max(m.mean_diff) FILTER (m.quadrant = 'perp_par'), max(m.mean_diff) FILTER (m.quadrant = 'perp_perp')],
    [max(sqrt(m.variance_diff)) FILTER (m.quadrant = 'par_par'), max(sqrt(m.variance_diff)) FILTER (m.quadrant = 'par_perp'), max(sqrt(m.variance_diff)) FILTER (m.quadrant = 'perp_par'), max(sqrt(m.variance_diff)) FILTER (m.quadrant = 'perp_perp')], max(m.n_baseline)
  FROM asked AS a
  JOIN moments(coalesce($run, latest_run()), $only::VARCHAR) AS m ON m.run_id = a.run_id AND m.head_id = a.head_id AND m.query_basis_id = a.query_basis_id AND m.key_basis_id = a.key_basis_id
  WHERE m.side = 'key'::side AND m.quadrant IS NOT NULL
  GROUP BY m.query_basis_id, a.key_split, m.component_id
), corner AS (
  SELECT q.corner, q.quadrant, q.panel, q.query_par, q.key_par
  FROM (VALUES
    (1, 'par_par', 'query ∥, key ∥', true, true),
    (2, 'par_perp', 'query ∥, key ⊥', true, false),
    (3, 'perp_par', 'query ⊥, key ∥', false, true),
    (4, 'perp_perp', 'query ⊥, key ⊥', false, false)
  ) AS q(corner, quadrant, panel, query_par, key_par)
), cell AS ( -- a side that is not split has no parallel part
  SELECT f.place, f.frame, q.corner, q.quadrant, q.panel, d.component_id,
    CASE WHEN f.subtract THEN d.mean_diff[q.corner] ELSE d.mean_score[q.corner] END AS mean,
    CASE WHEN f.subtract THEN d.sd_diff[q.corner] ELSE d.sd_score[q.corner] END AS sd,
    CASE WHEN f.subtract THEN d.n_diff ELSE d.n_score END AS n
  FROM moment AS d
  JOIN frames AS f ON f.query_basis_id = d.query_basis_id
  JOIN corner AS q ON (f.query_split OR NOT q.query_par) AND (d.key_split OR NOT q.key_par)
), place AS ( -- components are in the order in which they write; a column is named after its components
  SELECT c.component_id, c.label, o.ordinal, c.grid_row, c.grid_column, coalesce(c.layer::VARCHAR, 'other') AS row_name,
    CASE WHEN c.layer IS NULL THEN 'other' ELSE 'layer' END AS row_group,
    coalesce(min(CASE c.kind WHEN 'head' THEN 'H' || c.head WHEN 'mlp' THEN 'MLP' WHEN 'attn_bias' THEN 'b_O' END)
      OVER (PARTITION BY c.grid_column), '') AS column_name
  FROM target AS t JOIN run_component AS o ON o.run_id = t.run_id JOIN component AS c ON c.component_id = o.component_id
)
SELECT d.frame, d.quadrant, d.panel, c.label AS component, c.grid_row, c.grid_column, d.mean, d.sd / sqrt(d.n) AS se, d.n, c.row_name, c.row_group, c.column_name
FROM cell AS d JOIN place AS c ON c.component_id = d.component_id
WHERE d.n > 0
ORDER BY d.place, d.corner, c.ordinal
