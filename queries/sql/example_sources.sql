-- name: example_sources
-- title: Head {head}, prompt {example}: contributions of {shown} of the {below} heads below it, by the token that they read
-- subtitle: {model}, {convention} convention, run {run}
-- description: What each head below the target head contributes to its score in one prompt, split by the
--   token that this lower head read. By way of the key is what it wrote at the key; by way of the query is
--   what it wrote at the query. The cells of a row add up to the contribution of the component. A run stores
--   the heads of ingest --sources, and those that contribute most are shown. The attention of the lower heads
--   and the scales of norms are held fixed. Contributions are not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: example INTEGER = 0, number of the prompt, from 0
-- param: subtract BOOLEAN = false, whether the score at the baseline position is subtracted
-- param: most INTEGER = 12, how many components of each side to show, those that contribute most
-- say: subtract = true, baseline subtracted
-- chart: heatmap
-- x: pos
-- y: component_place
-- fill: value
-- facet: panel
-- x_tick: token
-- y_tick: component
-- x_title: token that the component read
-- y_title: component
-- fill_title: contribution to the score{subtract? difference|}
-- facet_columns: 1

WITH target AS (
  SELECT h.run_id, h.layer, h.label
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
), source AS (
  SELECT s.side, s.component, s.component_layer, s.component_head, s.pos, s.token, s.role, CASE WHEN $subtract THEN s.diff ELSE s.score END AS value
  FROM target AS t
  JOIN component_source AS s ON s.run_id = t.run_id AND s.head = t.label
  WHERE s.example_id = known_example(coalesce($run, latest_run()), $example)
), place AS ( -- components that contribute most, in the order in which they write
  SELECT p.side, p.component, row_number() OVER (PARTITION BY p.side ORDER BY p.component_layer, p.component_head) AS place
  FROM (
    SELECT s.side, s.component, s.component_layer, s.component_head,
      row_number() OVER (PARTITION BY s.side ORDER BY sum(abs(s.value)) DESC, s.component_layer, s.component_head) AS rank
    FROM source AS s
    WHERE s.value IS NOT NULL
    GROUP BY s.side, s.component, s.component_layer, s.component_head
  ) AS p
  WHERE p.rank <= $most
)
SELECT CASE WHEN s.side = 'key'::side THEN 'by way of the key' ELSE 'by way of the query' END AS panel, s.component, s.pos, s.token, s.role, s.value,
  p.place AS component_place, $subtract AS subtract, $example AS example, (SELECT count(DISTINCT q.component) FROM place AS q) AS shown,
  (SELECT count(*) FROM target AS t JOIN run_component AS o ON o.run_id = t.run_id JOIN component AS c ON c.component_id = o.component_id
    WHERE c.kind = 'head' AND c.layer < t.layer) AS below
FROM source AS s
JOIN place AS p ON p.side = s.side AND p.component = s.component
ORDER BY s.side DESC, p.place, s.pos
