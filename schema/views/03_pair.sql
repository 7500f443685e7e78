-- Pairs of a query component and a key component. tables/05_pair.sql has the arithmetic.

{{define "same"}}{{.}}.run_id = f.run_id AND {{.}}.example_id = f.example_id AND {{.}}.head_id = f.head_id{{end}}

{{/* Columns that identify a component under a pair of bases, and its names if the argument is true. The names are keys of the group because DuckDB
moves a filter below GROUP BY only if it is on a key. */}}
{{define "keys"}}f.run_id, f.example_id, f.head_id, f.component_id, s.score_scale, s.query_basis_id, s.query_dimension, s.key_basis_id, s.key_dimension
    {{- if .}}, s.head, c.label, c.kind, c.layer, c.own_head, s.query_basis, s.key_basis{{end}}{{end}}

{{/* The factors of one side with the pairs of bases, and the axes of both. */}}
{{define "factors"}}JOIN (
      SELECT h.run_id, h.head_id, h.label AS head, h.score_scale, qb.basis_id AS query_basis_id, qb.name AS query_basis, qb.dimension AS query_dimension,
        kb.basis_id AS key_basis_id, kb.name AS key_basis, kb.dimension AS key_dimension
      FROM head AS h
      JOIN basis AS qb ON qb.run_id = h.run_id AND qb.side = 'query' AND qb.kind <> 'replacement' AND qb.null_number IS NULL
      JOIN basis AS kb ON kb.run_id = h.run_id AND kb.side = 'key' AND kb.kind <> 'replacement' AND kb.null_number IS NULL
    ) AS s ON s.run_id = f.run_id AND s.head_id = f.head_id
    {{- if .}}
    JOIN (SELECT component_id, label, kind, layer, head AS own_head FROM component) AS c ON c.component_id = f.component_id{{end}}
    LEFT JOIN query_axis AS u ON {{template "same" "u"}} AND u.basis_id = s.query_basis_id
    LEFT JOIN key_axis AS v ON {{template "same" "v"}} AND v.basis_id = s.key_basis_id{{end}}

{{/* Order, length and filter of lists over the axes of the query basis, of the key basis, and of both. */}}
{{define "over query axes"}}u.axis, greatest(1, s.query_dimension)) FILTER (coalesce(v.axis, 0) = 0){{end}}
{{define "over key axes"}}v.axis, greatest(1, s.key_dimension)) FILTER (coalesce(u.axis, 0) = 0){{end}}
{{define "over both"}}u.axis * s.key_dimension + v.axis, greatest(1, s.query_dimension * s.key_dimension)){{end}}

