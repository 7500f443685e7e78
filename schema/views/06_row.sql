-- Contributions to every key of a query, by name.

{{define "row names"}}e.run_id, e.example_id, h.label AS head, w.side, c.label AS component, c.kind, c.layer AS component_layer, c.head AS component_head{{end}}
{{define "row named"}}edge AS e
JOIN row_contribution_wide AS w ON w.run_id = e.run_id AND w.prompt_id = e.prompt_id AND w.query_pos = e.query_pos
JOIN prompt_token AS t ON t.run_id = w.run_id AND t.prompt_id = w.prompt_id AND t.pos = w.pos
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id{{end}}

-- Contributions to the score of every position that the query of an example sees: one row per example, target
-- head, side, pair of bases, component, position and quadrant. Filter on query_basis and key_basis: each pair
-- of bases splits the same scores again. row_contribution_unsplit is for unsplit values. Empty unless the run
-- has ingest --keys all.
CREATE VIEW row_contribution AS
{{range $i, $q := quadrants}}{{if $i}}
UNION ALL
{{end}}SELECT {{template "row names"}},
  qb.name AS query_basis, kb.name AS key_basis, '{{.}}'::quadrant AS quadrant, w.pos, t.text AS token, w.score_{{.}} AS score
FROM {{template "row named"}}
WHERE true{{.WhereSplit "qb.kind" "kb.kind"}}{{end}};

-- Contributions to the score of every position that the query of an example sees, not split into quadrants:
-- one row per example, target head, side, component and position. They add up over components to the score of
-- head_attention. Empty unless the run has ingest --keys all.
CREATE VIEW row_contribution_unsplit AS
SELECT {{template "row names"}}, w.pos, t.text AS token, w.score_perp_perp AS score
FROM {{template "row named"}}
WHERE qb.kind = 'whole' AND kb.kind = 'whole';
