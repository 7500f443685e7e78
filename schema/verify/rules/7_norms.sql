-- Components of norms, and ablations.

{{/* The norms at the positions of examples, with the model's scales there. */}}
{{define "scales"}}SELECT s.run_id, s.example_id, e.prompt_id, s.head_id, h.label, h.layer, 'query' AS side, e.query_pos AS pos, s.query_scale AS scale, s.query_norm_scale AS norm_scale
  FROM score AS s JOIN edge AS e ON e.run_id = s.run_id AND e.example_id = s.example_id JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id
  UNION ALL SELECT s.run_id, s.example_id, e.prompt_id, s.head_id, h.label, h.layer, 'key', e.key_pos, s.key_scale, s.key_norm_scale
  FROM score AS s JOIN edge AS e ON e.run_id = s.run_id AND e.example_id = s.example_id JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id
  UNION ALL SELECT s.run_id, s.example_id, e.prompt_id, s.head_id, h.label, h.layer, 'key', e.baseline_pos, s.baseline_scale, s.baseline_norm_scale
  FROM score AS s JOIN edge AS e ON e.run_id = s.run_id AND e.example_id = s.example_id JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id
  WHERE e.baseline_pos IS NOT NULL{{end}}
{{define "below"}}SELECT h.run_id, h.layer, count(*) AS n FROM (SELECT DISTINCT run_id, layer FROM head) AS h JOIN run_component AS o ON o.run_id = h.run_id
  JOIN component AS c ON c.component_id = o.component_id WHERE c.kind IN ('embed', 'pos_embed') OR c.layer < h.layer GROUP BY h.run_id, h.layer{{end}}
{{define "sums"}}SELECT run_id, prompt_id, layer, pos, count(*) AS n, count(DISTINCT component_id) AS components, min(whole) AS least, max(whole) AS whole,
  sum(with_whole) AS total, sum(abs(with_whole)) AS size, max(with_whole * with_whole / nullif(whole * squared, 0)) AS cosine FROM component_norm GROUP BY run_id, prompt_id, layer, pos{{end}}
{{define "qk sums"}}SELECT run_id, prompt_id, head_id, side, pos, count(*) AS n, count(DISTINCT component_id) AS components,
  min(whole) AS least, max(whole) AS whole, min(whole_bias) AS least_bias, max(whole_bias) AS whole_bias, min(constant) AS least_constant, max(constant) AS constant,
  sum(with_whole) AS total, sum(abs(with_whole)) AS size, sum(with_bias) AS total_bias, sum(abs(with_bias)) AS size_bias,
  max(with_whole * with_whole / nullif(whole * squared, 0)) AS cosine FROM component_qk_norm GROUP BY run_id, prompt_id, head_id, side, pos{{end}}

-- incomplete: position of an example lacks inner products of components, or has some twice / positions of examples lack inner products of components, or have some twice
SELECT s.run_id, s.example_id AS case_order, format('example {}, head {}, position {}: {} inner products, want {}', s.example_id, s.label, s.pos, coalesce(n.n, 0), b.n) AS case_text
FROM ({{template "scales"}}) AS s JOIN run AS r ON r.run_id = s.run_id JOIN model AS m ON m.model_id = r.model_id
JOIN ({{template "below"}}) AS b ON b.run_id = s.run_id AND b.layer = s.layer
LEFT JOIN ({{template "sums"}}) AS n ON n.run_id = s.run_id AND n.prompt_id = s.prompt_id AND n.layer = s.layer AND n.pos = s.pos
WHERE m.norm <> 'none' AND EXISTS (FROM component_norm AS o WHERE o.run_id = s.run_id) AND (n.n IS DISTINCT FROM b.n OR n.components <> n.n);

