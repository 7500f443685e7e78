-- Contributions to every key, for some prompts of a run at a time, $first to $last of $run. verify_row is a
-- temporary table with one row for each prompt, query position, head, side, pair of bases and attended
-- position.

-- query: extent / what there is to check: the rows of attention of a prompt, at most, with both sides and all pairs of bases
SELECT min(prompt_id), max(prompt_id), max(n) FROM (SELECT a.prompt_id, count(*) * 2 * any_value(b.n) AS n FROM prompt_attention AS a,
    (SELECT count(*) AS n FROM (SELECT DISTINCT query_basis_id, key_basis_id FROM row_contribution_wide WHERE run_id = $run)) AS b
  WHERE a.run_id = $run AND b.n > 0 GROUP BY a.prompt_id);

-- query: sums / parts tells sets of components apart; query_par and key_par are how much is in the parallel parts, absolutely
CREATE OR REPLACE TEMP TABLE verify_row AS
SELECT run_id, prompt_id, query_pos, head_id, side, query_basis_id, key_basis_id, pos,
  count(*) FILTER (NOT optional) AS n, sum(hash(component_id)) FILTER (NOT optional) AS parts,
  sum({{wide "score_"}}) AS score,
  sum(abs(score_par_par) + abs(score_par_perp)) AS query_par, sum(abs(score_par_par) + abs(score_perp_par)) AS key_par
FROM (SELECT *, component_id IN {{template "features"}} AS optional FROM row_contribution_wide WHERE run_id = $run AND prompt_id BETWEEN $first AND $last)
GROUP BY run_id, prompt_id, query_pos, head_id, side, query_basis_id, key_basis_id, pos;

{{/* The sums, with names and the kinds of their bases. */}}
{{define "named row"}}SELECT g.*, q.kind AS query_kind, k.kind AS key_kind,
    format('prompt {}, head {}, query at {}, {} side, bases {} and {}, position {}', g.prompt_id, h.label, g.query_pos, g.side, q.name, k.name, g.pos) AS place
  FROM verify_row AS g JOIN head AS h ON h.run_id = g.run_id AND h.head_id = g.head_id
  JOIN basis AS q ON q.run_id = g.run_id AND q.basis_id = g.query_basis_id
  JOIN basis AS k ON k.run_id = g.run_id AND k.basis_id = g.key_basis_id{{end}}

{{/* The pairs of bases of the rows: the same for all rows, and always including the one that splits nothing. */}}
{{define "row bases"}}SELECT DISTINCT query_basis_id, key_basis_id FROM row_contribution_wide WHERE run_id = $run UNION
  SELECT q.basis_id, k.basis_id FROM basis AS q, basis AS k WHERE q.run_id = $run AND k.run_id = $run AND q.kind = 'whole' AND k.kind = 'whole'
    AND q.side = 'query' AND k.side = 'key'{{end}}

-- incomplete: position that a query sees has no contributions / positions that queries see have no contributions
SELECT x.run_id, x.prompt_id AS case_order, format('prompt {}, head #{}, query at {}, {} side, position {}', x.prompt_id, x.head_id, x.query_pos, x.side, x.pos) AS case_text
FROM (SELECT a.run_id, a.prompt_id, a.query_pos, a.head_id, a.pos, s.side, b.query_basis_id, b.key_basis_id
  FROM prompt_attention AS a CROSS JOIN {{template "sides"}} CROSS JOIN ({{template "row bases"}}) AS b
  WHERE a.run_id = $run AND a.prompt_id BETWEEN $first AND $last) AS x
ANTI JOIN verify_row AS g ON g.prompt_id = x.prompt_id AND g.query_pos = x.query_pos AND g.head_id = x.head_id AND g.pos = x.pos AND g.side = x.side
  AND g.query_basis_id = x.query_basis_id AND g.key_basis_id = x.key_basis_id;

-- orphan: contributions are to a position that no query sees / contributions are to positions that no query sees
SELECT g.run_id, g.prompt_id AS case_order, g.place AS case_text FROM ({{template "named row"}}) AS g
ANTI JOIN prompt_attention AS a ON a.run_id = g.run_id AND a.prompt_id = g.prompt_id AND a.query_pos = g.query_pos AND a.head_id = g.head_id AND a.pos = g.pos;

-- incomplete: contributions to a position do not have each component once / contributions to positions do not have each component once
SELECT g.run_id, g.prompt_id AS case_order, format('{}: {} rows, want {} different components', g.place, g.n, w.n) AS case_text
FROM ({{template "named row"}}) AS g JOIN ({{template "wanted sets"}}) AS w ON w.run_id = g.run_id AND w.head_id = g.head_id AND w.side = g.side
WHERE g.n <> w.n OR g.parts IS DISTINCT FROM w.parts;

-- conflicting: contributions to a position have a part along a basis that has none / contributions to positions have parts along bases that have none
SELECT run_id, prompt_id AS case_order, place AS case_text FROM ({{template "named row"}})
WHERE query_kind = 'whole' AND query_par > 0 OR key_kind = 'whole' AND key_par > 0 OR query_kind = 'replacement' OR key_kind = 'replacement';

-- not closed: contributions to a position do not add up to its score / contributions to positions do not add up to their scores
SELECT g.run_id, -abs(g.score - a.score) AS case_order, format('{}: {}, the model says {}', g.place, g.score, a.score) AS case_text
FROM ({{template "named row"}}) AS g
JOIN prompt_attention AS a ON a.run_id = g.run_id AND a.prompt_id = g.prompt_id AND a.query_pos = g.query_pos AND a.head_id = g.head_id AND a.pos = g.pos
WHERE NOT abs(g.score - a.score) <= {{tolerance}} * {{closureScale "a.score"}};

-- not closed: contribution to a key differs from that among those to every key / contributions to keys differ from those among those to every key
SELECT w.run_id, e.example_id AS case_order, format('example {}, head #{}, component #{}, bases #{} and #{}', e.example_id, w.head_id, w.component_id, w.query_basis_id, w.key_basis_id) AS case_text
FROM (FROM row_contribution_wide WHERE run_id = $run AND prompt_id BETWEEN $first AND $last) AS w
JOIN edge AS e ON e.run_id = w.run_id AND e.prompt_id = w.prompt_id AND e.query_pos = w.query_pos AND e.key_pos = w.pos
JOIN contribution_wide AS c ON c.run_id = w.run_id AND c.example_id = e.example_id AND c.head_id = w.head_id AND c.side = w.side AND c.component_id = w.component_id
  AND c.query_basis_id = w.query_basis_id AND c.key_basis_id = w.key_basis_id
JOIN score AS s ON s.run_id = w.run_id AND s.example_id = e.example_id AND s.head_id = w.head_id
WHERE NOT greatest({{range $i, $q := quadrants}}{{if $i}}, {{end}}abs(w.score_{{.}} - c.score_{{.}}){{end}}) <= {{tolerance}} * {{closureScale "s.score"}};
