-- Prompts and examples.

-- conflicting: prompt is longer than the model allows / prompts are longer than the model allows
SELECT p.run_id, p.prompt_id AS case_order, format('prompt {} has {} tokens, n_ctx is {}', p.prompt_id, p.n_tokens, m.n_ctx) AS case_text
FROM prompt AS p JOIN run AS r ON r.run_id = p.run_id JOIN model AS m ON m.model_id = r.model_id WHERE p.n_tokens > m.n_ctx;

-- incomplete: prompt lacks tokens or has some twice / prompts lack tokens or have some twice
SELECT p.run_id, p.prompt_id AS case_order, format('prompt {} has {} tokens, want {}', p.prompt_id, coalesce(t.n, 0), p.n_tokens) AS case_text
FROM prompt AS p LEFT JOIN (SELECT run_id, prompt_id, count(*) AS n, count(DISTINCT pos) AS positions, min(pos) AS first, max(pos) AS last FROM prompt_token GROUP BY run_id, prompt_id) AS t
  ON t.run_id = p.run_id AND t.prompt_id = p.prompt_id
WHERE coalesce(t.n, 0) <> p.n_tokens OR t.positions <> p.n_tokens OR t.first <> 0 OR t.last <> p.n_tokens - 1;

-- conflicting: key of a prompt does not match its tokens / keys of prompts do not match their tokens
SELECT p.run_id, p.prompt_id AS case_order, format('prompt {}: {}', p.prompt_id, p.key) AS case_text
FROM prompt AS p JOIN (SELECT run_id, prompt_id, count(*) AS n, string_agg(' ' || token_id, '' ORDER BY pos) AS ids FROM prompt_token GROUP BY run_id, prompt_id) AS t
  ON t.run_id = p.run_id AND t.prompt_id = p.prompt_id
WHERE t.n = p.n_tokens AND p.key <> left(sha256('"prompt"' || chr(10) || '"' || t.ids || '"' || chr(10)), 32);

-- orphan: prompt belongs to no example, and no head is measured on it / prompts belong to no example, and no head is measured on them
SELECT p.run_id, p.prompt_id AS case_order, format('prompt {}', p.prompt_id) AS case_text
FROM prompt AS p ANTI JOIN edge AS e ON e.run_id = p.run_id AND e.prompt_id = p.prompt_id
ANTI JOIN head_measure AS m ON m.run_id = p.run_id AND m.prompt_id = p.prompt_id;

-- conflicting: prompt has an offset but no document, or a document but no offset / prompts have offsets but no documents, or documents but no offsets
SELECT run_id, prompt_id AS case_order, format('prompt {}: document {}, offset {}', prompt_id, coalesce(document, 'none'), coalesce(document_offset::VARCHAR, 'none')) AS case_text
FROM prompt WHERE (document IS NULL) <> (document_offset IS NULL) OR document_offset < 0;

-- conflicting: example names rules that do not exist, or one twice / examples name rules that do not exist, or one twice
SELECT run_id, example_id AS case_order, format('example {}: {}', example_id, rule) AS case_text
FROM edge WHERE len(list_distinct(string_split(rule, ' '))) <> len(string_split(rule, ' ')) OR len(list_filter(string_split(rule, ' '),
  lambda w: NOT regexp_full_match(w, 'given|previous|first|self|duplicate|induction|(top|sample):[1-9][0-9]*|above:[0-9.e-]+'))) > 0;

-- conflicting: edge of a prompt is two examples / edges of prompts are several examples each
SELECT run_id, min(example_id) AS case_order, format('prompt {}, query {}, key {}', prompt_id, query_pos, key_pos) AS case_text
FROM edge GROUP BY run_id, prompt_id, query_pos, key_pos HAVING count(*) > 1;

-- conflicting: example has a position outside of its prompt, or after its query / examples have positions outside of their prompts, or after their queries
SELECT e.run_id, e.example_id AS case_order, format('example {}: query {}, key {}, baseline {} of {} tokens', e.example_id, e.query_pos, e.key_pos, coalesce(e.baseline_pos::VARCHAR, 'none'), p.n_tokens) AS case_text
FROM edge AS e JOIN prompt AS p ON p.run_id = e.run_id AND p.prompt_id = e.prompt_id
WHERE e.query_pos NOT BETWEEN 0 AND p.n_tokens - 1 OR e.key_pos NOT BETWEEN 0 AND e.query_pos OR e.baseline_pos NOT BETWEEN 0 AND e.query_pos;

-- conflicting: example names another baseline than it has / examples name other baselines than they have
SELECT run_id, example_id AS case_order, format('example {}: {} at {}', example_id, baseline_kind, coalesce(baseline_pos::VARCHAR, 'no position')) AS case_text
FROM edge WHERE baseline_kind NOT IN ('token', 'mean', 'attention', 'none') OR (baseline_kind = 'token') <> (baseline_pos IS NOT NULL)
  OR (baseline_pos IS NULL) <> (baseline_token IS NULL);

-- conflicting: position holds another token than its example says / positions hold other tokens than their examples say
SELECT e.run_id, e.example_id AS case_order, format('example {} says {} at position {}, the token there is {}', e.example_id, e.said, e.pos, t.text) AS case_text
FROM (SELECT run_id, example_id, prompt_id, key_pos AS pos, key_token AS said FROM edge UNION ALL
  SELECT run_id, example_id, prompt_id, baseline_pos, baseline_token FROM edge WHERE baseline_pos IS NOT NULL) AS e
JOIN prompt_token AS t ON t.run_id = e.run_id AND t.prompt_id = e.prompt_id AND t.pos = e.pos
WHERE t.text <> e.said;
