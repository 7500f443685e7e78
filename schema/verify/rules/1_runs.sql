-- Runs, heads, components and bases. A rule is a query that should return no rows; it returns run_id, an
-- order and a text for each case. The line above it names the kind of problem and describes one case and
-- several.

-- miscounted: run has a different number of examples than it says / runs have a different number of examples than they say
SELECT r.run_id, 0 AS case_order, format('{} says {}, has {}', 'n_examples', r.n_examples, coalesce(e.n, 0)) AS case_text
FROM run AS r LEFT JOIN (SELECT run_id, count(*) AS n FROM edge GROUP BY run_id) AS e ON e.run_id = r.run_id
WHERE r.status = 'complete' AND r.n_examples IS DISTINCT FROM coalesce(e.n, 0);

-- miscounted: run has a different number of heads than it says / runs have a different number of heads than they say
SELECT r.run_id, 0 AS case_order, format('n_heads says {}, has {}', r.n_heads, coalesce(h.n, 0)) AS case_text
FROM run AS r LEFT JOIN (SELECT run_id, count(*) AS n FROM head GROUP BY run_id) AS h ON h.run_id = r.run_id
WHERE r.n_heads IS DISTINCT FROM coalesce(h.n, 0);

-- miscounted: run has a different worst residual than it says / runs have a different worst residual than they say
SELECT r.run_id, 0 AS case_order, format('max_closure_residual says {}, the largest in score is {}', r.max_closure_residual, s.worst) AS case_text
FROM run AS r LEFT JOIN (SELECT run_id, max(closure_residual) AS worst FROM score GROUP BY run_id) AS s ON s.run_id = r.run_id
WHERE r.status = 'complete' AND ((r.max_closure_residual IS NULL) <> (s.worst IS NULL)
  OR abs(r.max_closure_residual - s.worst) > {{relative}} * abs(s.worst));

{{range $flag, $table := flags}}
-- miscounted: run has {{$flag}} although it says none, or none although it says so / runs have {{$flag}} although they say none, or none although they say so
SELECT r.run_id, 0 AS case_order, format('{{$flag}} is {}', r.{{$flag}}) AS case_text FROM run AS r
WHERE {{if eq $flag "pair_means"}}r.status = 'complete' AND {{end}}EXISTS (FROM edge AS e WHERE e.run_id = r.run_id)
  AND r.{{$flag}} <> EXISTS (FROM {{$table}} AS f WHERE f.run_id = r.run_id);
{{end}}

-- miscounted: run has contributions to every key although it says none, or none although it says so / runs have contributions to every key although they say none, or none although they say so
SELECT r.run_id, 0 AS case_order, format('keys in options: {}', coalesce(json_extract_string(r.options, '$.keys'), 'none')) AS case_text FROM run AS r
WHERE EXISTS (FROM edge AS e WHERE e.run_id = r.run_id)
  AND (json_extract_string(r.options, '$.keys') IS NULL) = EXISTS (FROM row_contribution_wide AS f WHERE f.run_id = r.run_id);

-- conflicting: head does not fit the model or its label / heads do not fit the model or their labels
SELECT h.run_id, h.head_id AS case_order, format('head {} is layer {}, head {}, labelled {}, reads key-value head {}', h.head_id, h.layer, h.head, h.label, h.kv_head) AS case_text
FROM head AS h JOIN run AS r ON r.run_id = h.run_id JOIN model AS m ON m.model_id = r.model_id
WHERE h.layer NOT BETWEEN 0 AND m.n_layers - 1 OR h.head NOT BETWEEN 0 AND m.n_heads - 1 OR h.head_id <> h.layer * m.n_heads + h.head
  OR h.label <> 'L' || h.layer || 'H' || h.head OR h.kv_head NOT BETWEEN 0 AND m.n_kv_heads - 1;

-- conflicting: head has an impossible scale, cap, window or rotation / heads have impossible scales, caps, windows or rotations
SELECT h.run_id, h.head_id AS case_order, format('head {}: score_scale {}, soft_cap {}, attention_window {}, rotary_dims {}', h.label, h.score_scale, h.soft_cap, h.attention_window, h.rotary_dims) AS case_text
FROM head AS h JOIN run AS r ON r.run_id = h.run_id JOIN model AS m ON m.model_id = r.model_id
WHERE h.score_scale = 0 OR coalesce(h.soft_cap, 1) <= 0 OR coalesce(h.attention_window, 1) < 1 OR h.rotary_dims NOT BETWEEN 0 AND m.d_head
  OR isnan(h.sink_logit);

-- conflicting: run has components of another model, or two in one place / runs have components of other models, or two in one place
SELECT o.run_id, o.ordinal AS case_order, format('component {} in place {}', c.label, o.ordinal) AS case_text
FROM run_component AS o JOIN run AS r ON r.run_id = o.run_id JOIN component AS c ON c.component_id = o.component_id
JOIN (SELECT o.run_id, o.ordinal, count(*) OVER (PARTITION BY o.run_id, o.ordinal) AS places, count(*) OVER (PARTITION BY o.run_id, c.label) AS labels
  FROM run_component AS o JOIN component AS c ON c.component_id = o.component_id) AS p ON p.run_id = o.run_id AND p.ordinal = o.ordinal
WHERE c.model_id <> r.model_id OR p.places > 1 OR p.labels > 1;

-- incomplete: run has no components, or a place without one / runs have no components, or places without one
SELECT r.run_id, 0 AS case_order, format('{} components, the last in place {}', coalesce(o.n, 0), coalesce(o.last, -1)) AS case_text
FROM run AS r LEFT JOIN (SELECT run_id, count(*) AS n, max(ordinal) AS last FROM run_component GROUP BY run_id) AS o ON o.run_id = r.run_id
WHERE o.n IS NULL OR o.last <> o.n - 1;

-- conflicting: random direction has no partner on the other side / random directions have no partner on the other side
SELECT b.run_id, b.null_number AS case_order, format('{} of the {} side', b.name, b.side) AS case_text
FROM basis AS b ANTI JOIN basis AS o ON o.run_id = b.run_id AND o.null_number = b.null_number AND o.side <> b.side
WHERE b.null_number IS NOT NULL;

-- conflicting: basis has a number or a dimension that does not fit its name or kind / bases have numbers or dimensions that do not fit their names or kinds
SELECT b.run_id, b.basis_id AS case_order, format('{} of the {} side: number {}, {} of dimension {}', b.name, b.side, coalesce(b.null_number::VARCHAR, 'none'), b.kind, b.dimension) AS case_text
FROM basis AS b WHERE b.null_number IS NOT NULL AND b.name <> 'random' || b.null_number OR b.null_number < 0 OR b.dimension < 0;

-- conflicting: mover does not fit the model, its label or the target heads / movers do not fit the model, their labels or the target heads
SELECT v.run_id, v.ordinal AS case_order, format('layer {}, head {}, labelled {}', v.layer, v.head, v.label) AS case_text
FROM mover AS v JOIN run AS r ON r.run_id = v.run_id JOIN model AS m ON m.model_id = r.model_id
WHERE v.head NOT BETWEEN 0 AND m.n_heads - 1 OR v.layer < 0 OR v.label <> v.layer || '.' || v.head
  OR EXISTS (FROM head AS h WHERE h.run_id = v.run_id AND h.layer <= v.layer);
