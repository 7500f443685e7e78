-- Factors, pairs and their means must agree with contributions in exact runs. In the notebook convention they
-- need not, because the side that is held fixed is not the sum of its factors. The rules run on some examples
-- of a run at a time, $first to $last of $run.
--
-- The side that is held fixed is one vector, the sum of its factors. Table verify_vector holds it and its
-- part in each basis.

{{define "asked"}}run_id = $run AND example_id BETWEEN $first AND $last{{end}}
{{define "same"}}{{.}}.run_id = f.run_id AND {{.}}.example_id = f.example_id AND {{.}}.head_id = f.head_id{{end}}
{{/* Whether the baseline of example f is a mean of keys, which has no axes. */}}
{{define "mean baseline"}}EXISTS (FROM edge AS e WHERE e.run_id = f.run_id AND e.example_id = f.example_id AND e.baseline_kind IN ('mean', 'attention')){{end}}
{{define "split bases"}}basis AS b WHERE b.run_id = $run AND b.kind <> 'replacement' AND b.null_number IS NULL{{end}}

-- query: extent / what there is to check
SELECT r.factors, r.pairs, (SELECT min(example_id) FROM edge WHERE run_id = $run), (SELECT max(example_id) FROM edge WHERE run_id = $run),
  (SELECT count(*) FROM query_factor WHERE run_id = $run) // greatest(1, (SELECT count(*) FROM edge WHERE run_id = $run)) FROM run AS r WHERE r.run_id = $run;

-- query: vectors / number by number: the whole vector at each of the three places, and its part in each basis
CREATE OR REPLACE TEMP TABLE verify_vector AS
WITH number AS (
  SELECT run_id, example_id, head_id, 'query' AS place, unnest(vector) AS x, unnest(range(len(vector))) AS i FROM query_factor WHERE {{template "asked"}}
  UNION ALL SELECT run_id, example_id, head_id, 'key', unnest(vector), unnest(range(len(vector))) FROM key_factor WHERE {{template "asked"}}
  UNION ALL SELECT run_id, example_id, head_id, 'baseline', unnest(baseline), unnest(range(len(baseline))) FROM key_factor WHERE {{template "asked"}}
), whole AS (
  SELECT run_id, example_id, head_id, place, i, sum(x::DOUBLE) AS x FROM number GROUP BY run_id, example_id, head_id, place, i
), total AS (
  SELECT 'query' AS place, run_id, example_id, head_id, basis_id, axis, sum(coordinate::DOUBLE) AS coordinate FROM query_coordinate WHERE {{template "asked"}}
  GROUP BY run_id, example_id, head_id, basis_id, axis
  UNION ALL SELECT 'key', run_id, example_id, head_id, basis_id, axis, sum(coordinate::DOUBLE) FROM key_coordinate WHERE {{template "asked"}}
  GROUP BY run_id, example_id, head_id, basis_id, axis
  UNION ALL SELECT 'baseline', run_id, example_id, head_id, basis_id, axis, sum(baseline::DOUBLE) FROM key_coordinate WHERE {{template "asked"}}
  GROUP BY run_id, example_id, head_id, basis_id, axis
), image AS (
  SELECT run_id, example_id, head_id, 'query' AS place, basis_id, axis, unnest(image) AS x, unnest(range(len(image))) AS i FROM query_axis WHERE {{template "asked"}}
  UNION ALL SELECT run_id, example_id, head_id, 'key', basis_id, axis, unnest(image), unnest(range(len(image))) FROM key_axis WHERE {{template "asked"}}
  UNION ALL SELECT run_id, example_id, head_id, 'baseline', basis_id, axis, unnest(baseline), unnest(range(len(baseline))) FROM key_axis WHERE {{template "asked"}}
), par AS (
  SELECT f.run_id, f.example_id, f.head_id, f.place, f.basis_id, f.i, sum(f.x * t.coordinate) AS x
  FROM image AS f JOIN total AS t ON {{template "same" "t"}} AND t.place = f.place AND t.basis_id = f.basis_id AND t.axis = f.axis
  GROUP BY f.run_id, f.example_id, f.head_id, f.place, f.basis_id, f.i
)
SELECT f.run_id, f.example_id, f.head_id, f.place, b.basis_id, list(f.x ORDER BY f.i) AS whole, list(coalesce(p.x, 0) ORDER BY f.i) AS par
FROM whole AS f JOIN (FROM {{template "split bases"}}) AS b ON (b.side = 'query') = (f.place = 'query')
LEFT JOIN par AS p ON {{template "same" "p"}} AND p.place = f.place AND p.basis_id = b.basis_id AND p.i = f.i
WHERE f.place <> 'baseline' OR b.kind = 'whole' OR NOT {{template "mean baseline"}}
GROUP BY f.run_id, f.example_id, f.head_id, f.place, b.basis_id;

