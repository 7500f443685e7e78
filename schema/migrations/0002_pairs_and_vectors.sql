-- Both sides of a score split at once, and vectors put in the place of a query or a key. Statements end with a
-- semicolon at the end of a line; fact tables have no keys (see 0001).
--
-- Factors are FLOAT[] and not FLOAT[64], because a file may hold models of different d_head. Measured on
-- 1,200 examples of a head with 143 components of 64 numbers, both have the same size on disk, and the same
-- speed where every pair of components is multiplied out. The numbers of the baseline stand beside those of
-- the key, as in contribution_wide. As rows of their own, they made a question about one pair over all
-- prompts 1.5 times as slow, and one about all pairs of a prompt 3 times.

CREATE TYPE measure AS ENUM ('score', 'diff');
COMMENT ON TYPE measure IS 'score: at the key position; diff: at the key position minus at the baseline position.';

CREATE TABLE mover (
  run_id  INTEGER NOT NULL,
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0),
  layer   INTEGER NOT NULL CHECK (layer >= 0),
  head    INTEGER NOT NULL CHECK (head >= 0),
  label   VARCHAR NOT NULL,
  PRIMARY KEY (run_id, ordinal),
  UNIQUE (run_id, label)
);
COMMENT ON TABLE mover IS 'Heads whose outputs at the query position are put in place of the query and compared with directions: name movers, in the IOI task.';
COMMENT ON COLUMN mover.run_id IS 'The run.';
COMMENT ON COLUMN mover.ordinal IS 'Place in the order in which they were asked for or chosen, from 0.';
COMMENT ON COLUMN mover.layer IS 'Layer, from 0; below that of every target head.';
COMMENT ON COLUMN mover.head IS 'Index of the head in its layer, from 0.';
COMMENT ON COLUMN mover.label IS 'Name in figures and in the column vector of other tables, such as 9.9.';

-- Pairs of components ---------------------------------------------------------------------------------------------------

CREATE TABLE query_factor (
  run_id       INTEGER NOT NULL,
  example_id   INTEGER NOT NULL,
  head_id      INTEGER NOT NULL,
  component_id INTEGER NOT NULL,
  basis_id     INTEGER NOT NULL,
  par          FLOAT[] NOT NULL,
  perp         FLOAT[] NOT NULL
);
COMMENT ON TABLE query_factor IS 'What each component adds to the query vector of a target head at the query position. Under one basis, all par and perp of a prompt and head add up to the query vector.';
COMMENT ON COLUMN query_factor.run_id IS 'The run.';
COMMENT ON COLUMN query_factor.example_id IS 'The prompt.';
COMMENT ON COLUMN query_factor.head_id IS 'The target head.';
COMMENT ON COLUMN query_factor.component_id IS 'The component, or b_Q.';
COMMENT ON COLUMN query_factor.basis_id IS 'Query-side basis that splits what the component wrote.';
COMMENT ON COLUMN query_factor.par IS '(x_par / sigma) W_Q, d_head numbers: from the part of the component in the basis. Zeros for b_Q.';
COMMENT ON COLUMN query_factor.perp IS '(x_perp / sigma) W_Q, d_head numbers: from the rest of the component; for b_Q all of it.';

CREATE TABLE key_factor (
  run_id        INTEGER NOT NULL,
  example_id    INTEGER NOT NULL,
  head_id       INTEGER NOT NULL,
  component_id  INTEGER NOT NULL,
  basis_id      INTEGER NOT NULL,
  par           FLOAT[] NOT NULL,
  perp          FLOAT[] NOT NULL,
  baseline_par  FLOAT[],
  baseline_perp FLOAT[],
  CHECK ((baseline_par IS NULL) = (baseline_perp IS NULL))
);
COMMENT ON TABLE key_factor IS 'What each component adds to the key vector of a target head, at the key and at the baseline position. An inner product with a row of query_factor, divided by sqrt(d_head), is a contribution of the pair: see the view pair.';
COMMENT ON COLUMN key_factor.run_id IS 'The run.';
COMMENT ON COLUMN key_factor.example_id IS 'The prompt.';
COMMENT ON COLUMN key_factor.head_id IS 'The target head.';
COMMENT ON COLUMN key_factor.component_id IS 'The component, or b_K.';
COMMENT ON COLUMN key_factor.basis_id IS 'Key-side basis that splits what the component wrote.';
COMMENT ON COLUMN key_factor.par IS '(x_par / sigma) W_K at the key position, d_head numbers. Zeros for b_K.';
COMMENT ON COLUMN key_factor.perp IS '(x_perp / sigma) W_K at the key position, d_head numbers; for b_K all of it.';
COMMENT ON COLUMN key_factor.baseline_par IS 'par at the baseline position, with that position''s own direction; NULL if there is none.';
COMMENT ON COLUMN key_factor.baseline_perp IS 'perp at the baseline position; NULL if there is none.';

