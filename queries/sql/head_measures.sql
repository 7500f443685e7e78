-- name: head_measures
-- title: What heads do: {x_title} and {y_title}
-- subtitle: {model}, {prompts} prompts ({source}), run {run}
-- description: What each target head does on the texts of the run, averaged over all query positions that
--   have a value, with standard errors over prompts. Attention to the previous token (previous), to position
--   0 (first), to the query itself (self), to earlier occurrences of the query's token (duplicate) and to the
--   tokens right after these (induction); entropy of the attention row in nats (entropy); mean distance to
--   the keys in tokens (distance); share of rows whose largest probability is above the run's threshold, by
--   default 0.5 (above). The figure shows two of them. Only runs over texts (ducklens ingest --text) have
--   these numbers.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: x TEXT = 'previous', measure across: previous, first, self, duplicate, induction, entropy, distance or above
-- param: y TEXT = 'induction', measure upwards
-- chart: scatter
-- x: across
-- y: up
-- label: name
-- error: up_se
-- x_error: across_se
-- x_title: {x_title}
-- y_title: {y_title}

WITH mean AS (
  SELECT m.head, m.measure, m.value, m.n,
    CASE m.measure WHEN 'entropy' THEN 'entropy of attention, nats' WHEN 'distance' THEN 'mean distance of attention, tokens'
      WHEN 'above' THEN 'share of rows with one large probability' WHEN 'previous' THEN 'attention to the previous token'
      WHEN 'first' THEN 'attention to the first token' WHEN 'self' THEN 'attention to itself'
      WHEN 'duplicate' THEN 'attention to duplicates' ELSE 'attention to induction targets' END AS words
  FROM head_measure_mean AS m
  WHERE m.run_id = coalesce($run, latest_run())
), spread AS ( -- the standard error of a mean over prompts that weigh as much as they have positions
  SELECT m.head, m.measure,
    CASE WHEN count(*) > 1 THEN sqrt(count(*) / (count(*) - 1) * sum((p.n * (p.value - m.value)) ** 2)) / m.n END AS se
  FROM mean AS m
  JOIN head AS h ON h.run_id = coalesce($run, latest_run()) AND h.label = m.head
  JOIN head_measure AS p ON p.run_id = h.run_id AND p.head_id = h.head_id AND p.measure = m.measure
  GROUP BY m.head, m.measure, m.n
), axis AS ( -- an unknown measure is an error, because it would return no rows
  SELECT CASE WHEN a.asked IN ('previous', 'first', 'self', 'duplicate', 'induction', 'entropy', 'distance', 'above') THEN a.asked
    ELSE error('parameter ' || a.side || ': ' || coalesce(a.asked, 'NULL') || ', want previous, first, self, duplicate, induction, entropy, distance or above') END AS measure, a.side
  FROM (SELECT 'x' AS side, $x AS asked UNION ALL SELECT 'y', $y) AS a
)
SELECT v.head, x.value AS across, y.value AS up,
  max(v.value) FILTER (WHERE v.measure = 'previous') AS previous, max(v.value) FILTER (WHERE v.measure = 'first') AS first,
  max(v.value) FILTER (WHERE v.measure = 'self') AS self, max(v.value) FILTER (WHERE v.measure = 'duplicate') AS duplicate,
  max(v.value) FILTER (WHERE v.measure = 'induction') AS induction, max(v.value) FILTER (WHERE v.measure = 'entropy') AS entropy,
  max(v.value) FILTER (WHERE v.measure = 'distance') AS distance, max(v.value) FILTER (WHERE v.measure = 'above') AS above,
  x.n AS n_x, y.n AS n_y, xs.se AS across_se, ys.se AS up_se, head_name(v.head) AS name, x.words AS x_title, y.words AS y_title
FROM mean AS v
JOIN mean AS x ON x.head = v.head AND x.measure = (SELECT a.measure FROM axis AS a WHERE a.side = 'x')
JOIN mean AS y ON y.head = v.head AND y.measure = (SELECT a.measure FROM axis AS a WHERE a.side = 'y')
JOIN spread AS xs ON xs.head = x.head AND xs.measure = x.measure
JOIN spread AS ys ON ys.head = y.head AND ys.measure = y.measure
GROUP BY v.head, x.value, y.value, x.n, y.n, xs.se, ys.se, x.words, y.words
ORDER BY y.value DESC, v.head
