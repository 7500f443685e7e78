-- name: report_closure
-- title: Do the stored contributions add up to the scores?
-- description: The worst distance between an attention score of the model and a sum of the stored contributions to it, over prompts,
--   target heads, sides, bases and both positions, and how many scores lack some of their sums.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: first INTEGER = NULL, first prompt to look at; NULL is that of the run
-- param: last INTEGER = NULL, last prompt to look at; NULL is that of the run
-- chart: table

WITH asked AS (
  SELECT s.run_id, s.example_id, h.label AS head, s.score, s.baseline
  FROM score AS s
  JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id
  WHERE s.run_id = coalesce($run, latest_run()) AND s.example_id BETWEEN coalesce($first, s.example_id) AND coalesce($last, s.example_id)
), wanted AS (
  SELECT 2 * count(*) AS n
  FROM basis AS q
  JOIN basis AS k ON k.run_id = q.run_id AND k.null_number IS NOT DISTINCT FROM q.null_number
  WHERE q.run_id = coalesce($run, latest_run()) AND q.side = 'query' AND k.side = 'key' AND q.kind <> 'replacement' AND k.kind <> 'replacement'
), added AS (
  SELECT c.example_id, c.head,
    count(*) FILTER (c.score_residual IS NOT NULL AND (c.baseline IS NULL OR c.baseline_residual IS NOT NULL)) AS n,
    max(greatest(c.score_residual, coalesce(c.baseline_residual, 0))) AS residual
  FROM contribution_sum AS c
  WHERE c.run_id = coalesce($run, latest_run()) AND c.example_id BETWEEN coalesce($first, c.example_id) AND coalesce($last, c.example_id)
  GROUP BY c.example_id, c.head
), compared AS (
  SELECT s.example_id, s.head, a.residual, a.residual / {{closureScale "s.score" "s.baseline"}} AS relative,
    coalesce(a.n, 0) < w.n AS lacking
  FROM asked AS s
  CROSS JOIN wanted AS w
  LEFT JOIN added AS a ON a.example_id = s.example_id AND a.head = s.head
)
SELECT (SELECT convention FROM run WHERE run_id = coalesce($run, latest_run()))::VARCHAR AS convention,
  count(*) AS n_scores, count(*) FILTER (lacking) AS n_lacking,
  max(residual) AS worst_residual, max(relative) AS worst_relative,
  arg_max(example_id, relative) AS worst_example_id, arg_max(head, relative) AS worst_head
FROM compared
