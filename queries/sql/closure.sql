-- name: closure
-- title: Did the contributions add up to the scores when the run was made?
-- description: For every run of the file, the largest distance between an attention score of the model and
--   the sum of its contributions, over prompts, target heads, sides, bases and positions, as ingest measured
--   and stored it. ducklens verify adds up the stored contributions instead. Exact runs must be within the
--   tolerance. A notebook run is not judged (ok is NULL), because the published arithmetic leaves terms out.
--   A run that is not complete is listed with the scores that it has so far.
-- chart: table

SELECT c.run_id, m.name AS model, c.status, c.convention, r.precision, c.n_scores,
  c.worst_residual, c.worst_relative, c.worst_example_id, c.worst_head, c.tolerance, c.ok,
  'stored by ingest; ducklens verify adds up again' AS residual_is
FROM closure AS c
JOIN run AS r ON r.run_id = c.run_id
JOIN model AS m ON m.model_id = r.model_id
ORDER BY c.run_id
