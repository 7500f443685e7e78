-- name: top_heads
-- title: Target heads by {measure}
-- subtitle: {model}, {heads}, {prompts} prompts ({source}), run {run}
-- description: Attention of each target head from the query to the key position: mean probability and mean
--   score, the same with the baseline subtracted, and standard errors. Heads are in falling order of the
--   requested measure; mean, se and n are those of that measure. n_score counts all prompts, n_baseline those
--   that have a baseline.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- param: by TEXT = 'prob', measure that orders the heads: prob (attention probability of the key), diff_prob (that of the key minus
--   that of the baseline), score, or diff (score at the key minus at the baseline)
-- param: most INTEGER = 20, how many heads to list
-- say: by = prob, heads in the order of the attention probability of the key
-- say: by = diff_prob, heads in the order of the attention probability of the key minus that of the baseline
-- say: by = score, heads in the order of the score at the key
-- say: by = diff, heads in the order of the score at the key minus that at the baseline
-- say: most, at most {value} heads
-- say: only, prompts with {value}
-- chart: bar
-- x: name
-- y: mean
-- error: se
-- count: n
-- x_title: head
-- y_title: mean {measure}

WITH value AS (
  SELECT s.head, s.prob, s.prob - s.baseline_prob AS diff_prob, s.baseline_prob, s.score, s.diff,
    CASE $by WHEN 'prob' THEN s.prob WHEN 'diff_prob' THEN s.prob - s.baseline_prob WHEN 'score' THEN s.score WHEN 'diff' THEN s.diff
      ELSE error('parameter by: ' || coalesce($by, 'NULL') || ', want prob, diff_prob, score or diff') END AS asked
  FROM head_score AS s
  WHERE s.run_id = coalesce($run, latest_run())
    AND ($only::VARCHAR IS NULL OR s.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
)
SELECT v.head, avg(v.asked) AS mean, stddev_samp(v.asked) / sqrt(count(v.asked)) AS se, count(v.asked) AS n,
  avg(v.prob) AS mean_prob, stddev_samp(v.prob) / sqrt(count(v.prob)) AS se_prob, avg(v.baseline_prob) AS mean_baseline_prob,
  avg(v.diff_prob) AS mean_diff_prob, stddev_samp(v.diff_prob) / sqrt(count(v.diff_prob)) AS se_diff_prob,
  avg(v.score) AS mean_score, stddev_samp(v.score) / sqrt(count(v.score)) AS se_score, count(v.score) AS n_score,
  avg(v.diff) AS mean_diff, stddev_samp(v.diff) / sqrt(count(v.diff)) AS se_diff, count(v.diff) AS n_baseline,
  head_name(v.head) AS name,
  CASE $by WHEN 'prob' THEN 'attention probability of the key' WHEN 'diff_prob' THEN 'attention probability of the key minus the baseline'
    WHEN 'score' THEN 'attention score of the key' ELSE 'attention score of the key minus the baseline' END AS measure,
  CASE WHEN count(*) OVER () > $most THEN $most || ' of ' ELSE '' END || count(*) OVER () || CASE count(*) OVER () WHEN 1 THEN ' head' ELSE ' heads' END AS heads
FROM value AS v
GROUP BY v.head
HAVING count(v.asked) > 0
ORDER BY mean DESC, v.head
LIMIT $most
