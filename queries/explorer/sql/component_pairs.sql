-- name: component_pairs
-- title: Head {head}: pairs of components
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: What a component at the query and a component at the key contribute together, mean over all prompts of the run, the largest
--   first; quadrants are added up unless one is asked for. The pairs of one component of a side add up to its cell in the heatmap. A
--   standard error is given where one quadrant is behind a pair. Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: query_component TEXT = NULL, component at the query; NULL is all
-- param: key_component TEXT = NULL, component at the key; NULL is all
-- param: query_basis TEXT = 'none', basis that splits query vectors
-- param: key_basis TEXT = 'none', basis that splits key vectors
-- param: quadrant TEXT = NULL, par_par, par_perp, perp_par or perp_perp; NULL adds them up
-- param: subtract BOOLEAN = true, whether the score at the baseline position is subtracted
-- param: grid INTEGER = NULL, how many components of each side to take, those of the largest pairs; NULL is all
-- param: most INTEGER = 40, how many pairs to list
-- say: most, the largest {value}
-- chart: bar
-- x: pair
-- y: mean
-- error: se
-- count: n
-- x_title: query component, key component
-- y_title: mean contribution to the score{subtract? difference|}

WITH target AS (
  SELECT h.run_id, h.head_id, q.basis_id AS query_basis_id, k.basis_id AS key_basis_id, q.kind = 'whole' AND k.kind = 'whole' AS is_whole
  FROM head AS h
  JOIN basis AS q ON q.run_id = h.run_id AND q.side = 'query' AND q.name = $query_basis
  JOIN basis AS k ON k.run_id = h.run_id AND k.side = 'key' AND k.name = $key_basis
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
  ORDER BY h.ordinal LIMIT 1
), mean AS (
  SELECT p.query_component_id, p.key_component_id, CASE WHEN $subtract THEN p.n_baseline ELSE p.n END AS n,
    CASE WHEN $subtract THEN p.mean_diff_par_par ELSE p.mean_score_par_par END AS par_par,
    CASE WHEN $subtract THEN p.mean_diff_par_perp ELSE p.mean_score_par_perp END AS par_perp,
    CASE WHEN $subtract THEN p.mean_diff_perp_par ELSE p.mean_score_perp_par END AS perp_par,
    CASE WHEN $subtract THEN p.mean_diff_perp_perp ELSE p.mean_score_perp_perp END AS perp_perp,
    CASE WHEN $quadrant::VARCHAR = 'par_par' THEN CASE WHEN $subtract THEN p.se_diff_par_par ELSE p.se_score_par_par END
      WHEN $quadrant::VARCHAR = 'par_perp' THEN CASE WHEN $subtract THEN p.se_diff_par_perp ELSE p.se_score_par_perp END
      WHEN $quadrant::VARCHAR = 'perp_par' THEN CASE WHEN $subtract THEN p.se_diff_perp_par ELSE p.se_score_perp_par END
      WHEN $quadrant::VARCHAR = 'perp_perp' OR t.is_whole THEN CASE WHEN $subtract THEN p.se_diff_perp_perp ELSE p.se_score_perp_perp END END AS se
  FROM target AS t
  JOIN pair_mean_wide AS p ON p.run_id = t.run_id AND p.head_id = t.head_id AND p.query_basis_id = t.query_basis_id AND p.key_basis_id = t.key_basis_id
), pair_sum AS MATERIALIZED (
  SELECT q.label || ' × ' || k.label AS pair, q.label AS query_component, k.label AS key_component,
    CASE $quadrant::VARCHAR WHEN 'par_par' THEN m.par_par WHEN 'par_perp' THEN m.par_perp WHEN 'perp_par' THEN m.perp_par
      WHEN 'perp_perp' THEN m.perp_perp ELSE m.par_par::DOUBLE + m.par_perp + m.perp_par + m.perp_perp END AS mean, m.se, m.n
  FROM mean AS m
  JOIN component AS q ON q.component_id = m.query_component_id
  JOIN component AS k ON k.component_id = m.key_component_id
  WHERE ($query_component::VARCHAR IS NULL OR q.label = $query_component::VARCHAR)
    AND ($key_component::VARCHAR IS NULL OR k.label = $key_component::VARCHAR)
), query_side AS (
  SELECT query_component, max(abs(mean)) AS largest FROM pair_sum GROUP BY query_component
), key_side AS (
  SELECT key_component, max(abs(mean)) AS largest FROM pair_sum GROUP BY key_component
)
SELECT p.pair, p.query_component, p.key_component, p.mean, p.se, p.n
FROM pair_sum AS p
WHERE $grid::INTEGER IS NULL
  OR p.query_component IN (SELECT query_component FROM query_side ORDER BY largest DESC NULLS LAST, query_component LIMIT $grid)
    AND p.key_component IN (SELECT key_component FROM key_side ORDER BY largest DESC NULLS LAST, key_component LIMIT $grid)
ORDER BY abs(p.mean) DESC NULLS LAST, p.query_component, p.key_component
LIMIT $most
