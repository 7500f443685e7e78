-- Scores and attention.

{{define "capped"}}coalesce(h.soft_cap * tanh(a.score::DOUBLE / h.soft_cap), a.score::DOUBLE){{end}}

-- incomplete: example and head has no score, or several / examples and heads have no score, or several
SELECT e.run_id, e.example_id AS case_order, format('example {}, head {} has {} rows in score', e.example_id, h.label, coalesce(s.n, 0)) AS case_text
FROM edge AS e JOIN head AS h ON h.run_id = e.run_id
LEFT JOIN (SELECT run_id, example_id, head_id, count(*) AS n FROM score GROUP BY run_id, example_id, head_id) AS s
  ON s.run_id = e.run_id AND s.example_id = e.example_id AND s.head_id = h.head_id
WHERE s.n IS DISTINCT FROM 1;

-- incomplete: attention row lacks positions or has some twice / attention rows lack positions or have some twice
SELECT e.run_id, e.prompt_id AS case_order, format('prompt {}, head {} has {} positions for the query at {}, want {}', e.prompt_id, h.label, coalesce(a.n, 0), e.query_pos,
  e.query_pos + 1 - greatest(0, e.query_pos + 1 - coalesce(h.attention_window, e.query_pos + 1))) AS case_text
FROM (SELECT DISTINCT run_id, prompt_id, query_pos FROM edge) AS e JOIN head AS h ON h.run_id = e.run_id
LEFT JOIN (SELECT run_id, prompt_id, query_pos, head_id, count(*) AS n, count(DISTINCT pos) AS positions, min(pos) AS first, max(pos) AS last FROM prompt_attention
  GROUP BY run_id, prompt_id, query_pos, head_id) AS a
  ON a.run_id = e.run_id AND a.prompt_id = e.prompt_id AND a.query_pos = e.query_pos AND a.head_id = h.head_id
WHERE a.n IS NULL OR a.positions <> a.n OR a.last <> e.query_pos OR a.n <> a.last - a.first + 1
  OR a.first <> greatest(0, e.query_pos + 1 - coalesce(h.attention_window, e.query_pos + 1));

-- orphan: attention row belongs to no query / attention rows belong to no query
SELECT a.run_id, a.prompt_id AS case_order, format('prompt {}, query at {}', a.prompt_id, a.query_pos) AS case_text
FROM (SELECT DISTINCT run_id, prompt_id, query_pos FROM prompt_attention) AS a
ANTI JOIN edge AS e ON e.run_id = a.run_id AND e.prompt_id = a.prompt_id AND e.query_pos = a.query_pos;

-- conflicting: attention is not the softmax of its scores / attention rows are not the softmax of their scores
SELECT run_id, prompt_id AS case_order, format('prompt {}, head {}, query at {}: a probability is off by {}', prompt_id, label, query_pos, max(off)) AS case_text
FROM (SELECT a.run_id, a.prompt_id, a.query_pos, h.label, abs(a.prob - exp(a.capped - t.top) / t.total) AS off
  FROM (SELECT a.run_id, a.prompt_id, a.query_pos, a.head_id, a.prob, {{template "capped"}} AS capped FROM prompt_attention AS a JOIN head AS h ON h.run_id = a.run_id AND h.head_id = a.head_id) AS a
  JOIN head AS h ON h.run_id = a.run_id AND h.head_id = a.head_id
  JOIN ({{template "softmax"}}) AS t ON t.run_id = a.run_id AND t.prompt_id = a.prompt_id AND t.query_pos = a.query_pos AND t.head_id = a.head_id)
WHERE NOT off <= {{relative}} GROUP BY run_id, prompt_id, label, query_pos;

{{define "softmax"}}SELECT run_id, prompt_id, query_pos, head_id, any_value(top) AS top, any_value(sink_logit) AS sink_logit, any_value(label) AS label,
    sum(exp(capped - top)) + coalesce(exp(any_value(sink_logit) - any_value(top)), 0) AS total
  FROM (SELECT a.run_id, a.prompt_id, a.query_pos, a.head_id, h.sink_logit, h.label, {{template "capped"}} AS capped,
      max(greatest({{template "capped"}}, coalesce(h.sink_logit, '-inf'::DOUBLE))) OVER (PARTITION BY a.run_id, a.prompt_id, a.query_pos, a.head_id) AS top
    FROM prompt_attention AS a JOIN head AS h ON h.run_id = a.run_id AND h.head_id = a.head_id)
  GROUP BY run_id, prompt_id, query_pos, head_id{{end}}

