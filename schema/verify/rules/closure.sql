-- Sums of contributions, for some examples of a run at a time. verify_sum is a temporary table with one row
-- for each example, head, side and pair of bases of the examples $first to $last of $run.

{{/* The pairs of bases of a run on each side, without those that replace the vector that is split, and those of
random bases with different numbers. */}}
{{define "pairs of bases"}}SELECT s.side, q.basis_id AS query_basis_id, k.basis_id AS key_basis_id
  FROM basis AS q, basis AS k, {{template "sides"}}
  WHERE q.run_id = $run AND k.run_id = $run AND q.side = 'query' AND k.side = 'key'
    AND q.null_number IS NOT DISTINCT FROM k.null_number AND NOT (s.side = 'query' AND q.kind = 'replacement') AND NOT (s.side = 'key' AND k.kind = 'replacement'){{end}}

{{/* The sums, with names and the kinds of their bases. */}}
{{define "named"}}SELECT g.*, q.kind AS query_kind, k.kind AS key_kind,
    format('example {}, head {}, {} side, bases {} and {}', g.example_id, h.label, g.side, q.name, k.name) AS place
  FROM verify_sum AS g JOIN head AS h ON h.run_id = g.run_id AND h.head_id = g.head_id
  JOIN basis AS q ON q.run_id = g.run_id AND q.basis_id = g.query_basis_id
  JOIN basis AS k ON k.run_id = g.run_id AND k.basis_id = g.key_basis_id WHERE g.run_id = $run{{end}}

{{/* The sums that should equal scores, with those scores. */}}
{{define "residuals"}}SELECT g.run_id, g.example_id, g.place, s.score AS model_score, g.score, s.baseline AS model_baseline, g.baseline,
    greatest(abs(g.score - s.score), coalesce(abs(g.baseline - s.baseline), 0)) AS residual,
    greatest(abs(g.score - s.score), coalesce(abs(g.baseline - s.baseline), 0)) / {{closureScale "s.score" "s.baseline"}} AS rel
  FROM ({{template "named"}}) AS g
  JOIN score AS s ON s.run_id = g.run_id AND s.example_id = g.example_id AND s.head_id = g.head_id
  WHERE g.query_kind <> 'replacement' AND g.key_kind <> 'replacement'{{end}}

-- query: extent / the pairs of bases of a run and its examples
SELECT count(*), (SELECT min(example_id) FROM edge WHERE run_id = $run), (SELECT max(example_id) FROM edge WHERE run_id = $run) FROM ({{template "pairs of bases"}});

-- query: sums / parts identifies a set of components; query_par and key_par are sums of absolute parallel parts
CREATE OR REPLACE TEMP TABLE verify_sum AS
SELECT run_id, example_id, head_id, side, query_basis_id, key_basis_id,
  count(*) FILTER (NOT optional) AS n, sum(hash(component_id)) FILTER (NOT optional) AS parts, count(*) AS n_all,
  sum({{wide "score_"}}) AS score,
  sum({{wide "baseline_"}}) AS baseline,
  count({{wide "baseline_"}}) AS n_baseline,
  count(coalesce({{list "baseline_"}})) AS n_any_baseline,
  sum(abs(score_par_par) + abs(score_par_perp) + abs(coalesce(baseline_par_par, 0)) + abs(coalesce(baseline_par_perp, 0))) AS query_par,
  sum(abs(score_par_par) + abs(score_perp_par) + abs(coalesce(baseline_par_par, 0)) + abs(coalesce(baseline_perp_par, 0))) AS key_par
FROM (SELECT *, component_id IN {{template "features"}} AS optional FROM contribution_wide WHERE run_id = $run AND example_id BETWEEN $first AND $last)
GROUP BY run_id, example_id, head_id, side, query_basis_id, key_basis_id;

-- query: worst / the largest residual
SELECT max(residual), max(rel), arg_max(place, rel) FROM ({{template "residuals"}});

