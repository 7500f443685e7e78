-- name: pct_explained_all_mlps
-- title: Head {head}: share of all MLPs, parallel to the output of MLP0 and to the unembedding
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: How much of the mean attention score, baseline subtracted, is the key-side contribution of all MLPs together in the
--   quadrant where both vectors are parallel to their basis. The denominator is the sum over all key-side components and quadrants
--   but b_K, which cancels. se is the standard error of the ratio (first order). Terms of a score are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7; NULL is the first of the run
-- param: query_basis TEXT = 'unembed', basis that splits query vectors
-- param: key_basis TEXT = 'mlp0', basis that splits key vectors
-- chart: scalar
-- y: pct
-- error: se
-- count: n
-- y_title: percent of the mean score, baseline subtracted

WITH target AS (
  SELECT r.run_id, coalesce($head, default_head(r.run_id)) AS head
  FROM run AS r
  WHERE r.run_id = coalesce($run, latest_run())
), share AS (
  SELECT q.example_id,
    sum(q.diff) FILTER (WHERE q.quadrant = 'par_par' AND q.kind = 'mlp') AS part,
    sum(q.diff) FILTER (WHERE q.kind <> 'k_bias') AS whole
  FROM target AS t
  JOIN contribution AS q ON q.run_id = t.run_id AND q.head = t.head
  WHERE q.side = 'key' AND q.query_basis = $query_basis AND q.key_basis = $key_basis
  GROUP BY q.example_id
), ratio AS (
  SELECT avg(s.part) AS explained, avg(s.whole) AS denominator
  FROM share AS s
  WHERE s.whole IS NOT NULL
)
SELECT 100 * r.explained / nullif(r.denominator, 0) AS pct,
  100 * stddev_samp(s.part - r.explained / nullif(r.denominator, 0) * s.whole) / sqrt(count(s.whole)) / nullif(abs(r.denominator), 0) AS se,
  count(s.whole) AS n, r.explained, r.denominator,
  'mean score difference over all key-side components and quadrants but b_K' AS denominator_is
FROM share AS s CROSS JOIN ratio AS r
WHERE s.whole IS NOT NULL
GROUP BY r.explained, r.denominator
ORDER BY pct
