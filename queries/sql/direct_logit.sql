-- name: direct_logit
-- title: What components add directly to the logits of the key's and the baseline's token
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, run {run}
-- description: What each component adds to the logit of the key token at the query position, with the scale
--   of the final norm held fixed. This is its direct effect, without its effect on later components. The
--   first panel subtracts the same for the baseline token. Mean over the prompts. With the constant of the
--   biases (table logit), the cells of the second panel add up to the mean logit. Only runs with logits have
--   these numbers.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- say: only, prompts with {value}
-- chart: heatmap
-- x: grid_column
-- y: grid_row
-- fill: mean
-- label: component
-- facet: panel
-- error: se
-- count: n
-- x_tick: column_name
-- y_tick: row_name
-- y_group: row_group
-- y_title: layer
-- fill_title: mean direct effect on the logit
-- facet_columns: 2
-- scale: panel

WITH target AS (
  SELECT r.run_id FROM run AS r WHERE r.run_id = coalesce($run, latest_run())
), effect AS (
  SELECT e.component_id, sum(e.effect) FILTER (WHERE e.token = 'key') AS own,
    sum(e.effect) FILTER (WHERE e.token = 'key') - sum(e.effect) FILTER (WHERE e.token = 'baseline') AS diff
  FROM target AS t JOIN logit_effect AS e ON e.run_id = t.run_id
  WHERE ($only::VARCHAR IS NULL OR e.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
  GROUP BY e.example_id, e.component_id
), mean AS (
  SELECT f.component_id, avg(f.own) AS mean_own, stddev_samp(f.own) AS sd_own, count(f.own) AS n_own,
    avg(f.diff) AS mean_diff, stddev_samp(f.diff) AS sd_diff, count(f.diff) AS n_diff
  FROM effect AS f
  GROUP BY f.component_id
), cell AS (
  SELECT 1 AS place, 'key token minus baseline token' AS panel, m.component_id, m.mean_diff AS mean, m.sd_diff AS sd, m.n_diff AS n
  FROM mean AS m
  UNION ALL
  SELECT 2 AS place, 'key token' AS panel, m.component_id, m.mean_own AS mean, m.sd_own AS sd, m.n_own AS n
  FROM mean AS m
), place AS ( -- components are in the order in which they write; a column is named after its components
  SELECT c.component_id, c.label, o.ordinal, c.grid_row, c.grid_column, coalesce(c.layer::VARCHAR, 'other') AS row_name,
    CASE WHEN c.layer IS NULL THEN 'other' ELSE 'layer' END AS row_group,
    coalesce(min(CASE c.kind WHEN 'head' THEN 'H' || c.head WHEN 'mlp' THEN 'MLP' WHEN 'attn_bias' THEN 'b_O' END)
      OVER (PARTITION BY c.grid_column), '') AS column_name
  FROM target AS t JOIN run_component AS o ON o.run_id = t.run_id JOIN component AS c ON c.component_id = o.component_id
)
SELECT d.panel, c.label AS component, c.grid_row, c.grid_column, d.mean, d.sd / sqrt(d.n) AS se, d.n, c.row_name, c.row_group, c.column_name
FROM cell AS d JOIN place AS c ON c.component_id = d.component_id
WHERE d.n > 0
ORDER BY d.place, c.ordinal
