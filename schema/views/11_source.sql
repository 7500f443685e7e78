-- Sources of components by name, and bands of rotary embedding.

-- source_contribution by name, with the token at each position and its role in the example. A position has
-- the first role that fits: key, baseline, query, first, key again, baseline again (the same token elsewhere;
-- IOI: the second mention of the subject), before key, before baseline, after key, after baseline (the tokens
-- beside them), other. The role is that of the position that was read. For example, 'before key' on the key
-- side is what a head at the key, or at the baseline, read from the token before the key.
CREATE VIEW component_source AS
SELECT s.run_id, s.example_id, h.label AS head, s.side, c.label AS component, c.layer AS component_layer, c.head AS component_head, s.pos, t.text AS token,
  CASE WHEN s.pos = e.key_pos THEN 'key' WHEN s.pos = e.baseline_pos THEN 'baseline' WHEN s.pos = e.query_pos THEN 'query' WHEN s.pos = 0 THEN 'first'
    WHEN t.text = e.key_token THEN 'key again' WHEN t.text = e.baseline_token THEN 'baseline again'
    WHEN s.pos = e.key_pos - 1 THEN 'before key' WHEN s.pos = e.baseline_pos - 1 THEN 'before baseline'
    WHEN s.pos = e.key_pos + 1 THEN 'after key' WHEN s.pos = e.baseline_pos + 1 THEN 'after baseline' ELSE 'other' END AS role,
  s.score, s.baseline, s.diff
FROM source_contribution AS s
JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id
JOIN component AS c ON c.component_id = s.component_id
JOIN edge AS e ON e.run_id = s.run_id AND e.example_id = s.example_id
JOIN prompt_token AS t ON t.run_id = e.run_id AND t.prompt_id = e.prompt_id AND t.pos = s.pos;

-- rotary_contribution with the name of the head. position, what the rotation adds, is score - content.
CREATE VIEW rotary_band AS
SELECT r.run_id, r.example_id, h.label AS head, r.pair, r.wavelength, r.score, r.content, r.score - r.content AS position,
  r.baseline, r.baseline_content, r.diff, r.content_diff, r.diff - r.content_diff AS position_diff
FROM rotary_contribution AS r
JOIN head AS h ON h.run_id = r.run_id AND h.head_id = r.head_id;
