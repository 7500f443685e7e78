-- Scores and probabilities without a component in the residual stream before the head, with the norms held
-- fixed or computed again. tables/09_norm.sql has the arithmetic of the norms. Common table expressions are
-- MATERIALIZED because DuckDB 1.1 otherwise plans each of them at every use, which takes minutes.

-- component_names(wanted): names of components as figures write them, for one name, 'MLP0' or 'L9H6', or a
-- list of names, ['9.6', 'MLP0']; NULL for NULL.
CREATE MACRO component_names(wanted) AS ([head_name(n) for n in regexp_extract_all(wanted::VARCHAR, '[^\[\], '']+')]);

-- known_components(run, label, wanted): component_names(wanted) if all of them are below the target head of
-- that label.
CREATE MACRO known_components(run, label, wanted) AS (CASE
  WHEN wanted IS NULL OR list_has_all((SELECT list(c.label) FROM {{template "before"}}), component_names(wanted)) THEN component_names(wanted)
  ELSE error('there is no component ' || array_to_string(component_names(wanted), ' or ') || ' below head ' || label || ', there is ' ||
    (SELECT string_agg(c.label, ', ' ORDER BY o.ordinal) FROM {{template "before"}})) END);

{{define "before"}}run_component AS o JOIN component AS c ON c.component_id = o.component_id JOIN head AS h ON h.run_id = o.run_id AND h.label = label
    WHERE o.run_id = run AND coalesce(c.layer, -1) < h.layer AND c.kind NOT IN ('q_bias', 'k_bias'){{end}}

{{/* The target head, and the sets of components that are removed: one set, or every component as a set of its own. */}}
{{define "asked"}}target AS MATERIALIZED (
SELECT h.run_id, h.head_id, h.label, h.layer, h.score_scale, h.soft_cap, h.sink_logit, m.norm = 'none' AS bare
FROM head AS h JOIN run AS r ON r.run_id = h.run_id JOIN model AS m ON m.model_id = r.model_id
WHERE h.run_id = known_run(run) AND h.label = known_head(known_run(run), head)
  AND CASE WHEN "at" NOT IN ('query', 'key', 'both') THEN error('a component removed at ' || "at" || ', want query, key or both')
    WHEN norm NOT IN ('frozen', 'responding') THEN error('norm ' || norm || ', want frozen or responding')
    WHEN r.convention <> 'exact' THEN error('run ' || r.run_id || ' is of convention ' || r.convention || ', whose contributions do not add up, want exact')
    WHEN "at" = 'both' AND NOT r.factors THEN error('at := ''both'' needs factors, which run ' || r.run_id || ' does not have: ingest --factors on stores them')
{{if .}}    WHEN "at" <> 'key' AND NOT EXISTS (FROM row_contribution_wide AS x WHERE x.run_id = r.run_id AND x.head_id = h.head_id AND x.side = 'query') THEN
      error('a component that is removed at the query changes the scores of all keys, and run ' || r.run_id || ' does not have its contributions to them: ingest --keys all stores them, and at := ''key'' does not need them')
{{end}}    ELSE true END
), part AS MATERIALIZED (
SELECT CASE WHEN component IS NULL THEN c.label ELSE array_to_string(component_names(component), ' + ') END AS removed, c.component_id
FROM target AS t JOIN run_component AS o ON o.run_id = t.run_id JOIN component AS c ON c.component_id = o.component_id
WHERE c.kind NOT IN ('q_bias', 'k_bias') AND coalesce(c.layer, -1) < t.layer
  AND (component IS NULL OR list_contains(known_components(known_run(run), known_head(known_run(run), head), component), c.label))
), removal AS MATERIALIZED (
SELECT removed, count(*) AS n FROM part GROUP BY removed
){{end}}

