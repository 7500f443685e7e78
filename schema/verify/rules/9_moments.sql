-- Moments of contributions, in runs that store only means.

{{define "keeps means"}}(SELECT run_id FROM run WHERE json_extract_string(options, '$.keep') = 'means'){{end}}

{{/* The moments over all prompts of whole runs, with names. Features of a sparse dictionary are not in every
example. */}}
{{define "moments of all"}}SELECT m.*, h.label, format('head {}, {} side, bases {} and {}, {}', h.label, m.side, q.name, k.name, coalesce(m.quadrant::VARCHAR, 'their sum')) AS place,
    q.kind = 'replacement' OR k.kind = 'replacement' AS replaced, q.kind AS query_kind, k.kind AS key_kind, m.component_id IN {{template "features"}} AS optional
  FROM contribution_moment AS m JOIN run AS r ON r.run_id = m.run_id AND r.status = 'complete'
  JOIN head AS h ON h.run_id = m.run_id AND h.head_id = m.head_id
  JOIN basis AS q ON q.run_id = m.run_id AND q.basis_id = m.query_basis_id
  JOIN basis AS k ON k.run_id = m.run_id AND k.basis_id = m.key_basis_id
  WHERE m.prompts = 'all'{{end}}

-- miscounted: run has moments of contributions although it keeps their rows, or none although it keeps only means / runs have moments of contributions although they keep their rows, or none although they keep only means
SELECT r.run_id, 0 AS case_order, format('keep in options: {}', coalesce(json_extract_string(r.options, '$.keep'), 'none')) AS case_text FROM run AS r
WHERE r.status = 'complete' AND EXISTS (FROM edge AS e WHERE e.run_id = r.run_id)
  AND ((r.run_id IN {{template "keeps means"}}) <> EXISTS (FROM contribution_moment AS m WHERE m.run_id = r.run_id)
    OR (r.run_id IN {{template "keeps means"}}) AND EXISTS (FROM contribution_wide AS w WHERE w.run_id = r.run_id));

-- incomplete: head, side and pair of bases does not have the moments of each component once / heads, sides and pairs of bases do not have the moments of each component once
SELECT x.run_id, x.head_id AS case_order, format('head {}, {} side, bases {} and {}: {} rows, want {}', x.label, x.side, x.query_basis, x.key_basis, count(m.component_id), x.n * x.corners) AS case_text
FROM (SELECT h.run_id, h.head_id, h.label, s.side, q.basis_id AS query_basis_id, k.basis_id AS key_basis_id, q.name AS query_basis, k.name AS key_basis, w.n, w.parts,
    2 + CASE WHEN q.kind = 'whole' THEN 0 ELSE 1 END + CASE WHEN k.kind = 'whole' THEN 0 ELSE 1 END + CASE WHEN q.kind = 'whole' OR k.kind = 'whole' THEN 0 ELSE 1 END AS corners
  FROM head AS h JOIN basis AS q ON q.run_id = h.run_id AND q.side = 'query' JOIN basis AS k ON k.run_id = h.run_id AND k.side = 'key', {{template "sides"}},
    ({{template "wanted sets"}}) AS w
  WHERE q.null_number IS NOT DISTINCT FROM k.null_number AND NOT (s.side = 'query' AND q.kind = 'replacement') AND NOT (s.side = 'key' AND k.kind = 'replacement')
    AND w.run_id = h.run_id AND w.head_id = h.head_id AND w.side = s.side AND h.run_id IN (SELECT run_id FROM run WHERE status = 'complete' AND n_examples > 0 AND run_id IN {{template "keeps means"}})) AS x
LEFT JOIN (FROM ({{template "moments of all"}}) WHERE NOT optional) AS m ON m.run_id = x.run_id AND m.head_id = x.head_id AND m.side = x.side
  AND m.query_basis_id = x.query_basis_id AND m.key_basis_id = x.key_basis_id
GROUP BY x.run_id, x.head_id, x.label, x.side, x.query_basis, x.key_basis, x.n, x.parts, x.corners
HAVING count(m.component_id) <> x.n * x.corners OR coalesce(sum(hash(m.component_id)), 0) <> x.parts * x.corners;

-- miscounted: moments are of a different number of examples than the run has / moments are of other numbers of examples than their runs have
SELECT m.run_id, m.head_id AS case_order, format('{}: {} examples and {} baselines, want {} and {}', m.place, m.n, m.n_baseline, s.n, s.n_baseline) AS case_text
FROM ({{template "moments of all"}}) AS m
JOIN (SELECT run_id, head_id, count(*) AS n, count(baseline) AS n_baseline FROM score GROUP BY run_id, head_id) AS s ON s.run_id = m.run_id AND s.head_id = m.head_id
WHERE NOT m.optional AND (m.n <> s.n OR m.n_baseline > s.n_baseline OR (m.key_kind = 'whole' AND m.n_baseline <> s.n_baseline));

-- not closed: sum of mean contributions is not the mean score / sums of mean contributions are not the mean scores
SELECT t.run_id, -abs(t.score - s.score) AS case_order, format('{}: {} and {} at the baseline, the mean of the scores is {} and {}', t.place, t.score, t.baseline, s.score, s.baseline) AS case_text
FROM (SELECT m.run_id, m.head_id, m.place, sum(m.mean_score * m.n) / max(m.n) AS score, sum(m.mean_baseline * m.n_baseline) / max(m.n_baseline) AS baseline, max(m.n_baseline) AS n_baseline
  FROM ({{template "moments of all"}}) AS m WHERE m.quadrant IS NULL AND NOT m.replaced GROUP BY m.run_id, m.head_id, m.side, m.query_basis_id, m.key_basis_id, m.place) AS t
JOIN (SELECT run_id, head_id, avg(score) AS score, avg(baseline) AS baseline, count(baseline) AS n_baseline, avg({{closureScale "score" "baseline"}}) AS size
  FROM score GROUP BY run_id, head_id) AS s ON s.run_id = t.run_id AND s.head_id = t.head_id
JOIN run AS r ON r.run_id = t.run_id AND r.convention = 'exact'
WHERE greatest(abs(t.score - s.score), CASE WHEN t.n_baseline = s.n_baseline THEN coalesce(abs(t.baseline - s.baseline), 0) ELSE 0 END) > {{tolerance}} * s.size;

-- conflicting: mean contribution is not the sum of its quadrants / mean contributions are not the sums of their quadrants
SELECT m.run_id, m.component_id AS case_order, format('{}, {} side, component #{}, bases #{} and #{}: {} and {} with the baseline subtracted, the quadrants give {} and {}', m.prompts, m.side, m.component_id,
  m.query_basis_id, m.key_basis_id, m.score, m.diff, m.quadrants, m.quadrants_diff) AS case_text
FROM (SELECT run_id, prompts, head_id, side, component_id, query_basis_id, key_basis_id,
    sum(mean_score) FILTER (quadrant IS NULL) AS score, sum(mean_score) FILTER (quadrant IS NOT NULL) AS quadrants, sum(abs(mean_score)) AS size,
    sum(mean_diff) FILTER (quadrant IS NULL) AS diff, sum(mean_diff) FILTER (quadrant IS NOT NULL) AS quadrants_diff, coalesce(sum(abs(mean_diff)), 0) AS diff_size
  FROM contribution_moment GROUP BY run_id, prompts, head_id, side, component_id, query_basis_id, key_basis_id) AS m
WHERE abs(m.score - m.quadrants) > {{relative}} * m.size OR abs(m.diff - m.quadrants_diff) > {{relative}} * m.diff_size;