{{define "query"}}SELECT {{template "keys" .}}, any_value(f.vector) AS vector,
      arg_min(coalesce(a.coordinate, 0), {{template "over query axes"}} AS coordinates,
      arg_min(coalesce(list_inner_product(f.vector, v.image), 0), {{template "over key axes"}} AS products,
      arg_min(coalesce(list_inner_product(f.vector, v.baseline), 0), {{template "over key axes"}} AS baseline_products,
      arg_min(coalesce(a.coordinate * list_inner_product(u.image, v.image), 0), {{template "over both"}} AS pairwise,
      arg_min(coalesce(a.coordinate * list_inner_product(u.image, v.baseline), 0), {{template "over both"}} AS baseline_pairwise
    FROM query_factor AS f
    {{template "factors" .}}
    LEFT JOIN query_coordinate AS a ON {{template "same" "a"}} AND a.component_id = f.component_id AND a.basis_id = u.basis_id AND a.axis = u.axis
    GROUP BY {{template "keys" .}}{{end}}

{{/* A baseline that is a mean of keys has no axes. Pairs whose key side is split then have no baseline. */}}
{{define "key"}}SELECT {{template "keys" .}}, any_value(f.vector) AS vector, CASE WHEN s.key_dimension = 0 OR count(v.baseline) > 0 THEN any_value(f.baseline) END AS baseline,
      arg_min(coalesce(list_inner_product(u.image, f.vector), 0), {{template "over query axes"}} AS products,
      arg_min(coalesce(list_inner_product(u.image, f.baseline), 0), {{template "over query axes"}} AS baseline_products,
      arg_min(coalesce(b.coordinate, 0), {{template "over key axes"}} AS coordinates,
      arg_min(coalesce(b.baseline, 0), {{template "over key axes"}} AS baseline_coordinates,
      arg_min(coalesce(b.coordinate, 0), {{template "over both"}} AS pairwise,
      arg_min(coalesce(b.baseline, 0), {{template "over both"}} AS baseline_pairwise
    FROM key_factor AS f
    {{template "factors" .}}
    LEFT JOIN key_coordinate AS b ON {{template "same" "b"}} AND b.component_id = f.component_id AND b.basis_id = v.basis_id AND b.axis = v.axis
    GROUP BY {{template "keys" .}}{{end}}

{{/* A list of zeros, as long as the argument. */}}
{{define "zeros"}}list_resize([]::FLOAT[], coalesce(len({{.}}), 0), 0){{end}}

{{/* The join copies the lists of a key component for each pair, and most of its time goes there. So a key component has one list, and each of the
three lists of a query component has zeros at the numbers that it does not multiply. */}}
{{define "pairs"}}SELECT f.*,
  (f.scale * f.par_par)::FLOAT AS score_par_par,
  (f.scale * (f.par_all - f.par_par))::FLOAT AS score_par_perp,
  (f.scale * (f.all_par - f.par_par))::FLOAT AS score_perp_par,
  (f.scale * (f.all_all - f.par_all - f.all_par + f.par_par))::FLOAT AS score_perp_perp,
  (f.baseline_scale * f.base_par_par)::FLOAT AS baseline_par_par,
  (f.baseline_scale * (f.base_par_all - f.base_par_par))::FLOAT AS baseline_par_perp,
  (f.baseline_scale * (f.base_all_par - f.base_par_par))::FLOAT AS baseline_perp_par,
  (f.baseline_scale * (f.base_all_all - f.base_par_all - f.base_all_par + f.base_par_par))::FLOAT AS baseline_perp_perp
FROM (
  SELECT q.run_id, q.example_id, q.head_id, q.component_id AS query_component_id, k.component_id AS key_component_id,
    q.query_basis_id, q.key_basis_id, q.query_dimension > 0 AS query_split, q.key_dimension > 0 AS key_split
    {{- if .}}, q.head, q.label AS query_component, q.kind AS query_kind, q.layer AS query_layer, q.own_head AS query_head,
    k.label AS key_component, k.kind AS key_kind, k.layer AS key_layer, k.own_head AS key_head, q.query_basis, q.key_basis{{end}},
    q.score_scale AS scale, CASE WHEN k.baseline IS NOT NULL THEN q.score_scale END AS baseline_scale,
    list_inner_product(q.vector, k.vector)::DOUBLE AS all_all,
    coalesce(list_inner_product(q.par_all, k.numbers), 0)::DOUBLE AS par_all,
    coalesce(list_inner_product(q.all_par, k.numbers), 0)::DOUBLE AS all_par,
    coalesce(list_inner_product(q.par_par, k.numbers), 0)::DOUBLE AS par_par,
    list_inner_product(q.vector, k.baseline)::DOUBLE AS base_all_all,
    coalesce(list_inner_product(q.par_all, k.baseline_numbers), 0)::DOUBLE AS base_par_all,
    coalesce(list_inner_product(q.base_all_par, k.baseline_numbers), 0)::DOUBLE AS base_all_par,
    coalesce(list_inner_product(q.base_par_par, k.baseline_numbers), 0)::DOUBLE AS base_par_par
  FROM (
    SELECT *, list_concat(list_concat(coordinates, {{template "zeros" "products"}}), {{template "zeros" "pairwise"}}) AS par_all,
      list_concat(list_concat({{template "zeros" "coordinates"}}, products), {{template "zeros" "pairwise"}}) AS all_par,
      list_concat(list_concat({{template "zeros" "coordinates"}}, baseline_products), {{template "zeros" "pairwise"}}) AS base_all_par,
      list_concat(list_concat({{template "zeros" "coordinates"}}, {{template "zeros" "products"}}), pairwise) AS par_par,
      list_concat(list_concat({{template "zeros" "coordinates"}}, {{template "zeros" "products"}}), baseline_pairwise) AS base_par_par
    FROM ({{template "query" .}})
  ) AS q JOIN (
    SELECT * EXCLUDE (products, baseline_products, coordinates, baseline_coordinates, pairwise, baseline_pairwise),
      list_concat(list_concat(products, coordinates), pairwise) AS numbers,
      list_concat(list_concat(baseline_products, baseline_coordinates), baseline_pairwise) AS baseline_numbers
    FROM ({{template "key" .}})
  ) AS k ON k.run_id = q.run_id AND k.example_id = q.example_id AND k.head_id = q.head_id
    AND k.query_basis_id = q.query_basis_id AND k.key_basis_id = q.key_basis_id
) AS f{{end}}

-- Contributions of pairs of components, computed from the factors by each query: one row per example, target
-- head, pair of bases and pair of components. Filter on a pair or on an example. pair_mean has means over
-- examples. The bases of a side are its subspaces and none, which does not split it.
CREATE VIEW pair_wide AS
SELECT p.run_id, p.example_id, p.head_id, p.query_component_id, p.key_component_id, p.query_basis_id, p.key_basis_id,
  {{range quadrants}}p.score_{{.}}, {{end}}{{range quadrants}}p.baseline_{{.}}, {{end}}
  {{range $i, $q := quadrants}}{{if $i}}, {{end}}p.score_{{.}} - p.baseline_{{.}} AS diff_{{.}}{{end}}
FROM ({{template "pairs" false}}) AS p;

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

-- Contributions of pairs of a query component and a key component, computed from the factors by each query:
-- one row per example, target head, pair of bases, pair of components and quadrant. Filter on head, bases,
-- and a pair of components or an example: a head in layer 10 has 20,000 pairs per example and pair of bases.
-- pair_mean has means over examples.
CREATE VIEW pair AS
SELECT p.run_id, p.example_id, p.head, p.query_component, p.query_kind, p.query_layer, p.query_head, p.key_component, p.key_kind, p.key_layer, p.key_head,
  p.query_basis, p.key_basis, part.quadrant,
  CASE part.quadrant{{range quadrants}} WHEN '{{.}}' THEN p.score_{{.}}{{end}} END AS score,
  CASE part.quadrant{{range quadrants}} WHEN '{{.}}' THEN p.baseline_{{.}}{{end}} END AS baseline,
  CASE part.quadrant{{range quadrants}} WHEN '{{.}}' THEN p.score_{{.}} - p.baseline_{{.}}{{end}} END AS diff
FROM ({{template "pairs" true}}) AS p
JOIN (SELECT unnest(enum_range(NULL::quadrant)) AS quadrant) AS part
  ON (p.query_split OR part.quadrant IN ('perp_par', 'perp_perp')) AND (p.key_split OR part.quadrant IN ('par_perp', 'perp_perp'));

-- The rows of pair, stored; those of the basis none only if a side has no subspace. Empty unless the run
-- stores all pairs (ingest --pairs).
CREATE VIEW pair_contribution AS
{{range $i, $q := quadrants}}{{if $i}}
UNION ALL
{{end}}SELECT {{template "names"}},
  qb.name AS query_basis, kb.name AS key_basis, '{{.}}'::quadrant AS quadrant,
  p.score_{{.}} AS score, p.baseline_{{.}} AS baseline, p.diff_{{.}} AS diff
FROM pair_contribution_wide AS p{{template "named"}}{{template "bases"}}
WHERE true{{.WhereSplit "qb.kind" "kb.kind"}}{{end}};

-- Contributions of pairs of a query component and a key component, averaged over the examples of a complete
-- run: one row per target head, pair of bases, pair of components and quadrant.
CREATE VIEW pair_mean AS
{{range $i, $q := quadrants}}{{if $i}}
UNION ALL
{{end}}SELECT p.run_id, h.label AS head, {{template "components"}},
  qb.name AS query_basis, kb.name AS key_basis, '{{.}}'::quadrant AS quadrant,
  p.mean_score_{{.}} AS mean_score, p.mean_diff_{{.}} AS mean_diff, p.se_score_{{.}} AS se_score, p.se_diff_{{.}} AS se_diff, p.n, p.n_baseline
FROM pair_mean_wide AS p{{template "named"}}{{template "bases"}}
WHERE true{{.WhereSplit "qb.kind" "kb.kind"}}{{end}};
