-- name: projection_means
-- title: Head {head}: cosines with the map to the score
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: Cosines of parts of vectors with the linear map from the vector to the score, the other side held fixed, and the fraction
--   of a mover head's output along a basis: means over prompts of what map_cosines and unembed_fraction list.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE; NULL is all
-- say: only, prompts with {value}
-- chart: table

WITH target AS (
  SELECT h.run_id, h.head_id, r.convention = 'notebook' AS is_notebook
  FROM head AS h JOIN run AS r ON r.run_id = h.run_id
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
  ORDER BY h.ordinal LIMIT 1
)
SELECT p.side::VARCHAR AS side, p.vector, b.name AS basis, b.kind = 'subspace' AS is_subspace, p.measure = 'diff' AS subtract,
  avg(p.par_cos) AS par_cos, stddev_samp(p.par_cos) / sqrt(count(p.par_cos)) AS par_se,
  avg(p.perp_cos) AS perp_cos, stddev_samp(p.perp_cos) / sqrt(count(p.perp_cos)) AS perp_se,
  CASE WHEN t.is_notebook THEN avg(p.par_norm) ** 2 ELSE avg(p.par_norm::DOUBLE ** 2) END AS par_fraction,
  CASE WHEN t.is_notebook THEN 2 * avg(p.par_norm) * stddev_samp(p.par_norm) ELSE stddev_samp(p.par_norm::DOUBLE ** 2) END / sqrt(count(p.par_norm)) AS par_fraction_se
FROM target AS t
JOIN projection AS p ON p.run_id = t.run_id AND p.head_id = t.head_id
JOIN basis AS b ON b.run_id = p.run_id AND b.basis_id = p.basis_id AND b.null_number IS NULL
LEFT JOIN mover AS m ON m.run_id = p.run_id AND m.label = p.vector
WHERE $only::VARCHAR IS NULL OR p.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k)
GROUP BY p.side, p.vector, b.basis_id, b.name, b.kind, p.measure, m.ordinal, t.is_notebook
ORDER BY p.side, m.ordinal, p.vector, b.basis_id, p.measure
