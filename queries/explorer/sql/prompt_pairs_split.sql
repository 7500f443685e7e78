-- name: prompt_pairs_split
-- title: Head {head}: pairs of components in prompt {example}
-- subtitle: {model}, baseline {baseline}, {convention} convention, run {run}
-- description: What a component at the query and a component at the key contribute together in one prompt, the largest first; quadrants are
--   added up unless one is asked for. Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: example INTEGER = 0, number of the example
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
-- x_title: query component, key component
-- y_title: contribution to the score{subtract? difference|}

WITH pair_sum AS MATERIALIZED (
  SELECT p.query_component || ' × ' || p.key_component AS pair, p.query_component, p.key_component,
    sum(CASE WHEN $subtract THEN p.diff ELSE p.score END) AS mean, NULL::DOUBLE AS se, 1 AS n
  FROM pair AS p
  WHERE p.run_id = coalesce($run, latest_run()) AND p.head = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
    AND p.example_id = $example
    AND p.query_basis = $query_basis AND p.key_basis = $key_basis AND ($quadrant::VARCHAR IS NULL OR p.quadrant = $quadrant::quadrant)
    AND ($query_component::VARCHAR IS NULL OR p.query_component = $query_component::VARCHAR)
    AND ($key_component::VARCHAR IS NULL OR p.key_component = $key_component::VARCHAR)
  GROUP BY p.query_component, p.key_component
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
