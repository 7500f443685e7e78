-- name: unembed_fraction
-- title: Outputs of movers: how much lies along the unembeddings
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: How much of the output of each mover head at the query position lies along a basis of the
--   query side: the unembedding of the key token, or the plane of the unembeddings of key and baseline token.
--   The output is scaled to length 1. The lengths of the parallel and the perpendicular part and the
--   fractions of the squared length are means over the prompts. In the exact convention a fraction is the
--   mean of squared lengths, and the two fractions add up to 1. In the notebook convention it is the square
--   of the mean length, and they do not.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- say: only, prompts with {value}
-- chart: table

SELECT p.vector, b.name AS basis,
  -- Notebook: the square of a mean length, so that the two parts do not add up to 1. Exact: the mean of squares.
  CASE WHEN any_value(r.convention) = 'notebook'::convention THEN avg(p.par_norm) ** 2 ELSE avg(p.par_norm::DOUBLE ** 2) END AS par_fraction,
  CASE WHEN any_value(r.convention) = 'notebook'::convention THEN 2 * avg(p.par_norm) * stddev_samp(p.par_norm)
    ELSE stddev_samp(p.par_norm::DOUBLE ** 2) END / sqrt(count(p.par_norm)) AS par_fraction_se,
  CASE WHEN any_value(r.convention) = 'notebook'::convention THEN avg(p.perp_norm) ** 2 ELSE avg(p.perp_norm::DOUBLE ** 2) END AS perp_fraction,
  CASE WHEN any_value(r.convention) = 'notebook'::convention THEN 2 * avg(p.perp_norm) * stddev_samp(p.perp_norm)
    ELSE stddev_samp(p.perp_norm::DOUBLE ** 2) END / sqrt(count(p.perp_norm)) AS perp_fraction_se,
  avg(p.par_norm) AS par_norm, stddev_samp(p.par_norm) / sqrt(count(p.par_norm)) AS par_norm_se,
  avg(p.perp_norm) AS perp_norm, stddev_samp(p.perp_norm) / sqrt(count(p.perp_norm)) AS perp_norm_se,
  count(p.par_norm) AS n
FROM run AS r
JOIN head AS h ON h.run_id = r.run_id
JOIN projection AS p ON p.run_id = r.run_id AND p.head_id = h.head_id
JOIN basis AS b ON b.run_id = p.run_id AND b.basis_id = p.basis_id
LEFT JOIN mover AS m ON m.run_id = p.run_id AND m.label = p.vector
WHERE r.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
  AND b.null_number IS NULL
    AND ($only::VARCHAR IS NULL OR p.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k)) AND p.side = 'query'::side AND p.measure = 'score'::measure
GROUP BY p.vector, b.basis_id, b.name, m.ordinal
ORDER BY m.ordinal, p.vector, b.basis_id