{{/* Four products of a component with the vector v of the other side: the whole component, and its part in its
basis, each with the whole of v and with v's part. */}}
{{define "products"}}list_inner_product(f.vector::DOUBLE[], v.whole) AS all_all, list_inner_product(f.vector::DOUBLE[], v.par) AS all_par,
    coalesce(sum(a.coordinate * list_inner_product(x.image::DOUBLE[], v.whole)), 0) AS par_all,
    coalesce(sum(a.coordinate * list_inner_product(x.image::DOUBLE[], v.par)), 0) AS par_par{{end}}

{{/* The same at one place of one side: its factors, axes and coordinates, and the vectors of the other side. */}}
{{define "margin"}}SELECT f.run_id, f.example_id, f.head_id, f.component_id, b.basis_id, v.basis_id AS other_basis_id, any_value(h.score_scale) AS scale,
    {{template "products"}}
  FROM (SELECT run_id, example_id, head_id, component_id, {{.Vector}} AS vector FROM {{.Side}}_factor WHERE {{template "asked"}} AND {{.Vector}} IS NOT NULL) AS f
  JOIN head AS h ON h.run_id = f.run_id AND h.head_id = f.head_id
  JOIN (FROM {{template "split bases"}}) AS b ON b.side = '{{.Side}}'
  JOIN verify_vector AS v ON {{template "same" "v"}} AND v.place = '{{.Other}}'
  LEFT JOIN (SELECT run_id, example_id, head_id, basis_id, axis, {{.Image}} AS image FROM {{.Side}}_axis WHERE {{template "asked"}}) AS x ON {{template "same" "x"}} AND x.basis_id = b.basis_id
  LEFT JOIN (SELECT run_id, example_id, head_id, component_id, basis_id, axis, {{.Coordinate}}::DOUBLE AS coordinate FROM {{.Side}}_coordinate WHERE {{template "asked"}}) AS a
    ON {{template "same" "a"}} AND a.component_id = f.component_id AND a.basis_id = x.basis_id AND a.axis = x.axis
  {{if eq .Vector "baseline"}}WHERE b.kind = 'whole' OR NOT {{template "mean baseline"}}
  {{end}}GROUP BY f.run_id, f.example_id, f.head_id, f.component_id, f.vector, b.basis_id, v.basis_id, v.whole, v.par{{end}}

{{/* Rows like those of contribution_wide, compared with the row itself: the largest of eight differences. */}}
{{define "compared"}}SELECT run_id, example_id AS case_order, format('example {}, head #{}, component #{}, bases #{} and #{}: off by {}', example_id, head_id, component_id, query_basis_id, key_basis_id, distance) AS case_text
FROM (SELECT m.run_id, m.example_id, m.head_id, m.component_id, m.query_basis_id, m.key_basis_id, s.score, s.baseline,
    greatest({{range $i, $q := quadrants}}{{if $i}}, {{end}}abs(m.score_{{.}} - c.score_{{.}}), coalesce(abs(m.baseline_{{.}} - c.baseline_{{.}}), 0){{end}}) AS distance
  FROM ({{end}}
{{define "with"}}) AS m JOIN contribution_wide AS c ON c.run_id = m.run_id AND c.example_id = m.example_id AND c.head_id = m.head_id
    AND c.component_id = m.component_id AND c.query_basis_id = m.query_basis_id AND c.key_basis_id = m.key_basis_id
  JOIN score AS s ON s.run_id = m.run_id AND s.example_id = m.example_id AND s.head_id = m.head_id
  WHERE c.side = '{{.}}' AND c.run_id = $run AND c.example_id BETWEEN $first AND $last)
WHERE NOT distance <= {{tolerance}} * {{closureScale "score" "baseline"}}{{end}}

-- not closed: query factor and the sum of key factors give another contribution / query factors and the sum of key factors give other contributions
{{template "compared"}}SELECT k.run_id, k.example_id, k.head_id, k.component_id, k.basis_id AS query_basis_id, k.other_basis_id AS key_basis_id,
    k.scale * k.par_par AS score_par_par, k.scale * (k.par_all - k.par_par) AS score_par_perp, k.scale * (k.all_par - k.par_par) AS score_perp_par,
    k.scale * (k.all_all - k.par_all - k.all_par + k.par_par) AS score_perp_perp,
    b.scale * b.par_par AS baseline_par_par, b.scale * (b.par_all - b.par_par) AS baseline_par_perp, b.scale * (b.all_par - b.par_par) AS baseline_perp_par,
    b.scale * (b.all_all - b.par_all - b.all_par + b.par_par) AS baseline_perp_perp
  FROM ({{template "margin" (margin "query" "vector" "image" "coordinate" "key")}}) AS k
  LEFT JOIN ({{template "margin" (margin "query" "vector" "image" "coordinate" "baseline")}}) AS b ON b.run_id = k.run_id AND b.example_id = k.example_id AND b.head_id = k.head_id
    AND b.component_id = k.component_id AND b.basis_id = k.basis_id AND b.other_basis_id = k.other_basis_id
{{template "with" "query"}};

