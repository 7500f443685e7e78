-- name: prompt_pairs
-- title: Head {head}: pairs of components in prompt {example}
-- subtitle: {model}, baseline {baseline}, {convention} convention, run {run}
-- description: What a component at the query and a component at the key contribute together in one prompt, the largest first, not
--   split along bases. Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: example INTEGER = 0, number of the example
-- param: query_component TEXT = NULL, component at the query; NULL is all
-- param: key_component TEXT = NULL, component at the key; NULL is all
-- param: subtract BOOLEAN = true, whether the score at the baseline position is subtracted
-- param: grid INTEGER = NULL, how many components of each side to take, those of the largest pairs; NULL is all
-- param: most INTEGER = 40, how many pairs to list
-- say: most, the largest {value}
-- chart: bar
-- x: pair
-- y: mean
-- x_title: query component, key component
-- y_title: contribution to the score{subtract? difference|}

WITH target AS (
  SELECT h.run_id, h.head_id, h.score_scale
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
  ORDER BY h.ordinal LIMIT 1
), pair_sum AS MATERIALIZED (
  SELECT c.label || ' × ' || d.label AS pair, c.label AS query_component, d.label AS key_component,
    (t.score_scale * (list_inner_product(q.vector, k.vector) - CASE WHEN $subtract THEN list_inner_product(q.vector, k.baseline) ELSE 0 END)) AS mean,
    NULL::DOUBLE AS se, 1 AS n
  FROM target AS t
  JOIN query_factor AS q ON q.run_id = t.run_id AND q.head_id = t.head_id
  JOIN key_factor AS k ON k.run_id = t.run_id AND k.head_id = t.head_id
  JOIN component AS c ON c.component_id = q.component_id
  JOIN component AS d ON d.component_id = k.component_id
  WHERE q.example_id = $example AND k.example_id = $example
    AND ($query_component::VARCHAR IS NULL OR c.label = $query_component::VARCHAR)
    AND ($key_component::VARCHAR IS NULL OR d.label = $key_component::VARCHAR)
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
