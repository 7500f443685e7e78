-- name: nearest_means
-- title: Head {head}: tokens nearest to its maps
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: Which tokens' unembeddings have the largest cosine with the linear map from each side to the score: what nearest_tokens
--   lists for one side. pct is the percentage of prompts in which a token is among the nearest, top_cosine the mean cosine of the nearest
--   token, random_cosine the same for a random direction; key_first_pct says how often the nearest token is the one at the key position,
--   key_rank is the median place of that token.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE; NULL is all
-- param: most INTEGER = 10, how many tokens of each side to list
-- say: only, prompts with {value}
-- say: most, at most {value} tokens of each side
-- chart: bar
-- x: name
-- y: pct
-- category: side
-- error: se
-- count: n
-- x_title: token
-- y_title: percent of the prompts with the token among the nearest

WITH target AS (
  SELECT h.run_id, h.head_id
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
  ORDER BY h.ordinal LIMIT 1
), near AS (
  SELECT n.example_id, n.side, n.vector, n.rank, n.token_id, n.token, n.cosine
  FROM target AS t
  JOIN nearest_token AS n ON n.run_id = t.run_id AND n.head_id = t.head_id
  WHERE n.vector IN ('map', 'random')
    AND ($only::VARCHAR IS NULL OR n.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
), stored AS ( -- places from 1 that every vector has; the key's and the baseline's token have others
  SELECT max(c.rank) AS k
  FROM (SELECT n.rank, row_number() OVER (ORDER BY n.rank) AS place, count(*) AS n, first_value(count(*)) OVER (ORDER BY n.rank) AS whole
    FROM near AS n GROUP BY n.rank) AS c
  WHERE c.rank = c.place AND c.n = c.whole
), own AS ( -- the token at the key
  SELECT e.example_id, p.token_id
  FROM target AS t
  JOIN edge AS e ON e.run_id = t.run_id
  JOIN prompt_token AS p ON p.run_id = e.run_id AND p.prompt_id = e.prompt_id AND p.pos = e.key_pos
), whole AS ( -- about all prompts
  SELECT n.side, count(*) FILTER (n.rank = 1 AND n.vector = 'map') AS n, avg(n.cosine) FILTER (n.rank = 1 AND n.vector = 'map') AS top_cosine,
    avg(n.cosine) FILTER (n.rank = 1 AND n.vector = 'random') AS random_cosine,
    100 * avg((n.rank = 1)::INTEGER) FILTER (n.vector = 'map' AND o.token_id IS NOT NULL) AS key_first_pct,
    median(n.rank) FILTER (n.vector = 'map' AND o.token_id IS NOT NULL) AS key_rank
  FROM near AS n
  LEFT JOIN own AS o ON o.example_id = n.example_id AND o.token_id = n.token_id
  GROUP BY n.side
), counted AS (
  SELECT n.side, n.token_id, replace(replace(trim(min(n.token)), chr(10), '\n'), chr(9), '\t') AS word, count(*) AS n_near, avg(n.cosine) AS cosine
  FROM near AS n
  CROSS JOIN stored AS s
  WHERE n.vector = 'map' AND n.rank <= s.k
  GROUP BY n.side, n.token_id
)
SELECT w.side::VARCHAR AS side, CASE WHEN c.word = '' OR count(*) OVER (PARTITION BY w.side, c.word) > 1 THEN c.word || ' #' || c.token_id
    WHEN NOT regexp_matches(c.word, '[\p{L}\p{N}]') THEN '“' || c.word || '”' ELSE c.word END AS name,
  100 * c.n_near / w.n AS pct, 100 * sqrt(c.n_near / w.n * (1 - c.n_near / w.n) / nullif(w.n - 1, 0)) AS se, w.n, c.cosine AS mean_cosine, s.k AS places,
  w.top_cosine, w.random_cosine, w.key_first_pct, w.key_rank
FROM counted AS c
JOIN whole AS w ON w.side = c.side
CROSS JOIN stored AS s
QUALIFY row_number() OVER (PARTITION BY w.side ORDER BY c.n_near DESC, c.cosine DESC, c.token_id) <= $most
ORDER BY w.side, pct DESC, mean_cosine DESC, c.token_id