-- incomplete: query or key lacks inner products for QK-norm, or has some twice / queries or keys lack inner products for QK-norm, or have some twice
SELECT s.run_id, s.example_id AS case_order, format('example {}, head {}, {} at {}: {} inner products, want {}', s.example_id, s.label, s.side, s.pos, coalesce(n.n, 0), b.n) AS case_text
FROM ({{template "scales"}}) AS s JOIN ({{template "below"}}) AS b ON b.run_id = s.run_id AND b.layer = s.layer
LEFT JOIN ({{template "qk sums"}}) AS n ON n.run_id = s.run_id AND n.prompt_id = s.prompt_id AND n.head_id = s.head_id AND n.side = s.side::side AND n.pos = s.pos
WHERE s.norm_scale IS NOT NULL AND EXISTS (FROM component_qk_norm AS o WHERE o.run_id = s.run_id) AND (n.n IS DISTINCT FROM b.n OR n.components <> n.n);

-- conflicting: mean square of a stream does not match its scale / mean squares of streams do not match their scales
SELECT s.run_id, s.example_id AS case_order, format('example {}, head {}, position {}: {}, the scale is {}', s.example_id, s.label, s.pos, n.whole, s.scale) AS case_text
FROM ({{template "scales"}}) AS s JOIN ({{template "sums"}}) AS n ON n.run_id = s.run_id AND n.prompt_id = s.prompt_id AND n.layer = s.layer AND n.pos = s.pos
WHERE NOT abs(sqrt(n.whole) - s.scale) <= {{relative}} * s.scale OR n.least <> n.whole;

-- conflicting: mean square of a query or key does not match its scale / mean squares of queries or keys do not match their scales
SELECT s.run_id, s.example_id AS case_order, format('example {}, head {}, {} at {}: {} + 2 * {} + {}, the scale is {}', s.example_id, s.label, s.side, s.pos, n.whole, n.whole_bias, n.constant, s.norm_scale) AS case_text
FROM ({{template "scales"}}) AS s JOIN ({{template "qk sums"}}) AS n
  ON n.run_id = s.run_id AND n.prompt_id = s.prompt_id AND n.head_id = s.head_id AND n.side = s.side::side AND n.pos = s.pos
WHERE s.norm_scale IS NULL OR NOT abs(sqrt(greatest(0, n.whole + 2 * n.whole_bias + n.constant)) - s.norm_scale) <= {{relative}} * s.norm_scale
  OR n.least <> n.whole OR n.least_bias <> n.whole_bias OR n.least_constant <> n.constant;

-- not closed: inner products with a stream do not add up to its mean square / inner products with streams do not add up to their mean squares
SELECT n.run_id, n.prompt_id AS case_order, format('prompt {}, layer {}, position {}: {}, want {}', n.prompt_id, n.layer, n.pos, n.total, n.whole - m.ln_eps) AS case_text
FROM ({{template "sums"}}) AS n JOIN run AS r ON r.run_id = n.run_id JOIN model AS m ON m.model_id = r.model_id
WHERE NOT abs(n.total - (n.whole - m.ln_eps)) <= {{tolerance}} * greatest(n.size, n.whole);

-- not closed: inner products with a query or key do not add up / inner products with queries or keys do not add up
SELECT n.run_id, n.prompt_id AS case_order, format('prompt {}, head #{}, {} at {}: {} and {}, want {} and {}', n.prompt_id, n.head_id, n.side, n.pos, n.total, n.total_bias, n.whole, n.whole_bias) AS case_text
FROM ({{template "qk sums"}}) AS n
WHERE NOT abs(n.total - n.whole) <= {{tolerance}} * greatest(n.size, n.whole) OR NOT abs(n.total_bias - n.whole_bias) <= {{tolerance}} * greatest(n.size_bias, abs(n.whole_bias), n.constant);

