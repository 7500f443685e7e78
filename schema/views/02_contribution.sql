-- Contributions by name, and whether they add up.

{{define "names"}}w.run_id, w.example_id, h.label AS head, w.side, c.label AS component, c.kind, c.layer AS component_layer, c.head AS component_head{{end}}
{{define "named"}}contribution_wide AS w
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id{{end}}

-- One row per example, target head, side, pair of bases, component and quadrant. Filter on query_basis and
-- key_basis: each pair of bases splits the same score again. Random directions are left out:
-- contribution_null has them. contribution_unsplit is for unsplit values.
CREATE VIEW contribution AS
{{range $i, $q := quadrants}}{{if $i}}
UNION ALL
{{end}}SELECT {{template "names"}},
  qb.name AS query_basis, kb.name AS key_basis, '{{.}}'::quadrant AS quadrant,
  w.score_{{.}} AS score, w.baseline_{{.}} AS baseline, w.diff_{{.}} AS diff
FROM {{template "named"}}
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id
WHERE qb.null_number IS NULL{{.WhereSplit "qb.kind" "kb.kind"}}{{end}};

-- Contributions that are not split into quadrants: one row per example, target head, side and component.
CREATE VIEW contribution_unsplit AS
SELECT {{template "names"}},
  w.score_perp_perp AS score, w.baseline_perp_perp AS baseline, w.diff_perp_perp AS diff
FROM {{template "named"}}
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id
WHERE qb.kind = 'whole' AND kb.kind = 'whole';

-- Contributions split along random directions, for comparison: one row per example, target head, side, draw,
-- component and quadrant. Filter on draw or group by it. Empty unless the run has random directions (ingest
-- --null).
CREATE VIEW contribution_null AS
{{range $i, $q := quadrants}}{{if $i}}
UNION ALL
{{end}}SELECT {{template "names"}},
  qb.null_number AS draw, '{{.}}'::quadrant AS quadrant, w.score_{{.}} AS score, w.baseline_{{.}} AS baseline, w.diff_{{.}} AS diff
FROM {{template "named"}}
WHERE qb.null_number IS NOT NULL{{end}};

{{define "moments"}}m.run_id, h.label AS head, m.side, c.label AS component, c.kind, c.layer AS component_layer, c.head AS component_head{{end}}
{{define "means"}}m.mean_score, m.mean_baseline, m.mean_diff, sqrt(m.variance_score) / sqrt(m.n) AS se_score,
  sqrt(m.variance_baseline) / sqrt(m.n_baseline) AS se_baseline, sqrt(m.variance_diff) / sqrt(m.n_baseline) AS se_diff, m.n, m.n_baseline
FROM contribution_moment AS m
JOIN head AS h ON h.run_id = m.run_id AND h.head_id = m.head_id
JOIN component AS c ON c.component_id = m.component_id
JOIN basis AS qb ON qb.run_id = m.run_id AND qb.basis_id = m.query_basis_id
JOIN basis AS kb ON kb.run_id = m.run_id AND kb.basis_id = m.key_basis_id
WHERE m.prompts = 'all'{{end}}

-- contribution_unsplit, averaged over the examples of a run: one row per target head, side and component.
-- contribution_mean splits it by pair of bases and quadrant. Runs that store only means have these rows too.
CREATE VIEW component_mean AS
SELECT run_id, head, side, component, kind, component_layer, component_head,
  avg(score) AS mean_score, avg(baseline) AS mean_baseline, avg(diff) AS mean_diff,
  stddev_samp(score) / sqrt(count(score)) AS se_score, stddev_samp(baseline) / sqrt(count(baseline)) AS se_baseline,
  stddev_samp(diff) / sqrt(count(diff)) AS se_diff, count(score) AS n, count(diff) AS n_baseline
FROM contribution_unsplit
GROUP BY run_id, head, side, component, kind, component_layer, component_head
UNION ALL
SELECT {{template "moments"}},
  {{template "means"}} AND m.quadrant IS NULL AND qb.kind = 'whole' AND kb.kind = 'whole';

-- contribution, averaged over the examples of a run: one row per target head, side, pair of bases, component
-- and quadrant. Filter on query_basis and key_basis: each pair of bases splits the same score again.
-- component_mean is not split. Runs that store only means have these rows too.
CREATE VIEW contribution_mean AS
SELECT run_id, head, side, component, kind, component_layer, component_head, query_basis, key_basis, quadrant,
  avg(score) AS mean_score, avg(baseline) AS mean_baseline, avg(diff) AS mean_diff,
  stddev_samp(score) / sqrt(count(score)) AS se_score, stddev_samp(baseline) / sqrt(count(baseline)) AS se_baseline,
  stddev_samp(diff) / sqrt(count(diff)) AS se_diff, count(score) AS n, count(diff) AS n_baseline
FROM contribution
GROUP BY run_id, head, side, component, kind, component_layer, component_head, query_basis, key_basis, quadrant
UNION ALL
SELECT {{template "moments"}}, qb.name AS query_basis, kb.name AS key_basis, m.quadrant,
  {{template "means"}} AND m.quadrant IS NOT NULL AND qb.null_number IS NULL;

-- Whether the stored contributions add up: their sum and the score of the model, one row per example, target
-- head, side and pair of bases, random directions included. Bases that replace a vector are left out, because
-- they add up to another score.
CREATE VIEW contribution_sum AS
SELECT t.run_id, t.example_id, h.label AS head, t.side, qb.name AS query_basis, kb.name AS key_basis,
  t.total AS score_sum, s.score, abs(t.total - s.score) AS score_residual,
  t.total_baseline AS baseline_sum, s.baseline, abs(t.total_baseline - s.baseline) AS baseline_residual
FROM (
  SELECT run_id, example_id, head_id, side, query_basis_id, key_basis_id,
    sum({{wide "score_"}}) AS total,
    sum({{wide "baseline_"}}) AS total_baseline
  FROM contribution_wide
  GROUP BY run_id, example_id, head_id, side, query_basis_id, key_basis_id
) AS t
JOIN score AS s ON s.run_id = t.run_id AND s.example_id = t.example_id AND s.head_id = t.head_id
JOIN head AS h ON h.run_id = t.run_id AND h.head_id = t.head_id
JOIN basis AS qb ON qb.run_id = t.run_id AND qb.basis_id = t.query_basis_id
JOIN basis AS kb ON kb.run_id = t.run_id AND kb.basis_id = t.key_basis_id
WHERE qb.kind <> 'replacement' AND kb.kind <> 'replacement';

{{define "relative"}}s.closure_residual / {{closureScale "s.score" "s.baseline"}}{{end}}

-- Whether contributions added up when the run was made: the worst closure residual of each run.
-- contribution_sum adds up the stored rows.
CREATE VIEW closure AS
SELECT r.run_id, r.status, r.convention, count(*) AS n_scores,
  max(s.closure_residual) AS worst_residual,
  max({{template "relative"}}) AS worst_relative,
  arg_max(s.example_id, {{template "relative"}}) AS worst_example_id,
  arg_max(h.label, {{template "relative"}}) AS worst_head,
  {{tolerance}}::DOUBLE AS tolerance,
  CASE r.convention WHEN 'exact' THEN max({{template "relative"}}) <= {{tolerance}}::DOUBLE END AS ok
FROM run AS r
JOIN score AS s ON s.run_id = r.run_id
JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id
GROUP BY r.run_id, r.status, r.convention;
