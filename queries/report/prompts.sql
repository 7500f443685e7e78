-- name: report_prompts
-- title: Prompts and what the head attends to
-- description: Prompts of a run with their tokens, the attention that each token gets from the query position, and the scores of the head.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7; NULL is the first of the run
-- chart: table

WITH target AS (
  SELECT h.run_id, h.head_id
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce($head, default_head(coalesce($run, latest_run())))
), attended AS (
  SELECT k.example_id, list(k.text ORDER BY k.pos) AS tokens, list(coalesce(a.prob, 0)::DOUBLE ORDER BY k.pos) AS probs
  FROM target AS t
  JOIN token AS k ON k.run_id = t.run_id
  LEFT JOIN attention AS a ON a.run_id = t.run_id AND a.head_id = t.head_id AND a.example_id = k.example_id AND a.pos = k.pos
  GROUP BY k.example_id
)
SELECT e.example_id, e.query_pos, e.key_pos, e.baseline_pos, s.score, s.baseline, s.prob, d.tokens, d.probs
FROM target AS t
JOIN example AS e ON e.run_id = t.run_id
JOIN score AS s ON s.run_id = t.run_id AND s.head_id = t.head_id AND s.example_id = e.example_id
JOIN attended AS d ON d.example_id = e.example_id
ORDER BY e.example_id
