-- name: row_components
-- title: Head {head}: components of its attention from one token
-- subtitle: {model}, example {example}, attention from token {query_pos}, “{query_token}”, {side} side, {convention} convention, run {run}
-- description: What each component contributes to the score of every token that the query of one example
--   sees, in the order of the text. On the key side the component wrote at that token, and the query is held
--   fixed; on the query side it wrote at the query, and the key of that token is held fixed. A column adds up
--   to the score of its token, before any soft cap. Only differences between tokens matter to softmax, so the
--   components are shown whose contribution differs most between tokens, the largest first; the last row is
--   the sum of all others. Only runs with ducklens ingest --keys all have these numbers. Contributions are
--   not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: example INTEGER = 0, number of the example, from 0
-- param: side TEXT = 'key', side that is split over components, query or key
-- param: most INTEGER = 20, how many components to show
-- param: tokens INTEGER = 40, how many tokens to show, those with most attention
-- say: most, the {value} components that differ most between tokens
-- say: tokens, the {value} tokens that get most attention
-- chart: heatmap
-- x: pos
-- y: place
-- fill: score
-- x_tick: token
-- y_tick: component
-- x_title: token attended to
-- y_title: component
-- fill_title: contribution to the score

WITH target AS (
  SELECT h.run_id, h.head_id, e.example_id, e.prompt_id, e.query_pos
  FROM head AS h JOIN edge AS e ON e.run_id = h.run_id
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
    AND e.example_id = known_example(coalesce($run, latest_run()), $example)
), cell AS (
  SELECT w.component_id, w.pos, w.score_perp_perp AS score
  FROM target AS t
  JOIN row_contribution_wide AS w ON w.run_id = t.run_id AND w.prompt_id = t.prompt_id AND w.query_pos = t.query_pos AND w.head_id = t.head_id
  JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id AND qb.kind = 'whole'
  JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id AND kb.kind = 'whole'
  WHERE w.side = $side::side
), ranked AS (
  SELECT d.component_id, row_number() OVER (ORDER BY d.spread DESC, o.ordinal) AS rank, count(*) OVER () AS of
  FROM (SELECT c.component_id, sum(abs(c.score - c.mean)) AS spread
    FROM (SELECT c.component_id, c.score, avg(c.score) OVER (PARTITION BY c.component_id) AS mean FROM cell AS c) AS c GROUP BY c.component_id) AS d
  JOIN target AS t ON true
  JOIN run_component AS o ON o.run_id = t.run_id AND o.component_id = d.component_id
), seen AS (
  SELECT a.pos, a.score, a.prob, replace(replace(trim(k.text), chr(10), '\n'), chr(9), '\t') AS token,
    row_number() OVER (ORDER BY a.prob DESC, a.pos) AS rank
  FROM target AS t
  JOIN prompt_attention AS a ON a.run_id = t.run_id AND a.prompt_id = t.prompt_id AND a.query_pos = t.query_pos AND a.head_id = t.head_id
  JOIN prompt_token AS k ON k.run_id = a.run_id AND k.prompt_id = a.prompt_id AND k.pos = a.pos
), row_of AS ( -- components that are not shown are one row
  SELECT r.component_id, least(r.rank, $most + 1) AS place,
    CASE WHEN r.rank <= $most THEN c.label ELSE 'sum of ' || (r.of - $most) || ' more' END AS component
  FROM ranked AS r JOIN component AS c ON c.component_id = r.component_id
)
SELECT r.place, r.component, s.pos, s.token, sum(c.score) AS score, s.score AS total, s.prob, t.query_pos, q.token AS query_token
FROM cell AS c
JOIN row_of AS r ON r.component_id = c.component_id
JOIN seen AS s ON s.pos = c.pos
CROSS JOIN target AS t
LEFT JOIN seen AS q ON q.pos = t.query_pos
WHERE s.rank <= $tokens
GROUP BY r.place, r.component, s.pos, s.token, s.score, s.prob, t.query_pos, q.token
ORDER BY r.place, s.pos
