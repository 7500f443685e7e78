-- Copies the rows of a file of schema version 1 to 3, attached as old, into the current tables. A statement
-- ends with a semicolon at the end of a line. migrate.go writes models, runs, components and prompts, because
-- they have keys.

INSERT INTO run_component (run_id, component_id, ordinal)
SELECT r.run_id, c.component_id, row_number() OVER (PARTITION BY r.run_id ORDER BY c.component_id) - 1
FROM old.main.run AS r JOIN old.main.component AS c ON c.model_id = r.model_id ORDER BY r.run_id, c.component_id;

INSERT INTO head (run_id, head_id, layer, head, label, ordinal, kv_head, score_scale, soft_cap, attention_window, sink_logit, rotary_dims)
SELECT h.run_id, h.head_id, h.layer, h.head, 'L' || h.layer || 'H' || h.head, h.ordinal, h.head, 1 / sqrt(m.d_head), NULL, NULL, NULL, 0
FROM old.main.head AS h JOIN old.main.run AS r ON r.run_id = h.run_id JOIN old.main.model AS m ON m.model_id = r.model_id
ORDER BY h.run_id, h.ordinal;

INSERT INTO basis (run_id, basis_id, side, kind, name, dimension, description, null_number)
SELECT run_id, basis_id, side::VARCHAR, kind::VARCHAR, name, dimension, description, null_number FROM old.main.basis;

INSERT INTO edge (run_id, example_id, prompt_id, rule, query_pos, key_pos, baseline_kind, baseline_pos, key_token, baseline_token,
  random_name_id, random_token_id)
SELECT run_id, example_id, example_id, 'given', query_pos, key_pos, CASE WHEN baseline_pos IS NULL THEN 'none' ELSE 'token' END, baseline_pos,
  key_token, baseline_token, random_name_id, random_token_id FROM old.main.example;

INSERT INTO prompt_token (run_id, prompt_id, pos, token_id, text) SELECT run_id, example_id, pos, token_id, text FROM old.main.token;

INSERT INTO score (run_id, example_id, head_id, score, baseline, prob, baseline_prob, query_scale, key_scale, baseline_scale, closure_residual)
SELECT run_id, example_id, head_id, score, baseline, prob, baseline_prob, query_scale, key_scale, baseline_scale, closure_residual
FROM old.main.score;

INSERT INTO prompt_attention (run_id, prompt_id, query_pos, head_id, pos, score, prob)
SELECT a.run_id, a.example_id, e.query_pos, a.head_id, a.pos, a.score, a.prob
FROM old.main.attention AS a JOIN old.main.example AS e ON e.run_id = a.run_id AND e.example_id = a.example_id;

INSERT INTO contribution_wide (run_id, example_id, head_id, side, component_id, query_basis_id, key_basis_id,
  {{list "score_"}}, {{list "baseline_"}})
SELECT run_id, example_id, head_id, side::VARCHAR, component_id, query_basis_id, key_basis_id,
  {{list "score_"}}, {{list "baseline_"}} FROM old.main.contribution_wide;

-- Since version 2.

INSERT INTO mover (run_id, ordinal, layer, head, label) SELECT run_id, ordinal, layer, head, label FROM old.main.mover;

INSERT INTO pair_contribution_wide (run_id, example_id, head_id, query_component_id, key_component_id, query_basis_id, key_basis_id,
  {{list "score_"}}, {{list "baseline_"}})
SELECT run_id, example_id, head_id, query_component_id, key_component_id, query_basis_id, key_basis_id,
  {{list "score_"}}, {{list "baseline_"}} FROM old.main.pair_contribution_wide;

INSERT INTO pair_mean_wide (run_id, head_id, query_component_id, key_component_id, query_basis_id, key_basis_id, n, n_baseline,
  {{list "mean_score_"}}, {{list "se_score_"}},
  {{list "mean_diff_"}}, {{list "se_diff_"}})
SELECT run_id, head_id, query_component_id, key_component_id, query_basis_id, key_basis_id, n, n_baseline,
  {{list "mean_score_"}}, {{list "se_score_"}},
  {{list "mean_diff_"}}, {{list "se_diff_"}} FROM old.main.pair_mean_wide;

INSERT INTO substitution (run_id, example_id, head_id, side, vector, score, baseline, prob, diff_prob)
SELECT run_id, example_id, head_id, side::VARCHAR, vector, score, baseline, prob, diff_prob FROM old.main.substitution;

INSERT INTO projection (run_id, example_id, head_id, side, vector, basis_id, measure, par_norm, perp_norm, par_cos, perp_cos)
SELECT run_id, example_id, head_id, side::VARCHAR, vector, basis_id, measure::VARCHAR, par_norm, perp_norm, par_cos, perp_cos
FROM old.main.projection;

INSERT INTO vector_cosine (run_id, example_id, side, vector_a, vector_b, basis_id, par_cos, perp_cos)
SELECT run_id, example_id, side::VARCHAR, vector_a, vector_b, basis_id, par_cos, perp_cos FROM old.main.vector_cosine;