-- conflicting: probability of a sink does not match its logit / probabilities of sinks do not match their logits
SELECT s.run_id, s.example_id AS case_order, format('example {}, head {}: {}', s.example_id, t.label, coalesce(s.sink_prob::VARCHAR, 'none')) AS case_text
FROM score AS s JOIN edge AS e ON e.run_id = s.run_id AND e.example_id = s.example_id
JOIN ({{template "softmax"}}) AS t ON t.run_id = s.run_id AND t.prompt_id = e.prompt_id AND t.query_pos = e.query_pos AND t.head_id = s.head_id
WHERE (s.sink_prob IS NULL) <> (t.sink_logit IS NULL) OR abs(s.sink_prob - exp(t.sink_logit - t.top) / t.total) > {{relative}};

-- conflicting: score differs from the attention row / scores differ from their attention rows
SELECT s.run_id, s.example_id AS case_order, format('example {}, head #{}: score {} and probability {}, in attention {} and {}', s.example_id, s.head_id, s.score, s.prob, a.score, a.prob) AS case_text
FROM (SELECT t.run_id, t.example_id, e.prompt_id, e.query_pos, t.head_id, e.key_pos AS pos, t.score, t.prob
  FROM score AS t JOIN edge AS e ON e.run_id = t.run_id AND e.example_id = t.example_id
  UNION ALL SELECT t.run_id, t.example_id, e.prompt_id, e.query_pos, t.head_id, e.baseline_pos, t.baseline, t.baseline_prob
  FROM score AS t JOIN edge AS e ON e.run_id = t.run_id AND e.example_id = t.example_id WHERE e.baseline_pos IS NOT NULL) AS s
JOIN prompt_attention AS a ON a.run_id = s.run_id AND a.prompt_id = s.prompt_id AND a.query_pos = s.query_pos AND a.head_id = s.head_id AND a.pos = s.pos
WHERE abs(a.score - s.score) > {{relative}} * greatest(1, abs(a.score)) OR abs(a.prob - s.prob) > {{relative}};

-- conflicting: baseline is not the mean over the other keys that its example says / baselines are not the means over the other keys that their examples say
SELECT s.run_id, s.example_id AS case_order, format('example {}, head #{}: baseline {} and {}, {} of the others is {} and {}', s.example_id, s.head_id, s.baseline, s.baseline_prob,
  o.baseline_kind, o.score, o.prob) AS case_text
FROM score AS s JOIN (SELECT run_id, example_id, head_id, any_value(baseline_kind) AS baseline_kind, max(abs(score)) AS size, sum(score * weight) / sum(weight) AS score, sum(prob * weight) / sum(weight) AS prob
  FROM (SELECT e.run_id, e.example_id, a.head_id, e.baseline_kind, a.score, a.prob, CASE e.baseline_kind WHEN 'mean' THEN 1
      ELSE exp({{template "capped"}} - max({{template "capped"}}) OVER (PARTITION BY e.run_id, e.example_id, a.head_id)) END AS weight
    FROM edge AS e JOIN prompt_attention AS a ON a.run_id = e.run_id AND a.prompt_id = e.prompt_id AND a.query_pos = e.query_pos AND a.pos <> e.key_pos
    JOIN head AS h ON h.run_id = a.run_id AND h.head_id = a.head_id WHERE e.baseline_kind IN ('mean', 'attention'))
  GROUP BY run_id, example_id, head_id) AS o ON o.run_id = s.run_id AND o.example_id = s.example_id AND o.head_id = s.head_id
WHERE NOT abs(s.baseline - o.score) <= {{relative}} * greatest(1, o.size) OR NOT abs(s.baseline_prob - o.prob) <= {{relative}};

-- conflicting: score has a baseline although its example has none, or lacks one / scores have a baseline although their examples have none, or lack one
SELECT s.run_id, s.example_id AS case_order, format('example {}, head #{}', s.example_id, s.head_id) AS case_text
FROM score AS s JOIN edge AS e ON e.run_id = s.run_id AND e.example_id = s.example_id
WHERE (s.baseline IS NULL) <> (e.baseline_kind = 'none') OR (e.baseline_kind = 'none' AND coalesce(s.baseline_prob, s.baseline_scale, s.baseline_norm_scale) IS NOT NULL)
  OR (e.baseline_kind IN ('mean', 'attention') AND (s.baseline_prob IS NULL OR coalesce(s.baseline_scale, s.baseline_norm_scale) IS NOT NULL))
  OR (e.baseline_kind = 'token' AND (s.baseline_prob IS NULL OR s.baseline_scale IS NULL OR (s.baseline_norm_scale IS NULL) <> (s.key_norm_scale IS NULL)))
  OR (s.query_norm_scale IS NULL) <> (s.key_norm_scale IS NULL);

-- not closed: score was stored with a closure residual beyond the tolerance / scores were stored with a closure residual beyond the tolerance
SELECT s.run_id, -s.closure_residual AS case_order, format('example {}, head #{}: {} for a score of {}', s.example_id, s.head_id, s.closure_residual, s.score) AS case_text
FROM score AS s JOIN run AS r ON r.run_id = s.run_id
WHERE r.convention = 'exact' AND s.closure_residual > {{tolerance}} * {{closureScale "s.score" "s.baseline"}};