CREATE TABLE pair_contribution_wide (
  run_id               INTEGER NOT NULL,
  example_id           INTEGER NOT NULL,
  head_id              INTEGER NOT NULL,
  query_component_id   INTEGER NOT NULL,
  key_component_id     INTEGER NOT NULL,
  query_basis_id       INTEGER NOT NULL,
  key_basis_id         INTEGER NOT NULL,
  score_par_par        FLOAT   NOT NULL,
  score_par_perp       FLOAT   NOT NULL,
  score_perp_par       FLOAT   NOT NULL,
  score_perp_perp      FLOAT   NOT NULL,
  baseline_par_par     FLOAT,
  baseline_par_perp    FLOAT,
  baseline_perp_par    FLOAT,
  baseline_perp_perp   FLOAT,
  diff_par_par         FLOAT   GENERATED ALWAYS AS (score_par_par - baseline_par_par) VIRTUAL,
  diff_par_perp        FLOAT   GENERATED ALWAYS AS (score_par_perp - baseline_par_perp) VIRTUAL,
  diff_perp_par        FLOAT   GENERATED ALWAYS AS (score_perp_par - baseline_perp_par) VIRTUAL,
  diff_perp_perp       FLOAT   GENERATED ALWAYS AS (score_perp_perp - baseline_perp_perp) VIRTUAL,
  CHECK (isfinite(score_par_par + score_par_perp + score_perp_par + score_perp_perp)),
  CHECK (isfinite(baseline_par_par + baseline_par_perp + baseline_perp_par + baseline_perp_perp))
);
COMMENT ON TABLE pair_contribution_wide IS 'Contributions of pairs of components as stored, the quadrants side by side; only for runs that were asked for all pairs. pair_wide has the same columns for every run that has factors.';
COMMENT ON COLUMN pair_contribution_wide.run_id IS 'The run.';
COMMENT ON COLUMN pair_contribution_wide.example_id IS 'The prompt.';
COMMENT ON COLUMN pair_contribution_wide.head_id IS 'The target head.';
COMMENT ON COLUMN pair_contribution_wide.query_component_id IS 'Component of the query vector, or b_Q.';
COMMENT ON COLUMN pair_contribution_wide.key_component_id IS 'Component of the key vector, or b_K.';
COMMENT ON COLUMN pair_contribution_wide.query_basis_id IS 'Basis that splits query components.';
COMMENT ON COLUMN pair_contribution_wide.key_basis_id IS 'Basis that splits key components.';
COMMENT ON COLUMN pair_contribution_wide.score_par_par IS 'Contribution of the pair to the score at the key position: both parts parallel. Score units.';
COMMENT ON COLUMN pair_contribution_wide.score_par_perp IS 'Contribution at the key position: query part parallel, key part perpendicular.';
COMMENT ON COLUMN pair_contribution_wide.score_perp_par IS 'Contribution at the key position: query part perpendicular, key part parallel.';
COMMENT ON COLUMN pair_contribution_wide.score_perp_perp IS 'Contribution at the key position: both parts perpendicular.';
COMMENT ON COLUMN pair_contribution_wide.baseline_par_par IS 'Contribution to the score at the baseline position: both parts parallel; NULL if there is none.';
COMMENT ON COLUMN pair_contribution_wide.baseline_par_perp IS 'Contribution to the score at the baseline position: query part parallel, key part perpendicular.';
COMMENT ON COLUMN pair_contribution_wide.baseline_perp_par IS 'Contribution to the score at the baseline position: query part perpendicular, key part parallel.';
COMMENT ON COLUMN pair_contribution_wide.baseline_perp_perp IS 'Contribution to the score at the baseline position: both parts perpendicular.';
COMMENT ON COLUMN pair_contribution_wide.diff_par_par IS 'score_par_par - baseline_par_par.';
COMMENT ON COLUMN pair_contribution_wide.diff_par_perp IS 'score_par_perp - baseline_par_perp.';
COMMENT ON COLUMN pair_contribution_wide.diff_perp_par IS 'score_perp_par - baseline_perp_par.';
COMMENT ON COLUMN pair_contribution_wide.diff_perp_perp IS 'score_perp_perp - baseline_perp_perp.';

CREATE VIEW pair_wide AS
SELECT f.*,
  f.score_par_par - f.baseline_par_par AS diff_par_par,
  f.score_par_perp - f.baseline_par_perp AS diff_par_perp,
  f.score_perp_par - f.baseline_perp_par AS diff_perp_par,
  f.score_perp_perp - f.baseline_perp_perp AS diff_perp_perp
