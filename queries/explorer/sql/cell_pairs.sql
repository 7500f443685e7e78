-- name: cell_pairs
-- title: Head {head}: pairs of {component} in some prompts
-- subtitle: {model}, baseline {baseline}, {convention} convention, run {run}
-- description: What a component at one side and each component at the other contribute together, in the prompts in which its own contribution
--   lies in a range: mean over these prompts, the largest first. Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE; NULL is all
-- param: side TEXT = 'key', side of the component, query or key
-- param: component TEXT = 'MLP0', component, as it is labelled in the heatmap
-- param: low DOUBLE = NULL, least contribution of it
-- param: high DOUBLE = NULL, largest contribution of it
-- param: subtract BOOLEAN = true, whether the score at the baseline position is subtracted
-- param: most INTEGER = 40, how many pairs to list
-- say: only, prompts with {value}
-- chart: bar
-- x: pair
-- y: mean
-- error: se
-- count: n
-- x_title: query component, key component
-- y_title: mean contribution to the score{subtract? difference|}

WITH target AS (
  SELECT h.run_id, h.head_id, h.score_scale, q.basis_id AS query_basis_id, k.basis_id AS key_basis_id
  FROM head AS h
  JOIN basis AS q ON q.run_id = h.run_id AND q.side = 'query' AND q.kind = 'whole'
  JOIN basis AS k ON k.run_id = h.run_id AND k.side = 'key' AND k.kind = 'whole'
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
  ORDER BY h.ordinal LIMIT 1
), chosen AS (
  SELECT w.example_id
  FROM target AS t
  JOIN contribution_wide AS w ON w.run_id = t.run_id AND w.head_id = t.head_id AND w.query_basis_id = t.query_basis_id
    AND w.key_basis_id = t.key_basis_id
  JOIN component AS c ON c.component_id = w.component_id
  WHERE w.side = $side::side AND c.label = $component
    AND CASE WHEN $subtract THEN w.diff_perp_perp ELSE w.score_perp_perp END BETWEEN coalesce($low, '-inf'::DOUBLE) AND coalesce($high, 'inf'::DOUBLE)
    AND ($only::VARCHAR IS NULL OR w.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
), pair AS (
  SELECT c.label AS query_component, d.label AS key_component,
    t.score_scale * (list_inner_product(q.vector, k.vector) - CASE WHEN $subtract THEN list_inner_product(q.vector, k.baseline) ELSE 0 END) AS value
  FROM target AS t
  CROSS JOIN chosen AS o
  JOIN query_factor AS q ON q.run_id = t.run_id AND q.head_id = t.head_id AND q.example_id = o.example_id
  JOIN key_factor AS k ON k.run_id = t.run_id AND k.head_id = t.head_id AND k.example_id = o.example_id
  JOIN component AS c ON c.component_id = q.component_id
  JOIN component AS d ON d.component_id = k.component_id
  WHERE CASE WHEN $side = 'key' THEN d.label ELSE c.label END = $component
)
SELECT p.query_component || ' × ' || p.key_component AS pair, p.query_component, p.key_component, avg(p.value) AS mean,
  stddev_samp(p.value) / sqrt(count(p.value)) AS se, count(p.value) AS n
FROM pair AS p
GROUP BY p.query_component, p.key_component
ORDER BY abs(avg(p.value)) DESC NULLS LAST, p.query_component, p.key_component
LIMIT $most
