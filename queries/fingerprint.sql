-- name: fingerprint
-- title: What identifies the data of a run
-- description: For each complete run, SHA-256 over a text of lines: the model and the settings that say what the numbers mean, the
--   target heads, bases (of a user's, the digest in its description) and mover heads, every prompt with its tokens, positions and
--   random draws, and every score of the model as it is stored. Contributions are not read, which keeps it cheap in a large
--   file: they add up to the scores, and ducklens verify checks that they do. What is left out changes no number: dates,
--   versions, command lines, threads, names of files, and the number of the run in its file.
-- param: run INTEGER = NULL, number of the run; NULL is every complete one
-- chart: table

WITH line AS (
  SELECT r.run_id, 1 AS part, 0 AS a, 0 AS b, concat_ws(' ', m.sha256, r.convention, r.processing, r.precision, r.seed, r.bos) AS text
  FROM run AS r JOIN model AS m ON m.model_id = r.model_id
  UNION ALL
  SELECT h.run_id, 2, h.ordinal, 0, head_name(h.label) FROM head AS h
  UNION ALL
  SELECT s.run_id, 3, s.basis_id, 0, concat_ws(' ', s.side, s.kind, s.dimension, s.name, split_part(s.description, 'SHA-256 ', 2)) FROM basis AS s
  UNION ALL
  SELECT v.run_id, 4, v.ordinal, 0, v.label FROM mover AS v
  UNION ALL
  SELECT e.run_id, 5, e.example_id, 0, format('{} {} {} {} {} {}', e.query_pos, e.key_pos, coalesce(e.baseline_pos::VARCHAR, '-'),
    coalesce(e.random_name_id::VARCHAR, '-'), coalesce(e.random_token_id::VARCHAR, '-'), e.text) FROM example AS e
  UNION ALL
  SELECT t.run_id, 6, t.example_id, t.pos, t.token_id::VARCHAR FROM token AS t
  UNION ALL
  SELECT s.run_id, 7, s.head_id, s.example_id, format('{} {} {} {} {}', s.score, coalesce(s.baseline::VARCHAR, '-'), s.prob, s.query_scale, s.key_scale)
    || coalesce(' ' || s.sink_prob, '') || coalesce(' ' || s.query_norm_scale || ' ' || s.key_norm_scale, '')
  FROM score AS s
)
SELECT r.run_id, sha256(string_agg(concat_ws(' ', l.part, l.a, l.b, l.text), chr(10) ORDER BY l.part, l.a, l.b)) AS sha256
FROM run AS r JOIN line AS l ON l.run_id = r.run_id
WHERE r.status = 'complete' AND ($run IS NULL OR r.run_id = $run)
GROUP BY r.run_id
ORDER BY r.run_id