FROM (
SELECT q.run_id, q.example_id, q.head_id, q.component_id AS query_component_id, k.component_id AS key_component_id,
  q.basis_id AS query_basis_id, k.basis_id AS key_basis_id,
  (list_inner_product(q.par, k.par) / sqrt(len(q.par)))::FLOAT AS score_par_par,
  (list_inner_product(q.par, k.perp) / sqrt(len(q.par)))::FLOAT AS score_par_perp,
  (list_inner_product(q.perp, k.par) / sqrt(len(q.perp)))::FLOAT AS score_perp_par,
  (list_inner_product(q.perp, k.perp) / sqrt(len(q.perp)))::FLOAT AS score_perp_perp,
  (list_inner_product(q.par, k.baseline_par) / sqrt(len(q.par)))::FLOAT AS baseline_par_par,
  (list_inner_product(q.par, k.baseline_perp) / sqrt(len(q.par)))::FLOAT AS baseline_par_perp,
  (list_inner_product(q.perp, k.baseline_par) / sqrt(len(q.perp)))::FLOAT AS baseline_perp_par,
  (list_inner_product(q.perp, k.baseline_perp) / sqrt(len(q.perp)))::FLOAT AS baseline_perp_perp
FROM query_factor AS q
JOIN key_factor AS k ON k.run_id = q.run_id AND k.example_id = q.example_id AND k.head_id = q.head_id
) AS f;
COMMENT ON VIEW pair_wide IS 'Contributions of pairs of components, multiplied out of query_factor and key_factor when asked: one row per prompt, target head, pair of bases and pair of components. Filter on a pair, or on a prompt; for means over prompts there is pair_mean.';
COMMENT ON COLUMN pair_wide.run_id IS 'The run.';
COMMENT ON COLUMN pair_wide.example_id IS 'The prompt.';
COMMENT ON COLUMN pair_wide.head_id IS 'The target head.';
COMMENT ON COLUMN pair_wide.query_component_id IS 'Component of the query vector, or b_Q.';
COMMENT ON COLUMN pair_wide.key_component_id IS 'Component of the key vector, or b_K.';
COMMENT ON COLUMN pair_wide.query_basis_id IS 'Basis that splits query components.';
COMMENT ON COLUMN pair_wide.key_basis_id IS 'Basis that splits key components.';
COMMENT ON COLUMN pair_wide.score_par_par IS 'Contribution of the pair to the score at the key position: both parts parallel. Score units.';
COMMENT ON COLUMN pair_wide.score_par_perp IS 'Contribution at the key position: query part parallel, key part perpendicular.';
COMMENT ON COLUMN pair_wide.score_perp_par IS 'Contribution at the key position: query part perpendicular, key part parallel.';
COMMENT ON COLUMN pair_wide.score_perp_perp IS 'Contribution at the key position: both parts perpendicular.';
COMMENT ON COLUMN pair_wide.baseline_par_par IS 'Contribution to the score at the baseline position: both parts parallel; NULL if there is none.';
COMMENT ON COLUMN pair_wide.baseline_par_perp IS 'Contribution to the score at the baseline position: query part parallel, key part perpendicular.';
COMMENT ON COLUMN pair_wide.baseline_perp_par IS 'Contribution to the score at the baseline position: query part perpendicular, key part parallel.';
COMMENT ON COLUMN pair_wide.baseline_perp_perp IS 'Contribution to the score at the baseline position: both parts perpendicular.';
COMMENT ON COLUMN pair_wide.diff_par_par IS 'score_par_par - baseline_par_par.';
COMMENT ON COLUMN pair_wide.diff_par_perp IS 'score_par_perp - baseline_par_perp.';
COMMENT ON COLUMN pair_wide.diff_perp_par IS 'score_perp_par - baseline_perp_par.';
COMMENT ON COLUMN pair_wide.diff_perp_perp IS 'score_perp_perp - baseline_perp_perp.';

CREATE VIEW pair AS
SELECT p.run_id, p.example_id, h.label AS head, qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head,
  qb.name AS query_basis, kb.name AS key_basis, 'par_par'::quadrant AS quadrant,
  p.score_par_par AS score, p.baseline_par_par AS baseline, p.diff_par_par AS diff
FROM pair_wide AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id
WHERE qb.kind <> 'whole' AND kb.kind <> 'whole'
UNION ALL
SELECT p.run_id, p.example_id, h.label AS head, qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head,
  qb.name AS query_basis, kb.name AS key_basis, 'par_perp'::quadrant AS quadrant,
  p.score_par_perp AS score, p.baseline_par_perp AS baseline, p.diff_par_perp AS diff
FROM pair_wide AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id
WHERE qb.kind <> 'whole'
UNION ALL
SELECT p.run_id, p.example_id, h.label AS head, qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head,
  qb.name AS query_basis, kb.name AS key_basis, 'perp_par'::quadrant AS quadrant,
  p.score_perp_par AS score, p.baseline_perp_par AS baseline, p.diff_perp_par AS diff
FROM pair_wide AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id
WHERE kb.kind <> 'whole'
UNION ALL
SELECT p.run_id, p.example_id, h.label AS head, qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head,
  qb.name AS query_basis, kb.name AS key_basis, 'perp_perp'::quadrant AS quadrant,
  p.score_perp_perp AS score, p.baseline_perp_perp AS baseline, p.diff_perp_perp AS diff
