-- name: report_drivers
-- title: The prompts behind every cell of a heatmap
-- description: For every component, the prompts that contribute most to its cell, with their share of the sum over all prompts.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7; NULL is the first of the run
-- param: side TEXT = 'key', side that is split over components, query or key
-- param: query_basis TEXT = 'none', basis of query vectors
-- param: key_basis TEXT = 'none', basis of key vectors
-- param: quadrant TEXT = NULL, par_par, par_perp, perp_par or perp_perp; NULL adds them up
-- param: subtract BOOLEAN = true, whether the score at the baseline position is subtracted
-- param: most INTEGER = 8, how many prompts to list for each component
-- chart: table

WITH term AS (
  SELECT w.component_id, w.example_id,
    CASE WHEN $subtract THEN
      CASE WHEN $quadrant IS NULL THEN w.diff_par_par::DOUBLE + w.diff_par_perp + w.diff_perp_par + w.diff_perp_perp
        WHEN $quadrant = 'par_par' THEN w.diff_par_par WHEN $quadrant = 'par_perp' THEN w.diff_par_perp
        WHEN $quadrant = 'perp_par' THEN w.diff_perp_par WHEN $quadrant = 'perp_perp' THEN w.diff_perp_perp END
    ELSE
      CASE WHEN $quadrant IS NULL THEN w.score_par_par::DOUBLE + w.score_par_perp + w.score_perp_par + w.score_perp_perp
        WHEN $quadrant = 'par_par' THEN w.score_par_par WHEN $quadrant = 'par_perp' THEN w.score_par_perp
        WHEN $quadrant = 'perp_par' THEN w.score_perp_par WHEN $quadrant = 'perp_perp' THEN w.score_perp_perp END
    END AS value
  FROM head AS h
  JOIN contribution_wide AS w ON w.run_id = h.run_id AND w.head_id = h.head_id
  JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id AND qb.name = $query_basis
  JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id AND kb.name = $key_basis
  WHERE h.run_id = coalesce($run, latest_run()) AND h.label = coalesce($head, default_head(coalesce($run, latest_run())))
    AND w.side = $side::side
), ranked AS (
  SELECT t.component_id, t.example_id, t.value, 100 * t.value / nullif(sum(t.value) OVER (PARTITION BY t.component_id), 0) AS pct,
    row_number() OVER (PARTITION BY t.component_id ORDER BY abs(t.value) DESC, t.example_id) AS place
  FROM term AS t
  WHERE t.value IS NOT NULL
)
SELECT c.label AS component, r.example_id, r.value, r.pct
FROM ranked AS r JOIN component AS c ON c.component_id = r.component_id
WHERE r.place <= $most
ORDER BY r.component_id, r.place