{{/* For each position and set: the scale of a norm with all components, divided by its scale without the set. */}}
{{define "without"}}n.whole - 2 * n.with_whole + n.squared + 2 * coalesce(g.product, 0){{end}}
{{define "complete"}}CASE WHEN coalesce(g.n, 0) < n.n * (n.n - 1) // 2 THEN error('removing several components needs their inner products with each other, and those of '
    || n.removed || ' are not stored: ingest --gram K stores those of the K components that contribute most') ELSE true END{{end}}
{{define "ratios"}}sigma AS MATERIALIZED (
SELECT n.prompt_id, n.pos, n.removed, sqrt(n.whole / ({{template "without"}})) AS ratio
FROM (SELECT n.prompt_id, n.pos, p.removed, any_value(n.whole) AS whole, sum(n.with_whole) AS with_whole, sum(n.squared) AS squared, count(*) AS n
  FROM component_norm AS n JOIN target AS t ON t.run_id = n.run_id AND t.layer = n.layer JOIN part AS p ON p.component_id = n.component_id
  WHERE norm = 'responding' GROUP BY n.prompt_id, n.pos, p.removed) AS n
LEFT JOIN (SELECT g.prompt_id, g.pos, a.removed, sum(g.product) AS product, count(*) AS n
  FROM component_gram AS g JOIN target AS t ON t.run_id = g.run_id AND t.layer = g.layer
  JOIN part AS a ON a.component_id = g.component_id JOIN part AS b ON b.component_id = g.other_component_id AND b.removed = a.removed
  WHERE norm = 'responding' GROUP BY g.prompt_id, g.pos, a.removed) AS g ON g.prompt_id = n.prompt_id AND g.pos = n.pos AND g.removed = n.removed
WHERE {{template "complete"}}
), tau AS MATERIALIZED (
SELECT n.prompt_id, n.pos, n.side, n.removed, sqrt((n.whole + 2 * n.whole_bias + n.constant) /
  (coalesce(s.ratio, 1) * coalesce(s.ratio, 1) * ({{template "without"}}) + 2 * coalesce(s.ratio, 1) * (n.whole_bias - n.with_bias) + n.constant)) AS ratio
FROM (SELECT n.prompt_id, n.pos, n.side, p.removed, any_value(n.whole) AS whole, any_value(n.whole_bias) AS whole_bias, any_value(n.constant) AS constant,
    sum(n.with_whole) AS with_whole, sum(n.with_bias) AS with_bias, sum(n.squared) AS squared, count(*) AS n
  FROM component_qk_norm AS n JOIN target AS t ON t.run_id = n.run_id AND t.head_id = n.head_id JOIN part AS p ON p.component_id = n.component_id
  WHERE norm = 'responding' GROUP BY n.prompt_id, n.pos, n.side, p.removed) AS n
LEFT JOIN (SELECT g.prompt_id, g.pos, g.side, a.removed, sum(g.product) AS product, count(*) AS n
  FROM component_qk_gram AS g JOIN target AS t ON t.run_id = g.run_id AND t.head_id = g.head_id
  JOIN part AS a ON a.component_id = g.component_id JOIN part AS b ON b.component_id = g.other_component_id AND b.removed = a.removed
  WHERE norm = 'responding' GROUP BY g.prompt_id, g.pos, g.side, a.removed) AS g
  ON g.prompt_id = n.prompt_id AND g.pos = n.pos AND g.side = n.side AND g.removed = n.removed
LEFT JOIN sigma AS s ON s.prompt_id = n.prompt_id AND s.pos = n.pos AND s.removed = n.removed
WHERE {{template "complete"}}
){{end}}