FROM pair_wide AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id;
COMMENT ON VIEW pair IS 'Contributions of pairs of a query component and a key component, multiplied out of the factors when asked. Filter on head, bases, and a pair of components or a prompt: everything at once is 20,000 pairs per prompt for a head in layer 10. pair_mean has means over prompts.';
COMMENT ON COLUMN pair.run_id IS 'The run.';
COMMENT ON COLUMN pair.example_id IS 'The prompt.';
COMMENT ON COLUMN pair.head IS 'The target head, such as 10.7.';
COMMENT ON COLUMN pair.query_component IS 'Component of the query vector, as in figures: W_E, W_pos, 9.6, b_O3, MLP0, b_Q.';
COMMENT ON COLUMN pair.query_kind IS 'Sort of that component: embed, pos_embed, head, attn_bias, mlp, q_bias.';
COMMENT ON COLUMN pair.query_layer IS 'Its layer, from 0; NULL for W_E, W_pos, b_Q.';
COMMENT ON COLUMN pair.query_head IS 'Its index in the layer if it is a head, from 0; else NULL.';
COMMENT ON COLUMN pair.key_component IS 'Component of the key vector, as in figures.';
COMMENT ON COLUMN pair.key_kind IS 'Sort of that component: embed, pos_embed, head, attn_bias, mlp, k_bias.';
COMMENT ON COLUMN pair.key_layer IS 'Its layer, from 0; NULL for W_E, W_pos, b_K.';
COMMENT ON COLUMN pair.key_head IS 'Its index in the layer if it is a head, from 0; else NULL.';
COMMENT ON COLUMN pair.query_basis IS 'Name of the basis that splits query components.';
COMMENT ON COLUMN pair.key_basis IS 'Name of the basis that splits key components.';
COMMENT ON COLUMN pair.quadrant IS 'Part of the query component, then part of the key component: par_par, par_perp, perp_par, perp_perp.';
COMMENT ON COLUMN pair.score IS 'Contribution of the pair to the attention score at the key position; before softmax, divided by sqrt(d_head).';
COMMENT ON COLUMN pair.baseline IS 'Contribution to the attention score at the baseline position; NULL if there is none.';
COMMENT ON COLUMN pair.diff IS 'score - baseline.';

CREATE VIEW pair_contribution AS
SELECT p.run_id, p.example_id, h.label AS head, qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head,
  qb.name AS query_basis, kb.name AS key_basis, 'par_par'::quadrant AS quadrant,
  p.score_par_par AS score, p.baseline_par_par AS baseline, p.diff_par_par AS diff
FROM pair_contribution_wide AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id
WHERE qb.kind <> 'whole' AND kb.kind <> 'whole'
UNION ALL
SELECT p.run_id, p.example_id, h.label AS head, qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head,
  qb.name AS query_basis, kb.name AS key_basis, 'par_perp'::quadrant AS quadrant,
  p.score_par_perp AS score, p.baseline_par_perp AS baseline, p.diff_par_perp AS diff
FROM pair_contribution_wide AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id
WHERE qb.kind <> 'whole'
UNION ALL
SELECT p.run_id, p.example_id, h.label AS head, qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head,
  qb.name AS query_basis, kb.name AS key_basis, 'perp_par'::quadrant AS quadrant,
  p.score_perp_par AS score, p.baseline_perp_par AS baseline, p.diff_perp_par AS diff
FROM pair_contribution_wide AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id
WHERE kb.kind <> 'whole'
UNION ALL
SELECT p.run_id, p.example_id, h.label AS head, qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head,
  qb.name AS query_basis, kb.name AS key_basis, 'perp_perp'::quadrant AS quadrant,
  p.score_perp_perp AS score, p.baseline_perp_perp AS baseline, p.diff_perp_perp AS diff
FROM pair_contribution_wide AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id;
COMMENT ON VIEW pair_contribution IS 'The same rows as in pair, but stored; empty unless the run was asked for all pairs.';
COMMENT ON COLUMN pair_contribution.run_id IS 'The run.';
COMMENT ON COLUMN pair_contribution.example_id IS 'The prompt.';
COMMENT ON COLUMN pair_contribution.head IS 'The target head, such as 10.7.';
COMMENT ON COLUMN pair_contribution.query_component IS 'Component of the query vector, as in figures: W_E, W_pos, 9.6, b_O3, MLP0, b_Q.';
COMMENT ON COLUMN pair_contribution.query_kind IS 'Sort of that component: embed, pos_embed, head, attn_bias, mlp, q_bias.';
COMMENT ON COLUMN pair_contribution.query_layer IS 'Its layer, from 0; NULL for W_E, W_pos, b_Q.';
COMMENT ON COLUMN pair_contribution.query_head IS 'Its index in the layer if it is a head, from 0; else NULL.';
COMMENT ON COLUMN pair_contribution.key_component IS 'Component of the key vector, as in figures.';
COMMENT ON COLUMN pair_contribution.key_kind IS 'Sort of that component: embed, pos_embed, head, attn_bias, mlp, k_bias.';
COMMENT ON COLUMN pair_contribution.key_layer IS 'Its layer, from 0; NULL for W_E, W_pos, b_K.';
COMMENT ON COLUMN pair_contribution.key_head IS 'Its index in the layer if it is a head, from 0; else NULL.';
COMMENT ON COLUMN pair_contribution.query_basis IS 'Name of the basis that splits query components.';
COMMENT ON COLUMN pair_contribution.key_basis IS 'Name of the basis that splits key components.';
COMMENT ON COLUMN pair_contribution.quadrant IS 'Part of the query component, then part of the key component: par_par, par_perp, perp_par, perp_perp.';
COMMENT ON COLUMN pair_contribution.score IS 'Contribution of the pair to the attention score at the key position; before softmax, divided by sqrt(d_head).';
COMMENT ON COLUMN pair_contribution.baseline IS 'Contribution to the attention score at the baseline position; NULL if there is none.';
COMMENT ON COLUMN pair_contribution.diff IS 'score - baseline.';

