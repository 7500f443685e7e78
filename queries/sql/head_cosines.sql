-- name: head_cosines
-- title: Outputs of movers: cosines with each other
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: The mean cosine of the outputs of two mover heads at the query position: of their parts along
--   a basis of the query side, and of their perpendicular parts. In a basis of one dimension the cosine of
--   the parts along it is 1 or -1. A part that is zero has no cosine; par_n and perp_n count the cosines.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- say: only, prompts with {value}
-- chart: table

SELECT v.vector_a, v.vector_b, b.name AS basis,
  avg(v.par_cos) AS par_cos, stddev_samp(v.par_cos) / sqrt(count(v.par_cos)) AS par_se, count(v.par_cos) AS par_n,
  avg(v.perp_cos) AS perp_cos, stddev_samp(v.perp_cos) / sqrt(count(v.perp_cos)) AS perp_se, count(v.perp_cos) AS perp_n
FROM vector_cosine AS v
JOIN basis AS b ON b.run_id = v.run_id AND b.basis_id = v.basis_id
WHERE v.run_id = coalesce($run, latest_run()) AND b.null_number IS NULL
    AND ($only::VARCHAR IS NULL OR v.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
GROUP BY v.side, v.vector_a, v.vector_b, b.basis_id, b.name
ORDER BY v.side, v.vector_a, v.vector_b, b.basis_id