{{/* The vector of a place, query, key or baseline, becomes whole * (the model's own) + bias * (the bias) - gone * (what the set adds). */}}
{{define "missing"}}error('norm := ''responding'' needs inner products of components, which run ' || t.run_id || ' does not have: ingest --norms on stores them, and norm := ''frozen'' does not need them'){{end}}
{{define "weights"}}weight AS MATERIALIZED (
SELECT example_id, place, removed, CASE WHEN gone THEN sigma * tau ELSE 1 END AS whole, CASE WHEN gone THEN tau * (1 - sigma) ELSE 0 END AS bias,
  CASE WHEN gone THEN sigma * tau ELSE 0 END AS gone
FROM (SELECT e.example_id, e.place, z.removed, e.gone,
    CASE WHEN norm = 'frozen' OR t.bare OR NOT e.gone THEN 1 ELSE coalesce(s.ratio, {{template "missing"}}) END AS sigma,
    CASE WHEN norm = 'frozen' OR NOT e.normed OR NOT e.gone THEN 1 ELSE coalesce(q.ratio, {{template "missing"}}) END AS tau
  FROM (SELECT e.*, c.query_norm_scale IS NOT NULL AS normed, e.side::VARCHAR = "at" OR "at" = 'both' AS gone
    FROM (SELECT run_id, example_id, prompt_id, 'query' AS place, 'query'::side AS side, query_pos AS pos FROM edge
      UNION ALL SELECT run_id, example_id, prompt_id, 'key', 'key'::side, key_pos FROM edge
      UNION ALL SELECT run_id, example_id, prompt_id, 'baseline', 'key'::side, baseline_pos FROM edge WHERE baseline_pos IS NOT NULL) AS e
    JOIN target AS t ON t.run_id = e.run_id
    JOIN score AS c ON c.run_id = e.run_id AND c.example_id = e.example_id AND c.head_id = t.head_id) AS e
  CROSS JOIN target AS t CROSS JOIN removal AS z
  LEFT JOIN sigma AS s ON s.prompt_id = e.prompt_id AND s.pos = e.pos AND s.removed = z.removed
  LEFT JOIN tau AS q ON q.prompt_id = e.prompt_id AND q.pos = e.pos AND q.side = e.side AND q.removed = z.removed)
){{end}}