CREATE TABLE pair_mean_wide (
  run_id               INTEGER NOT NULL,
  head_id              INTEGER NOT NULL,
  query_component_id   INTEGER NOT NULL,
  key_component_id     INTEGER NOT NULL,
  query_basis_id       INTEGER NOT NULL,
  key_basis_id         INTEGER NOT NULL,
  n                    INTEGER NOT NULL CHECK (n > 0),
  n_baseline           INTEGER NOT NULL CHECK (n_baseline BETWEEN 0 AND n),
  mean_score_par_par   FLOAT   NOT NULL,
  mean_score_par_perp  FLOAT   NOT NULL,
  mean_score_perp_par  FLOAT   NOT NULL,
  mean_score_perp_perp FLOAT   NOT NULL,
  se_score_par_par     FLOAT,
  se_score_par_perp    FLOAT,
  se_score_perp_par    FLOAT,
  se_score_perp_perp   FLOAT,
  mean_diff_par_par    FLOAT,
  mean_diff_par_perp   FLOAT,
  mean_diff_perp_par   FLOAT,
  mean_diff_perp_perp  FLOAT,
  se_diff_par_par      FLOAT,
  se_diff_par_perp     FLOAT,
  se_diff_perp_par     FLOAT,
  se_diff_perp_perp    FLOAT,
  CHECK (isfinite(mean_score_par_par + mean_score_par_perp + mean_score_perp_par + mean_score_perp_perp)),
  CHECK (isfinite(mean_diff_par_par + mean_diff_par_perp + mean_diff_perp_par + mean_diff_perp_perp))
);
COMMENT ON TABLE pair_mean_wide IS 'Contributions of pairs of components, averaged over the prompts of a complete run, the quadrants side by side. The view pair_mean is easier to query.';
COMMENT ON COLUMN pair_mean_wide.run_id IS 'The run.';
COMMENT ON COLUMN pair_mean_wide.head_id IS 'The target head.';
COMMENT ON COLUMN pair_mean_wide.query_component_id IS 'Component of the query vector, or b_Q.';
COMMENT ON COLUMN pair_mean_wide.key_component_id IS 'Component of the key vector, or b_K.';
COMMENT ON COLUMN pair_mean_wide.query_basis_id IS 'Basis that splits query components.';
COMMENT ON COLUMN pair_mean_wide.key_basis_id IS 'Basis that splits key components.';
COMMENT ON COLUMN pair_mean_wide.n IS 'Prompts.';
COMMENT ON COLUMN pair_mean_wide.n_baseline IS 'Prompts that have a baseline.';
COMMENT ON COLUMN pair_mean_wide.mean_score_par_par IS 'Mean over prompts of the contribution at the key position: both parts parallel.';
COMMENT ON COLUMN pair_mean_wide.mean_score_par_perp IS 'Mean over prompts of the contribution at the key position: query part parallel, key part perpendicular.';
COMMENT ON COLUMN pair_mean_wide.mean_score_perp_par IS 'Mean over prompts of the contribution at the key position: query part perpendicular, key part parallel.';
COMMENT ON COLUMN pair_mean_wide.mean_score_perp_perp IS 'Mean over prompts of the contribution at the key position: both parts perpendicular.';
COMMENT ON COLUMN pair_mean_wide.se_score_par_par IS 'Standard error of mean_score_par_par: sample standard deviation / sqrt(n); NULL for one prompt.';
COMMENT ON COLUMN pair_mean_wide.se_score_par_perp IS 'Standard error of mean_score_par_perp: sample standard deviation / sqrt(n); NULL for one prompt.';
COMMENT ON COLUMN pair_mean_wide.se_score_perp_par IS 'Standard error of mean_score_perp_par: sample standard deviation / sqrt(n); NULL for one prompt.';
COMMENT ON COLUMN pair_mean_wide.se_score_perp_perp IS 'Standard error of mean_score_perp_perp: sample standard deviation / sqrt(n); NULL for one prompt.';
COMMENT ON COLUMN pair_mean_wide.mean_diff_par_par IS 'Mean of score - baseline over prompts that have a baseline: both parts parallel; NULL if none has.';
COMMENT ON COLUMN pair_mean_wide.mean_diff_par_perp IS 'Mean of score - baseline over prompts that have a baseline: query part parallel, key part perpendicular; NULL if none has.';
COMMENT ON COLUMN pair_mean_wide.mean_diff_perp_par IS 'Mean of score - baseline over prompts that have a baseline: query part perpendicular, key part parallel; NULL if none has.';
COMMENT ON COLUMN pair_mean_wide.mean_diff_perp_perp IS 'Mean of score - baseline over prompts that have a baseline: both parts perpendicular; NULL if none has.';
COMMENT ON COLUMN pair_mean_wide.se_diff_par_par IS 'Standard error of mean_diff_par_par; NULL for fewer than two baselines.';
COMMENT ON COLUMN pair_mean_wide.se_diff_par_perp IS 'Standard error of mean_diff_par_perp; NULL for fewer than two baselines.';
COMMENT ON COLUMN pair_mean_wide.se_diff_perp_par IS 'Standard error of mean_diff_perp_par; NULL for fewer than two baselines.';
COMMENT ON COLUMN pair_mean_wide.se_diff_perp_perp IS 'Standard error of mean_diff_perp_perp; NULL for fewer than two baselines.';

