-- name: pair_matrix
-- title: Head {head}: pairs of components
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}; ∥ is along
--   {query_basis} at the query and along {key_basis} at the key
-- description: What each pair of a query component and a key component contributes to the attention score:
--   the mean over the prompts, one frame for each quadrant. In the exact convention, all cells of all frames
--   add up to the mean score; the notebook convention has no cells for b_O. If there are many components,
--   those with the largest sums of absolute cells are shown; whole is that sum over all cells, shown or not.
--   Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: query_basis TEXT = NULL, basis that splits query vectors; NULL is unembed+baseline if the run has it, else unembed
-- param: key_basis TEXT = 'mlp0', basis that splits key vectors
-- param: subtract BOOLEAN = NULL, whether the score at the baseline position is subtracted; NULL is yes if the prompts have one
-- param: most INTEGER = NULL, how many components of each side to show, those with the largest cells; NULL is all if there are at most 48, else 28
-- say: subtract = true, baseline subtracted
-- say: subtract = false, baseline not subtracted
-- say: most, at most {value} components of each side
-- chart: matrix
-- x: key_place
-- y: query_place
-- fill: mean
-- frame: frame
-- error: se
-- count: n
-- x_tick: key_component
-- y_tick: query_component
-- x_group: key_group
-- y_group: query_group
-- whole: whole
-- x_title: {key_axis}
-- y_title: {query_axis}
-- fill_title: mean contribution to the score{subtract? difference|}

WITH target AS (
  SELECT h.run_id, h.head_id, arg_min(qb.basis_id, CASE qb.name WHEN 'unembed' THEN 1 ELSE 0 END) AS query_basis_id
  FROM head AS h JOIN basis AS qb ON qb.run_id = h.run_id AND qb.side = 'query'::side AND qb.null_number IS NULL
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
    AND CASE WHEN $query_basis::VARCHAR IS NULL THEN qb.name IN ('unembed', 'unembed+baseline') ELSE qb.name = $query_basis::VARCHAR END
  GROUP BY h.run_id, h.head_id
), pairs AS ( -- lists have the quadrants in the order of corner below
  SELECT p.query_component_id, p.key_component_id, qb.kind <> 'whole' AS query_split, kb.kind <> 'whole' AS key_split,
    qb.name AS query_basis, coalesce($subtract, p.n_baseline > 0) AS subtract,
    CASE WHEN coalesce($subtract, p.n_baseline > 0) THEN p.n_baseline ELSE p.n END AS n,
    CASE WHEN coalesce($subtract, p.n_baseline > 0) THEN [p.mean_diff_par_par, p.mean_diff_par_perp, p.mean_diff_perp_par, p.mean_diff_perp_perp]
      ELSE [p.mean_score_par_par, p.mean_score_par_perp, p.mean_score_perp_par, p.mean_score_perp_perp] END AS mean,
    CASE WHEN coalesce($subtract, p.n_baseline > 0) THEN [p.se_diff_par_par, p.se_diff_par_perp, p.se_diff_perp_par, p.se_diff_perp_perp]
      ELSE [p.se_score_par_par, p.se_score_par_perp, p.se_score_perp_par, p.se_score_perp_perp] END AS se
  FROM target AS t
  JOIN pair_mean_wide AS p ON p.run_id = t.run_id AND p.head_id = t.head_id AND p.query_basis_id = t.query_basis_id
  JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
  JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id AND kb.name = $key_basis
), corner AS (
  SELECT q.corner, q.quadrant, q.query_part, q.key_part
  FROM (VALUES (1, 'par_par', '∥', '∥'), (2, 'par_perp', '∥', '⊥'), (3, 'perp_par', '⊥', '∥'), (4, 'perp_perp', '⊥', '⊥'))
    AS q(corner, quadrant, query_part, key_part)
), cell AS MATERIALIZED (
  SELECT p.query_component_id, p.key_component_id, q.corner, q.quadrant, 'query ' || q.query_part || ', key ' || q.key_part AS frame,
    p.mean[q.corner] AS mean, p.se[q.corner] AS se, p.n, p.query_basis, p.subtract
  FROM pairs AS p
  JOIN corner AS q ON (p.query_split OR q.query_part = '⊥') AND (p.key_split OR q.key_part = '⊥')
  WHERE p.n > 0
), ranked AS ( -- components of each side, the largest sum of absolute cells first
  SELECT w.side, w.component_id, o.ordinal, count(*) OVER (PARTITION BY w.side) AS of,
    row_number() OVER (PARTITION BY w.side ORDER BY w.weight DESC, o.ordinal) AS rank
  FROM (
    SELECT 'query' AS side, c.query_component_id AS component_id, sum(abs(c.mean)) AS weight FROM cell AS c GROUP BY c.query_component_id
    UNION ALL
    SELECT 'key' AS side, c.key_component_id AS component_id, sum(abs(c.mean)) AS weight FROM cell AS c GROUP BY c.key_component_id
  ) AS w
  JOIN target AS t ON true
  JOIN run_component AS o ON o.run_id = t.run_id AND o.component_id = w.component_id
), place AS ( -- the shown ones, in the order in which they write
  SELECT r.side, r.component_id, r.ordinal AS place,
    r.side || ' component' || CASE WHEN count(*) OVER (PARTITION BY r.side) < r.of
      THEN ' (' || count(*) OVER (PARTITION BY r.side) || ' of ' || r.of || ')' ELSE '' END AS axis
  FROM ranked AS r
  WHERE r.rank <= coalesce($most, CASE WHEN r.of > 48 THEN 28 ELSE r.of END)
)
SELECT d.frame, d.quadrant, qp.place AS query_place, kp.place AS key_place,
  qc.label AS query_component, kc.label AS key_component, d.mean, d.se, d.n,
  coalesce(qc.layer::VARCHAR, 'other') AS query_group, coalesce(kc.layer::VARCHAR, 'other') AS key_group, d.query_basis, d.subtract,
  (SELECT sum(abs(c.mean)) FROM cell AS c) AS whole, qp.axis AS query_axis, kp.axis AS key_axis
FROM cell AS d
JOIN place AS qp ON qp.side = 'query' AND qp.component_id = d.query_component_id
JOIN place AS kp ON kp.side = 'key' AND kp.component_id = d.key_component_id
JOIN component AS qc ON qc.component_id = d.query_component_id
JOIN component AS kc ON kc.component_id = d.key_component_id
ORDER BY d.corner, qp.place, kp.place
