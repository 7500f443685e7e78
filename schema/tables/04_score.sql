-- Scores, attention and contributions. Tables of facts have no keys, because an index would take more room
-- than the rows; ducklens verify checks the uniqueness that a key would ensure. The numbers of a baseline are
-- in the same row as those of the key, NULL if the example has no baseline. A baseline is one position, or
-- the mean over all other positions that the query sees, weighted as edge.baseline_kind says. The numbers of
-- a mean are the means, with these weights, of the numbers of the positions.

-- Attention of each target head from the query position to the key and the baseline, as the model computes
-- it.
CREATE TABLE score (
  -- The run.
  run_id              INTEGER NOT NULL,
  -- The example.
  example_id          INTEGER NOT NULL,
  -- The target head.
  head_id             INTEGER NOT NULL,
  -- Attention score to the key position: q . k times head.score_scale, before any soft cap and before
  -- softmax.
  score               FLOAT   NOT NULL CHECK (isfinite(score)),
  -- Attention score to the baseline, or the mean of the scores if the baseline is a mean; NULL if there is
  -- none.
  baseline            FLOAT   CHECK (isfinite(baseline)),
  -- Attention probability of the key position, 0 to 1: softmax of the capped scores.
  prob                FLOAT   NOT NULL CHECK (isfinite(prob)),
  -- Attention probability of the baseline position, 0 to 1, or the mean of the probabilities if the baseline
  -- is a mean; NULL if there is none.
  baseline_prob       FLOAT   CHECK (isfinite(baseline_prob)),
  -- Probability that the attention sink takes, 0 to 1; NULL if the head has none.
  sink_prob           FLOAT   CHECK (isfinite(sink_prob)),
  -- Scale of the norm before the layer of the head at the query position, sqrt(variance + eps) or sqrt(mean
  -- square + eps); 1 if there is no such norm.
  query_scale         FLOAT   NOT NULL CHECK (isfinite(query_scale) AND query_scale > 0),
  -- Scale of that norm at the key position.
  key_scale           FLOAT   NOT NULL CHECK (isfinite(key_scale) AND key_scale > 0),
  -- Scale of that norm at the baseline position; NULL if there is none: a mean has no scale.
  baseline_scale      FLOAT   CHECK (isfinite(baseline_scale) AND baseline_scale > 0),
  -- Scale by which QK-norm divides the query vector; NULL if the model has none.
  query_norm_scale    FLOAT   CHECK (isfinite(query_norm_scale) AND query_norm_scale > 0),
  -- Scale by which QK-norm divides the key vector at the key position; NULL if the model has none.
  key_norm_scale      FLOAT   CHECK (isfinite(key_norm_scale) AND key_norm_scale > 0),
  -- Scale by which QK-norm divides the key vector at the baseline position; NULL if there is none, or if it
  -- is a mean.
  baseline_norm_scale FLOAT   CHECK (isfinite(baseline_norm_scale) AND baseline_norm_scale > 0),
  -- Largest distance between a score and the sum of its contributions, over sides, bases and both positions,
  -- in score units. If a basis replaces a vector and the replaced score is larger than max(1, |score|,
  -- |baseline|), that distance is reduced in proportion.
  closure_residual    DOUBLE  NOT NULL CHECK (isfinite(closure_residual) AND closure_residual >= 0),
  -- score - baseline.
  diff                FLOAT   GENERATED ALWAYS AS (score - baseline) VIRTUAL
);

-- Attention of each target head from a query position to every position that it can see there: those up to
-- it, or inside the head's window. The view attention has it by example.
CREATE TABLE prompt_attention (
  -- The run.
  run_id    INTEGER NOT NULL,
  -- The prompt.
  prompt_id INTEGER NOT NULL,
  -- Position that attends, from 0.
  query_pos INTEGER NOT NULL,
  -- The target head.
  head_id   INTEGER NOT NULL,
  -- Position attended to, from 0.
  pos       INTEGER NOT NULL,
  -- Attention score: q . k times head.score_scale, before any soft cap and before softmax.
  score     FLOAT   NOT NULL CHECK (isfinite(score)),
  -- Attention probability, 0 to 1: softmax of the capped scores. Those of a row and the sink's add up to 1.
  prob      FLOAT   NOT NULL CHECK (isfinite(prob))
);

