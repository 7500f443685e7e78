-- name: prompt_nearest
-- title: Head {head}: tokens nearest to its maps in prompt {example}
-- description: The tokens whose unembeddings have the largest cosine with the linear map from each side to the score in one prompt, and
--   where the token at the key is among all; the nearest to a random direction, for comparison.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: example INTEGER = 0, number of the example
-- param: most INTEGER = 5, how many of the nearest tokens of each side to list
-- say: most, the {value} nearest tokens of each side
-- chart: table

WITH target AS (
  SELECT h.run_id, h.head_id
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
  ORDER BY h.ordinal LIMIT 1
), own AS (
  SELECT k.token_id
  FROM target AS t
  JOIN edge AS e ON e.run_id = t.run_id
  JOIN prompt_token AS k ON k.run_id = e.run_id AND k.prompt_id = e.prompt_id AND k.pos = e.key_pos
  WHERE e.example_id = $example
)
SELECT n.side::VARCHAR AS side, n.vector, n.rank,
  CASE WHEN contains(n.token, chr(65533)) THEN n.token || ' #' || n.token_id ELSE n.token END AS token, -- a part of a character
  n.cosine, n.token_id = o.token_id AS is_key
FROM target AS t
JOIN nearest_token AS n ON n.run_id = t.run_id AND n.head_id = t.head_id
CROSS JOIN own AS o
WHERE n.example_id = $example
  AND (n.vector = 'map' AND (n.rank <= $most OR n.token_id = o.token_id) OR n.vector = 'random' AND n.rank = 1)
ORDER BY n.side, n.vector, n.rank
