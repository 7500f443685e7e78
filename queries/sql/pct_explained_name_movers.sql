-- name: pct_explained_name_movers
-- title: Head {head}: share of heads {heads}, parallel to the unembedding
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: How much of the mean attention score, baseline subtracted, a few earlier heads contribute on
--   the query side in the quadrant in which both vectors are parallel to their basis. These heads are the
--   movers of the run, or if it has none the two heads with the largest such contribution. The denominator is
--   the sum over all query-side components and quadrants, with b_Q. se is the standard error of the ratio
--   (first order). low and high are a percentile bootstrap over prompts, seeded and equal in every version of
--   DuckDB. null_low and null_high enclose the same share of the mean percentages of null_n pairs of random
--   directions, one on each side. Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: heads TEXT = NULL, heads to add up, such as '9.9,9.6'; NULL chooses as described
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
  SELECT h.run_id, h.head_id, qb.basis_id AS query_basis_id, kb.basis_id AS key_basis_id, qb.kind <> 'whole' AND kb.kind <> 'whole' AS split
  FROM head AS h JOIN basis AS qb ON qb.run_id = h.run_id JOIN basis AS kb ON kb.run_id = h.run_id
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
    AND qb.side = 'query'::side AND qb.name = $query_basis AND qb.null_number IS NULL
    AND kb.side = 'key'::side AND kb.name = $key_basis AND kb.null_number IS NULL
), term AS MATERIALIZED (
  SELECT w.example_id, w.component_id, CASE WHEN t.split THEN w.diff_par_par END AS par_par,
    w.diff_par_par::DOUBLE + w.diff_par_perp + w.diff_perp_par + w.diff_perp_perp AS diff
  FROM target AS t -- bases first, because most row groups are skipped by them
  JOIN contribution_wide AS w ON w.query_basis_id = t.query_basis_id AND w.key_basis_id = t.key_basis_id AND w.run_id = t.run_id AND w.head_id = t.head_id
  WHERE w.side = 'query'::side
    AND ($only::VARCHAR IS NULL OR w.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
), candidate AS (
  SELECT d.component_id, c.label, d.mean
  FROM (SELECT t.component_id, avg(t.par_par) AS mean FROM term AS t GROUP BY t.component_id) AS d
  JOIN component AS c ON c.component_id = d.component_id
  WHERE c.kind = 'head'::component_kind
), given AS (
  SELECT DISTINCT trim(g.name) AS label
  FROM (SELECT unnest(string_split($heads::VARCHAR, ',')) AS name) AS g
), mover_of_run AS (
  SELECT m.label FROM target AS t JOIN mover AS m ON m.run_id = t.run_id
), chosen AS (
  SELECT g.label FROM given AS g
  UNION ALL
  SELECT m.label FROM mover_of_run AS m
  WHERE $heads::VARCHAR IS NULL
  UNION ALL
  SELECT k.label FROM (SELECT a.label, row_number() OVER (ORDER BY a.mean DESC, a.label) AS place FROM candidate AS a) AS k
  WHERE $heads::VARCHAR IS NULL AND NOT EXISTS (SELECT 1 FROM mover_of_run AS m) AND k.place <= 2
), checked AS (
  SELECT string_agg(h.label, ' + ' ORDER BY k.mean DESC, h.label) AS heads,
    string_agg(h.label, ', ' ORDER BY h.label) FILTER (WHERE k.label IS NULL) AS unknown
  FROM chosen AS h LEFT JOIN candidate AS k ON k.label = h.label
), share AS ( -- part and whole of each prompt
  SELECT d.example_id, sum(d.par_par) FILTER (WHERE k.component_id IS NOT NULL) AS part, sum(d.diff) AS whole
  FROM term AS d
  LEFT JOIN (SELECT c.component_id FROM candidate AS c WHERE c.label IN (SELECT h.label FROM chosen AS h)) AS k ON k.component_id = d.component_id
  GROUP BY d.example_id
  HAVING whole IS NOT NULL
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
    WHERE w.side = 'query'::side
    AND ($only::VARCHAR IS NULL OR w.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k)) AND c.label IN (SELECT h.label FROM chosen AS h)
    GROUP BY b.null_number, w.example_id
  ) AS d CROSS JOIN ratio AS r
  GROUP BY d.null_number
), null_band AS (
  SELECT quantile_cont(p.pct, (1 - $level) / 2) AS low, quantile_cont(p.pct, (1 + $level) / 2) AS high, count(p.pct) AS n
  FROM null_pct AS p
)
SELECT CASE WHEN k.unknown IS NOT NULL THEN error('parameter heads: ' || k.unknown || ' is not a head below the target head')
    ELSE 100 * r.explained / nullif(r.denominator, 0) END AS pct,
  e.se, r.n, b.low, b.high, v.low AS null_low, v.high AS null_high, v.n AS null_n, k.heads,
  r.explained, r.denominator, r.denominator_se, 'mean score difference over all query-side components and quadrants, b_Q included' AS denominator_is
FROM ratio AS r CROSS JOIN spread AS e CROSS JOIN null_band AS v CROSS JOIN checked AS k LEFT JOIN bound AS b ON true
WHERE r.n > 0
ORDER BY pct
