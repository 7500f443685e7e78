-- name: component_sources
-- title: Head {head}: contributions of {shown} of the {below} heads below it, by the token that they read
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: What each head below the target head contributes to its score, split by the token that this
--   lower head read. By way of the key is what it wrote at the key, or at the baseline; by way of the query
--   is what it wrote at the query. Tokens are grouped by their role in the prompt: key, baseline, the same
--   tokens again (IOI: the second mention of the subject is baseline again), the tokens beside key and
--   baseline, query, the first token, and other. Mean over the prompts. The cells of a row add up to the mean
--   contribution of the component. A run stores the heads of ingest --sources, and those that contribute most
--   are shown. The attention of the lower heads and the scales of norms are held fixed. Contributions are not
--   causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- param: subtract BOOLEAN = NULL, whether the score at the baseline position is subtracted; NULL is yes if the prompts have one
-- param: most INTEGER = 12, how many components of each side to show, those that contribute most
-- say: subtract = true, baseline subtracted
-- say: subtract = false, baseline not subtracted
-- say: only, prompts with {value}
-- chart: heatmap
-- x: role_place
-- y: component_place
-- fill: mean
-- facet: panel
-- error: se
-- count: n
-- x_tick: role
-- y_tick: component
-- x_title: token that the component read
-- y_title: component
-- fill_title: mean contribution to the score{subtract? difference|}
-- facet_columns: 2

WITH target AS (
  SELECT h.run_id, h.layer, h.label, coalesce($subtract, EXISTS (SELECT 1 FROM edge AS e
    WHERE e.run_id = h.run_id AND e.baseline_pos IS NOT NULL)) AS subtract
  FROM head AS h
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
), source AS (
  SELECT s.side, s.component, s.component_layer, s.component_head, s.example_id, s.role, t.subtract,
    sum(CASE WHEN t.subtract THEN s.diff ELSE s.score END) AS value
  FROM target AS t
  JOIN component_source AS s ON s.run_id = t.run_id AND s.head = t.label
  WHERE ($only::VARCHAR IS NULL OR s.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
  GROUP BY s.side, s.component, s.component_layer, s.component_head, s.example_id, s.role, t.subtract
  HAVING value IS NOT NULL
), place AS ( -- components that contribute most, in the order in which they write
  SELECT p.side, p.component, row_number() OVER (PARTITION BY p.side ORDER BY p.component_layer, p.component_head) AS place
  FROM (
    SELECT w.side, w.component, w.component_layer, w.component_head,
      row_number() OVER (PARTITION BY w.side ORDER BY sum(abs(w.mean)) DESC, w.component_layer, w.component_head) AS rank
    FROM (SELECT s.side, s.component, s.component_layer, s.component_head, s.role, sum(s.value) AS mean FROM source AS s
      GROUP BY s.side, s.component, s.component_layer, s.component_head, s.role) AS w
    GROUP BY w.side, w.component, w.component_layer, w.component_head
  ) AS p
  WHERE p.rank <= $most
), role AS (
  SELECT r.role, row_number() OVER (ORDER BY r.place) AS place
  FROM (VALUES ('key', 1), ('key again', 2), ('before key', 3), ('after key', 4), ('baseline', 5), ('baseline again', 6), ('before baseline', 7),
    ('after baseline', 8), ('query', 9), ('first', 10), ('other', 11))
    AS r(role, place)
  WHERE EXISTS (SELECT 1 FROM source AS s WHERE s.role = r.role)
), counted AS (
  SELECT s.side, count(DISTINCT s.example_id) AS n FROM source AS s GROUP BY s.side
), summed AS ( -- a role that a prompt does not have counts as 0
  SELECT s.side, s.component, s.role, sum(s.value) AS total, sum(s.value * s.value) AS squares
  FROM source AS s GROUP BY s.side, s.component, s.role
)
SELECT CASE WHEN p.side = 'key'::side THEN 'by way of the key' ELSE 'by way of the query' END AS panel, p.component, r.role,
  coalesce(s.total, 0) / n.n AS mean,
  CASE WHEN n.n > 1 THEN sqrt(greatest(0, coalesce(s.squares, 0) - coalesce(s.total, 0) ** 2 / n.n) / (n.n - 1) / n.n) END AS se,
  n.n, p.place AS component_place, r.place AS role_place, (SELECT t.subtract FROM target AS t) AS subtract,
  (SELECT count(DISTINCT q.component) FROM place AS q) AS shown,
  (SELECT count(*) FROM target AS t JOIN run_component AS o ON o.run_id = t.run_id JOIN component AS c ON c.component_id = o.component_id
    WHERE c.kind = 'head' AND c.layer < t.layer) AS below
FROM place AS p
CROSS JOIN role AS r
JOIN counted AS n ON n.side = p.side
LEFT JOIN summed AS s ON s.side = p.side AND s.component = p.component AND s.role = r.role
ORDER BY p.side DESC, p.place, r.place