-- not closed: key factor and the sum of query factors give another contribution / key factors and the sum of query factors give other contributions
{{template "compared"}}SELECT k.run_id, k.example_id, k.head_id, k.component_id, k.other_basis_id AS query_basis_id, k.basis_id AS key_basis_id,
    k.scale * k.par_par AS score_par_par, k.scale * (k.all_par - k.par_par) AS score_par_perp, k.scale * (k.par_all - k.par_par) AS score_perp_par,
    k.scale * (k.all_all - k.par_all - k.all_par + k.par_par) AS score_perp_perp,
    b.scale * b.par_par AS baseline_par_par, b.scale * (b.all_par - b.par_par) AS baseline_par_perp, b.scale * (b.par_all - b.par_par) AS baseline_perp_par,
    b.scale * (b.all_all - b.par_all - b.all_par + b.par_par) AS baseline_perp_perp
  FROM ({{template "margin" (margin "key" "vector" "image" "coordinate" "query")}}) AS k
  LEFT JOIN ({{template "margin" (margin "key" "baseline" "baseline" "baseline" "query")}}) AS b ON b.run_id = k.run_id AND b.example_id = k.example_id AND b.head_id = k.head_id
    AND b.component_id = k.component_id AND b.basis_id = k.basis_id AND b.other_basis_id = k.other_basis_id
{{template "with" "key"}};

{{range sides}}
-- not closed: sum over the pairs of a {{.}} component is not its contribution / sums over the pairs of a {{.}} component are not its contribution
{{template "compared"}}SELECT run_id, example_id, head_id, {{.}}_component_id AS component_id, query_basis_id, key_basis_id{{range quadrants}},
    sum(score_{{.}}::DOUBLE) AS score_{{.}}, sum(baseline_{{.}}::DOUBLE) AS baseline_{{.}}{{end}}
  FROM pair_contribution_wide WHERE {{template "asked"}}
  GROUP BY run_id, example_id, head_id, {{.}}_component_id, query_basis_id, key_basis_id
{{template "with" .}};
{{end}}

{{/* A run may have both kinds of baseline. If it is a mean, pairs whose key side is split have no diff, but
contributions have one. The two means are over the same examples only if no baseline is a mean. */}}
-- not closed: sum of the means of the pairs of a component is not its mean contribution / sums of the means of the pairs of a component are not its mean contribution
{{range $i, $side := sides}}{{if $i}}
UNION ALL
{{end}}SELECT run_id, head_id AS case_order, format('head #{}, {} component #{}, bases #{} and #{}: off by {}', head_id, '{{.}}', component_id, query_basis_id, key_basis_id, distance) AS case_text
FROM (SELECT p.run_id, p.head_id, p.component_id, p.query_basis_id, p.key_basis_id, s.scale,
    greatest({{range $j, $q := quadrants}}{{if $j}}, {{end}}abs(p.score_{{.}} - c.score_{{.}}), coalesce(abs(p.diff_{{.}} - c.diff_{{.}}), 0){{end}}) AS distance
  FROM (SELECT run_id, head_id, {{.}}_component_id AS component_id, query_basis_id, key_basis_id{{range quadrants}},
      sum(mean_score_{{.}}::DOUBLE) AS score_{{.}}, sum(mean_diff_{{.}}::DOUBLE) AS diff_{{.}}{{end}}
    FROM pair_mean_wide WHERE run_id = $run GROUP BY run_id, head_id, {{.}}_component_id, query_basis_id, key_basis_id) AS p
  JOIN (SELECT w.head_id, w.component_id, w.query_basis_id, w.key_basis_id{{range quadrants}}, avg(w.score_{{.}}) AS score_{{.}},
      avg(w.diff_{{.}}) FILTER (b.kind = 'whole' OR e.baseline_pos IS NOT NULL) AS diff_{{.}}{{end}}
    FROM contribution_wide AS w JOIN basis AS b ON b.run_id = w.run_id AND b.basis_id = w.key_basis_id
    JOIN edge AS e ON e.run_id = w.run_id AND e.example_id = w.example_id
    WHERE w.run_id = $run AND w.side = '{{.}}' GROUP BY w.head_id, w.component_id, w.query_basis_id, w.key_basis_id) AS c
    ON c.head_id = p.head_id AND c.component_id = p.component_id AND c.query_basis_id = p.query_basis_id AND c.key_basis_id = p.key_basis_id
  JOIN (SELECT head_id, max({{closureScale "score" "baseline"}}) AS scale FROM score WHERE run_id = $run GROUP BY head_id) AS s ON s.head_id = p.head_id)
WHERE NOT distance <= {{tolerance}} * scale{{end}};
