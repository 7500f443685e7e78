-- name: prompt_score
-- title: Head {head}: its score in prompt {example}
-- description: The score of the head in one prompt, beside its mean over all prompts of the run.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: example INTEGER = 0, number of the example
-- chart: table

WITH target AS (
  SELECT h.run_id, h.head_id
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
  ORDER BY h.ordinal LIMIT 1
), mean AS (
  SELECT avg(s.score) AS score, avg(s.diff) AS diff, avg(s.prob) AS prob, count(*) AS n
  FROM target AS h JOIN score AS s ON s.run_id = h.run_id AND s.head_id = h.head_id
)
SELECT e.prompt_id, p.text, e.key_token, e.baseline_token, s.score, s.baseline, s.diff, s.prob, s.baseline_prob, s.closure_residual,
  m.score AS mean_score, m.diff AS mean_diff, m.prob AS mean_prob, m.n
FROM target AS h
JOIN score AS s ON s.run_id = h.run_id AND s.head_id = h.head_id
JOIN edge AS e ON e.run_id = s.run_id AND e.example_id = s.example_id
JOIN prompt AS p ON p.run_id = e.run_id AND p.prompt_id = e.prompt_id
CROSS JOIN mean AS m
WHERE s.example_id = $example
ORDER BY s.example_id
