-- name: position_content
-- title: Head {head}: what content and positions contribute to the score
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: How much of the mean attention score is content, and how much do positions add? With rotary
--   embedding (ingest --rotary), for bands of wavelength: content is the score if query and key were at the
--   same position, and position is what the rotation adds. Dimensions that are not rotated are content. With
--   learned positions (the run needs factors): what W_pos contributes in the query, in the key and in both,
--   and the rest of the score. All rows add up to the mean score. What later components compute from
--   positions counts as content. Contributions are not causal effects.
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
-- y: mean
-- category: kind
-- error: se
-- count: n
-- colors: content, position
-- x_title: part of the score
-- y_title: mean contribution to the score{subtract? difference|}
-- legend_title: kind

WITH target AS (
  SELECT h.run_id, h.head_id, h.score_scale, coalesce($subtract, EXISTS (SELECT 1 FROM edge AS e
    WHERE e.run_id = h.run_id AND e.baseline_pos IS NOT NULL)) AS subtract
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
), asked AS (
  SELECT e.run_id, e.example_id
  FROM target AS t JOIN edge AS e ON e.run_id = t.run_id
  WHERE ($only::VARCHAR IS NULL OR e.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
), band AS (
  SELECT r.example_id, t.subtract,
    CASE WHEN r.pair IS NULL THEN 5 WHEN r.wavelength IS NULL OR r.wavelength > 1000 THEN 4 WHEN r.wavelength > 100 THEN 3 WHEN r.wavelength > 10 THEN 2 ELSE 1 END AS place,
    sum(CASE WHEN t.subtract THEN r.content_diff ELSE r.content END) AS content,
    sum(CASE WHEN t.subtract THEN r.diff - r.content_diff ELSE r.score - r.content END) AS added
  FROM target AS t JOIN asked AS a ON a.run_id = t.run_id
  JOIN rotary_contribution AS r ON r.run_id = t.run_id AND r.head_id = t.head_id AND r.example_id = a.example_id
  GROUP BY r.example_id, t.subtract, place
), embedded AS MATERIALIZED ( -- W_pos first, because the large tables below are read for this component only
  SELECT t.run_id, t.head_id, t.score_scale, t.subtract, c.component_id, qb.basis_id AS query_basis_id, kb.basis_id AS key_basis_id
  FROM target AS t JOIN run_component AS o ON o.run_id = t.run_id
  JOIN component AS c ON c.component_id = o.component_id AND c.kind = 'pos_embed'::component_kind
  JOIN basis AS qb ON qb.run_id = t.run_id AND qb.side = 'query'::side AND qb.kind = 'whole'::basis_kind
  JOIN basis AS kb ON kb.run_id = t.run_id AND kb.side = 'key'::side AND kb.kind = 'whole'::basis_kind
), whole AS MATERIALIZED ( -- bases first, because most row groups are skipped by them
  SELECT w.example_id, w.side, CASE WHEN m.subtract THEN w.diff_perp_perp ELSE w.score_perp_perp END::DOUBLE AS value
  FROM embedded AS m JOIN contribution_wide AS w ON w.query_basis_id = m.query_basis_id AND w.key_basis_id = m.key_basis_id
    AND w.component_id = m.component_id AND w.run_id = m.run_id AND w.head_id = m.head_id
), in_query AS MATERIALIZED (
  SELECT f.example_id, f.vector
  FROM embedded AS m JOIN query_factor AS f ON f.component_id = m.component_id AND f.run_id = m.run_id AND f.head_id = m.head_id
), in_key AS MATERIALIZED (
  SELECT f.example_id, f.vector, f.baseline
  FROM embedded AS m JOIN key_factor AS f ON f.component_id = m.component_id AND f.run_id = m.run_id AND f.head_id = m.head_id
), learned AS ( -- contributions of W_pos to both sides, and of the pair of W_pos with itself
  SELECT s.example_id, m.subtract, CASE WHEN m.subtract THEN s.diff ELSE s.score END::DOUBLE AS whole, q.value AS of_query, k.value AS of_key,
    m.score_scale * (list_inner_product(fq.vector::DOUBLE[], fk.vector::DOUBLE[])
      - CASE WHEN m.subtract THEN list_inner_product(fq.vector::DOUBLE[], fk.baseline::DOUBLE[]) ELSE 0 END) AS of_both
  FROM embedded AS m JOIN asked AS a ON a.run_id = m.run_id
  JOIN score AS s ON s.run_id = m.run_id AND s.head_id = m.head_id AND s.example_id = a.example_id
  JOIN whole AS q ON q.example_id = a.example_id AND q.side = 'query'::side
  JOIN whole AS k ON k.example_id = a.example_id AND k.side = 'key'::side
  JOIN in_query AS fq ON fq.example_id = a.example_id
  JOIN in_key AS fk ON fk.example_id = a.example_id
), part AS (
  SELECT b.example_id, b.subtract, 2 * b.place AS place, ['wavelength up to 10 tokens', 'wavelength 10 to 100 tokens', 'wavelength 100 to 1000 tokens',
    'wavelength over 1000 tokens', 'not rotated'][b.place] AS part, 'content' AS kind, b.content AS value
  FROM band AS b
  UNION ALL
  SELECT b.example_id, b.subtract, 2 * b.place + 1 AS place, ['wavelength up to 10 tokens', 'wavelength 10 to 100 tokens', 'wavelength 100 to 1000 tokens',
    'wavelength over 1000 tokens'][b.place] || ', rotation' AS part, 'position' AS kind, b.added AS value
  FROM band AS b WHERE b.place < 5
  UNION ALL
  SELECT l.example_id, l.subtract, 20 AS place, 'without W_pos' AS part, 'content' AS kind, l.whole - l.of_query - l.of_key + l.of_both AS value FROM learned AS l
  UNION ALL
  SELECT l.example_id, l.subtract, 21 AS place, 'W_pos in the query' AS part, 'position' AS kind, l.of_query - l.of_both AS value FROM learned AS l
  UNION ALL
  SELECT l.example_id, l.subtract, 22 AS place, 'W_pos in the key' AS part, 'position' AS kind, l.of_key - l.of_both AS value FROM learned AS l
  UNION ALL
  SELECT l.example_id, l.subtract, 23 AS place, 'W_pos in both' AS part, 'position' AS kind, l.of_both AS value FROM learned AS l
)
SELECT p.part, p.kind, avg(p.value) AS mean, stddev_samp(p.value) / sqrt(count(p.value)) AS se, count(p.value) AS n, p.subtract
FROM part AS p
WHERE p.value IS NOT NULL
GROUP BY p.part, p.kind, p.place, p.subtract
ORDER BY p.place
