-- name: nearest_tokens
-- title: Head {head}: tokens nearest to {vector_is}, {side} side
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}; {beside}
-- description: Which tokens' unembeddings have the largest cosine with a vector: by default the map from the
--   key side to the score, which is the direction that the head looks for in the keys. For each token, the
--   percentage of prompts in which it is among the nearest, and its mean cosine and mean place in these
--   prompts. top_cosine is the mean cosine of the nearest token, and random_cosine the same for a random
--   direction: a vector whose top_cosine is no larger is not near to any token. key_first_pct says how often
--   the nearest token is the one at the key position, key_rank and key_cosine are the median place and the
--   mean cosine of that token. Only runs with ducklens ingest --nearest have these numbers.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- param: side TEXT = 'key', side of the vector, query or key
-- param: vector TEXT = 'map', the vector: map; on the query side also a mover head such as 9.9, for its output; or random
-- param: within INTEGER = NULL, how many of the nearest tokens of each prompt count; NULL is all that the run stores
-- param: most INTEGER = 20, how many tokens to list
-- say: within, the {value} nearest tokens of each prompt
-- say: most, at most {value} tokens
-- say: only, prompts with {value}
-- chart: bar
-- x: name
-- y: pct
-- error: se
-- count: n
-- x_title: token
-- y_title: percent of the prompts with the token among the {places} nearest

WITH listed AS (
  SELECT n.example_id, n.side, n.vector, n.rank, n.token_id, n.token, n.cosine
  FROM head AS h JOIN nearest_token AS n ON n.run_id = h.run_id AND n.head_id = h.head_id
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
    AND ($only::VARCHAR IS NULL OR n.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
), stored AS ( -- places from 1 that every vector has; the key's and the baseline's token have others
  SELECT max(c.rank) AS k
  FROM (SELECT l.rank, row_number() OVER (ORDER BY l.rank) AS place FROM listed AS l GROUP BY l.rank
    HAVING count(*) = (SELECT count(*) FROM listed AS l WHERE l.rank = 1)) AS c
  WHERE c.rank = c.place
), chosen AS (
  SELECT CASE WHEN count(*) > 0 AND count(*) FILTER (WHERE l.vector = $vector) = 0
      THEN error('parameter vector: ' || coalesce($vector, 'NULL') || ', want one of the ' || $side || ' side: '
        || (SELECT string_agg(v.vector, ', ' ORDER BY v.vector) FROM (SELECT DISTINCT l.vector FROM listed AS l WHERE l.side = $side::side) AS v))
    ELSE $vector END AS vector,
    CASE WHEN $within NOT BETWEEN 1 AND max(s.k) THEN error('parameter within: ' || $within || ', want 1 to ' || max(s.k) || ', which the run stores')
    ELSE coalesce($within, max(s.k)) END AS places
  FROM listed AS l CROSS JOIN stored AS s
  WHERE l.side = $side::side
), near AS (
  SELECT l.example_id, l.rank, l.token_id, l.token, l.cosine, c.places
  FROM listed AS l JOIN chosen AS c ON c.vector = l.vector
  WHERE l.side = $side::side
), whole AS ( -- about all prompts
  SELECT count(DISTINCT n.example_id) AS n, avg(n.cosine) FILTER (WHERE n.rank = 1) AS top_cosine, any_value(n.places) AS places,
    (SELECT avg(l.cosine) FROM listed AS l WHERE l.vector = 'random' AND l.side = $side::side AND l.rank = 1) AS random_cosine
  FROM near AS n
), own AS ( -- about the token at the key
  SELECT 100 * avg((n.rank = 1)::INTEGER) AS first_pct, median(n.rank) AS rank, avg(n.cosine) AS cosine
  FROM near AS n
  JOIN edge AS e ON e.run_id = coalesce($run, latest_run()) AND e.example_id = n.example_id
  JOIN prompt_token AS t ON t.run_id = e.run_id AND t.prompt_id = e.prompt_id AND t.pos = e.key_pos AND t.token_id = n.token_id
), counted AS (
  SELECT n.token_id, min(n.token) AS token, replace(replace(trim(min(n.token)), chr(10), '\n'), chr(9), '\t') AS word,
    count(*) AS n_near, avg(n.cosine) AS cosine, avg(n.rank) AS rank
  FROM near AS n
  WHERE n.rank <= n.places
  GROUP BY n.token_id
)
SELECT c.token_id, c.token, 100 * c.n_near / w.n AS pct,
  100 * sqrt(c.n_near / w.n * (1 - c.n_near / w.n) / nullif(w.n - 1, 0)) AS se, w.n,
  c.cosine AS mean_cosine, c.rank AS mean_rank, w.top_cosine, w.random_cosine,
  o.first_pct AS key_first_pct, o.rank AS key_rank, o.cosine AS key_cosine, w.places,
  CASE WHEN c.word = '' OR count(*) OVER (PARTITION BY c.word) > 1 THEN c.word || ' #' || c.token_id
    WHEN NOT regexp_matches(c.word, '[\p{L}\p{N}]') THEN '“' || c.word || '”' ELSE c.word END AS name,
  CASE $vector WHEN 'map' THEN 'its map' WHEN 'random' THEN 'a random direction' ELSE 'the output of ' || $vector END AS vector_is,
  'mean cosine of the nearest token ' || round(w.top_cosine, 3) || ', of a random direction''s ' || round(w.random_cosine, 3) AS beside
FROM counted AS c CROSS JOIN whole AS w CROSS JOIN own AS o
ORDER BY pct DESC, mean_cosine DESC, c.token_id
LIMIT $most