{{/* Unsplit contributions of each side, of a set and of the bias, and products of what these add to the query with what they add to the key. */}}
{{define "parts"}}unsplit AS MATERIALIZED (
SELECT w.example_id, w.side, w.component_id, w.score_perp_perp AS score, w.baseline_perp_perp AS baseline
FROM contribution_wide AS w JOIN target AS t ON t.run_id = w.run_id AND t.head_id = w.head_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id AND qb.kind = 'whole'
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id AND kb.kind = 'whole'
), gone AS (
SELECT u.example_id, p.removed, coalesce(sum(u.score) FILTER (u.side = 'query'), 0) AS query, coalesce(sum(u.score) FILTER (u.side = 'key'), 0) AS key,
  coalesce(sum(u.baseline) FILTER (u.side = 'query'), 0) AS query_baseline, coalesce(sum(u.baseline) FILTER (u.side = 'key'), 0) AS baseline
FROM unsplit AS u JOIN part AS p ON p.component_id = u.component_id GROUP BY u.example_id, p.removed
), bias AS (
SELECT u.example_id, sum(u.score) FILTER (u.side = 'query') AS query, sum(u.score) FILTER (u.side = 'key') AS key,
  sum(u.baseline) FILTER (u.side = 'query') AS query_baseline, sum(u.baseline) FILTER (u.side = 'key') AS baseline
FROM unsplit AS u JOIN component AS c ON c.component_id = u.component_id WHERE c.kind IN ('q_bias', 'k_bias') GROUP BY u.example_id
), end_part AS (
SELECT removed, component_id, false AS bias FROM part
UNION ALL SELECT z.removed, c.component_id, true FROM removal AS z, component AS c
  JOIN run_component AS o ON o.component_id = c.component_id JOIN target AS t ON t.run_id = o.run_id WHERE c.kind IN ('q_bias', 'k_bias')
), product AS (
SELECT q.example_id, a.removed,
  sum(t.score_scale * list_inner_product(q.vector::DOUBLE[], k.vector::DOUBLE[]) * CASE WHEN a.bias THEN wq.bias ELSE -wq.gone END * CASE WHEN b.bias THEN wk.bias ELSE -wk.gone END) AS key,
  sum(t.score_scale * list_inner_product(q.vector::DOUBLE[], k.baseline::DOUBLE[]) * CASE WHEN a.bias THEN wq.bias ELSE -wq.gone END * CASE WHEN b.bias THEN wb.bias ELSE -wb.gone END) AS baseline
FROM query_factor AS q JOIN target AS t ON t.run_id = q.run_id AND t.head_id = q.head_id JOIN end_part AS a ON a.component_id = q.component_id
JOIN key_factor AS k ON k.run_id = q.run_id AND k.head_id = q.head_id AND k.example_id = q.example_id
JOIN end_part AS b ON b.component_id = k.component_id AND b.removed = a.removed
JOIN weight AS wq ON wq.example_id = q.example_id AND wq.place = 'query' AND wq.removed = a.removed
JOIN weight AS wk ON wk.example_id = q.example_id AND wk.place = 'key' AND wk.removed = a.removed
LEFT JOIN weight AS wb ON wb.example_id = q.example_id AND wb.place = 'baseline' AND wb.removed = a.removed
WHERE "at" = 'both' GROUP BY q.example_id, a.removed
), answer AS (
SELECT c.example_id, g.removed, c.score, c.baseline, c.prob,
  wq.whole * wk.whole * c.score + wq.whole * (wk.bias * coalesce(b.key, 0) - wk.gone * g.key) + wk.whole * (wq.bias * coalesce(b.query, 0) - wq.gone * g.query) + coalesce(p.key, 0) AS score_without,
  CASE WHEN e.baseline_kind IN ('token', 'none') OR "at" = 'query' THEN
    wq.whole * coalesce(wb.whole, 1) * c.baseline + wq.whole * (coalesce(wb.bias, 0) * coalesce(b.baseline, 0) - coalesce(wb.gone, 0) * g.baseline)
    + coalesce(wb.whole, 1) * (wq.bias * coalesce(b.query_baseline, 0) - wq.gone * g.query_baseline) + coalesce(p.baseline, 0) END AS baseline_without
FROM score AS c JOIN target AS t ON t.run_id = c.run_id AND t.head_id = c.head_id
JOIN edge AS e ON e.run_id = c.run_id AND e.example_id = c.example_id
JOIN gone AS g ON g.example_id = c.example_id
LEFT JOIN bias AS b ON b.example_id = c.example_id
JOIN weight AS wq ON wq.example_id = c.example_id AND wq.place = 'query' AND wq.removed = g.removed
JOIN weight AS wk ON wk.example_id = c.example_id AND wk.place = 'key' AND wk.removed = g.removed
LEFT JOIN weight AS wb ON wb.example_id = c.example_id AND wb.place = 'baseline' AND wb.removed = g.removed
LEFT JOIN product AS p ON p.example_id = c.example_id AND p.removed = g.removed
){{end}}

-- FROM score_without(component := 'MLP0', at := 'key', norm := 'responding', head := '10.7', run := 1): the
-- score of each example without a component in the residual stream before the head. The component is removed
-- at the query position ('query'), at the key position ('key'), or at both ('both'). For baseline_without it
-- is removed at the baseline position instead of the key position. norm 'responding' computes the norm before
-- the head and QK-norm again without the component; 'frozen' holds their scales fixed, so that the score
-- changes by the component's contribution. component is a name, or a list of components that are removed
-- together, ['9.6', 'MLP0'], for which 'responding' needs a run with ingest --gram. NULL removes each
-- component on its own. All parameters are optional. Other heads and layers do not change; ducklens ablate
-- runs the whole model without a component.
CREATE MACRO score_without(component := NULL, at := 'key', norm := 'responding', head := NULL, run := NULL) AS TABLE
WITH {{template "asked" false}}, {{template "ratios"}}, {{template "weights"}}, {{template "parts"}}
SELECT t.run_id, a.example_id, t.label AS head, a.removed AS component, a.score, a.score_without, a.baseline, a.baseline_without
FROM answer AS a, target AS t
ORDER BY a.example_id, a.removed;

