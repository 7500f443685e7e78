-- Macros.

-- latest_run(): number of the last complete run; NULL if there is none.
CREATE MACRO latest_run() AS (SELECT max(r.run_id) FROM run AS r WHERE r.status = 'complete');

-- default_head(run): the first of the requested target heads of a run, such as L10H7.
CREATE MACRO default_head(run) AS (SELECT arg_min(h.label, h.ordinal) FROM head AS h WHERE h.run_id = run);

-- head_label(name): the label of a head in tables, L10H7, for its name in either form, '10.7' or 'L10H7'. A
-- number is refused, because 11.10 would become 11.1.
CREATE MACRO head_label(name) AS (CASE
  WHEN name IS NULL THEN NULL
  WHEN typeof(name) <> 'VARCHAR' THEN error('head ' || name::VARCHAR || ' is a number, want text such as ''10.7'' or ''L10H7''')
  WHEN regexp_full_match(name::VARCHAR, '[0-9]+[.][0-9]+') THEN 'L' || split_part(name::VARCHAR, '.', 1) || 'H' || split_part(name::VARCHAR, '.', 2)
  ELSE name::VARCHAR END);

-- head_name(label): the name of a head in figures, 10.7, for its label in tables, L10H7.
CREATE MACRO head_name(label) AS regexp_replace(label, '^L([0-9]+)H([0-9]+)$', '\1.\2');

-- The following return a valid argument, or an error that lists the valid ones, because an empty result would
-- be hard to understand.

-- known_run(run): the number itself if the file has that run, for NULL the last complete one.
CREATE MACRO known_run(run) AS (CASE
  WHEN run IS NULL THEN coalesce(latest_run(), error('the file has no complete run'))
  WHEN EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = run) THEN run
  ELSE error('there is no run ' || run || ', there is ' || coalesce((SELECT string_agg(r.run_id::VARCHAR, ', ' ORDER BY r.run_id) FROM run AS r), 'none')) END);

-- known_head(run, name): the label of a target head of the run for its name in either form, for NULL the
-- first one.
CREATE MACRO known_head(run, name) AS (CASE
  WHEN name IS NULL THEN default_head(run)
  WHEN EXISTS (SELECT 1 FROM head AS h WHERE h.run_id = run AND h.label = head_label(name)) THEN head_label(name)
  ELSE error('run ' || run || ' has no target head ' || name || ', it has ' || (SELECT string_agg(h.label, ', ' ORDER BY h.ordinal) FROM head AS h WHERE h.run_id = run)) END);

-- known_basis(run, of, name): the name itself if the run has a basis of that name that splits vectors of
-- 'query' or of 'key'.
CREATE MACRO known_basis(run, of, wanted) AS (CASE
  WHEN EXISTS (SELECT 1 FROM basis AS b WHERE b.run_id = run AND b.side::VARCHAR = of AND b.name = wanted) THEN wanted
  ELSE error('run ' || run || ' has no ' || of || ' basis ' || coalesce(wanted, 'NULL') || ', it has ' || (SELECT string_agg(b.name, ', ' ORDER BY b.basis_id)
    FROM basis AS b WHERE b.run_id = run AND b.side::VARCHAR = of AND b.null_number IS NULL)) END);

-- known_example(run, number): the number itself if the run has that example.
CREATE MACRO known_example(run, number) AS (CASE
  WHEN number IS NULL OR EXISTS (SELECT 1 FROM edge AS e WHERE e.run_id = run AND e.example_id = number) THEN number
  ELSE error('run ' || run || ' has no example ' || number || ', it has ' || (SELECT min(e.example_id) || ' to ' || max(e.example_id) FROM edge AS e WHERE e.run_id = run)) END);

