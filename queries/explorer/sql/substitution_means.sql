-- name: substitution_means
-- title: Head {head}: attention score with another vector
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: How the head would attend to the key if another vector stood in place of its query or its key: means over prompts of what
--   query_substitution_scores and key_substitution_scores draw.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE; NULL is all
-- param: subtract BOOLEAN = true, whether the score at the baseline position is subtracted
-- chart: bar
-- x: vector
-- y: mean
-- category: side
-- error: se
-- count: n
-- x_title: vector put in
-- y_title: mean score{subtract? difference|}

WITH target AS (
  SELECT h.run_id, h.head_id
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
  ORDER BY h.ordinal LIMIT 1
)
SELECT s.side::VARCHAR AS side, s.vector, avg(CASE WHEN $subtract THEN s.diff ELSE s.score END) AS mean,
  stddev_samp(CASE WHEN $subtract THEN s.diff ELSE s.score END) / sqrt(count(CASE WHEN $subtract THEN s.diff ELSE s.score END)) AS se,
  count(CASE WHEN $subtract THEN s.diff ELSE s.score END) AS n, avg(s.prob) AS mean_prob
FROM target AS t
JOIN substitution AS s ON s.run_id = t.run_id AND s.head_id = t.head_id
WHERE ($only::VARCHAR IS NULL OR s.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
GROUP BY s.side, s.vector
HAVING count(CASE WHEN $subtract THEN s.diff ELSE s.score END) > 0
ORDER BY s.side, mean DESC, s.vector
