-- Pairs of a query component and a key component. The arithmetic is told in tables/05_pair.sql.

{{define "same"}}.run_id = f.run_id AND {{.}}.example_id = f.example_id AND {{.}}.head_id = f.head_id{{end}}

{{define "bases of factors"}}
    JOIN basis AS qb ON qb.run_id = f.run_id AND qb.side = 'query' AND qb.kind <> 'replacement' AND qb.null_number IS NULL
    JOIN basis AS kb ON kb.run_id = f.run_id AND kb.side = 'key' AND kb.kind <> 'replacement' AND kb.null_number IS NULL{{end}}

{{/* One row for each query component and pair of bases, with lists over axes. */}}
{{define "query"}}SELECT f.run_id, f.example_id, f.head_id, f.component_id, qb.basis_id AS query_basis_id, qb.name AS query_basis, qb.kind AS query_kind,
      kb.basis_id AS key_basis_id, kb.name AS key_basis, kb.kind AS key_kind, h.score_scale,
      any_value(f.vector) AS vector, any_value(a.coordinates) AS coordinates,
      list(coalesce(list_inner_product(f.vector, x.image), 0) ORDER BY x.axis) AS products,
      list(coalesce(list_inner_product(f.vector, x.baseline), 0) ORDER BY x.axis) AS baseline_products
    FROM query_factor AS f
    JOIN head AS h ON h.run_id = f.run_id AND h.head_id = f.head_id{{template "bases of factors"}}
    LEFT JOIN (
      SELECT run_id, example_id, head_id, component_id, basis_id, list(coordinate ORDER BY axis) AS coordinates
      FROM query_coordinate GROUP BY run_id, example_id, head_id, component_id, basis_id
    ) AS a ON a{{template "same" "a"}} AND a.component_id = f.component_id AND a.basis_id = qb.basis_id
    LEFT JOIN key_axis AS x ON x{{template "same" "x"}} AND x.basis_id = kb.basis_id
    GROUP BY f.run_id, f.example_id, f.head_id, f.component_id, qb.basis_id, qb.name, qb.kind, kb.basis_id, kb.name, kb.kind, h.score_scale{{end}}

{{/* One row for each key component and pair of bases. par: products of the part in the key basis. */}}
{{define "key"}}SELECT f.run_id, f.example_id, f.head_id, f.component_id, qb.basis_id AS query_basis_id, qb.name AS query_basis,
      kb.basis_id AS key_basis_id, kb.name AS key_basis,
      any_value(f.vector) AS vector, any_value(f.baseline) AS baseline, any_value(b.coordinates) AS coordinates, any_value(b.baseline) AS baseline_coordinates,
      list(coalesce(list_inner_product(x.image, f.vector), 0) ORDER BY x.axis) AS products,
      list(coalesce(list_inner_product(x.image, f.baseline), 0) ORDER BY x.axis) AS baseline_products,
      list(coalesce(list_inner_product(w.products, b.coordinates), 0) ORDER BY x.axis) AS par,
      list(coalesce(list_inner_product(w.baseline, b.baseline), 0) ORDER BY x.axis) AS baseline_par
    FROM key_factor AS f{{template "bases of factors"}}
    LEFT JOIN (
      SELECT run_id, example_id, head_id, component_id, basis_id, list(coalesce(coordinate, 0) ORDER BY axis) AS coordinates,
        list(coalesce(baseline, 0) ORDER BY axis) AS baseline
      FROM key_coordinate GROUP BY run_id, example_id, head_id, component_id, basis_id
    ) AS b ON b{{template "same" "b"}} AND b.component_id = f.component_id AND b.basis_id = kb.basis_id
    LEFT JOIN query_axis AS x ON x{{template "same" "x"}} AND x.basis_id = qb.basis_id
    LEFT JOIN (
      SELECT u.run_id, u.example_id, u.head_id, u.basis_id AS query_basis_id, u.axis, v.basis_id AS key_basis_id,
        list(coalesce(list_inner_product(u.image, v.image), 0) ORDER BY v.axis) AS products,
        list(coalesce(list_inner_product(u.image, v.baseline), 0) ORDER BY v.axis) AS baseline
      FROM query_axis AS u JOIN key_axis AS v ON v.run_id = u.run_id AND v.example_id = u.example_id AND v.head_id = u.head_id
      GROUP BY u.run_id, u.example_id, u.head_id, u.basis_id, u.axis, v.basis_id
    ) AS w ON w{{template "same" "w"}} AND w.query_basis_id = x.basis_id AND w.axis = x.axis AND w.key_basis_id = kb.basis_id
    GROUP BY f.run_id, f.example_id, f.head_id, f.component_id, qb.basis_id, qb.name, kb.basis_id, kb.name{{end}}

{{define "pairs"}}SELECT f.run_id, f.example_id, f.head_id, f.query_component_id, f.key_component_id, f.query_basis_id, f.query_basis, f.query_kind,
  f.key_basis_id, f.key_basis, f.key_kind,
  (f.scale * f.par_par)::FLOAT AS score_par_par,
  (f.scale * (f.par_all - f.par_par))::FLOAT AS score_par_perp,
  (f.scale * (f.all_par - f.par_par))::FLOAT AS score_perp_par,
  (f.scale * (f.all_all - f.par_all - f.all_par + f.par_par))::FLOAT AS score_perp_perp,
  (f.baseline_scale * f.baseline_par_par)::FLOAT AS baseline_par_par,
  (f.baseline_scale * (f.baseline_par_all - f.baseline_par_par))::FLOAT AS baseline_par_perp,
  (f.baseline_scale * (f.baseline_all_par - f.baseline_par_par))::FLOAT AS baseline_perp_par,
  (f.baseline_scale * (f.baseline_all_all - f.baseline_par_all - f.baseline_all_par + f.baseline_par_par))::FLOAT AS baseline_perp_perp
