-- Examples, tokens, attention and scores by name. Views are UNION ALL and plain joins, which every DuckDB
-- since 1.1 reads and filters fast. Macros read tables and views of this file only; a macro cannot have a
-- parameter that is named like a column of what it reads.

-- Examples of a run: a prompt, the positions that matter in it, and what the key is compared with.
CREATE VIEW example AS
SELECT e.run_id, e.example_id, p.text, p.template, p.prompt_order, e.key_token, e.baseline_token, e.query_pos, e.key_pos, e.baseline_pos, p.n_tokens,
  e.random_name_id, e.random_token_id, r.key || '-' || e.example_id AS key, e.prompt_id, p.key AS prompt_key, e.rule, e.baseline_kind,
  p.bos, p.document, p.document_offset, p.fields
FROM edge AS e
JOIN prompt AS p ON p.run_id = e.run_id AND p.prompt_id = e.prompt_id
JOIN run AS r ON r.run_id = e.run_id;

-- Tokens of each example's prompt, BOS included. prompt_token has them once for each prompt.
CREATE VIEW token AS
SELECT e.run_id, e.example_id, t.pos, t.token_id, t.text, e.prompt_id
FROM edge AS e
JOIN prompt_token AS t ON t.run_id = e.run_id AND t.prompt_id = e.prompt_id;

-- Columns of the prompt file that ducklens itself does not use: one row for each example and column.
CREATE VIEW example_field AS
SELECT e.run_id, e.example_id, f.name, json_extract_string(f.fields, '/' || replace(replace(f.name, '~', '~0'), '/', '~1')) AS value
FROM edge AS e
JOIN (SELECT p.run_id, p.prompt_id, p.fields, unnest(json_keys(p.fields)) AS name FROM prompt AS p WHERE p.fields IS NOT NULL) AS f
  ON f.run_id = e.run_id AND f.prompt_id = e.prompt_id;

-- Attention of each target head from the query position of each example to every position that it can see
-- there. prompt_attention has it once for each prompt and query position.
CREATE VIEW attention AS
SELECT e.run_id, e.example_id, a.head_id, a.pos, a.score, a.prob, e.prompt_id, e.query_pos
FROM edge AS e
JOIN prompt_attention AS a ON a.run_id = e.run_id AND a.prompt_id = e.prompt_id AND a.query_pos = e.query_pos;

-- score with its prompt and the name of the head.
CREATE VIEW head_score AS
SELECT s.run_id, s.example_id, h.label AS head, p.text, e.key_token, e.baseline_token,
  s.score, s.baseline, s.diff, s.prob, s.baseline_prob, s.sink_prob,
  coalesce(h.soft_cap * tanh(s.score / h.soft_cap), s.score)::FLOAT AS capped,
  coalesce(h.soft_cap * tanh(s.baseline / h.soft_cap), s.baseline)::FLOAT AS baseline_capped
FROM score AS s
JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id
JOIN edge AS e ON e.run_id = s.run_id AND e.example_id = s.example_id
JOIN prompt AS p ON p.run_id = e.run_id AND p.prompt_id = e.prompt_id;

-- attention with its tokens and the name of the head.
CREATE VIEW head_attention AS
SELECT e.run_id, e.example_id, h.label AS head, a.pos, t.text AS token, a.score, a.prob,
  coalesce(h.soft_cap * tanh(a.score / h.soft_cap), a.score)::FLOAT AS capped
FROM edge AS e
JOIN prompt_attention AS a ON a.run_id = e.run_id AND a.prompt_id = e.prompt_id AND a.query_pos = e.query_pos
JOIN head AS h ON h.run_id = a.run_id AND h.head_id = a.head_id
JOIN prompt_token AS t ON t.run_id = a.run_id AND t.prompt_id = a.prompt_id AND t.pos = a.pos;

-- substitution with the name of the head.
CREATE VIEW head_substitution AS
SELECT s.run_id, s.example_id, h.label AS head, s.side, s.vector, s.score, s.baseline, s.diff, s.prob, s.diff_prob
FROM substitution AS s
JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id;

-- projection with the names of the head and the basis.
CREATE VIEW head_projection AS
SELECT p.run_id, p.example_id, h.label AS head, p.side, p.vector, b.name AS basis, p.measure,
  p.par_norm, p.perp_norm, p.par_cos, p.perp_cos, p.par_fraction, p.perp_fraction
FROM projection AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN basis AS b ON b.run_id = p.run_id AND b.basis_id = p.basis_id;

-- Rules that chose each example: one row for each. edge.rule has them in one text.
CREATE VIEW edge_rule AS
SELECT e.run_id, e.example_id, e.prompt_id, unnest(string_split(e.rule, ' ')) AS rule
FROM edge AS e;

-- Measures of target heads on each prompt, with the names of the heads: attention to the previous token, to
-- the first, and so on.
CREATE VIEW prompt_measure AS
SELECT m.run_id, m.prompt_id, p.document, h.label AS head, m.measure, m.n, m.value, p.key AS prompt_key
FROM head_measure AS m
JOIN head AS h ON h.run_id = m.run_id AND h.head_id = m.head_id
JOIN prompt AS p ON p.run_id = m.run_id AND p.prompt_id = m.prompt_id;

-- Measures of target heads on all prompts of a run: the mean over query positions.
CREATE VIEW head_measure_mean AS
SELECT m.run_id, h.label AS head, m.measure, sum(m.n)::BIGINT AS n, count(*) AS n_prompts,
  sum(m.n * m.value::DOUBLE) / sum(m.n) AS value
FROM head_measure AS m
JOIN head AS h ON h.run_id = m.run_id AND h.head_id = m.head_id
GROUP BY m.run_id, h.ordinal, h.label, m.measure;

-- ablation with the names of head and component, and with the model's numbers when nothing is ablated.
CREATE VIEW head_ablation AS
SELECT a.run_id, a.example_id, h.label AS head, c.label AS component, c.kind, a.method, a.place,
  s.score AS own_score, a.score, s.diff AS own_diff, a.diff, s.prob AS own_prob, a.prob, s.baseline_prob AS own_baseline_prob, a.baseline_prob,
  a.own_key_logit, a.key_logit, a.own_baseline_logit, a.baseline_logit
FROM ablation AS a
JOIN score AS s ON s.run_id = a.run_id AND s.example_id = a.example_id AND s.head_id = a.head_id
JOIN head AS h ON h.run_id = a.run_id AND h.head_id = a.head_id
JOIN component AS c ON c.component_id = a.component_id;
