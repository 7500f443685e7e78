-- name: contribution_against_ablation
-- title: Head {head}: contribution of components, and what is lost by their ablation
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {how} ablation, run {run}
-- description: Each point is a component that was ablated (ducklens ablate). Across: what it contributes to
--   the score difference between key and baseline, or to the score of the key if prompts have no baseline.
--   For a component ablated at the query, that is its query-side contribution; at all positions, the sum of
--   both sides; at the key, its key-side contribution to the score of the key. Up: how much of the same score
--   is lost when the component is ablated and all later layers respond. Means over the prompts that have an
--   ablation, and those of them that have a baseline if any has. On the dotted line, the loss equals the
--   contribution. Above it, other components lost some of their effect as well; below it, other components
--   made up for part of the loss. Even without any response, zero ablation at all positions is off the line
--   by what the component adds as query and key at once, which both sides count, and mean ablation by what
--   the mean contributes.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: how TEXT = 'zero', what replaced the output of the component, zero or mean
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- say: only, prompts with {value}
-- chart: scatter
-- x: contribution
-- y: lost
-- series: kind
-- label: component
-- facet: place
-- error: se
-- x_error: contribution_se
-- count: n
-- colors: head, MLP
-- x_title: contribution (score units)
-- y_title: lost on ablation (score units)
-- fit: line
-- diagonal: y=x

WITH target AS (
  SELECT h.run_id, h.head_id FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
), ablated AS (
  SELECT DISTINCT a.run_id, a.head_id, a.component_id
  FROM target AS t JOIN ablation AS a ON a.run_id = t.run_id AND a.head_id = t.head_id AND a.method = $how::VARCHAR
), whole AS (
  SELECT w.example_id, w.component_id, w.side, coalesce(w.diff_perp_perp, w.score_perp_perp) AS amount, w.score_perp_perp AS at_key
  FROM ablated AS a JOIN contribution_wide AS w ON w.run_id = a.run_id AND w.head_id = a.head_id AND w.component_id = a.component_id
  JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id AND qb.kind = 'whole'
  JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id AND kb.kind = 'whole'
), part AS (
  SELECT w.example_id, w.component_id, coalesce(sum(w.amount) FILTER (w.side = 'query'), 0) AS of_query, coalesce(sum(w.amount) FILTER (w.side = 'key'), 0) AS of_key,
    coalesce(sum(w.at_key) FILTER (w.side = 'key'), 0) AS at_key
  FROM whole AS w GROUP BY w.example_id, w.component_id
), pair AS ( -- an ablated component of a prompt: score differences if any prompt of the place has one
  SELECT a.place, a.component_id, a.place <> 'key' AND bool_or(a.diff IS NOT NULL) OVER (PARTITION BY a.place) AS subtract, a.diff IS NOT NULL AS has_diff,
    CASE a.place WHEN 'query' THEN p.of_query WHEN 'key' THEN p.at_key ELSE p.of_query + p.of_key END AS contribution,
    CASE WHEN a.place = 'key' OR a.diff IS NULL THEN s.score - a.score ELSE s.diff - a.diff END AS lost,
    s.prob - a.prob AS prob_lost, a.own_key_logit - a.key_logit AS logit_lost
  FROM target AS t JOIN ablation AS a ON a.run_id = t.run_id AND a.head_id = t.head_id AND a.method = $how::VARCHAR
  JOIN score AS s ON s.run_id = a.run_id AND s.example_id = a.example_id AND s.head_id = a.head_id
  JOIN part AS p ON p.example_id = a.example_id AND p.component_id = a.component_id
  WHERE ($only::VARCHAR IS NULL OR a.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
)
SELECT CASE p.place WHEN 'all' THEN 'ablated everywhere' WHEN 'query' THEN 'ablated at the query' ELSE 'ablated at the key' END
    || CASE WHEN p.subtract THEN ', baseline subtracted' ELSE ', baseline not subtracted' END AS place,
  CASE c.kind WHEN 'mlp' THEN 'MLP' ELSE 'head' END AS kind, c.label AS component,
  avg(p.contribution) AS contribution, stddev_samp(p.contribution) / sqrt(count(*)) AS contribution_se,
  avg(p.lost) AS lost, stddev_samp(p.lost) / sqrt(count(*)) AS se,
  avg(p.prob_lost) AS prob_lost, avg(p.logit_lost) AS logit_lost, count(*) AS n
FROM pair AS p JOIN component AS c ON c.component_id = p.component_id
WHERE p.has_diff OR NOT p.subtract
GROUP BY p.place, p.subtract, c.component_id, c.kind, c.label
ORDER BY CASE p.place WHEN 'all' THEN 1 WHEN 'query' THEN 2 ELSE 3 END, c.component_id
