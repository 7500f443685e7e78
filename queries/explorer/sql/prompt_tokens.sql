-- name: prompt_tokens
-- title: Head {head}: what it attends to in prompt {example}
-- description: The tokens of one prompt, with the score and the probability that the head gives each from the query position.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: example INTEGER = 0, number of the example
-- chart: table

WITH target AS (
  SELECT h.run_id, h.head_id
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
  ORDER BY h.ordinal LIMIT 1
)
SELECT t.pos, t.text AS token, a.score, a.prob, t.pos = e.query_pos AS is_query, t.pos = e.key_pos AS is_key,
  coalesce(t.pos = e.baseline_pos, false) AS is_baseline
FROM target AS h
JOIN edge AS e ON e.run_id = h.run_id
JOIN prompt_token AS t ON t.run_id = e.run_id AND t.prompt_id = e.prompt_id
LEFT JOIN prompt_attention AS a ON a.run_id = e.run_id AND a.head_id = h.head_id AND a.prompt_id = e.prompt_id
  AND a.query_pos = e.query_pos AND a.pos = t.pos
WHERE e.example_id = known_example(coalesce($run, latest_run()), $example)
ORDER BY t.pos