-- FROM examples_where(latest_run(), 'prompt_order=ABBA'): the examples of a run that have a value in a field:
-- template (which begins with the value), prompt_order, key_token or baseline_token (without the space before
-- it), or a column of the prompt file.
CREATE MACRO examples_where(run, field_and_value) AS TABLE
WITH wanted AS (
SELECT CASE WHEN position('=' IN field_and_value) = 0 THEN error('prompts with ' || field_and_value || ', want FIELD=VALUE such as prompt_order=ABBA')
  ELSE split_part(field_and_value, '=', 1) END AS field, substr(field_and_value, position('=' IN field_and_value) + 1) AS value
)
SELECT e.example_id
FROM example AS e, wanted AS w
WHERE e.run_id = run AND CASE w.field
  WHEN 'template' THEN starts_with(e.template, w.value)
  WHEN 'prompt_order' THEN e.prompt_order = w.value
  WHEN 'key_token' THEN trim(e.key_token) = w.value
  WHEN 'baseline_token' THEN trim(e.baseline_token) = w.value
  ELSE json_extract_string(e.fields, '/' || replace(replace(w.field, '~', '~0'), '/', '~1')) = w.value END;

-- FROM moments(latest_run(), 'prompt_order=ABBA'): rows of contribution_moment, of a run that stores only
-- means, for the prompts that have a value in a field, as in examples_where, or for all if NULL. No rows if
-- the run has no moments of these prompts, or if several templates begin with the given text. Only examples
-- that have a baseline count in n_baseline and in the columns of baseline and diff.
CREATE MACRO moments(run, field_and_value) AS TABLE
SELECT m.run_id, m.head_id, m.side, m.component_id, m.query_basis_id, m.key_basis_id, m.quadrant, m.n, m.mean_score, m.variance_score,
  m.n_baseline, m.mean_baseline, m.variance_baseline, m.mean_diff, m.variance_diff
FROM contribution_moment AS m
WHERE m.run_id = run AND m.prompts = coalesce(field_and_value, 'all')
  OR m.run_id = run AND m.prompts = (SELECT CASE WHEN count(DISTINCT g.prompts) = 1 THEN min(g.prompts) END FROM contribution_moment AS g
    WHERE g.run_id = run AND starts_with(field_and_value, 'template=') AND starts_with(g.prompts, field_and_value));

{{define "asked"}}JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN run_component AS o ON o.run_id = w.run_id AND o.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id
WHERE w.run_id = known_run(run)
  AND h.label = known_head(known_run(run), head)
  AND w.side = side::side AND qb.name = known_basis(known_run(run), 'query', query_basis) AND kb.name = known_basis(known_run(run), 'key', key_basis){{end}}
{{define "picked"}}CASE WHEN quadrant IS NULL THEN {{wide (print "w." . "_")}}
{{- $of := .}}{{range quadrants}}
    WHEN quadrant = '{{.}}' THEN w.{{$of}}_{{.}}{{end}}
    ELSE error('quadrant ' || quadrant || ', want par_par, par_perp, perp_par, perp_perp or NULL for their sum') END{{end}}
{{define "pick"}}avg({{template "picked" .}}){{end}}
{{define "spread"}}stddev_samp({{template "picked" .}}) / sqrt(count({{template "picked" .}})){{end}}

-- FROM heatmap(run := 1, head := '10.7', side := 'key', query_basis := 'none', key_basis := 'none', quadrant
-- := NULL, example := NULL): cells of a heatmap, the mean contribution of each component. All parameters are
-- optional. quadrant NULL is the sum of all four; example chooses one example. n counts the examples,
-- n_baseline those that have a baseline.
CREATE MACRO heatmap(run := NULL, head := NULL, side := 'key', query_basis := 'none', key_basis := 'none', quadrant := NULL, example := NULL) AS TABLE
SELECT cell.grid_row, cell.grid_column, cell.component, cell.kind, cell.mean_score, cell.mean_baseline, cell.mean_diff, cell.n,
  cell.se_score, cell.se_baseline, cell.se_diff, cell.n_baseline
