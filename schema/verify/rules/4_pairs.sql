-- Factors and pairs of components.

{{range sides}}
-- incomplete: {{.}} vector does not have each factor once / {{.}} vectors do not have each factor once
SELECT coalesce(e.run_id, g.run_id) AS run_id, coalesce(e.example_id, g.example_id) AS case_order,
  format('example {}, head #{}: {} rows, want {} different components', case_order, coalesce(e.head_id, g.head_id), coalesce(g.n, 0), coalesce(e.n, 0)) AS case_text
FROM (SELECT x.run_id, x.example_id, w.head_id, w.n, w.parts FROM run AS r JOIN edge AS x ON x.run_id = r.run_id
  JOIN ({{template "wanted sets"}}) AS w ON w.run_id = r.run_id AND w.side = '{{.}}' WHERE r.factors) AS e
FULL JOIN (SELECT run_id, example_id, head_id, count(*) AS n, sum(hash(component_id)) AS parts FROM {{.}}_factor
  WHERE component_id NOT IN {{template "features"}} GROUP BY run_id, example_id, head_id) AS g
  ON g.run_id = e.run_id AND g.example_id = e.example_id AND g.head_id = e.head_id
WHERE g.n IS DISTINCT FROM e.n OR g.parts IS DISTINCT FROM e.parts;

-- incomplete: {{.}} axis does not have each coordinate once / {{.}} axes do not have each coordinate once
SELECT coalesce(a.run_id, g.run_id) AS run_id, coalesce(a.example_id, g.example_id) AS case_order,
  format('example {}, head #{}, basis #{}, axis {}: {} coordinates, want {} of different components', case_order, coalesce(a.head_id, g.head_id), coalesce(a.basis_id, g.basis_id),
    coalesce(a.axis, g.axis), coalesce(g.n, 0), coalesce(w.n, 0)) AS case_text
FROM {{.}}_axis AS a
JOIN ({{template "wanted sets"}}) AS w ON w.run_id = a.run_id AND w.head_id = a.head_id AND w.side = '{{.}}'
FULL JOIN (SELECT run_id, example_id, head_id, basis_id, axis, count(*) AS n, sum(hash(component_id)) AS parts FROM {{.}}_coordinate
  WHERE component_id NOT IN {{template "features"}} GROUP BY run_id, example_id, head_id, basis_id, axis) AS g
  ON g.run_id = a.run_id AND g.example_id = a.example_id AND g.head_id = a.head_id AND g.basis_id = a.basis_id AND g.axis = a.axis
WHERE g.n IS DISTINCT FROM w.n OR g.parts IS DISTINCT FROM w.parts;

-- incomplete: {{.}} basis has axes with gaps, twice, or more than its dimension / {{.}} bases have axes with gaps, twice, or more than their dimension
SELECT a.run_id, a.example_id AS case_order, format('example {}, head #{}, basis {}: {} axes', a.example_id, a.head_id, b.name, a.n) AS case_text
FROM (SELECT run_id, example_id, head_id, basis_id, count(*) AS n, count(DISTINCT axis) AS different, min(axis) AS first, max(axis) AS last FROM {{.}}_axis
  GROUP BY run_id, example_id, head_id, basis_id) AS a
JOIN basis AS b ON b.run_id = a.run_id AND b.basis_id = a.basis_id
WHERE a.different <> a.n OR a.first <> 0 OR a.last <> a.n - 1 OR a.n > b.dimension OR b.kind <> 'subspace';
{{end}}

-- conflicting: key factor has a baseline although its example has none, or lacks one / key factors have a baseline although their examples have none, or lack one
SELECT k.run_id, k.example_id AS case_order, format('example {}, head #{}, component #{}', k.example_id, k.head_id, k.component_id) AS case_text
FROM key_factor AS k JOIN edge AS e ON e.run_id = k.run_id AND e.example_id = k.example_id
WHERE (k.baseline IS NULL) <> (e.baseline_kind = 'none');

-- conflicting: vector does not have d_head numbers / vectors do not have d_head numbers
SELECT f.run_id, f.example_id AS case_order, format('example {}, head #{}, {} #{}: {}, want {}', f.example_id, f.head_id, f.what, f.number, f.n, m.d_head) AS case_text
FROM (SELECT run_id, example_id, head_id, 'query component' AS what, component_id AS number, len(vector) AS n FROM query_factor
  UNION ALL SELECT run_id, example_id, head_id, 'key component', component_id, len(vector) FROM key_factor
  UNION ALL SELECT run_id, example_id, head_id, 'baseline of key component', component_id, len(baseline) FROM key_factor
  UNION ALL SELECT run_id, example_id, head_id, 'query axis of basis', basis_id, len(image) FROM query_axis
  UNION ALL SELECT run_id, example_id, head_id, 'key axis of basis', basis_id, len(image) FROM key_axis
  UNION ALL SELECT run_id, example_id, head_id, 'baseline axis of basis', basis_id, len(baseline) FROM key_axis) AS f
