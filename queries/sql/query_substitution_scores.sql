-- name: query_substitution_scores
-- title: Head {head}: attention score with another vector as query
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}; output of
--   {mover}{first_mover?, the first of several movers (--set mover=...): |, of the movers }{movers}
-- description: The attention score if another vector replaced the residual stream at the query position,
--   normalised like the stream before the layer, with the key held fixed. The vectors are the unembeddings of
--   the key token (IO), of the baseline token (S), of a random name and of a random token, both drawn by the
--   seed of the run; the output of a mover head at the query position; its part perpendicular to the
--   unembedding of the key token; and the residual stream itself (unpatched). The notebook convention
--   normalises every vector, unpatched too, by its sample standard deviation without epsilon. One row per
--   prompt and vector; mean, se and n are those of the vector.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- param: mover TEXT = NULL, head whose output is the vector, such as 9.9; NULL is the first mover of the run
-- param: subtract BOOLEAN = false, whether the score at the baseline position is subtracted
-- say: mover, output of {value}
-- say: subtract = true, baseline subtracted
-- say: only, prompts with {value}
-- chart: histogram
-- x: score
-- series: series
-- count: n
-- colors: unpatched, W_U[IO]|W_U[key], W_U[S]|W_U[baseline], W_U[random name], W_U[random]
-- x_title: attention score to the key position{subtract?, less that to the baseline position|}
-- y_title: prompts
-- legend_title: query vector

WITH target AS (
  SELECT r.run_id, h.head_id, r.convention,
    CASE WHEN e.ioi THEN '[IO]' ELSE '[key]' END AS key_name, CASE WHEN e.ioi THEN '[S]' ELSE '[baseline]' END AS baseline_name
  FROM run AS r JOIN head AS h ON h.run_id = r.run_id
  CROSS JOIN (SELECT count(x.prompt_order) > 0 AS ioi FROM example AS x WHERE x.run_id = coalesce($run, latest_run())) AS e
  WHERE r.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
), chosen AS ( -- one mover is shown
  SELECT CASE WHEN count(*) FILTER (WHERE m.label = $mover::VARCHAR) = 0 AND $mover::VARCHAR IS NOT NULL
      THEN error('parameter mover: ' || $mover::VARCHAR || ' is not a mover of the run, which has '
        || coalesce(string_agg(m.label, ', ' ORDER BY m.ordinal), 'none'))
    ELSE coalesce($mover::VARCHAR, arg_min(m.label, m.ordinal)) END AS label,
    string_agg(m.label, ', ' ORDER BY m.ordinal) AS labels, $mover::VARCHAR IS NULL AND count(*) > 1 AS is_first
  FROM target AS t JOIN mover AS m ON m.run_id = t.run_id
), value AS (
  SELECT s.example_id, s.vector, replace(replace(
      CASE WHEN regexp_full_match(s.vector, '[0-9]+[.][0-9]+') THEN s.vector || ' output' ELSE replace(s.vector, ' perp ', ' output ⊥ ') END,
      '[key]', t.key_name), '[baseline]', t.baseline_name) AS series,
    CASE WHEN $subtract THEN s.diff ELSE s.score END AS score
  FROM target AS t JOIN substitution AS s ON s.run_id = t.run_id AND s.head_id = t.head_id
  WHERE s.side = 'query'::side
    AND ($only::VARCHAR IS NULL OR s.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
    AND (NOT regexp_matches(s.vector, '^[0-9]+[.][0-9]+') OR split_part(s.vector, ' ', 1) = (SELECT k.label FROM chosen AS k))
), summary AS (
  SELECT v.vector, avg(v.score) AS mean, stddev_samp(v.score) / sqrt(count(v.score)) AS se, count(v.score) AS n
  FROM value AS v
  GROUP BY v.vector
)
SELECT v.series, v.vector, v.example_id, v.score, s.mean, s.se, s.n, coalesce(k.label, 'none') AS mover, coalesce(k.labels, 'none') AS movers,
  k.is_first AS first_mover
FROM value AS v JOIN summary AS s ON s.vector = v.vector CROSS JOIN chosen AS k
WHERE v.score IS NOT NULL
ORDER BY s.mean DESC, v.vector, v.example_id
