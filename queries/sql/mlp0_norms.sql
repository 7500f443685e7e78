-- name: mlp0_norms
-- title: Head {head}: how much of the residual stream at the key lies along the output of MLP0
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: The residual stream at the key position before the layer of the head, scaled to length 1: the
--   lengths of its part along the output of MLP0 at that position and of the rest, and the fractions of the
--   squared length, mean over the prompts. In the exact convention a fraction is the mean of squared lengths,
--   and the two fractions add up to 1. In the notebook convention it is the square of the mean length, and
--   they do not. fraction_sum is their sum.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- param: key_basis TEXT = 'mlp0', basis of the key side
-- say: only, prompts with {value}
-- chart: table

SELECT p.vector, b.name AS basis,
  avg(p.par_norm) AS par_norm, stddev_samp(p.par_norm) / sqrt(count(p.par_norm)) AS par_norm_se,
  avg(p.perp_norm) AS perp_norm, stddev_samp(p.perp_norm) / sqrt(count(p.perp_norm)) AS perp_norm_se,
  -- Notebook: the square of a mean length, so that the two parts do not add up to 1. Exact: the mean of squares.
  CASE WHEN any_value(r.convention) = 'notebook'::convention THEN avg(p.par_norm) ** 2 ELSE avg(p.par_norm::DOUBLE ** 2) END AS par_fraction,
  CASE WHEN any_value(r.convention) = 'notebook'::convention THEN 2 * avg(p.par_norm) * stddev_samp(p.par_norm)
    ELSE stddev_samp(p.par_norm::DOUBLE ** 2) END / sqrt(count(p.par_norm)) AS par_fraction_se,
  CASE WHEN any_value(r.convention) = 'notebook'::convention THEN avg(p.perp_norm) ** 2 ELSE avg(p.perp_norm::DOUBLE ** 2) END AS perp_fraction,
  CASE WHEN any_value(r.convention) = 'notebook'::convention THEN 2 * avg(p.perp_norm) * stddev_samp(p.perp_norm)
    ELSE stddev_samp(p.perp_norm::DOUBLE ** 2) END / sqrt(count(p.perp_norm)) AS perp_fraction_se,
  CASE WHEN any_value(r.convention) = 'notebook'::convention THEN avg(p.par_norm) ** 2 + avg(p.perp_norm) ** 2
    ELSE avg(p.par_norm::DOUBLE ** 2 + p.perp_norm::DOUBLE ** 2) END AS fraction_sum,
  count(p.par_norm) AS n
FROM run AS r
JOIN head AS h ON h.run_id = r.run_id
JOIN projection AS p ON p.run_id = r.run_id AND p.head_id = h.head_id
JOIN basis AS b ON b.run_id = p.run_id AND b.basis_id = p.basis_id
WHERE r.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
  AND b.null_number IS NULL
    AND ($only::VARCHAR IS NULL OR p.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k)) AND p.side = 'key'::side AND p.measure = 'score'::measure AND b.name = $key_basis
GROUP BY p.vector, b.basis_id, b.name
ORDER BY p.vector, b.basis_id
