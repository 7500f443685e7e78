-- name: basis_shares
-- title: Head {head}: how much of the score lies along each basis
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}; bases overlap, so
--   shares do not add up to 100 %
-- description: What share of the mean attention score comes from the part of the key vectors along a basis,
--   with any part of the query; and the same for query vectors along a basis, with any part of the key. For
--   example, it tells whether the head recognises the name itself (mlp0, effective, mlp0+attn0) or the
--   prediction of the name (unembed). Bases overlap, so shares do not add up. The rest may contribute
--   negatively, so a share may be above 100 %. low and high are a 95 % interval from the standard error of
--   the ratio (first order). null_low and null_high enclose 95 % of the shares along null_n random
--   directions. Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- param: subtract BOOLEAN = NULL, whether the score at the baseline position is subtracted; NULL is yes if the prompts have one
-- say: subtract = true, baseline subtracted
-- say: subtract = false, baseline not subtracted
-- say: only, prompts with {value}
-- chart: bar
-- x: part
-- y: pct
-- category: side
-- error: se
-- count: n
-- x_title: part of the vector
-- colors: key, query
-- y_title: percent of the mean score{subtract? difference|}
-- legend_title: side

WITH target AS (
  SELECT h.run_id, h.head_id, coalesce($subtract, EXISTS (SELECT 1 FROM score AS s
    WHERE s.run_id = h.run_id AND s.head_id = h.head_id AND s.baseline IS NOT NULL)) AS subtract
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
), own AS ( -- each basis with one basis of the other side; any gives the same sums
  SELECT t.run_id, t.head_id, t.subtract, b.side, b.basis_id, b.name, b.null_number,
    (SELECT min(o.basis_id) FROM basis AS o WHERE o.run_id = b.run_id AND o.side <> b.side
      AND o.kind <> 'replacement'::basis_kind AND o.null_number IS NOT DISTINCT FROM b.null_number) AS other_id
  FROM target AS t JOIN basis AS b ON b.run_id = t.run_id AND b.kind = 'subspace'::basis_kind
), split AS ( -- two scans, and bases first, because most row groups are then skipped
  SELECT o.basis_id, w.example_id,
    sum(CASE WHEN o.subtract THEN w.diff_par_par ELSE w.score_par_par END + CASE WHEN o.subtract THEN w.diff_par_perp ELSE w.score_par_perp END) AS part,
    sum(CASE WHEN o.subtract THEN w.diff_par_par::DOUBLE + w.diff_par_perp + w.diff_perp_par + w.diff_perp_perp
      ELSE w.score_par_par::DOUBLE + w.score_par_perp + w.score_perp_par + w.score_perp_perp END) AS whole
  FROM contribution_wide AS w
  JOIN own AS o ON w.query_basis_id = o.basis_id AND w.key_basis_id = o.other_id AND w.run_id = o.run_id AND w.head_id = o.head_id
  WHERE w.side = 'query'::side AND o.side = 'query'::side
  GROUP BY o.basis_id, w.example_id
  UNION ALL
  SELECT o.basis_id, w.example_id,
    sum(CASE WHEN o.subtract THEN w.diff_par_par ELSE w.score_par_par END + CASE WHEN o.subtract THEN w.diff_perp_par ELSE w.score_perp_par END) AS part,
    sum(CASE WHEN o.subtract THEN w.diff_par_par::DOUBLE + w.diff_par_perp + w.diff_perp_par + w.diff_perp_perp
      ELSE w.score_par_par::DOUBLE + w.score_par_perp + w.score_perp_par + w.score_perp_perp END) AS whole
  FROM contribution_wide AS w
  JOIN own AS o ON w.query_basis_id = o.other_id AND w.key_basis_id = o.basis_id AND w.run_id = o.run_id AND w.head_id = o.head_id
  WHERE w.side = 'key'::side AND o.side = 'key'::side
  GROUP BY o.basis_id, w.example_id
), share AS (
  SELECT s.basis_id, avg(s.part) AS explained, avg(s.whole) AS denominator, stddev_samp(s.whole) / sqrt(count(*)) AS denominator_se, count(*) AS n,
    sqrt(greatest(0, var_samp(s.part) - 2 * avg(s.part) / nullif(avg(s.whole), 0) * covar_samp(s.part, s.whole)
      + (avg(s.part) / nullif(avg(s.whole), 0)) ** 2 * var_samp(s.whole)) / count(*)) AS error
  FROM split AS s
  WHERE s.whole IS NOT NULL AND ($only::VARCHAR IS NULL OR s.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
  GROUP BY s.basis_id
), named AS (
  SELECT o.side, h.basis_id, o.name, o.null_number, 100 * h.explained / nullif(h.denominator, 0) AS pct,
    100 * h.error / nullif(abs(h.denominator), 0) AS se, h.n, h.explained, h.denominator, h.denominator_se
  FROM share AS h JOIN own AS o ON o.basis_id = h.basis_id
), null_band AS (
  SELECT d.side, quantile_cont(d.pct, 0.025) AS low, quantile_cont(d.pct, 0.975) AS high, count(d.pct) AS n
  FROM named AS d WHERE d.null_number IS NOT NULL
  GROUP BY d.side
)
SELECT d.side, d.name AS basis, d.pct, d.se, d.n, d.pct - 1.96 * d.se AS low, d.pct + 1.96 * d.se AS high,
  v.low AS null_low, v.high AS null_high, coalesce(v.n, 0) AS null_n, d.explained, d.denominator, d.denominator_se,
  'mean score' || CASE WHEN t.subtract THEN ' difference' ELSE '' END AS denominator_is, t.subtract,
  d.side || ' along ' || d.name AS part
FROM named AS d CROSS JOIN target AS t LEFT JOIN null_band AS v ON v.side = d.side
WHERE d.null_number IS NULL
ORDER BY abs(d.pct) DESC NULLS LAST, d.side, d.basis_id