JOIN run AS r ON r.run_id = f.run_id JOIN model AS m ON m.model_id = r.model_id WHERE f.n <> m.d_head;

{{define "compared pairs"}}coalesce(g.head_id, e.head_id) AS case_order,
  format('head #{}, bases #{} and #{}: {} rows, want {} different pairs', case_order, coalesce(e.query_basis_id, g.query_basis_id),
    coalesce(e.key_basis_id, g.key_basis_id), coalesce(g.n, 0), coalesce(e.n, 0)) AS case_text{{end}}
{{define "other pairs"}}(g.n IS NOT NULL OR e.required) AND (g.n IS DISTINCT FROM e.n OR g.parts IS DISTINCT FROM e.parts){{end}}
{{define "no features"}}query_component_id NOT IN {{template "features"}} AND key_component_id NOT IN {{template "features"}}{{end}}

-- incomplete: example, head and pair of bases does not have each pair once / examples, heads and pairs of bases do not have each pair once
SELECT coalesce(e.run_id, g.run_id) AS run_id, {{template "compared pairs"}}
FROM (SELECT x.example_id, w.* FROM ({{template "wanted pairs"}}) AS w JOIN run AS r ON r.run_id = w.run_id JOIN edge AS x ON x.run_id = r.run_id WHERE r.pairs) AS e
FULL JOIN (SELECT run_id, example_id, head_id, query_basis_id, key_basis_id, count(*) AS n, sum(hash(query_component_id, key_component_id)) AS parts
  FROM pair_contribution_wide WHERE {{template "no features"}} GROUP BY run_id, example_id, head_id, query_basis_id, key_basis_id) AS g
  ON g.run_id = e.run_id AND g.example_id = e.example_id AND g.head_id = e.head_id AND g.query_basis_id = e.query_basis_id AND g.key_basis_id = e.key_basis_id
WHERE {{template "other pairs"}};

-- incomplete: head and pair of bases does not have each mean once / heads and pairs of bases do not have each mean once
SELECT coalesce(e.run_id, g.run_id) AS run_id, {{template "compared pairs"}}
FROM (SELECT w.* FROM ({{template "wanted pairs"}}) AS w JOIN run AS r ON r.run_id = w.run_id
  WHERE r.pair_means AND r.status = 'complete' AND EXISTS (FROM edge AS x WHERE x.run_id = r.run_id)) AS e
FULL JOIN (SELECT run_id, head_id, query_basis_id, key_basis_id, count(*) AS n, sum(hash(query_component_id, key_component_id)) AS parts
  FROM pair_mean_wide WHERE {{template "no features"}} GROUP BY run_id, head_id, query_basis_id, key_basis_id) AS g
  ON g.run_id = e.run_id AND g.head_id = e.head_id AND g.query_basis_id = e.query_basis_id AND g.key_basis_id = e.key_basis_id
WHERE {{template "other pairs"}};

{{/* A mean as baseline has no axes: pairs whose key side is split have no baseline. */}}
-- conflicting: mean of pairs is over a different number of examples / means of pairs are over a different number of examples
SELECT p.run_id, p.head_id AS case_order, format('head #{}, components #{} and #{}: {} and {} with a baseline, want {} and {}', p.head_id, p.query_component_id, p.key_component_id, p.n, p.n_baseline, e.n,
  CASE k.kind WHEN 'whole' THEN e.n_baseline ELSE e.n_token_baseline END) AS case_text
FROM pair_mean_wide AS p JOIN basis AS k ON k.run_id = p.run_id AND k.basis_id = p.key_basis_id
JOIN (SELECT run_id, count(*) AS n, count(*) FILTER (baseline_kind <> 'none') AS n_baseline, count(baseline_pos) AS n_token_baseline FROM edge GROUP BY run_id) AS e ON e.run_id = p.run_id
WHERE p.n <> e.n OR p.n_baseline <> CASE k.kind WHEN 'whole' THEN e.n_baseline ELSE e.n_token_baseline END OR (p.mean_diff_perp_perp IS NULL) <> (p.n_baseline = 0);

-- conflicting: pair has a baseline although its example has none, or lacks one / pairs have a baseline although their examples have none, or lack one
SELECT p.run_id, p.example_id AS case_order, format('example {}, head #{}, components #{} and #{}', p.example_id, p.head_id, p.query_component_id, p.key_component_id) AS case_text
FROM pair_contribution_wide AS p JOIN edge AS e ON e.run_id = p.run_id AND e.example_id = p.example_id
JOIN (SELECT run_id, basis_id, CASE kind WHEN 'whole' THEN ['none'] ELSE ['none', 'mean', 'attention'] END AS without FROM basis) AS k
  ON k.run_id = p.run_id AND k.basis_id = p.key_basis_id
WHERE (p.baseline_par_par IS NULL) <> list_contains(k.without, e.baseline_kind) OR (p.baseline_perp_perp IS NULL) <> list_contains(k.without, e.baseline_kind);