FROM (
  SELECT q.run_id, q.example_id, q.head_id, q.component_id AS query_component_id, k.component_id AS key_component_id,
    q.query_basis_id, q.query_basis, q.query_kind, q.key_basis_id, q.key_basis, q.key_kind,
    q.score_scale AS scale, CASE WHEN k.baseline IS NOT NULL THEN q.score_scale END AS baseline_scale,
    list_inner_product(q.vector, k.vector)::DOUBLE AS all_all,
    coalesce(list_inner_product(q.coordinates, k.products), 0)::DOUBLE AS par_all,
    coalesce(list_inner_product(q.products, k.coordinates), 0)::DOUBLE AS all_par,
    coalesce(list_inner_product(q.coordinates, k.par), 0)::DOUBLE AS par_par,
    list_inner_product(q.vector, k.baseline)::DOUBLE AS baseline_all_all,
    coalesce(list_inner_product(q.coordinates, k.baseline_products), 0)::DOUBLE AS baseline_par_all,
    coalesce(list_inner_product(q.baseline_products, k.baseline_coordinates), 0)::DOUBLE AS baseline_all_par,
    coalesce(list_inner_product(q.coordinates, k.baseline_par), 0)::DOUBLE AS baseline_par_par
  FROM (
    {{template "query"}}
  ) AS q JOIN (
    {{template "key"}}
  ) AS k ON k.run_id = q.run_id AND k.example_id = q.example_id AND k.head_id = q.head_id
    AND k.query_basis_id = q.query_basis_id AND k.key_basis_id = q.key_basis_id
) AS f{{end}}

-- Contributions of pairs of components, multiplied out of factors when asked: one row per example, target head, pair of bases
-- and pair of components. Filter on a pair, or on an example; for means over examples there is pair_mean. A side is split along
-- each of its subspaces, or not at all: under the basis none.
CREATE VIEW pair_wide AS
SELECT p.run_id, p.example_id, p.head_id, p.query_component_id, p.key_component_id, p.query_basis_id, p.key_basis_id,
  {{range quadrants}}p.score_{{.}}, {{end}}{{range quadrants}}p.baseline_{{.}}, {{end}}
  {{range $i, $q := quadrants}}{{if $i}}, {{end}}p.score_{{.}} - p.baseline_{{.}} AS diff_{{.}}{{end}}
FROM ({{template "pairs"}}) AS p;

{{define "components"}}qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head{{end}}
{{define "names"}}p.run_id, p.example_id, h.label AS head, {{template "components"}}{{end}}
{{define "named"}}
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id{{end}}
{{define "bases"}}
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id{{end}}

-- Contributions of pairs of a query component and a key component, multiplied out of the factors when asked. Filter on head,
-- bases, and a pair of components or an example: everything at once is 20,000 pairs per example and pair of bases for a head in
-- layer 10. pair_mean has means over examples.
CREATE VIEW pair AS
{{range $i, $q := quadrants}}{{if $i}}
UNION ALL
{{end}}SELECT {{template "names"}},
  p.query_basis, p.key_basis, '{{.}}'::quadrant AS quadrant,
  p.score_{{.}} AS score, p.baseline_{{.}} AS baseline, p.score_{{.}} - p.baseline_{{.}} AS diff
FROM ({{template "pairs"}}) AS p{{template "named"}}
WHERE true{{.WhereSplit "p.query_kind" "p.key_kind"}}{{end}};

-- The same rows as in pair, but stored, and under the basis none only where a side has no subspace; empty unless the run was
-- asked for all pairs.
CREATE VIEW pair_contribution AS
{{range $i, $q := quadrants}}{{if $i}}
UNION ALL
{{end}}SELECT {{template "names"}},
  qb.name AS query_basis, kb.name AS key_basis, '{{.}}'::quadrant AS quadrant,
  p.score_{{.}} AS score, p.baseline_{{.}} AS baseline, p.diff_{{.}} AS diff
FROM pair_contribution_wide AS p{{template "named"}}{{template "bases"}}
WHERE true{{.WhereSplit "qb.kind" "kb.kind"}}{{end}};

-- Contributions of pairs of a query component and a key component, averaged over the examples of a complete run: one row per
-- target head, pair of bases, pair of components and quadrant.
CREATE VIEW pair_mean AS
{{range $i, $q := quadrants}}{{if $i}}
UNION ALL
{{end}}SELECT p.run_id, h.label AS head, {{template "components"}},
  qb.name AS query_basis, kb.name AS key_basis, '{{.}}'::quadrant AS quadrant,
  p.mean_score_{{.}} AS mean_score, p.mean_diff_{{.}} AS mean_diff, p.se_score_{{.}} AS se_score, p.se_diff_{{.}} AS se_diff, p.n, p.n_baseline
FROM pair_mean_wide AS p{{template "named"}}{{template "bases"}}
WHERE true{{.WhereSplit "qb.kind" "kb.kind"}}{{end}};
