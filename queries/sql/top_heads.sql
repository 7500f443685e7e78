-- name: top_heads
-- title: Which target heads attend from the query to the key most?
-- subtitle: {model}, {prompts} prompts ({source}), run {run}
-- description: Attention of each target head of the run from the query to the key position: mean probability, mean score, and mean
--   score less that at the baseline position, with standard errors. Heads in falling order of probability.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: most INTEGER = 20, how many heads to list
-- chart: bar
-- x: head
-- y: mean_prob
-- error: se_prob
-- count: n
-- x_title: head
-- y_title: mean attention probability from query to key

SELECT s.head, avg(s.prob) AS mean_prob, stddev_samp(s.prob) / sqrt(count(s.prob)) AS se_prob,
  avg(s.baseline_prob) AS mean_baseline_prob,
  avg(s.score) AS mean_score, stddev_samp(s.score) / sqrt(count(s.score)) AS se_score,
  avg(s.diff) AS mean_diff, stddev_samp(s.diff) / sqrt(count(s.diff)) AS se_diff, count(s.prob) AS n
FROM head_score AS s
WHERE s.run_id = coalesce($run, latest_run())
GROUP BY s.head
ORDER BY mean_prob DESC, s.head
LIMIT $most
