-- name: head_cosines
-- title: Outputs of movers: cosines with each other
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: How alike the outputs of two mover heads at the query position are: mean over the prompts of the cosine
--   of their parts along a basis of the query side, and of their perpendicular parts. In a basis of one dimension the
--   first is 1 or -1. A part that is zero has no cosine; par_n and perp_n count those that have one.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- chart: table

SELECT v.vector_a, v.vector_b, b.name AS basis,
  avg(v.par_cos) AS par_cos, stddev_samp(v.par_cos) / sqrt(count(v.par_cos)) AS par_se, count(v.par_cos) AS par_n,
  avg(v.perp_cos) AS perp_cos, stddev_samp(v.perp_cos) / sqrt(count(v.perp_cos)) AS perp_se, count(v.perp_cos) AS perp_n
FROM vector_cosine AS v
JOIN basis AS b ON b.run_id = v.run_id AND b.basis_id = v.basis_id
WHERE v.run_id = coalesce($run, latest_run()) AND b.null_number IS NULL
GROUP BY v.side, v.vector_a, v.vector_b, b.basis_id, b.name
ORDER BY v.side, v.vector_a, v.vector_b, b.basis_id
