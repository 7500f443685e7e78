-- Substitutions, projections, cosines and logits.

{{range everyExample}}
-- incomplete: kind of row of {{.Table}} is not stored once for every example / kinds of rows of {{.Table}} are not stored once for every example
SELECT t.run_id, 0 AS case_order, format('{}: {} rows over {} examples, want {}', t.names, t.n, t.examples, {{.Want}}) AS case_text
FROM (SELECT run_id, {{.Keys}}, {{.Names}} AS names, count(*) AS n, count(DISTINCT example_id) AS examples FROM {{.Table}} GROUP BY run_id, {{.Keys}}) AS t
JOIN (SELECT run_id, count(*) AS n, count(*) FILTER (baseline_kind <> 'none') AS n_baseline, count(baseline_pos) AS n_token_baseline,
  count(random_name_id) AS n_name, count(random_token_id) AS n_token FROM edge GROUP BY run_id) AS e ON e.run_id = t.run_id
WHERE t.n <> {{.Want}} OR t.examples <> t.n;
{{end}}

-- conflicting: unpatched substitution differs from the score / unpatched substitutions differ from the score
SELECT t.run_id, t.example_id AS case_order, format('example {}, head #{}, {} side: {} and {}, want {} and {}', t.example_id, t.head_id, t.side, t.score, t.prob, s.score, s.prob) AS case_text
FROM substitution AS t JOIN run AS r ON r.run_id = t.run_id JOIN score AS s ON s.run_id = t.run_id AND s.example_id = t.example_id AND s.head_id = t.head_id
WHERE r.convention = 'exact' AND t.vector = 'unpatched' AND (abs(t.score - s.score) > {{relative}} * greatest(1, abs(s.score)) OR abs(t.prob - s.prob) > {{relative}}
  OR abs(t.baseline - s.baseline) > {{relative}} * greatest(1, abs(s.baseline)));

-- conflicting: substitution has a baseline although its example has none, or lacks one / substitutions have a baseline although their examples have none, or lack one
SELECT t.run_id, t.example_id AS case_order, format('example {}, head #{}, {}', t.example_id, t.head_id, t.vector) AS case_text
FROM substitution AS t JOIN edge AS e ON e.run_id = t.run_id AND e.example_id = t.example_id
WHERE (t.baseline IS NULL) <> (e.baseline_kind = 'none');

{{/* A zero vector, such as the output of a head with zero weights, has parts of length 0. */}}
-- conflicting: unit vector does not have length 1 / unit vectors do not have length 1
SELECT run_id, example_id AS case_order, format('example {}, head #{}, {}: parts of length {} and {}', example_id, head_id, vector, par_norm, perp_norm) AS case_text
FROM projection WHERE (measure = 'score' OR side = 'query') AND NOT (abs(par_fraction + perp_fraction - 1) <= 1e-3 OR par_norm = 0 AND perp_norm = 0);

-- conflicting: logit is for a token that its example does not have / logits are for tokens that their examples do not have
SELECT l.run_id, l.example_id AS case_order, format('example {}: {}, token {}', l.example_id, l.token, l.token_id) AS case_text
FROM logit AS l JOIN edge AS e ON e.run_id = l.run_id AND e.example_id = l.example_id
LEFT JOIN prompt_token AS t ON t.run_id = e.run_id AND t.prompt_id = e.prompt_id AND t.pos = CASE l.token WHEN 'key' THEN e.key_pos WHEN 'baseline' THEN e.baseline_pos END
WHERE t.token_id IS DISTINCT FROM l.token_id;

-- incomplete: example of a run with logits does not have each once / examples of a run with logits do not have each once
SELECT e.run_id, e.example_id AS case_order, format('example {}: {} logits', e.example_id, coalesce(l.n, 0)) AS case_text
FROM run AS r JOIN edge AS e ON e.run_id = r.run_id
LEFT JOIN (SELECT run_id, example_id, count(*) AS n, count(DISTINCT token) AS different FROM logit GROUP BY run_id, example_id) AS l ON l.run_id = e.run_id AND l.example_id = e.example_id
WHERE r.logits AND (l.n IS NULL OR l.n <> l.different OR l.n <> 1 + (e.baseline_pos IS NOT NULL)::INTEGER);

-- not closed: effects do not add up to a logit / effects do not add up to logits
SELECT l.run_id, l.example_id AS case_order, format('example {}, {}: {} and {}, the model says {}', l.example_id, l.token, f.total, l.constant, l.logit) AS case_text
FROM logit AS l JOIN run AS r ON r.run_id = l.run_id
LEFT JOIN (SELECT run_id, example_id, token, sum(effect::DOUBLE) AS total FROM logit_effect GROUP BY run_id, example_id, token) AS f
  ON f.run_id = l.run_id AND f.example_id = l.example_id AND f.token = l.token
WHERE r.convention = 'exact' AND NOT coalesce(abs(f.total + l.constant - l.logit), 'inf'::DOUBLE) <= {{tolerance}} * {{closureScale "l.logit"}};

{{define "nearest runs"}}(SELECT run_id, coalesce(TRY_CAST(json_extract_string(options, '$.nearest') AS INTEGER), 0) AS k FROM run){{end}}

