-- name: row_softmax
-- title: Head {head}: what decides between the two keys with most attention
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: Compares the two tokens with the most attention in each row: what each component contributes
--   to the score of the first minus its contribution to the score of the second. Mean over the rows, the
--   largest first. Examples that share a query position are one row. The difference of two scores is the
--   logarithm of the ratio of their probabilities, so the parts add up to mean_log_odds (denominator). If the
--   head caps its scores (capped), they add up to the difference before the cap, and mean_log_odds is that of
--   the capped scores. Only runs with ducklens ingest --keys all have these numbers. Contributions are not
--   causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- param: side TEXT = 'key', side that is split over components, query or key
-- param: most INTEGER = 20, how many components to list
-- say: only, prompts with {value}
-- say: side, {value} side
-- say: most, the largest {value}
-- chart: bar
-- x: component
-- y: mean
-- error: se
-- count: n
-- x_title: component
-- y_title: mean contribution to the score of the first key minus the second

WITH target AS (
  SELECT h.run_id, h.head_id, h.soft_cap
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
), asked AS (
  SELECT DISTINCT e.prompt_id, e.query_pos
  FROM target AS t JOIN edge AS e ON e.run_id = t.run_id
  WHERE ($only::VARCHAR IS NULL OR e.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
), ranked AS (
  SELECT a.prompt_id, a.query_pos, a.pos, a.score, coalesce(t.soft_cap * tanh(a.score / t.soft_cap), a.score) AS capped,
    row_number() OVER (PARTITION BY a.prompt_id, a.query_pos ORDER BY a.score DESC, a.pos) AS rank
  FROM target AS t
  JOIN prompt_attention AS a ON a.run_id = t.run_id AND a.head_id = t.head_id
  JOIN asked AS e ON e.prompt_id = a.prompt_id AND e.query_pos = a.query_pos
), duel AS ( -- a query that sees only itself has no second key
  SELECT r.prompt_id, r.query_pos, max(r.pos) FILTER (WHERE r.rank = 1) AS first, max(r.pos) FILTER (WHERE r.rank = 2) AS second,
    sum(CASE r.rank WHEN 1 THEN r.score ELSE -r.score END) AS diff, sum(CASE r.rank WHEN 1 THEN r.capped ELSE -r.capped END) AS log_odds
  FROM ranked AS r
  WHERE r.rank <= 2
  GROUP BY r.prompt_id, r.query_pos
  HAVING count(*) = 2
), term AS (
  SELECT w.component_id, d.prompt_id, d.query_pos, sum(CASE w.pos WHEN d.first THEN w.score_perp_perp ELSE -w.score_perp_perp END) AS diff
  FROM target AS t
  JOIN row_contribution_wide AS w ON w.run_id = t.run_id AND w.head_id = t.head_id
  JOIN duel AS d ON d.prompt_id = w.prompt_id AND d.query_pos = w.query_pos AND (w.pos = d.first OR w.pos = d.second)
  JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id AND qb.kind = 'whole'
  JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id AND kb.kind = 'whole'
  WHERE w.side = $side::side
  GROUP BY w.component_id, d.prompt_id, d.query_pos
), whole AS (
  SELECT avg(d.diff) AS diff, avg(d.log_odds) AS log_odds FROM duel AS d
)
SELECT c.label AS component, avg(m.diff) AS mean, stddev_samp(m.diff) / sqrt(count(m.diff)) AS se, count(m.diff) AS n,
  100 * avg(m.diff) / nullif(any_value(s.diff), 0) AS pct, any_value(s.diff) AS denominator,
  'mean difference of the two highest scores' AS denominator_is, any_value(s.log_odds) AS mean_log_odds, any_value(t.soft_cap) IS NOT NULL AS capped
FROM term AS m
JOIN target AS t ON true
JOIN whole AS s ON true
JOIN component AS c ON c.component_id = m.component_id
JOIN run_component AS o ON o.run_id = t.run_id AND o.component_id = m.component_id
GROUP BY c.label, o.ordinal
ORDER BY abs(avg(m.diff)) DESC, o.ordinal
LIMIT $most