-- incomplete: example, head, side and pair of bases has no contributions / examples, heads, sides and pairs of bases have no contributions
SELECT x.run_id, x.example_id AS case_order, x.place AS case_text
FROM (SELECT e.run_id, e.example_id, h.head_id, p.side, p.query_basis_id, p.key_basis_id,
    format('example {}, head {}, {} side, bases {} and {}', e.example_id, h.label, p.side, q.name, k.name) AS place
  FROM edge AS e JOIN head AS h ON h.run_id = e.run_id CROSS JOIN ({{template "pairs of bases"}}) AS p
  JOIN basis AS q ON q.run_id = e.run_id AND q.basis_id = p.query_basis_id
  JOIN basis AS k ON k.run_id = e.run_id AND k.basis_id = p.key_basis_id
  WHERE e.run_id = $run AND e.example_id BETWEEN $first AND $last) AS x
ANTI JOIN verify_sum AS g ON g.example_id = x.example_id AND g.head_id = x.head_id AND g.side = x.side
  AND g.query_basis_id = x.query_basis_id AND g.key_basis_id = x.key_basis_id;

-- incomplete: sum does not have each component once / sums do not have each component once
SELECT g.run_id, g.example_id AS case_order, format('{}: {} rows, want {} different components', g.place, g.n, w.n) AS case_text
FROM ({{template "named"}}) AS g JOIN ({{template "wanted sets"}}) AS w ON w.run_id = g.run_id AND w.head_id = g.head_id AND w.side = g.side
WHERE g.n <> w.n OR g.parts IS DISTINCT FROM w.parts;

-- conflicting: sum is over a vector that is itself replaced / sums are over a vector that is itself replaced
SELECT g.run_id, g.example_id AS case_order, g.place AS case_text FROM ({{template "named"}}) AS g
ANTI JOIN ({{template "pairs of bases"}}) AS p ON p.side = g.side AND p.query_basis_id = g.query_basis_id AND p.key_basis_id = g.key_basis_id;

-- conflicting: sum has baselines although its example has none, or lacks some / sums have baselines although their examples have none, or lack some
SELECT g.run_id, g.example_id AS case_order, format('{}: {} of {} rows have one', g.place, g.n_any_baseline, g.n_all) AS case_text
FROM ({{template "named"}}) AS g JOIN edge AS e ON e.run_id = g.run_id AND e.example_id = g.example_id
WHERE CASE WHEN e.baseline_kind = 'none' THEN g.n_any_baseline <> 0 ELSE g.n_baseline <> g.n_all END;

-- conflicting: sum has a parallel part where the basis is none / sums have a parallel part where the basis is none
SELECT g.run_id, g.example_id AS case_order, g.place AS case_text FROM ({{template "named"}}) AS g
WHERE (g.query_kind = 'whole' AND g.query_par <> 0) OR (g.key_kind = 'whole' AND g.key_par <> 0);

-- not closed: sum of contributions is not the score / sums of contributions are not the score
SELECT run_id, -rel AS case_order, place || format(': contributions add up to {} and {}, the model says {} and {}',
  score, coalesce(baseline::VARCHAR, 'no baseline'), model_score, coalesce(model_baseline::VARCHAR, 'no baseline')) AS case_text
FROM ({{template "residuals"}}) WHERE NOT rel <= {{tolerance}};

-- not closed: replaced score depends on how the other side is split / replaced scores depend on how the other side is split
SELECT g.run_id, min(g.example_id) AS case_order, min(g.place) || format(': {} to {} at the key, {} to {} at the baseline', min(g.score), max(g.score), coalesce(min(g.baseline)::VARCHAR, 'none'), coalesce(max(g.baseline)::VARCHAR, 'none')) AS case_text
FROM ({{template "named"}}) AS g JOIN score AS s ON s.run_id = g.run_id AND s.example_id = g.example_id AND s.head_id = g.head_id
WHERE g.query_kind = 'replacement' OR g.key_kind = 'replacement'
GROUP BY g.run_id, g.example_id, g.head_id, g.side, CASE g.side WHEN 'key' THEN g.query_basis_id ELSE g.key_basis_id END
HAVING NOT (max(g.score) - min(g.score) <= {{tolerance}} * max({{closureScale "s.score" "s.baseline" "g.score"}})
  AND coalesce(max(g.baseline) - min(g.baseline), 0) <= {{tolerance}} * max({{closureScale "s.score" "s.baseline" "g.baseline"}}));