-- incomplete: head does not have every vector with its nearest tokens, or has them unasked / heads do not have every vector with its nearest tokens, or have them unasked
SELECT h.run_id, h.head_id AS case_order, format('head {}: {} places, want {}', h.label, coalesce(t.n, 0), r.k * (4 + m.n)) AS case_text
FROM head AS h JOIN {{template "nearest runs"}} AS r ON r.run_id = h.run_id
JOIN (SELECT r.run_id, count(v.run_id) AS n FROM run AS r LEFT JOIN mover AS v ON v.run_id = r.run_id GROUP BY r.run_id) AS m ON m.run_id = h.run_id
LEFT JOIN (SELECT t.run_id, t.head_id, count(DISTINCT (t.side, t.vector, t.rank)) AS n FROM nearest_token AS t JOIN {{template "nearest runs"}} AS r ON r.run_id = t.run_id
  WHERE t.rank <= greatest(r.k, 1) GROUP BY t.run_id, t.head_id) AS t ON t.run_id = h.run_id AND t.head_id = h.head_id
WHERE EXISTS (FROM edge AS e WHERE e.run_id = h.run_id) AND coalesce(t.n, 0) <> r.k * (4 + m.n);

-- conflicting: nearest token does not have its place by cosine / nearest tokens do not have their places by cosine
SELECT run_id, example_id AS case_order, format('example {}, head #{}, {} side, {}: token {} of cosine {} at {}', example_id, head_id, side, vector, token_id, cosine, rank) AS case_text
FROM (SELECT *, lag(cosine) OVER w AS before, lag(token_id) OVER w AS token_before, lag(rank) OVER w AS rank_before FROM nearest_token
  WINDOW w AS (PARTITION BY run_id, example_id, head_id, side, vector ORDER BY rank))
WHERE abs(cosine) > 1 OR rank = rank_before OR cosine > before OR cosine = before AND token_id < token_before;

-- conflicting: token is listed twice for a vector / tokens are listed twice for a vector
SELECT run_id, example_id AS case_order, format('example {}, head #{}, {} side, {}: token {}', example_id, head_id, side, vector, token_id) AS case_text
FROM nearest_token GROUP BY run_id, example_id, head_id, side, vector, token_id HAVING count(*) > 1;

-- incomplete: token at the key or baseline is not listed for a vector / tokens at the key or baseline are not listed for a vector
SELECT v.run_id, v.example_id AS case_order, format('example {}, head #{}, {} side, {}: token {}', v.example_id, v.head_id, v.side, v.vector, t.token_id) AS case_text
FROM nearest_token AS v JOIN edge AS e ON e.run_id = v.run_id AND e.example_id = v.example_id
JOIN prompt_token AS t ON t.run_id = e.run_id AND t.prompt_id = e.prompt_id AND t.pos IN (e.key_pos, e.baseline_pos)
ANTI JOIN nearest_token AS n ON n.run_id = v.run_id AND n.example_id = v.example_id AND n.head_id = v.head_id AND n.side = v.side AND n.vector = v.vector
  AND n.token_id = t.token_id AND n.token = t.text
WHERE v.rank = 1;

-- conflicting: token beyond the nearest is neither the key's nor the baseline's / tokens beyond the nearest are neither the key's nor the baseline's
SELECT n.run_id, n.example_id AS case_order, format('example {}, head #{}, {} side, {}: token {} at {}', n.example_id, n.head_id, n.side, n.vector, n.token_id, n.rank) AS case_text
FROM nearest_token AS n JOIN {{template "nearest runs"}} AS r ON r.run_id = n.run_id JOIN edge AS e ON e.run_id = n.run_id AND e.example_id = n.example_id
ANTI JOIN prompt_token AS t ON t.run_id = e.run_id AND t.prompt_id = e.prompt_id AND t.pos IN (e.key_pos, e.baseline_pos) AND t.token_id = n.token_id
WHERE n.rank > r.k;

{{/* The part of a mover's output along W_U[key] has the direction of that vector, or the opposite one. */}}
-- conflicting: cosine of the key's token with the map is not that of a projection / cosines of the keys' tokens with the map are not those of projections
SELECT n.run_id, n.example_id AS case_order, format('example {}, head #{}: {}, and {} by projection', n.example_id, n.head_id, n.cosine, p.par_cos) AS case_text
FROM nearest_token AS n JOIN run AS r ON r.run_id = n.run_id AND r.convention = 'exact' JOIN edge AS e ON e.run_id = n.run_id AND e.example_id = n.example_id
JOIN prompt_token AS t ON t.run_id = e.run_id AND t.prompt_id = e.prompt_id AND t.pos = e.key_pos AND t.token_id = n.token_id
JOIN projection AS p ON p.run_id = n.run_id AND p.example_id = n.example_id AND p.head_id = n.head_id AND p.side = n.side
  AND p.measure = CASE WHEN e.baseline_kind = 'none' THEN 'score' ELSE 'diff' END
JOIN basis AS b ON b.run_id = p.run_id AND b.basis_id = p.basis_id AND b.name = 'unembed'
WHERE n.side = 'query' AND n.vector = 'map' AND abs(abs(p.par_cos) - abs(n.cosine)) > 1e-4;