CREATE VIEW pair_mean AS
SELECT p.run_id, h.label AS head, qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head,
  qb.name AS query_basis, kb.name AS key_basis, 'par_par'::quadrant AS quadrant,
  p.mean_score_par_par AS mean_score, p.mean_diff_par_par AS mean_diff, p.se_score_par_par AS se_score, p.se_diff_par_par AS se_diff, p.n, p.n_baseline
FROM pair_mean_wide AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id
WHERE qb.kind <> 'whole' AND kb.kind <> 'whole'
UNION ALL
SELECT p.run_id, h.label AS head, qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head,
  qb.name AS query_basis, kb.name AS key_basis, 'par_perp'::quadrant AS quadrant,
  p.mean_score_par_perp AS mean_score, p.mean_diff_par_perp AS mean_diff, p.se_score_par_perp AS se_score, p.se_diff_par_perp AS se_diff, p.n, p.n_baseline
FROM pair_mean_wide AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id
WHERE qb.kind <> 'whole'
UNION ALL
SELECT p.run_id, h.label AS head, qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head,
  qb.name AS query_basis, kb.name AS key_basis, 'perp_par'::quadrant AS quadrant,
  p.mean_score_perp_par AS mean_score, p.mean_diff_perp_par AS mean_diff, p.se_score_perp_par AS se_score, p.se_diff_perp_par AS se_diff, p.n, p.n_baseline
FROM pair_mean_wide AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id
WHERE kb.kind <> 'whole'
UNION ALL
SELECT p.run_id, h.label AS head, qc.label AS query_component, qc.kind AS query_kind, qc.layer AS query_layer, qc.head AS query_head,
  kc.label AS key_component, kc.kind AS key_kind, kc.layer AS key_layer, kc.head AS key_head,
  qb.name AS query_basis, kb.name AS key_basis, 'perp_perp'::quadrant AS quadrant,
  p.mean_score_perp_perp AS mean_score, p.mean_diff_perp_perp AS mean_diff, p.se_score_perp_perp AS se_score, p.se_diff_perp_perp AS se_diff, p.n, p.n_baseline
FROM pair_mean_wide AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN component AS qc ON qc.component_id = p.query_component_id
JOIN component AS kc ON kc.component_id = p.key_component_id
JOIN basis AS qb ON qb.run_id = p.run_id AND qb.basis_id = p.query_basis_id
JOIN basis AS kb ON kb.run_id = p.run_id AND kb.basis_id = p.key_basis_id;
COMMENT ON VIEW pair_mean IS 'Contributions of pairs of a query component and a key component, averaged over the prompts of a complete run: one row per target head, pair of bases, pair of components and quadrant.';
COMMENT ON COLUMN pair_mean.run_id IS 'The run.';
COMMENT ON COLUMN pair_mean.head IS 'The target head, such as 10.7.';
COMMENT ON COLUMN pair_mean.query_component IS 'Component of the query vector, as in figures: W_E, W_pos, 9.6, b_O3, MLP0, b_Q.';
COMMENT ON COLUMN pair_mean.query_kind IS 'Sort of that component: embed, pos_embed, head, attn_bias, mlp, q_bias.';
COMMENT ON COLUMN pair_mean.query_layer IS 'Its layer, from 0; NULL for W_E, W_pos, b_Q.';
COMMENT ON COLUMN pair_mean.query_head IS 'Its index in the layer if it is a head, from 0; else NULL.';
COMMENT ON COLUMN pair_mean.key_component IS 'Component of the key vector, as in figures.';
COMMENT ON COLUMN pair_mean.key_kind IS 'Sort of that component: embed, pos_embed, head, attn_bias, mlp, k_bias.';
COMMENT ON COLUMN pair_mean.key_layer IS 'Its layer, from 0; NULL for W_E, W_pos, b_K.';
COMMENT ON COLUMN pair_mean.key_head IS 'Its index in the layer if it is a head, from 0; else NULL.';
COMMENT ON COLUMN pair_mean.query_basis IS 'Name of the basis that splits query components.';
COMMENT ON COLUMN pair_mean.key_basis IS 'Name of the basis that splits key components.';
COMMENT ON COLUMN pair_mean.quadrant IS 'Part of the query component, then part of the key component: par_par, par_perp, perp_par, perp_perp.';
COMMENT ON COLUMN pair_mean.mean_score IS 'Mean contribution of the pair at the key position, score units.';
COMMENT ON COLUMN pair_mean.mean_diff IS 'Mean of score - baseline, over prompts that have a baseline; else NULL.';
COMMENT ON COLUMN pair_mean.se_score IS 'Standard error of mean_score: sample standard deviation / sqrt(n); NULL for one prompt.';
COMMENT ON COLUMN pair_mean.se_diff IS 'Standard error of mean_diff; NULL for fewer than two baselines.';
COMMENT ON COLUMN pair_mean.n IS 'Prompts.';
COMMENT ON COLUMN pair_mean.n_baseline IS 'Prompts that have a baseline.';

