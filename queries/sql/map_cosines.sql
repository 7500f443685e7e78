-- name: map_cosines
-- title: Head {head}: cosines with the linear map to the score
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: With one side held fixed, the score is a linear map of the vector of the other side: W_Q k on
--   the query side, W_K q on the key side, times the scale of scores. These are the mean cosines of that map
--   with the parallel and the perpendicular part of the outputs of mover heads (query side) and of the
--   residual stream at the key (key side). With the baseline subtracted, the map on the query side is that of
--   the key minus that of the baseline; on the key side, the parts at the baseline position are subtracted
--   from those at the key position. A part that is zero has no cosine; par_n and perp_n count the cosines.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- say: only, prompts with {value}
-- chart: table

SELECT p.side, p.vector, b.name AS basis, p.measure = 'diff'::measure AS subtract,
  avg(p.par_cos) AS par_cos, stddev_samp(p.par_cos) / sqrt(count(p.par_cos)) AS par_se, count(p.par_cos) AS par_n,
  avg(p.perp_cos) AS perp_cos, stddev_samp(p.perp_cos) / sqrt(count(p.perp_cos)) AS perp_se, count(p.perp_cos) AS perp_n
FROM run AS r
JOIN head AS h ON h.run_id = r.run_id
JOIN projection AS p ON p.run_id = r.run_id AND p.head_id = h.head_id
JOIN basis AS b ON b.run_id = p.run_id AND b.basis_id = p.basis_id
LEFT JOIN mover AS m ON m.run_id = p.run_id AND m.label = p.vector
WHERE r.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
  AND b.null_number IS NULL
    AND ($only::VARCHAR IS NULL OR p.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k)) AND b.kind = 'subspace'::basis_kind
GROUP BY p.side, p.vector, b.basis_id, b.name, p.measure, m.ordinal
ORDER BY p.side, m.ordinal, p.vector, b.basis_id, p.measure
