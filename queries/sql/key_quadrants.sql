-- name: key_quadrants
-- title: Head {head}: key-side components by quadrant
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: The contributions of key_components, split by what part of the query vector meets what part of the key
--   vector: ∥ is the part along the basis of its side, ⊥ the rest. Frames: baseline subtracted; subtracted, with the query
--   vectors split along the unembeddings of both the key and the baseline token; not subtracted. The quadrants of a frame
--   add up to the unsplit contributions.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7; NULL is the first of the run
-- param: query_basis TEXT = 'unembed', basis that splits query vectors in the first and the third frame
-- param: key_basis TEXT = 'mlp0', basis that splits key vectors
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
-- y_title: layer
-- fill_title: mean contribution to the score
-- facet_columns: 2

WITH target AS (
  SELECT r.run_id, r.model_id, m.n_heads, coalesce($head, default_head(r.run_id)) AS head
  FROM run AS r JOIN model AS m ON m.model_id = r.model_id
  WHERE r.run_id = coalesce($run, latest_run())
), frames AS (
  SELECT f.place, f.frame, f.query_basis, f.subtract
  FROM (VALUES
    (1, 'baseline subtracted', $query_basis, true),
    (2, 'baseline subtracted, query split along both unembeddings', 'unembed+baseline', true),
    (3, 'baseline not subtracted', $query_basis, false)
  ) AS f(place, frame, query_basis, subtract)
), cell AS (
  SELECT f.place, f.frame, q.quadrant, q.component, any_value(t.model_id) AS model_id, any_value(t.n_heads) AS n_heads,
    avg(CASE WHEN f.subtract THEN q.diff ELSE q.score END) AS mean,
    stddev_samp(CASE WHEN f.subtract THEN q.diff ELSE q.score END) AS sd,
    count(CASE WHEN f.subtract THEN q.diff ELSE q.score END) AS n
  FROM target AS t
  JOIN contribution AS q ON q.run_id = t.run_id AND q.head = t.head
  JOIN frames AS f ON f.query_basis = q.query_basis
  WHERE q.side = 'key' AND q.key_basis = $key_basis
  GROUP BY f.place, f.frame, q.quadrant, q.component
)
SELECT d.frame, d.quadrant,
  CASE d.quadrant WHEN 'par_par' THEN 'query ∥, key ∥' WHEN 'par_perp' THEN 'query ∥, key ⊥'
    WHEN 'perp_par' THEN 'query ⊥, key ∥' ELSE 'query ⊥, key ⊥' END AS panel,
  c.label AS component, c.grid_row, c.grid_column, d.mean, d.sd / sqrt(d.n) AS se, d.n,
  CASE WHEN c.grid_row = 0 THEN 'other' ELSE (c.grid_row - 1)::VARCHAR END AS row_name,
  CASE WHEN c.grid_column < d.n_heads THEN 'H' || c.grid_column WHEN c.grid_column = d.n_heads THEN 'MLP' ELSE 'b_O' END AS column_name
FROM cell AS d JOIN component AS c ON c.model_id = d.model_id AND c.label = d.component
WHERE d.n > 0
ORDER BY d.place, d.quadrant, c.component_id
