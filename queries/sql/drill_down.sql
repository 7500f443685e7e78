-- name: drill_down
-- title: Head {head}: the prompts behind {component}
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: Which prompts are behind one cell of a heatmap: the contribution of a component in each
--   prompt, and its share of the total over all prompts. value is the contribution; if the baseline is
--   subtracted, prompts without a baseline are left out. The largest come first. n counts all prompts, and
--   most limits how many are listed.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE: prompt_order=ABBA, key_token=Mary, template=Although (how it begins), or
--   a column of the prompt file; NULL is all
-- param: side TEXT = 'key', side that is split over components, query or key
-- param: component TEXT = 'MLP0', component, as labelled in the heatmap
-- param: query_basis TEXT = 'none', basis that splits query vectors
-- param: key_basis TEXT = 'none', basis that splits key vectors
-- param: quadrant TEXT = NULL, par_par, par_perp, perp_par or perp_perp; NULL is their sum
-- param: subtract BOOLEAN = NULL, whether the score at the baseline position is subtracted; NULL is yes if the prompts have one
-- param: most INTEGER = 20, how many prompts to list
-- say: only, prompts with {value}
-- chart: table

WITH cell AS (
  SELECT q.run_id, q.example_id, q.component, sum(q.score) AS score, sum(q.baseline) AS baseline, sum(q.diff) AS diff
  FROM contribution AS q
  WHERE q.run_id = coalesce($run, latest_run()) AND q.head = coalesce(head_label($head::VARCHAR), default_head(coalesce($run, latest_run())))
    AND q.side = $side::side AND q.component = $component
    AND q.query_basis = $query_basis AND q.key_basis = $key_basis
    AND ($quadrant IS NULL OR q.quadrant = $quadrant::quadrant)
    AND ($only::VARCHAR IS NULL OR q.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
  GROUP BY q.run_id, q.example_id, q.component
), ranked AS ( -- differences for all prompts, or scores for all
  SELECT d.run_id, d.example_id, d.component, d.score, d.baseline, d.subtract, CASE WHEN d.subtract THEN d.diff ELSE d.score END AS value
  FROM (SELECT c.run_id, c.example_id, c.component, c.score, c.baseline, c.diff, coalesce($subtract, count(c.diff) OVER () > 0) AS subtract FROM cell AS c) AS d
)
SELECT c.component, c.example_id, c.value, 100 * c.value / nullif(sum(c.value) OVER (), 0) AS pct_of_total,
  c.score, c.baseline, c.subtract, count(*) OVER () AS n, e.key_token, e.baseline_token, e.text
FROM ranked AS c
JOIN example AS e ON e.run_id = c.run_id AND e.example_id = c.example_id
WHERE c.value IS NOT NULL
ORDER BY abs(c.value) DESC, c.example_id
LIMIT $most
