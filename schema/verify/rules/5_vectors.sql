-- Substitutions, projections, cosines and logits.

{{range everyExample}}
-- incomplete: kind of row of {{.Table}} is not there once for every example / kinds of rows of {{.Table}} are not there once for every example
SELECT t.run_id, 0 AS case_order, format('{}: {} rows over {} examples, want {}', t.names, t.n, t.examples, {{.Want}}) AS case_text
FROM (SELECT run_id, {{.Keys}}, {{.Names}} AS names, count(*) AS n, count(DISTINCT example_id) AS examples FROM {{.Table}} GROUP BY run_id, {{.Keys}}) AS t
JOIN (SELECT run_id, count(*) AS n, count(*) FILTER (baseline_kind <> 'none') AS n_baseline, count(baseline_pos) AS n_token_baseline,
  count(random_name_id) AS n_name, count(random_token_id) AS n_token FROM edge GROUP BY run_id) AS e ON e.run_id = t.run_id
WHERE t.n <> {{.Want}} OR t.examples <> t.n;
{{end}}

-- conflicting: substitution of nothing differs from the score / substitutions of nothing differ from the score
SELECT t.run_id, t.example_id AS case_order, format('example {}, head #{}, {} side: {} and {}, want {} and {}', t.example_id, t.head_id, t.side, t.score, t.prob, s.score, s.prob) AS case_text
FROM substitution AS t JOIN run AS r ON r.run_id = t.run_id JOIN score AS s ON s.run_id = t.run_id AND s.example_id = t.example_id AND s.head_id = t.head_id
WHERE r.convention = 'exact' AND t.vector = 'unpatched' AND (abs(t.score - s.score) > {{relative}} * greatest(1, abs(s.score)) OR abs(t.prob - s.prob) > {{relative}}
  OR abs(t.baseline - s.baseline) > {{relative}} * greatest(1, abs(s.baseline)));

-- conflicting: substitution has a baseline its example has not, or lacks one / substitutions have a baseline their examples have not, or lack one
SELECT t.run_id, t.example_id AS case_order, format('example {}, head #{}, {}', t.example_id, t.head_id, t.vector) AS case_text
FROM substitution AS t JOIN edge AS e ON e.run_id = t.run_id AND e.example_id = t.example_id
WHERE (t.baseline IS NULL) <> (e.baseline_kind = 'none');

{{/* A vector that is zero, such as what a head writes whose weights are, has parts of length 0. */}}
-- conflicting: unit vector does not have length 1 / unit vectors do not have length 1
SELECT run_id, example_id AS case_order, format('example {}, head #{}, {}: parts of length {} and {}', example_id, head_id, vector, par_norm, perp_norm) AS case_text
FROM projection WHERE (measure = 'score' OR side = 'query') AND NOT (abs(par_fraction + perp_fraction - 1) <= 1e-3 OR par_norm = 0 AND perp_norm = 0);

-- conflicting: logit is that of no token of its example / logits are those of no token of their examples
SELECT l.run_id, l.example_id AS case_order, format('example {}: {}, token {}', l.example_id, l.token, l.token_id) AS case_text
FROM logit AS l JOIN edge AS e ON e.run_id = l.run_id AND e.example_id = l.example_id
LEFT JOIN prompt_token AS t ON t.run_id = e.run_id AND t.prompt_id = e.prompt_id AND t.pos = CASE l.token WHEN 'key' THEN e.key_pos WHEN 'baseline' THEN e.baseline_pos END
WHERE t.token_id IS DISTINCT FROM l.token_id;

-- incomplete: example of a run with logits has not each once / examples of a run with logits have not each once
SELECT e.run_id, e.example_id AS case_order, format('example {}: {} logits', e.example_id, coalesce(l.n, 0)) AS case_text
FROM run AS r JOIN edge AS e ON e.run_id = r.run_id
LEFT JOIN (SELECT run_id, example_id, count(*) AS n, count(DISTINCT token) AS different FROM logit GROUP BY run_id, example_id) AS l ON l.run_id = e.run_id AND l.example_id = e.example_id
WHERE r.logits AND (l.n IS NULL OR l.n <> l.different OR l.n <> 1 + (e.baseline_pos IS NOT NULL)::INTEGER);

-- not closed: effects do not add up to a logit / effects do not add up to logits
SELECT l.run_id, l.example_id AS case_order, format('example {}, {}: {} and {}, the model says {}', l.example_id, l.token, f.total, l.constant, l.logit) AS case_text
FROM logit AS l JOIN run AS r ON r.run_id = l.run_id
LEFT JOIN (SELECT run_id, example_id, token, sum(effect::DOUBLE) AS total FROM logit_effect GROUP BY run_id, example_id, token) AS f
  ON f.run_id = l.run_id AND f.example_id = l.example_id AND f.token = l.token
WHERE r.convention = 'exact' AND NOT coalesce(abs(f.total + l.constant - l.logit), 'inf'::DOUBLE) <= {{tolerance}} * greatest(1, abs(l.logit));