{{define "capped"}}coalesce(t.soft_cap * tanh(({{.}}) / t.soft_cap), {{.}}){{end}}

-- FROM prob_without(component := 'MLP0', at := 'key', norm := 'responding', head := '10.7', run := 1): the
-- attention probability of the key without a component in the residual stream before the head. Parameters and
-- scores are those of score_without. At the key, only the key's score changes. At the query, the scores of
-- all keys change, which needs a run with ingest --keys all; the other keys keep the component at their own
-- positions.
CREATE MACRO prob_without(component := NULL, at := 'key', norm := 'responding', head := NULL, run := NULL) AS TABLE
WITH {{template "asked" true}}, {{template "ratios"}}, {{template "weights"}}, {{template "parts"}}, row_part AS MATERIALIZED (
SELECT w.prompt_id, w.query_pos, w.pos, w.component_id, w.score_perp_perp AS score
FROM row_contribution_wide AS w JOIN target AS t ON t.run_id = w.run_id AND t.head_id = w.head_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id AND qb.kind = 'whole'
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id AND kb.kind = 'whole'
WHERE w.side = 'query' AND "at" <> 'key'
), row_gone AS (
SELECT r.prompt_id, r.query_pos, r.pos, p.removed, sum(r.score) AS score FROM row_part AS r JOIN part AS p ON p.component_id = r.component_id
GROUP BY r.prompt_id, r.query_pos, r.pos, p.removed
), row_bias AS (
SELECT r.prompt_id, r.query_pos, r.pos, r.score FROM row_part AS r JOIN component AS c ON c.component_id = r.component_id WHERE c.kind = 'q_bias'
), other AS (
SELECT e.example_id, z.removed, {{template "capped" "w.whole * a.score + w.bias * coalesce(b.score, 0) - w.gone * coalesce(g.score, 0)"}} AS score
FROM target AS t JOIN edge AS e ON e.run_id = t.run_id
JOIN prompt_attention AS a ON a.run_id = e.run_id AND a.prompt_id = e.prompt_id AND a.query_pos = e.query_pos AND a.head_id = t.head_id AND a.pos <> e.key_pos
CROSS JOIN removal AS z
JOIN weight AS w ON w.example_id = e.example_id AND w.place = 'query' AND w.removed = z.removed
LEFT JOIN row_gone AS g ON g.prompt_id = e.prompt_id AND g.query_pos = e.query_pos AND g.pos = a.pos AND g.removed = z.removed
LEFT JOIN row_bias AS b ON b.prompt_id = e.prompt_id AND b.query_pos = e.query_pos AND b.pos = a.pos
UNION ALL
SELECT e.example_id, z.removed, t.sink_logit FROM target AS t JOIN edge AS e ON e.run_id = t.run_id CROSS JOIN removal AS z WHERE t.sink_logit IS NOT NULL
), others AS (
SELECT o.example_id, o.removed, any_value(o.top) + ln(sum(exp(o.score - o.top))) AS score
FROM (SELECT o.*, max(o.score) OVER (PARTITION BY o.example_id, o.removed) AS top FROM other AS o) AS o GROUP BY o.example_id, o.removed
)
SELECT a.run_id, a.example_id, a.head, a.component, a.score, a.score_without, a.prob,
  CASE WHEN a.above IS NULL THEN 1 WHEN a.above > 0 THEN 1 / (1 + exp(-a.above)) ELSE exp(a.above) / (1 + exp(a.above)) END AS prob_without
FROM (SELECT t.run_id, a.example_id, t.label AS head, a.removed AS component, a.score, a.score_without, a.prob, {{template "capped" "a.score_without"}} - o.score AS above
  FROM answer AS a CROSS JOIN target AS t LEFT JOIN others AS o ON o.example_id = a.example_id AND o.removed = a.removed) AS a
ORDER BY a.example_id, a.component;
