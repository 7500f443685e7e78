-- name: cell_prompts
-- title: Head {head}: the prompts behind {component}
-- subtitle: {model}, {prompts} prompts ({source}), baseline {baseline}, {convention} convention, run {run}
-- description: The contribution of one component in every prompt, with that prompt's share of the total over these prompts. value is the
--   contribution, less that to the baseline where it is subtracted; then prompts without a baseline are left out. Largest first.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: only TEXT = NULL, prompts to take, as FIELD=VALUE; NULL is all
-- param: side TEXT = 'key', side that is split over components, query or key
-- param: component TEXT = 'MLP0', component, as it is labelled in the heatmap
-- param: query_basis TEXT = 'none', basis that splits query vectors
-- param: key_basis TEXT = 'none', basis that splits key vectors
-- param: quadrant TEXT = NULL, par_par, par_perp, perp_par or perp_perp; NULL adds them up
-- param: subtract BOOLEAN = true, whether the score at the baseline position is subtracted
-- param: most INTEGER = 20000, how many prompts to list
-- say: only, prompts with {value}
-- chart: table

WITH target AS (
  SELECT h.run_id, h.head_id, q.basis_id AS query_basis_id, k.basis_id AS key_basis_id
  FROM head AS h
  JOIN basis AS q ON q.run_id = h.run_id AND q.side = 'query' AND q.name = $query_basis
  JOIN basis AS k ON k.run_id = h.run_id AND k.side = 'key' AND k.name = $key_basis
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
  ORDER BY h.ordinal LIMIT 1
), term AS (
  SELECT w.run_id, w.example_id, CASE WHEN $subtract THEN
    CASE $quadrant::VARCHAR WHEN 'par_par' THEN w.diff_par_par WHEN 'par_perp' THEN w.diff_par_perp
    WHEN 'perp_par' THEN w.diff_perp_par WHEN 'perp_perp' THEN w.diff_perp_perp
    ELSE w.diff_par_par::DOUBLE + w.diff_par_perp + w.diff_perp_par + w.diff_perp_perp END ELSE
    CASE $quadrant::VARCHAR WHEN 'par_par' THEN w.score_par_par WHEN 'par_perp' THEN w.score_par_perp
    WHEN 'perp_par' THEN w.score_perp_par WHEN 'perp_perp' THEN w.score_perp_perp
    ELSE w.score_par_par::DOUBLE + w.score_par_perp + w.score_perp_par + w.score_perp_perp END END AS value
  FROM target AS t
  JOIN contribution_wide AS w ON w.run_id = t.run_id AND w.head_id = t.head_id AND w.query_basis_id = t.query_basis_id
    AND w.key_basis_id = t.key_basis_id
  JOIN component AS c ON c.component_id = w.component_id
  WHERE w.side = $side::side AND c.label = $component
    AND ($only::VARCHAR IS NULL OR w.example_id IN (SELECT k.example_id FROM examples_where(coalesce($run, latest_run()), $only::VARCHAR) AS k))
)
SELECT m.example_id, e.prompt_id, m.value, 100 * m.value / nullif(sum(m.value) OVER (), 0) AS pct_of_total, e.key_token, e.baseline_token, p.text
FROM term AS m
JOIN edge AS e ON e.run_id = m.run_id AND e.example_id = m.example_id
JOIN prompt AS p ON p.run_id = e.run_id AND p.prompt_id = e.prompt_id
WHERE m.value IS NOT NULL
ORDER BY abs(m.value) DESC, m.example_id
LIMIT $most
