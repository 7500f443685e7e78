-- name: pct_explained_name_movers
-- title: Head {head}: share of heads {heads}, parallel to the unembedding
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: How much of the mean attention score, baseline subtracted, is the query-side contribution of a few earlier heads
--   in the quadrant where both vectors are parallel to their basis. The heads are 9.9 and 9.6, the name movers of GPT-2 small, where
--   both are below the target head; else the two heads with the largest such contribution. The denominator is the sum over
--   all query-side components and quadrants, b_Q included. se is the standard error of the ratio (first order). Terms of a
--   score are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7; NULL is the first of the run
-- param: heads TEXT = NULL, heads to add up, such as '9.9,9.6'; NULL chooses as described
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
), term AS (
  SELECT q.example_id, q.component, q.kind, q.quadrant, q.diff
  FROM target AS t
  JOIN contribution AS q ON q.run_id = t.run_id AND q.head = t.head
  WHERE q.side = 'query' AND q.query_basis = $query_basis AND q.key_basis = $key_basis
), candidate AS (
  SELECT term.component, avg(term.diff) AS mean,
    count(*) FILTER (WHERE term.component IN ('9.9', '9.6')) OVER () AS known
  FROM term
  WHERE term.kind = 'head' AND term.quadrant = 'par_par'
  GROUP BY term.component
), ranked AS (
  SELECT c.component, row_number() OVER (ORDER BY c.mean DESC, c.component) AS place, c.known
  FROM candidate AS c
), given AS (
  SELECT DISTINCT trim(g.name) AS component
  FROM (SELECT unnest(string_split($heads::VARCHAR, ',')) AS name) AS g
), chosen AS (
  SELECT g.component FROM given AS g
  UNION ALL
  SELECT r.component FROM ranked AS r
  WHERE $heads::VARCHAR IS NULL AND CASE WHEN r.known = 2 THEN r.component IN ('9.9', '9.6') ELSE r.place <= 2 END
), checked AS (
  SELECT string_agg(c.component, ' + ' ORDER BY k.mean DESC, c.component) AS heads,
    string_agg(c.component, ', ' ORDER BY c.component) FILTER (WHERE k.component IS NULL) AS unknown
  FROM chosen AS c LEFT JOIN candidate AS k ON k.component = c.component
), share AS (
  SELECT term.example_id,
    sum(term.diff) FILTER (WHERE term.quadrant = 'par_par' AND term.component IN (SELECT c.component FROM chosen AS c)) AS part,
    sum(term.diff) AS whole
  FROM term
  GROUP BY term.example_id
), ratio AS (
  SELECT avg(s.part) AS explained, avg(s.whole) AS denominator
  FROM share AS s
  WHERE s.whole IS NOT NULL
)
SELECT CASE WHEN k.unknown IS NOT NULL THEN error('parameter heads: ' || k.unknown || ' is not a head below the target head')
    ELSE 100 * r.explained / nullif(r.denominator, 0) END AS pct,
  100 * stddev_samp(s.part - r.explained / nullif(r.denominator, 0) * s.whole) / sqrt(count(s.whole)) / nullif(abs(r.denominator), 0) AS se,
  count(s.whole) AS n, k.heads, r.explained, r.denominator,
  'mean score difference over all query-side components and quadrants, b_Q included' AS denominator_is
FROM share AS s CROSS JOIN ratio AS r CROSS JOIN checked AS k
WHERE s.whole IS NOT NULL
GROUP BY r.explained, r.denominator, k.heads, k.unknown
ORDER BY pct