FROM (
SELECT o.ordinal AS place, c.grid_row, c.grid_column, c.label AS component, c.kind,
  {{template "pick" "score"}} AS mean_score,
  {{template "pick" "baseline"}} AS mean_baseline,
  {{template "pick" "diff"}} AS mean_diff,
  count(*) AS n,
  {{template "spread" "score"}} AS se_score,
  {{template "spread" "baseline"}} AS se_baseline,
  {{template "spread" "diff"}} AS se_diff,
  count({{wide "w.baseline_"}}) AS n_baseline
FROM contribution_wide AS w
{{template "asked"}}
  AND (example IS NULL OR w.example_id = known_example(known_run(run), example))
GROUP BY o.ordinal, c.grid_row, c.grid_column, c.label, c.kind
UNION ALL
SELECT o.ordinal AS place, c.grid_row, c.grid_column, c.label AS component, c.kind, w.mean_score, w.mean_baseline, w.mean_diff, w.n,
  sqrt(w.variance_score) / sqrt(w.n), sqrt(w.variance_baseline) / sqrt(w.n_baseline), sqrt(w.variance_diff) / sqrt(w.n_baseline), w.n_baseline
FROM contribution_moment AS w
{{template "asked"}}
  AND example IS NULL AND w.prompts = 'all' AND w.quadrant IS NOT DISTINCT FROM quadrant::quadrant
) AS cell
ORDER BY cell.place;

-- FROM pct_explained(run := 1, head := '10.7', side := 'key', query_basis := 'unembed', key_basis := 'mlp0',
-- subtract := true): share of each component and quadrant in the mean score, in percent of the column
-- denominator; the shares add up to 100. All parameters are optional. subtract subtracts the baseline, and
-- leaves out b_K if keys are neither rotated nor divided by their own norms (QK-norm), because b_K then
-- cancels exactly. Contributions are not causal effects.
CREATE MACRO pct_explained(run := NULL, head := NULL, side := 'key', query_basis := 'unembed', key_basis := 'mlp0', subtract := true) AS TABLE
WITH cell AS (
SELECT w.component_id, o.ordinal AS place, max(h.rotary_dims) = 0 AS unrotated{{range quadrants}},
  avg(CASE WHEN subtract THEN w.diff_{{.}} ELSE w.score_{{.}} END) AS {{.}}{{end}}
FROM contribution_wide AS w
{{template "asked"}}
GROUP BY w.component_id, o.ordinal
UNION ALL
SELECT w.component_id, o.ordinal AS place, max(h.rotary_dims) = 0 AS unrotated{{range quadrants}},
  coalesce(max(CASE WHEN subtract THEN w.mean_diff ELSE w.mean_score END) FILTER (w.quadrant = '{{.}}'), CASE WHEN NOT subtract OR max(w.n_baseline) > 0 THEN 0 END) AS {{.}}{{end}}
FROM contribution_moment AS w
{{template "asked"}}
  AND w.prompts = 'all' AND w.quadrant IS NOT NULL
GROUP BY w.component_id, o.ordinal
), term AS (
{{range $i, $q := quadrants}}{{if $i}}
UNION ALL
{{end}}SELECT cell.component_id, cell.place, cell.unrotated, '{{.}}'::quadrant AS corner, cell.{{.}} AS amount FROM cell{{end}}
), qk_norm AS (
SELECT count(s.key_norm_scale) > 0 AS divides
FROM score AS s JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id
WHERE s.run_id = known_run(run) AND h.label = known_head(known_run(run), head)
), counted AS (
SELECT term.place, term.unrotated AND NOT qk_norm.divides AS cancels, c.label, c.kind, term.corner, term.amount, sum(term.amount) OVER () AS whole
FROM term JOIN component AS c ON c.component_id = term.component_id CROSS JOIN qk_norm
WHERE NOT (subtract AND term.unrotated AND NOT qk_norm.divides AND c.kind = 'k_bias')
)
SELECT counted.label AS component, counted.kind, counted.corner AS quadrant,
  100 * counted.amount / nullif(counted.whole, 0) AS pct, counted.amount AS explained, counted.whole AS denominator,
  CASE WHEN NOT subtract THEN 'sum of the mean score over all ' || side || '-side components and quadrants'
    WHEN side = 'key' AND counted.cancels THEN 'sum of the mean diff over all key-side components and quadrants but b_K, which cancels'
    WHEN side = 'key' THEN 'sum of the mean diff over all key-side components and quadrants, b_K included'
    ELSE 'sum of the mean diff over all query-side components and quadrants, b_Q included' END AS denominator_is
FROM counted
ORDER BY counted.place, counted.corner;
