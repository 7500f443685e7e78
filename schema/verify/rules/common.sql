-- Templates that several rules use.

{{define "sides"}}(SELECT unnest(enum_range(NULL::side)) AS side) AS s{{end}}

{{/* Whether component c is a part of side s of head h in run r. */}}
{{define "split over"}}(c.kind IN ('embed', 'pos_embed') OR (c.kind = 'q_bias' AND s.side = 'query') OR (c.kind = 'k_bias' AND s.side = 'key')
    OR (c.layer < h.layer AND NOT (c.kind = 'attn_bias' AND r.convention = 'notebook'))){{end}}

{{/* The components of each side of a head. Features of a sparse dictionary may be absent. */}}
{{define "wanted components"}}SELECT h.run_id, h.head_id, s.side, c.component_id
  FROM head AS h JOIN run AS r ON r.run_id = h.run_id JOIN run_component AS o ON o.run_id = h.run_id
  JOIN component AS c ON c.component_id = o.component_id, {{template "sides"}}
  WHERE c.kind <> 'feature' AND {{template "split over"}}{{end}}

{{/* Their number, and a sum that identifies their set. */}}
{{define "wanted sets"}}SELECT run_id, head_id, side, count(*) AS n, sum(hash(component_id)) AS parts
  FROM ({{template "wanted components"}}) GROUP BY run_id, head_id, side{{end}}

{{define "features"}}(SELECT component_id FROM component WHERE kind = 'feature'){{end}}

{{/* The bases along which factors are split: the subspaces of a side that are not random, or none. */}}
{{define "factor bases"}}SELECT b.run_id, b.side, b.basis_id FROM basis AS b
  WHERE b.null_number IS NULL AND (b.kind = 'subspace' OR (b.kind = 'whole' AND NOT EXISTS (FROM basis AS o
    WHERE o.run_id = b.run_id AND o.side = b.side AND o.kind = 'subspace' AND o.null_number IS NULL))){{end}}

{{/* The pairs of bases of each head with pairs of components in a run, the number of these pairs, and a sum that
identifies their set. Runs since schema version 4 have unsplit ones. */}}
{{define "wanted pairs"}}SELECT q.run_id, q.head_id, b.query_basis_id, b.key_basis_id, b.required, q.n, q.parts
  FROM (SELECT q.run_id, q.head_id, count(*) AS n, sum(hash(q.component_id, k.component_id)) AS parts
    FROM ({{template "wanted components"}}) AS q JOIN ({{template "wanted components"}}) AS k ON k.run_id = q.run_id AND k.head_id = q.head_id
    WHERE q.side = 'query' AND k.side = 'key' GROUP BY q.run_id, q.head_id) AS q
  JOIN (SELECT run_id, query_basis_id, key_basis_id, bool_or(required) AS required FROM (
    SELECT q.run_id, q.basis_id AS query_basis_id, k.basis_id AS key_basis_id, true AS required
    FROM ({{template "factor bases"}}) AS q JOIN ({{template "factor bases"}}) AS k ON k.run_id = q.run_id WHERE q.side = 'query' AND k.side = 'key'
    UNION ALL SELECT q.run_id, q.basis_id, k.basis_id, false FROM basis AS q JOIN basis AS k ON k.run_id = q.run_id
    WHERE q.side = 'query' AND k.side = 'key' AND q.kind = 'whole' AND k.kind = 'whole') GROUP BY run_id, query_basis_id, key_basis_id) AS b ON b.run_id = q.run_id{{end}}
