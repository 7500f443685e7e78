-- name: pair_matrix
-- title: Head {head}: pairs of components
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: What each pair of a query component and a key component contributes to the score with which the head
--   attends from the query to the key position: the mean over the prompts, one frame for each quadrant. All cells of all
--   frames add up to the mean score, in the exact convention; the notebook convention has no cells for b_O. Score terms
--   are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: query_basis TEXT = NULL, basis that splits query vectors; NULL is unembed+baseline if the run has it, else unembed
-- param: key_basis TEXT = 'mlp0', basis that splits key vectors
-- param: subtract BOOLEAN = NULL, whether the score at the baseline position is subtracted; NULL is yes if the prompts have one
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
-- x_title: key component
-- y_title: query component
-- fill_title: mean contribution to the score{subtract? difference|}

WITH target AS (
  SELECT h.run_id, h.head_id, arg_min(qb.basis_id, CASE qb.name WHEN 'unembed' THEN 1 ELSE 0 END) AS query_basis_id
  FROM head AS h JOIN basis AS qb ON qb.run_id = h.run_id AND qb.side = 'query'::side AND qb.null_number IS NULL
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
    AND CASE WHEN $query_basis::VARCHAR IS NULL THEN qb.name IN ('unembed', 'unembed+baseline') ELSE qb.name = $query_basis::VARCHAR END
  GROUP BY h.run_id, h.head_id
), pairs AS ( -- lists have the quadrants in the order of the corners below
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
), query_place AS ( -- components stand in the order in which they write
  SELECT o.component_id, row_number() OVER (ORDER BY o.ordinal) - 1 AS place
  FROM target AS t JOIN run_component AS o ON o.run_id = t.run_id
  WHERE o.component_id IN (SELECT p.query_component_id FROM pairs AS p)
), key_place AS (
  SELECT o.component_id, row_number() OVER (ORDER BY o.ordinal) - 1 AS place
  FROM target AS t JOIN run_component AS o ON o.run_id = t.run_id
  WHERE o.component_id IN (SELECT p.key_component_id FROM pairs AS p)
)
SELECT 'query ' || q.query_part || ', key ' || q.key_part AS frame, q.quadrant, qp.place AS query_place, kp.place AS key_place,
  qc.label AS query_component, kc.label AS key_component, p.mean[q.corner] AS mean, p.se[q.corner] AS se, p.n,
  coalesce(qc.layer::VARCHAR, 'other') AS query_group, coalesce(kc.layer::VARCHAR, 'other') AS key_group, p.query_basis, p.subtract
FROM pairs AS p
JOIN corner AS q ON (p.query_split OR q.query_part = '⊥') AND (p.key_split OR q.key_part = '⊥')
JOIN query_place AS qp ON qp.component_id = p.query_component_id
JOIN key_place AS kp ON kp.component_id = p.key_component_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
WHERE p.n > 0
ORDER BY q.corner, qp.place, kp.place
