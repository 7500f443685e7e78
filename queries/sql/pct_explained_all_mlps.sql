-- name: pct_explained_all_mlps
-- title: Head {head}: share of all MLPs, parallel to the output of MLP0 and to the unembedding
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: How much of the mean attention score, baseline subtracted, all MLPs together contribute on the
--   key side in the quadrant in which both vectors are parallel to their basis. The denominator is the sum
--   over all key-side components and quadrants, without b_K if it cancels. se is the standard error of the
--   ratio (first order). low and high are a percentile bootstrap over prompts, seeded and equal in every
--   version of DuckDB. null_low and null_high enclose the same share of the mean percentages of null_n pairs
--   of random directions, one on each side. Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- param: query_basis TEXT = 'unembed', basis that splits query vectors
-- param: key_basis TEXT = 'mlp0', basis that splits key vectors
-- param: resamples INTEGER = 1000, number of bootstrap samples, each of as many prompts as there are
-- param: seed INTEGER = 0, seed of the bootstrap
-- param: level DOUBLE = 0.95, share of the resamples between low and high, and of the random directions between null_low and null_high
-- say: only, prompts with {value}
-- chart: scalar
-- y: pct
-- error: se
-- count: n
-- y_title: percent of the mean score, baseline subtracted

WITH target AS (
  SELECT h.run_id, h.head_id, qb.basis_id AS query_basis_id, kb.basis_id AS key_basis_id, qb.kind <> 'whole' AND kb.kind <> 'whole' AS split,
    -- b_K adds the same at every position, so that it cancels, unless keys are rotated, or divided by their own norms (QK-norm)
    h.rotary_dims = 0 AND NOT EXISTS (SELECT 1 FROM score AS s
      WHERE s.run_id = h.run_id AND s.head_id = h.head_id AND s.key_norm_scale IS NOT NULL) AS cancels
  FROM head AS h JOIN basis AS qb ON qb.run_id = h.run_id JOIN basis AS kb ON kb.run_id = h.run_id
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
    AND qb.side = 'query'::side AND qb.name = $query_basis AND qb.null_number IS NULL
    AND kb.side = 'key'::side AND kb.name = $key_basis AND kb.null_number IS NULL
), share AS ( -- part and whole of each prompt
  SELECT w.example_id, sum(CASE WHEN t.split THEN w.diff_par_par END) FILTER (WHERE c.kind = 'mlp'::component_kind) AS part,
    sum(w.diff_par_par::DOUBLE + w.diff_par_perp + w.diff_perp_par + w.diff_perp_perp) FILTER (WHERE NOT (t.cancels AND c.kind = 'k_bias'::component_kind)) AS whole
  FROM target AS t -- bases first, because most row groups are skipped by them
  JOIN contribution_wide AS w ON w.query_basis_id = t.query_basis_id AND w.key_basis_id = t.key_basis_id AND w.run_id = t.run_id AND w.head_id = t.head_id
  JOIN component AS c ON c.component_id = w.component_id
  WHERE w.side = 'key'::side
  GROUP BY w.example_id
  HAVING whole IS NOT NULL AND ($only::VARCHAR IS NULL OR w.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
), ratio AS (
  SELECT avg(s.part) AS explained, avg(s.whole) AS denominator, stddev_samp(s.whole) / sqrt(count(s.whole)) AS denominator_se, count(s.whole) AS n
  FROM share AS s
), spread AS (
  SELECT 100 * stddev_samp(s.part - r.explained / nullif(r.denominator, 0) * s.whole) / sqrt(any_value(r.n))
    / nullif(abs(any_value(r.denominator)), 0) AS se
  FROM share AS s CROSS JOIN ratio AS r
), numbered AS (
  SELECT row_number() OVER (ORDER BY s.example_id) - 1 AS place, s.part, s.whole
  FROM share AS s
), counter AS ( -- one number for each draw of each resample
  SELECT b.resample, r.n, (b.start + i.step) & 4294967295 AS x
  FROM (SELECT k.range AS resample, k.range * 2654435761 + ($seed & 65535) * 97 AS start FROM range($resamples) AS k) AS b
  CROSS JOIN ratio AS r CROSS JOIN (SELECT k.place * 40503 AS step FROM numbered AS k) AS i
), mixed AS ( -- shift and multiply twice in 32 bits: plain arithmetic, as random() and hash() differ between versions
  SELECT m.resample, m.n, (xor(m.y, m.y >> 16) * 73244475) & 4294967295 AS z
  FROM (SELECT c.resample, c.n, (xor(c.x, c.x >> 16) * 73244475) & 4294967295 AS y FROM counter AS c) AS m
), drawn AS (
  SELECT m.resample, (xor(m.z, m.z >> 16) * m.n) >> 32 AS place
  FROM mixed AS m
), resampled AS (
  SELECT 100 * sum(s.part) / nullif(sum(s.whole), 0) AS pct
  FROM drawn AS d JOIN numbered AS s ON s.place = d.place
  GROUP BY d.resample
), bound AS ( -- one prompt says nothing about the spread
  SELECT CASE WHEN r.n > 1 THEN quantile_cont(p.pct, (1 - $level) / 2) END AS low,
    CASE WHEN r.n > 1 THEN quantile_cont(p.pct, (1 + $level) / 2) END AS high
  FROM ratio AS r CROSS JOIN resampled AS p
  GROUP BY r.n
), random_basis AS MATERIALIZED ( -- separate, so that contributions are not read again if there are no random directions
  SELECT b.run_id, t.head_id, b.basis_id, b.null_number
  FROM target AS t JOIN basis AS b ON b.run_id = t.run_id AND b.side = 'query'::side AND b.null_number IS NOT NULL
), null_pct AS ( -- the denominator is that of every pair of bases, because their quadrants have the same sum
  SELECT 100 * avg(d.part) / nullif(any_value(r.denominator), 0) AS pct
  FROM (
    SELECT b.null_number, w.example_id, sum(w.diff_par_par) AS part
    FROM contribution_wide AS w
    JOIN random_basis AS b ON b.run_id = w.run_id AND b.head_id = w.head_id AND b.basis_id = w.query_basis_id
    JOIN component AS c ON c.component_id = w.component_id
    WHERE w.side = 'key'::side AND c.kind = 'mlp'::component_kind
    GROUP BY b.null_number, w.example_id
    HAVING ($only::VARCHAR IS NULL OR w.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
  ) AS d CROSS JOIN ratio AS r
  GROUP BY d.null_number
), null_band AS (
  SELECT quantile_cont(p.pct, (1 - $level) / 2) AS low, quantile_cont(p.pct, (1 + $level) / 2) AS high, count(p.pct) AS n
  FROM null_pct AS p
)
SELECT 100 * r.explained / nullif(r.denominator, 0) AS pct, e.se, r.n, b.low, b.high, v.low AS null_low, v.high AS null_high, v.n AS null_n,
  r.explained, r.denominator, r.denominator_se, 'mean score difference over all key-side components and quadrants'
    || (SELECT CASE WHEN t.cancels THEN ' but b_K, which cancels' ELSE ', b_K included' END FROM target AS t) AS denominator_is
FROM ratio AS r CROSS JOIN spread AS e CROSS JOIN null_band AS v LEFT JOIN bound AS b ON true
WHERE r.n > 0
ORDER BY pct
