-- name: key_substitution_scores
-- title: Head {head}: attention score with another vector as key
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: The attention score if another vector replaced the residual stream at the key position,
--   normalised like the stream before the layer, with the query held fixed. The vectors are made from the
--   token at the key position: W_E is its embedding; W_EE0, the effective embedding, is the output of MLP0 if
--   the first layer attends from the token only to itself; W_EE is the whole residual stream after that; MLP0
--   output is the model's own; unpatched is the residual stream itself. The notebook convention normalises
--   every vector, unpatched too, by its sample standard deviation without epsilon. One row per prompt and
--   vector; mean, se and n are those of the vector.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- say: only, prompts with {value}
-- chart: histogram
-- x: score
-- series: series
-- count: n
-- colors: unpatched, MLP0 output, W_E[IO]|W_E[key], W_EE0[IO]|W_EE0[key], W_EE[IO]|W_EE[key]
-- x_title: attention score to the key position
-- y_title: prompts
-- legend_title: key vector

WITH target AS (
  SELECT r.run_id, h.head_id, r.convention,
    CASE WHEN e.ioi THEN '[IO]' ELSE '[key]' END AS key_name, CASE WHEN e.ioi THEN '[S]' ELSE '[baseline]' END AS baseline_name
  FROM run AS r JOIN head AS h ON h.run_id = r.run_id
  CROSS JOIN (SELECT count(x.prompt_order) > 0 AS ioi FROM example AS x WHERE x.run_id = coalesce($run, latest_run())) AS e
  WHERE r.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
), value AS (
  SELECT s.example_id, s.vector,
    CASE WHEN s.vector LIKE 'W!_%' ESCAPE '!' THEN s.vector || t.key_name ELSE replace(s.vector, 'MLP0', 'MLP0 output') END AS series,
    s.score AS score
  FROM target AS t JOIN substitution AS s ON s.run_id = t.run_id AND s.head_id = t.head_id
  WHERE s.side = 'key'::side
    AND ($only::VARCHAR IS NULL OR s.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
), summary AS (
  SELECT v.vector, avg(v.score) AS mean, stddev_samp(v.score) / sqrt(count(v.score)) AS se, count(v.score) AS n
  FROM value AS v
  GROUP BY v.vector
)
SELECT v.series, v.vector, v.example_id, v.score, s.mean, s.se, s.n
FROM value AS v JOIN summary AS s ON s.vector = v.vector
WHERE v.score IS NOT NULL
ORDER BY s.mean DESC, v.vector, v.example_id
