-- name: key_substitution_diff
-- title: Head {head}: attention score with another vector as key, baseline subtracted
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: key_substitution_scores with the baseline subtracted: the score at the baseline position,
--   where the same kind of vector is made from the baseline's token. The vectors are made from the token at
--   the key position: W_E is its embedding; W_EE0, the effective embedding, is the output of MLP0 if the
--   first layer attends from the token only to itself; W_EE is the whole residual stream after that; MLP0
--   output is the model's own; unpatched is the residual stream itself. The notebook convention normalises
--   every vector, unpatched too, by its sample standard deviation without epsilon. One row per prompt and
--   vector; mean, se and n are those of the vector.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- say: only, prompts with {value}
-- chart: histogram
-- x: diff
-- series: series
-- count: n
-- colors: "unpatched, IO - S1|unpatched, key - baseline", "MLP0 output, IO - S1|MLP0 output, key - baseline",
--   W_E[IO] - W_E[S1]|W_E[key] - W_E[baseline], W_EE0[IO] - W_EE0[S1]|W_EE0[key] - W_EE0[baseline],
--   W_EE[IO] - W_EE[S1]|W_EE[key] - W_EE[baseline]
-- x_title: attention score to the key position minus to the baseline position
-- y_title: prompts
-- legend_title: key vector

WITH target AS (
  SELECT r.run_id, h.head_id, r.convention,
    CASE WHEN e.ioi THEN '[IO]' ELSE '[key]' END AS key_name, CASE WHEN e.ioi THEN '[S]' ELSE '[baseline]' END AS baseline_name
  FROM run AS r JOIN head AS h ON h.run_id = r.run_id
  CROSS JOIN (SELECT count(x.prompt_order) > 0 AS ioi FROM example AS x WHERE x.run_id = coalesce($run, latest_run())) AS e
  WHERE r.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
), value AS (
  SELECT s.example_id, s.vector, CASE WHEN s.vector LIKE 'W!_%' ESCAPE '!'
      THEN s.vector || t.key_name || ' - ' || s.vector || replace(t.baseline_name, '[S]', '[S1]')
      ELSE replace(s.vector, 'MLP0', 'MLP0 output')
        || ', ' || trim(t.key_name, '[]') || ' - ' || replace(trim(t.baseline_name, '[]'), 'S', 'S1') END AS series,
    s.diff AS diff
  FROM target AS t JOIN substitution AS s ON s.run_id = t.run_id AND s.head_id = t.head_id
  WHERE s.side = 'key'::side
    AND ($only::VARCHAR IS NULL OR s.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
), summary AS (
  SELECT v.vector, avg(v.diff) AS mean, stddev_samp(v.diff) / sqrt(count(v.diff)) AS se, count(v.diff) AS n
  FROM value AS v
  GROUP BY v.vector
)
SELECT v.series, v.vector, v.example_id, v.diff, s.mean, s.se, s.n
FROM value AS v JOIN summary AS s ON s.vector = v.vector
WHERE v.diff IS NOT NULL
ORDER BY s.mean DESC, v.vector, v.example_id
