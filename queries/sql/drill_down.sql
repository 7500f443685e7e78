-- name: drill_down
-- title: Head {head}: the prompts behind {component}
-- subtitle: {model}, {prompts} prompts ({source}), {convention} convention, run {run}
-- description: Which prompts drive one cell of a heatmap: the contribution of one component in every prompt, with that prompt's share of the
--   total over all prompts. value is the contribution with the baseline subtracted, where the prompt has one. Largest first.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: side TEXT = 'key', side that is split over components, query or key
-- param: component TEXT = 'MLP0', component, as it is labelled in the heatmap
-- param: query_basis TEXT = 'none', basis that splits query vectors
-- param: key_basis TEXT = 'none', basis that splits key vectors
-- param: quadrant TEXT = NULL, par_par, par_perp, perp_par or perp_perp; NULL adds them up
-- param: most INTEGER = 20, how many prompts to list
-- chart: table

WITH cell AS (
  SELECT q.run_id, q.example_id, q.component, sum(q.score) AS score, sum(q.baseline) AS baseline, coalesce(sum(q.diff), sum(q.score)) AS value
  FROM contribution AS q
  WHERE q.run_id = coalesce($run, latest_run()) AND q.head = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
    AND q.side = $side::side AND q.component = $component
    AND q.query_basis = $query_basis AND q.key_basis = $key_basis
    AND ($quadrant IS NULL OR q.quadrant = $quadrant::quadrant)
  GROUP BY q.run_id, q.example_id, q.component
)
SELECT c.component, c.example_id, c.value, 100 * c.value / nullif(sum(c.value) OVER (), 0) AS pct_of_total,
  c.score, c.baseline, e.key_token, e.baseline_token, e.text
FROM cell AS c
JOIN example AS e ON e.run_id = c.run_id AND e.example_id = c.example_id
ORDER BY abs(c.value) DESC, c.example_id
LIMIT $most
