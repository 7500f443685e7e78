-- name: sink_components
-- title: Head {head}: components that make it attend to the first token
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: Many heads attend to the first token, a sink, if they have nothing else to do. For the prompts
--   whose key is the first token: what each component of that key contributes to the score, with the query's
--   bias b_Q and with the rest of the query. In GPT-2 the sink is made by b_Q with the output of MLP0 and the
--   position embedding of position 0 (arXiv:2604.14722). A model without biases has no such part. What all
--   keys have in common attracts no attention: give the prompts a baseline, a token or the mean of the other
--   keys, and it is subtracted. The part of b_Q needs the factors of the run; without them the bars are whole
--   contributions. Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- param: subtract BOOLEAN = NULL, whether the score at the baseline is subtracted; NULL is yes if the prompts have one
-- param: most INTEGER = 8, how many components of the key to show, those that contribute most
-- say: subtract = true, baseline subtracted
-- say: subtract = false, baseline not subtracted
-- say: only, prompts with {value}
-- chart: bar
-- x: part
-- y: mean
-- category: meets
-- error: se
-- count: n
-- x_tick: component
-- colors: b_Q, the rest of the query|the whole query
-- x_title: component of the key
-- y_title: mean contribution to the score{subtract? difference|}
-- legend_title: with

WITH target AS (
  SELECT h.run_id, h.head_id, h.score_scale, coalesce($subtract, EXISTS (SELECT 1 FROM score AS s
    JOIN edge AS e ON e.run_id = s.run_id AND e.example_id = s.example_id AND e.key_pos = 0
    WHERE s.run_id = h.run_id AND s.head_id = h.head_id AND s.baseline IS NOT NULL)) AS subtract
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
), sink AS (
  SELECT e.run_id, e.example_id
  FROM target AS t JOIN edge AS e ON e.run_id = t.run_id AND e.key_pos = 0
  WHERE ($only::VARCHAR IS NULL OR e.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
), bias AS (
  SELECT f.example_id, f.vector
  FROM target AS t JOIN sink AS a ON a.run_id = t.run_id
  JOIN query_factor AS f ON f.run_id = t.run_id AND f.head_id = t.head_id AND f.example_id = a.example_id
  JOIN component AS c ON c.component_id = f.component_id AND c.kind = 'q_bias'::component_kind
), met AS (
  SELECT f.example_id, f.component_id, t.score_scale * (list_inner_product(b.vector::DOUBLE[], f.vector::DOUBLE[])
    - CASE WHEN t.subtract THEN list_inner_product(b.vector::DOUBLE[], f.baseline::DOUBLE[]) ELSE 0 END) AS value
  FROM target AS t JOIN bias AS b ON true
  JOIN key_factor AS f ON f.run_id = t.run_id AND f.head_id = t.head_id AND f.example_id = b.example_id
), whole AS (
  SELECT w.example_id, w.component_id, CASE WHEN t.subtract THEN w.diff_perp_perp ELSE w.score_perp_perp END::DOUBLE AS value, m.value AS with_bias
  FROM target AS t JOIN sink AS a ON a.run_id = t.run_id
  JOIN contribution_wide AS w ON w.run_id = t.run_id AND w.head_id = t.head_id AND w.example_id = a.example_id AND w.side = 'key'::side
  JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id AND qb.kind = 'whole'::basis_kind
  JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id AND kb.kind = 'whole'::basis_kind
  LEFT JOIN met AS m ON m.example_id = w.example_id AND m.component_id = w.component_id
), part AS (
  SELECT w.example_id, w.component_id, 'b_Q' AS meets, w.with_bias AS value FROM whole AS w WHERE w.with_bias IS NOT NULL
  UNION ALL
  SELECT w.example_id, w.component_id, CASE WHEN w.with_bias IS NULL THEN 'the whole query' ELSE 'the rest of the query' END AS meets,
    w.value - coalesce(w.with_bias, 0) AS value
  FROM whole AS w
), ranked AS (
  SELECT m.component_id, row_number() OVER (ORDER BY greatest(abs(m.mean), abs(m.biased)) DESC, m.component_id) AS rank
  FROM (SELECT w.component_id, avg(w.value) AS mean, coalesce(avg(w.with_bias), 0) AS biased FROM whole AS w WHERE w.value IS NOT NULL GROUP BY w.component_id) AS m
)
SELECT c.label || ' with ' || p.meets AS part, c.label AS component, p.meets, avg(p.value) AS mean,
  stddev_samp(p.value) / sqrt(count(p.value)) AS se, count(p.value) AS n, any_value(t.subtract) AS subtract
FROM part AS p
JOIN ranked AS r ON r.component_id = p.component_id
JOIN component AS c ON c.component_id = p.component_id
CROSS JOIN target AS t
WHERE r.rank <= $most AND p.value IS NOT NULL
GROUP BY c.label, p.meets, r.rank
ORDER BY r.rank, p.meets