-- Scales of the norms after attention and MLP, which divide a layer's outputs before they are added to the
-- residual stream. Contributions hold them fixed. Only for models that have such norms.
CREATE TABLE layer_scale (
  -- The run.
  run_id          INTEGER NOT NULL,
  -- The prompt.
  prompt_id       INTEGER NOT NULL,
  -- Layer, from 0.
  layer           INTEGER NOT NULL,
  -- Position, from 0: the query, key and baseline positions of the prompt's examples.
  pos             INTEGER NOT NULL,
  -- Scale of the norm after attention.
  post_attn_scale FLOAT   NOT NULL CHECK (isfinite(post_attn_scale)),
  -- Scale of the norm after the MLP.
  post_mlp_scale  FLOAT   NOT NULL CHECK (isfinite(post_mlp_scale))
);

-- Contributions of components to a score, one column for each quadrant. The views contribution and
-- contribution_unsplit are easier to query.
CREATE TABLE contribution_wide (
  -- The run.
  run_id         INTEGER NOT NULL,
  -- The example.
  example_id     INTEGER NOT NULL,
  -- The target head.
  head_id        INTEGER NOT NULL,
  -- Which vector is split over components; the other is held fixed.
  side           side    NOT NULL,
  -- The component that contributes.
  component_id   INTEGER NOT NULL,
  -- Basis that splits query vectors.
  query_basis_id INTEGER NOT NULL,
  -- Basis that splits key vectors.
  key_basis_id   INTEGER NOT NULL,
{{range quadrants}}
  -- Contribution to the score at the key position: {{.Words}}. Score units.
  score_{{.}} FLOAT NOT NULL,
{{end}}{{range quadrants}}
  -- The same to the score at the baseline: {{.Words}}; NULL if there is none.
  baseline_{{.}} FLOAT,
{{end}}{{range quadrants}}
  -- score_{{.}} - baseline_{{.}}.
  diff_{{.}} FLOAT GENERATED ALWAYS AS (score_{{.}} - baseline_{{.}}) VIRTUAL,
{{end}}
  CHECK (isfinite({{sum "score_"}})),
  CHECK (isfinite({{sum "baseline_"}}))
);

-- Moments of contributions over the examples of a run, without the rows of contribution_wide; only for runs
-- that store only means (ingest --keep means). The views component_mean and contribution_mean show them by
-- name, and the macro moments shows those of some prompts.
CREATE TABLE contribution_moment (
  -- The run.
  run_id            INTEGER NOT NULL,
  -- The prompts: all, or FIELD=VALUE as requested with ingest --by, such as prompt_order=ABBA.
  prompts           VARCHAR NOT NULL,
  -- The target head.
  head_id           INTEGER NOT NULL,
  -- Which vector is split over components; the other is held fixed.
  side              side    NOT NULL,
  -- The component that contributes.
  component_id      INTEGER NOT NULL,
  -- Basis that splits query vectors.
  query_basis_id    INTEGER NOT NULL,
  -- Basis that splits key vectors.
  key_basis_id      INTEGER NOT NULL,
  -- Part of the query vector, then part of the key vector; NULL is the sum of the four.
  quadrant          quadrant,
  -- Examples.
  n                 INTEGER NOT NULL,
  -- Mean contribution to the score at the key position. Score units.
  mean_score        DOUBLE  NOT NULL CHECK (isfinite(mean_score)),
  -- Sample variance of it; NULL for one example.
  variance_score    DOUBLE  CHECK (isfinite(variance_score) AND variance_score >= 0),
  -- Its minimum, its 1, 5, 25, 50, 75, 95 and 99 % quantiles, and its maximum. Minimum and maximum are exact;
  -- the others are within 1/16 of their value, or within 1e-6. NULL for groups of prompts, and for random
  -- directions.
  quantiles_score   FLOAT[],
  -- Examples that have a baseline.
  n_baseline        INTEGER NOT NULL,
  -- Mean contribution at the baseline; NULL if no example has one.
  mean_baseline     DOUBLE  CHECK (isfinite(mean_baseline)),
  -- Sample variance of it; NULL for fewer than two baselines.
  variance_baseline DOUBLE  CHECK (isfinite(variance_baseline) AND variance_baseline >= 0),
  -- Mean of score - baseline; NULL if no example has a baseline.
  mean_diff         DOUBLE  CHECK (isfinite(mean_diff)),
  -- Sample variance of it; NULL for fewer than two baselines.
  variance_diff     DOUBLE  CHECK (isfinite(variance_diff) AND variance_diff >= 0),
  -- Quantiles of it, as those of the score.
  quantiles_diff    FLOAT[],
  -- Exact sums and counts from which all of these are computed. With them, runs over parts of a corpus merge
  -- into a run over the whole, equal in every bit.
  state             BLOB    NOT NULL
);