-- Vectors --------------------------------------------------------------------------------------------------------------

CREATE TABLE substitution (
  run_id     INTEGER NOT NULL,
  example_id INTEGER NOT NULL,
  head_id    INTEGER NOT NULL,
  side       side    NOT NULL,
  vector     VARCHAR NOT NULL,
  score      FLOAT   NOT NULL CHECK (isfinite(score)),
  baseline   FLOAT   CHECK (isfinite(baseline)),
  prob       FLOAT   NOT NULL CHECK (prob BETWEEN 0 AND 1.00001),
  diff_prob  FLOAT   CHECK (diff_prob BETWEEN 0 AND 1.00001),
  diff       FLOAT   GENERATED ALWAYS AS (score - baseline) VIRTUAL
);
COMMENT ON TABLE substitution IS 'Attention that results when the whole vector of one side, before the map of the head, becomes another one, normalised by LayerNorm as the model would.';
COMMENT ON COLUMN substitution.run_id IS 'The run.';
COMMENT ON COLUMN substitution.example_id IS 'The prompt.';
COMMENT ON COLUMN substitution.head_id IS 'The target head.';
COMMENT ON COLUMN substitution.side IS 'Whose vector is replaced: the query''s or the key''s; the other is the model''s own.';
COMMENT ON COLUMN substitution.vector IS 'What is put in: on the query side W_U[key], W_U[baseline], W_U[random name], W_U[random], the output of a mover head (9.9), its part perpendicular to W_U[key] (9.9 perp W_U[key]) or unpatched; on the key side W_E, W_EE, W_EE0, MLP0 or unpatched, each of the token at its own position.';
COMMENT ON COLUMN substitution.score IS 'Attention score to the key position: before softmax, divided by sqrt(d_head).';
COMMENT ON COLUMN substitution.baseline IS 'Attention score to the baseline position; on the key side with the baseline''s own vector. NULL if there is none.';
COMMENT ON COLUMN substitution.prob IS 'Attention probability of the key position if its score, and no other, becomes score.';
COMMENT ON COLUMN substitution.diff_prob IS 'The same with score - baseline put in: a quirk of the notebook convention, without direct meaning; else NULL.';
COMMENT ON COLUMN substitution.diff IS 'score - baseline.';

CREATE VIEW head_substitution AS
SELECT s.run_id, s.example_id, h.label AS head, s.side, s.vector, s.score, s.baseline, s.diff, s.prob, s.diff_prob
FROM substitution AS s
JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id;
COMMENT ON VIEW head_substitution IS 'substitution with the name of the head.';
COMMENT ON COLUMN head_substitution.run_id IS 'The run.';
COMMENT ON COLUMN head_substitution.example_id IS 'The prompt.';
COMMENT ON COLUMN head_substitution.head IS 'The target head, such as 10.7.';
COMMENT ON COLUMN head_substitution.side IS 'Whose vector is replaced: the query''s or the key''s; the other is the model''s own.';
COMMENT ON COLUMN head_substitution.vector IS 'What is put in: on the query side W_U[key], W_U[baseline], W_U[random name], W_U[random], the output of a mover head (9.9), its part perpendicular to W_U[key] (9.9 perp W_U[key]) or unpatched; on the key side W_E, W_EE, W_EE0, MLP0 or unpatched, each of the token at its own position.';
COMMENT ON COLUMN head_substitution.score IS 'Attention score to the key position: before softmax, divided by sqrt(d_head).';
COMMENT ON COLUMN head_substitution.baseline IS 'Attention score to the baseline position; on the key side with the baseline''s own vector. NULL if there is none.';
COMMENT ON COLUMN head_substitution.diff IS 'score - baseline.';
COMMENT ON COLUMN head_substitution.prob IS 'Attention probability of the key position if its score, and no other, becomes score.';
COMMENT ON COLUMN head_substitution.diff_prob IS 'The same with score - baseline put in: a quirk of the notebook convention, without direct meaning; else NULL.';

