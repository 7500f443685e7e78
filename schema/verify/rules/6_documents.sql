-- Measures of heads on prompts.

-- incomplete: prompt does not have each measure of each head once / prompts do not have each measure of each head once
SELECT run_id, prompt_id AS case_order, format('prompt {}, head #{}: {} rows of {}', prompt_id, head_id, count(*), measure) AS case_text
FROM head_measure GROUP BY run_id, prompt_id, head_id, measure HAVING count(*) > 1
UNION ALL
SELECT p.run_id, p.prompt_id, format('prompt {}, head {}: no rows of self', p.prompt_id, h.label)
FROM (SELECT DISTINCT run_id FROM head_measure) AS r JOIN prompt AS p ON p.run_id = r.run_id JOIN head AS h ON h.run_id = r.run_id
ANTI JOIN head_measure AS m ON m.run_id = p.run_id AND m.prompt_id = p.prompt_id AND m.head_id = h.head_id AND m.measure = 'self';

-- conflicting: measure of a head has an unknown name, or an impossible number of positions or value / measures of heads have unknown names, or impossible numbers of positions or values
SELECT m.run_id, m.prompt_id AS case_order, format('prompt {} of {} tokens, head #{}: {} of {} positions is {}', m.prompt_id, p.n_tokens, m.head_id, m.measure, m.n, m.value) AS case_text
FROM head_measure AS m JOIN prompt AS p ON p.run_id = m.run_id AND p.prompt_id = m.prompt_id
WHERE m.n < 1 OR m.n > p.n_tokens - (m.measure <> 'self')::INTEGER OR m.measure = 'self' AND m.n <> p.n_tokens
  OR m.measure NOT IN ('previous', 'first', 'self', 'duplicate', 'induction', 'entropy', 'distance', 'above')
  OR NOT m.value BETWEEN -{{relative}} AND {{relative}} + CASE m.measure WHEN 'entropy' THEN ln(p.n_tokens + 1.0) WHEN 'distance' THEN p.n_tokens ELSE 1 END;

{{/* Only where the attention of every position is stored. */}}
-- conflicting: measure of a head is not the mean of its attention rows / measures of heads are not the means of their attention rows
SELECT m.run_id, m.prompt_id AS case_order, format('prompt {}, head #{}: {} is {}, want {}', m.prompt_id, m.head_id, m.measure, m.value, a.value) AS case_text
FROM (SELECT a.run_id, a.prompt_id, a.head_id, 'self' AS measure, sum(a.prob::DOUBLE) FILTER (a.pos = a.query_pos) / any_value(w.n) AS value
  FROM prompt_attention AS a JOIN (SELECT run_id, prompt_id, count(DISTINCT query_pos) AS n FROM edge GROUP BY run_id, prompt_id) AS w ON w.run_id = a.run_id AND w.prompt_id = a.prompt_id
  JOIN prompt AS p ON p.run_id = a.run_id AND p.prompt_id = a.prompt_id AND p.n_tokens = w.n GROUP BY a.run_id, a.prompt_id, a.head_id
  UNION ALL
  SELECT a.run_id, a.prompt_id, a.head_id, unnest(['previous', 'first']), unnest([sum(a.prob::DOUBLE) FILTER (a.pos = a.query_pos - 1), sum(a.prob::DOUBLE) FILTER (a.pos = 0 AND a.query_pos > 0)]) / (any_value(w.n) - 1)
  FROM prompt_attention AS a JOIN (SELECT run_id, prompt_id, count(DISTINCT query_pos) AS n FROM edge GROUP BY run_id, prompt_id) AS w ON w.run_id = a.run_id AND w.prompt_id = a.prompt_id
  JOIN prompt AS p ON p.run_id = a.run_id AND p.prompt_id = a.prompt_id AND p.n_tokens = w.n WHERE p.n_tokens > 1 GROUP BY a.run_id, a.prompt_id, a.head_id) AS a
JOIN head_measure AS m ON m.run_id = a.run_id AND m.prompt_id = a.prompt_id AND m.head_id = a.head_id AND m.measure = a.measure
WHERE abs(m.value - coalesce(a.value, 0)) > {{relative}};
