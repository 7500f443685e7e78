-- name: key_substitution_diff
-- title: Head {head}: attention score with another vector as key, baseline subtracted
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: key_substitution_scores with the score at the baseline position subtracted, where the vector of the
--   same kind, made of the baseline's token, takes the place of the key. The vectors are made of the token at the key
--   position: its embedding W_E; the effective embedding W_EE0, what MLP0 writes when the first layer attends from the
--   token to itself alone; W_EE, the whole stream after that; the real output of MLP0; and the residual stream itself
--   (unpatched). The notebook convention normalises every vector by its sample standard deviation without epsilon,
--   unpatched too. One row per prompt and vector; mean, se and n are those of the vector.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- say: only, prompts with {value}
-- chart: histogram
-- x: diff
-- series: series
-- count: n
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