CREATE TABLE projection (
  run_id        INTEGER NOT NULL,
  example_id    INTEGER NOT NULL,
  head_id       INTEGER NOT NULL,
  side          side    NOT NULL,
  vector        VARCHAR NOT NULL,
  basis_id      INTEGER NOT NULL,
  measure       measure NOT NULL,
  par_norm      FLOAT   NOT NULL CHECK (isfinite(par_norm) AND par_norm >= 0),
  perp_norm     FLOAT   NOT NULL CHECK (isfinite(perp_norm) AND perp_norm >= 0),
  par_cos       FLOAT   CHECK (par_cos BETWEEN -1.00001 AND 1.00001),
  perp_cos      FLOAT   CHECK (perp_cos BETWEEN -1.00001 AND 1.00001),
  par_fraction  FLOAT   GENERATED ALWAYS AS (par_norm * par_norm) VIRTUAL,
  perp_fraction FLOAT   GENERATED ALWAYS AS (perp_norm * perp_norm) VIRTUAL
);
COMMENT ON TABLE projection IS 'How much of a vector, at unit length, lies in a basis, and how its parts are turned towards the linear map from vectors of its side to the score: W_Q k / sqrt(d_head) on the query side, W_K q / sqrt(d_head) on the key side.';
COMMENT ON COLUMN projection.run_id IS 'The run.';
COMMENT ON COLUMN projection.example_id IS 'The prompt.';
COMMENT ON COLUMN projection.head_id IS 'The target head.';
COMMENT ON COLUMN projection.side IS 'The side of the vector: query or key.';
COMMENT ON COLUMN projection.vector IS 'The vector: on the query side the output of a mover head at the query position (9.9); on the key side resid_pre, the residual stream before the layer of the head.';
COMMENT ON COLUMN projection.basis_id IS 'Basis that splits the vector.';
COMMENT ON COLUMN projection.measure IS 'diff: the baseline is subtracted, on the query side in the map, on the key side part by part in the vector; score: it is not.';
COMMENT ON COLUMN projection.par_norm IS 'Length of the part of the unit vector in the basis.';
COMMENT ON COLUMN projection.perp_norm IS 'Length of the rest of the unit vector.';
COMMENT ON COLUMN projection.par_cos IS 'Cosine of the part in the basis with the map; NULL where it is zero.';
COMMENT ON COLUMN projection.perp_cos IS 'Cosine of the rest with the map; NULL where it is zero.';
COMMENT ON COLUMN projection.par_fraction IS 'par_norm squared: the fraction of the vector that the basis explains.';
COMMENT ON COLUMN projection.perp_fraction IS 'perp_norm squared: the fraction that it leaves.';

CREATE VIEW head_projection AS
SELECT p.run_id, p.example_id, h.label AS head, p.side, p.vector, b.name AS basis, p.measure,
  p.par_norm, p.perp_norm, p.par_cos, p.perp_cos, p.par_fraction, p.perp_fraction
FROM projection AS p
JOIN head AS h ON h.run_id = p.run_id AND h.head_id = p.head_id
JOIN basis AS b ON b.run_id = p.run_id AND b.basis_id = p.basis_id;
COMMENT ON VIEW head_projection IS 'projection with the names of the head and the basis.';
COMMENT ON COLUMN head_projection.run_id IS 'The run.';
COMMENT ON COLUMN head_projection.example_id IS 'The prompt.';
COMMENT ON COLUMN head_projection.head IS 'The target head, such as 10.7.';
COMMENT ON COLUMN head_projection.side IS 'The side of the vector: query or key.';
COMMENT ON COLUMN head_projection.vector IS 'The vector: on the query side the output of a mover head at the query position (9.9); on the key side resid_pre, the residual stream before the layer of the head.';
COMMENT ON COLUMN head_projection.basis IS 'Name of the basis that splits the vector.';
COMMENT ON COLUMN head_projection.measure IS 'diff: the baseline is subtracted, on the query side in the map, on the key side part by part in the vector; score: it is not.';
COMMENT ON COLUMN head_projection.par_norm IS 'Length of the part of the unit vector in the basis.';
COMMENT ON COLUMN head_projection.perp_norm IS 'Length of the rest of the unit vector.';
COMMENT ON COLUMN head_projection.par_cos IS 'Cosine of the part in the basis with the map; NULL where it is zero.';
COMMENT ON COLUMN head_projection.perp_cos IS 'Cosine of the rest with the map; NULL where it is zero.';
COMMENT ON COLUMN head_projection.par_fraction IS 'par_norm squared: the fraction of the vector that the basis explains.';
COMMENT ON COLUMN head_projection.perp_fraction IS 'perp_norm squared: the fraction that it leaves.';

CREATE TABLE vector_cosine (
  run_id     INTEGER NOT NULL,
  example_id INTEGER NOT NULL,
  side       side    NOT NULL,
  vector_a   VARCHAR NOT NULL,
  vector_b   VARCHAR NOT NULL,
  basis_id   INTEGER NOT NULL,
  par_cos    FLOAT   CHECK (par_cos BETWEEN -1.00001 AND 1.00001),
  perp_cos   FLOAT   CHECK (perp_cos BETWEEN -1.00001 AND 1.00001)
);
COMMENT ON TABLE vector_cosine IS 'How alike two vectors of a prompt are, in a basis and outside of it.';
COMMENT ON COLUMN vector_cosine.run_id IS 'The run.';
COMMENT ON COLUMN vector_cosine.example_id IS 'The prompt.';
COMMENT ON COLUMN vector_cosine.side IS 'The side of both vectors.';
COMMENT ON COLUMN vector_cosine.vector_a IS 'One vector: the output of a mover head at the query position, such as 9.9.';
COMMENT ON COLUMN vector_cosine.vector_b IS 'The other vector, such as 9.6.';
COMMENT ON COLUMN vector_cosine.basis_id IS 'Basis that splits both.';
COMMENT ON COLUMN vector_cosine.par_cos IS 'Cosine of the parts in the basis; NULL where one is zero.';
COMMENT ON COLUMN vector_cosine.perp_cos IS 'Cosine of the rests; NULL where one is zero.';
