-- name: prompt_without
-- title: Head {head}: prompt {example} without a component
-- description: The score of the key, and the attention that it gets, without each component in the stream before the head: with the scales
--   of norms as they were (frozen) or made again for what is left (responding). Other heads and layers stay as they were.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: example INTEGER = 0, number of the example
-- param: norm TEXT = 'frozen', what norms do: frozen or responding
-- chart: table

WITH target AS (
  SELECT h.run_id, h.head_id, h.layer, h.soft_cap, h.sink_logit, m.norm = 'none' AS bare, q.basis_id AS query_basis_id, k.basis_id AS key_basis_id,
    e.example_id, e.prompt_id, e.query_pos, e.key_pos, s.score, s.prob
  FROM head AS h
  JOIN run AS r ON r.run_id = h.run_id
  JOIN model AS m ON m.model_id = r.model_id
  JOIN basis AS q ON q.run_id = h.run_id AND q.side = 'query' AND q.kind = 'whole'
  JOIN basis AS k ON k.run_id = h.run_id AND k.side = 'key' AND k.kind = 'whole'
  JOIN edge AS e ON e.run_id = h.run_id
  JOIN score AS s ON s.run_id = h.run_id AND s.head_id = h.head_id AND s.example_id = e.example_id
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
    AND e.example_id = $example AND r.convention = 'exact'
  ORDER BY h.ordinal LIMIT 1
), part AS ( -- what a component adds by way of the key, and what norms are without it: score_without has the arithmetic
  SELECT c.label, w.score_perp_perp AS gone, sum(w.score_perp_perp) FILTER (c.kind = 'k_bias') OVER () AS bias,
    c.kind <> 'k_bias' AND coalesce(c.layer, -1) < t.layer AND ($norm = 'frozen' OR t.bare OR n.whole IS NOT NULL) AS is_asked,
    coalesce(sqrt(n.whole / (n.whole - 2 * n.with_whole + n.squared)), 1) AS sigma, q.whole + 2 * q.whole_bias + q.constant AS whole,
    q.whole - 2 * q.with_whole + q.squared AS rest, q.whole_bias - q.with_bias AS rest_bias, q.constant
  FROM target AS t
  JOIN contribution_wide AS w ON w.run_id = t.run_id AND w.head_id = t.head_id AND w.example_id = t.example_id AND w.side = 'key'
    AND w.query_basis_id = t.query_basis_id AND w.key_basis_id = t.key_basis_id
  JOIN component AS c ON c.component_id = w.component_id
  LEFT JOIN component_norm AS n ON n.run_id = t.run_id AND n.prompt_id = t.prompt_id AND n.layer = t.layer AND n.pos = t.key_pos
    AND n.component_id = w.component_id
  LEFT JOIN component_qk_norm AS q ON q.run_id = t.run_id AND q.prompt_id = t.prompt_id AND q.head_id = t.head_id AND q.side = 'key'
    AND q.pos = t.key_pos AND q.component_id = w.component_id
), other AS ( -- the other keys that the query sees
  SELECT coalesce(t.soft_cap * tanh(a.score / t.soft_cap), a.score) AS score
  FROM target AS t
  JOIN prompt_attention AS a ON a.run_id = t.run_id AND a.head_id = t.head_id AND a.prompt_id = t.prompt_id AND a.query_pos = t.query_pos
  WHERE a.pos <> t.key_pos
  UNION ALL
  SELECT t.sink_logit FROM target AS t WHERE t.sink_logit IS NOT NULL
), total AS (
  SELECT any_value(o.top) + ln(sum(exp(o.score - o.top))) AS score FROM (SELECT o.score, max(o.score) OVER () AS top FROM other AS o) AS o
), without AS (
  SELECT p.label, CASE WHEN $norm = 'frozen' THEN t.score - p.gone
    ELSE p.tau * (p.sigma * t.score + (1 - p.sigma) * coalesce(p.bias, 0) - p.sigma * p.gone) END AS score
  FROM target AS t
  CROSS JOIN (SELECT *, coalesce(sqrt(whole / (sigma * sigma * rest + 2 * sigma * rest_bias + "constant")), 1) AS tau FROM part WHERE is_asked) AS p
)
SELECT w.label AS component, t.score, w.score AS score_without, t.prob,
  coalesce(1 / (1 + exp(o.score - coalesce(t.soft_cap * tanh(w.score / t.soft_cap), w.score))), 1) AS prob_without
FROM target AS t
CROSS JOIN without AS w
CROSS JOIN total AS o
ORDER BY abs(w.score - t.score) DESC, w.label