-- conflicting: inner product is larger than two vectors can have / inner products are larger than two vectors can have
SELECT n.run_id, n.prompt_id AS case_order, format('prompt {}, position {}', n.prompt_id, n.pos) AS case_text
FROM (SELECT run_id, prompt_id, pos, cosine FROM ({{template "sums"}}) UNION ALL SELECT run_id, prompt_id, pos, cosine FROM ({{template "qk sums"}})
  UNION ALL SELECT g.run_id, g.prompt_id, g.pos, g.product * g.product / nullif(a.squared * b.squared, 0) FROM component_gram AS g
  JOIN component_norm AS a ON a.run_id = g.run_id AND a.prompt_id = g.prompt_id AND a.layer = g.layer AND a.pos = g.pos AND a.component_id = g.component_id
  JOIN component_norm AS b ON b.run_id = g.run_id AND b.prompt_id = g.prompt_id AND b.layer = g.layer AND b.pos = g.pos AND b.component_id = g.other_component_id
  UNION ALL SELECT g.run_id, g.prompt_id, g.pos, g.product * g.product / nullif(a.squared * b.squared, 0) FROM component_qk_gram AS g
  JOIN component_qk_norm AS a ON a.run_id = g.run_id AND a.prompt_id = g.prompt_id AND a.head_id = g.head_id AND a.side = g.side AND a.pos = g.pos AND a.component_id = g.component_id
  JOIN component_qk_norm AS b ON b.run_id = g.run_id AND b.prompt_id = g.prompt_id AND b.head_id = g.head_id AND b.side = g.side AND b.pos = g.pos AND b.component_id = g.other_component_id) AS n
WHERE n.cosine > 1 + {{tolerance}};

-- conflicting: inner product of two components is stored twice, or is that of a component with itself / inner products of two components are stored twice, or are those of a component with itself
SELECT run_id, prompt_id AS case_order, format('prompt {}, position {}: {} of component #{} with component #{}', prompt_id, pos, n, component_id, other_component_id) AS case_text
FROM (SELECT run_id, prompt_id, pos, component_id, other_component_id, count(*) AS n FROM component_gram GROUP BY run_id, prompt_id, layer, pos, component_id, other_component_id
  UNION ALL SELECT run_id, prompt_id, pos, component_id, other_component_id, count(*) FROM component_qk_gram GROUP BY run_id, prompt_id, head_id, side, pos, component_id, other_component_id)
WHERE n > 1 OR component_id = other_component_id;

-- conflicting: ablation is stored twice, or has an unknown method or place / ablations are stored twice, or have an unknown method or place
SELECT run_id, example_id AS case_order, format('example {}, head #{}, component #{}: {} at {}, {} times', example_id, head_id, component_id, method, place, n) AS case_text
FROM (SELECT run_id, example_id, head_id, component_id, method, place, count(*) AS n FROM ablation GROUP BY run_id, example_id, head_id, component_id, method, place)
WHERE n > 1 OR method NOT IN ('zero', 'mean') OR place NOT IN ('all', 'query', 'key');

-- conflicting: ablation is of a component that is not below its head, or has impossible numbers / ablations are of components that are not below their heads, or have impossible numbers
SELECT a.run_id, a.example_id AS case_order, format('example {}, head {}, component {}: probabilities {} and {}', a.example_id, h.label, c.label, a.prob, a.baseline_prob) AS case_text
FROM ablation AS a JOIN head AS h ON h.run_id = a.run_id AND h.head_id = a.head_id JOIN component AS c ON c.component_id = a.component_id
JOIN edge AS e ON e.run_id = a.run_id AND e.example_id = a.example_id
WHERE c.kind NOT IN ('head', 'mlp') OR c.layer >= h.layer OR a.prob NOT BETWEEN 0 AND 1 + {{relative}} OR a.baseline_prob NOT BETWEEN 0 AND 1 + {{relative}}
  OR (e.baseline_pos IS NULL) <> (a.baseline IS NULL) OR (a.baseline IS NULL) <> (a.baseline_prob IS NULL)
  OR (a.key_logit IS NULL) <> (a.own_key_logit IS NULL) OR (a.baseline_logit IS NULL) <> (a.own_baseline_logit IS NULL);
