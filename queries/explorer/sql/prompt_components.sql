-- name: prompt_components
-- title: Head {head}: {side}-side components of its score in prompt {example}
-- subtitle: {model}, baseline {baseline}, {convention} convention, run {run}
-- description: What each component contributes to the score in one prompt, by way of one side, the other held fixed. Contributions are
--   not causal effects.
-- param: run INTEGER = NULL, number of the run; NULL is the last complete one
-- param: head TEXT = NULL, target head such as 10.7 or L10H7; NULL is the first of the run
-- param: example INTEGER = 0, number of the example
-- param: side TEXT = 'key', side that is split over components, query or key
-- param: query_basis TEXT = 'none', basis that splits query vectors
-- param: key_basis TEXT = 'none', basis that splits key vectors
-- param: quadrant TEXT = NULL, par_par, par_perp, perp_par or perp_perp; NULL adds them up
-- param: subtract BOOLEAN = true, whether the score at the baseline position is subtracted
-- chart: bar
-- x: component
-- y: mean
-- x_title: component
-- y_title: contribution to the score{subtract? difference|}

WITH target AS (
  SELECT h.run_id, h.head_id, q.basis_id AS query_basis_id, k.basis_id AS key_basis_id
  FROM head AS h
  JOIN basis AS q ON q.run_id = h.run_id AND q.side = 'query' AND q.name = $query_basis
  JOIN basis AS k ON k.run_id = h.run_id AND k.side = 'key' AND k.name = $key_basis
  WHERE h.run_id = coalesce($run, latest_run()) AND ($head::VARCHAR IS NULL OR $head::VARCHAR IN (h.label, head_name(h.label)))
  ORDER BY h.ordinal LIMIT 1
), term AS (
  SELECT w.component_id,
    CASE $quadrant::VARCHAR WHEN 'par_par' THEN w.score_par_par WHEN 'par_perp' THEN w.score_par_perp WHEN 'perp_par' THEN w.score_perp_par
      WHEN 'perp_perp' THEN w.score_perp_perp ELSE w.score_par_par::DOUBLE + w.score_par_perp + w.score_perp_par + w.score_perp_perp END AS score,
    CASE $quadrant::VARCHAR WHEN 'par_par' THEN w.diff_par_par WHEN 'par_perp' THEN w.diff_par_perp WHEN 'perp_par' THEN w.diff_perp_par
      WHEN 'perp_perp' THEN w.diff_perp_perp ELSE w.diff_par_par::DOUBLE + w.diff_par_perp + w.diff_perp_par + w.diff_perp_perp END AS diff
  FROM target AS t
  JOIN contribution_wide AS w ON w.run_id = t.run_id AND w.head_id = t.head_id AND w.query_basis_id = t.query_basis_id
    AND w.key_basis_id = t.key_basis_id
  WHERE w.example_id = $example AND w.side = $side::side
)
SELECT c.label AS component, CASE WHEN $subtract THEN m.diff ELSE m.score END AS mean
FROM term AS m
JOIN component AS c ON c.component_id = m.component_id
WHERE CASE WHEN $subtract THEN m.diff ELSE m.score END IS NOT NULL
ORDER BY abs(mean) DESC, component
