-- name: top_pairs
-- title: Head {head}: the {most} largest pairs of components
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}; ∥ is along
--   {query_basis} at the query and along {key_basis} at the key; {expectation}
-- description: The pairs of a query component, a key component and a quadrant that contribute most to the
--   mean score, by absolute value, each as a share of the sum over all pairs and quadrants. A pair is
--   expected if it is the part of an expected head along the query basis with the part of MLP0 along the key
--   basis; it is half expected if it is the other part of such a head. se is the standard error of the mean
--   of the pair divided by the total, which is taken as fixed. Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: expected_heads TEXT = NULL, heads that should copy the key token into the query, such as '9.9,9.6'; NULL
--   is the movers of the run
-- param: query_basis TEXT = NULL, basis that splits query vectors; NULL is unembed+baseline if the run has it, else unembed
-- param: key_basis TEXT = 'mlp0', basis that splits key vectors
-- param: subtract BOOLEAN = NULL, whether the score at the baseline position is subtracted; NULL is yes if the prompts have one
-- param: most INTEGER = 40, how many pairs to list
-- say: expected_heads, expected heads: {value}
-- say: subtract = true, baseline subtracted
-- say: subtract = false, baseline not subtracted
-- chart: bar
-- x: pair
-- y: pct
-- category: category
-- error: se
-- count: n
-- x_title: query component, key component
-- colors: expected, half expected, not expected
-- y_title: percent of the mean score{subtract? difference|}
-- legend_title: pair

WITH target AS (
  SELECT h.run_id, h.head_id, arg_min(qb.basis_id, CASE qb.name WHEN 'unembed' THEN 1 ELSE 0 END) AS query_basis_id
  FROM head AS h JOIN basis AS qb ON qb.run_id = h.run_id AND qb.side = 'query'::side AND qb.null_number IS NULL
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
    AND CASE WHEN $query_basis::VARCHAR IS NULL THEN qb.name IN ('unembed', 'unembed+baseline') ELSE qb.name = $query_basis::VARCHAR END
  GROUP BY h.run_id, h.head_id
), pairs AS ( -- lists have the quadrants in the order of corner below
  SELECT p.run_id, p.query_component_id, p.key_component_id, qb.kind <> 'whole' AS query_split, kb.kind <> 'whole' AS key_split,
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
), candidate AS (
  SELECT DISTINCT c.label
  FROM pairs AS p JOIN component AS c ON c.component_id = p.query_component_id
  WHERE c.kind = 'head'::component_kind
), given AS (
  SELECT DISTINCT trim(g.name) AS label
  FROM (SELECT unnest(string_split($expected_heads::VARCHAR, ',')) AS name) AS g
), expected AS (
  SELECT CASE WHEN k.label IS NULL THEN error('parameter expected_heads: ' || g.label || ' is not a head below the target head') ELSE g.label END AS label
  FROM given AS g LEFT JOIN candidate AS k ON k.label = g.label
  UNION ALL
  SELECT m.label FROM target AS t JOIN mover AS m ON m.run_id = t.run_id
  WHERE $expected_heads::VARCHAR IS NULL
), total AS (
  SELECT sum(list_sum(p.mean)) AS total FROM pairs AS p WHERE p.n > 0
), spread AS (
  SELECT stddev_samp(CASE WHEN p.subtract THEN s.diff ELSE s.score END) / sqrt(count(CASE WHEN p.subtract THEN s.diff ELSE s.score END)) AS se
  FROM target AS t JOIN score AS s ON s.run_id = t.run_id AND s.head_id = t.head_id
  CROSS JOIN (SELECT max(CASE WHEN p.subtract THEN 1 ELSE 0 END) = 1 AS subtract FROM pairs AS p) AS p
), term AS (
  SELECT p.query_component_id, p.key_component_id, q.corner, q.quadrant, q.query_part, q.key_part, p.mean[q.corner] AS mean, p.se[q.corner] AS se, p.n,
    p.query_basis, p.subtract, qo.ordinal AS query_place, ko.ordinal AS key_place
  FROM pairs AS p
  JOIN corner AS q ON (p.query_split OR q.query_part = '⊥') AND (p.key_split OR q.key_part = '⊥')
  JOIN run_component AS qo ON qo.run_id = p.run_id AND qo.component_id = p.query_component_id
  JOIN run_component AS ko ON ko.run_id = p.run_id AND ko.component_id = p.key_component_id
  WHERE p.n > 0
  ORDER BY abs(p.mean[q.corner]) DESC, qo.ordinal, ko.ordinal, q.corner
  LIMIT $most
)
SELECT qc.label || ' ' || d.query_part || ', ' || kc.label || ' ' || d.key_part AS pair, 100 * d.mean / nullif(s.total, 0) AS pct,
  100 * d.se / nullif(abs(s.total), 0) AS se, d.n,
  CASE WHEN x.label IS NULL OR kc.label <> 'MLP0' THEN 'not expected' WHEN d.quadrant = 'par_par' THEN 'expected'
    WHEN d.quadrant = 'perp_par' THEN 'half expected' ELSE 'not expected' END AS category,
  qc.label AS query_component, kc.label AS key_component, d.quadrant, d.mean, s.total, d.query_basis, d.subtract, s.total AS denominator, e.se AS denominator_se,
  'mean score' || CASE WHEN d.subtract THEN ' difference' ELSE '' END || ' over all pairs and quadrants' AS denominator_is,
  (SELECT CASE WHEN count(*) = 0 THEN 'no pair is expected'
      ELSE 'expected: ' || string_agg(y.label, ' or ' ORDER BY y.label) || ' ∥ with MLP0 ∥; half expected: ' || string_agg(y.label, ' or ' ORDER BY y.label)
        || ' ⊥ with MLP0 ∥' END FROM expected AS y) AS expectation
FROM term AS d CROSS JOIN total AS s CROSS JOIN spread AS e
JOIN component AS qc ON qc.component_id = d.query_component_id
JOIN component AS kc ON kc.component_id = d.key_component_id
LEFT JOIN expected AS x ON x.label = qc.label
ORDER BY abs(d.mean) DESC, d.query_place, d.key_place, d.corner
