-- What was found. Tables of facts have no keys: an index would cost more than the rows. What a key would
-- promise is checked by ducklens verify. Numbers of a baseline stand beside those of the key, NULL where the
-- example has none. A baseline is a position, or the mean over all other positions that the query sees, weighted
-- as edge.baseline_kind says: then its numbers are the means, with the same weights, of what the positions have.

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
  -- Attention score to the baseline, or the mean of the scores where it is a mean; NULL if there is none.
  baseline            FLOAT   CHECK (isfinite(baseline)),
  -- Attention probability of the key position, 0 to 1: softmax of the capped scores.
  prob                FLOAT   NOT NULL CHECK (isfinite(prob)),
  -- Attention probability of the baseline position, 0 to 1, or the mean of the probabilities with the same
  -- weights as that of the scores; NULL if there is none.
  baseline_prob       FLOAT   CHECK (isfinite(baseline_prob)),
  -- Probability that the attention sink takes, 0 to 1; NULL if the head has none.
  sink_prob           FLOAT   CHECK (isfinite(sink_prob)),
  -- Scale of the norm before the layer of the head at the query position, sqrt(variance + eps) or sqrt(mean
  -- square + eps); 1 where there is no such norm.
  query_scale         FLOAT   NOT NULL CHECK (isfinite(query_scale) AND query_scale > 0),
  -- Scale of that norm at the key position.
  key_scale           FLOAT   NOT NULL CHECK (isfinite(key_scale) AND key_scale > 0),
  -- Scale of that norm at the baseline position; NULL if there is none: a mean has no scale of its own.
  baseline_scale      FLOAT   CHECK (isfinite(baseline_scale) AND baseline_scale > 0),
  -- Scale that QK-norm divides the query vector by; NULL where the model has none.
  query_norm_scale    FLOAT   CHECK (isfinite(query_norm_scale) AND query_norm_scale > 0),
  -- Scale that QK-norm divides the key vector by at the key position; NULL where the model has none.
  key_norm_scale      FLOAT   CHECK (isfinite(key_norm_scale) AND key_norm_scale > 0),
  -- Scale that QK-norm divides the key vector by at the baseline position; NULL where there is none, or a mean.
  baseline_norm_scale FLOAT   CHECK (isfinite(baseline_norm_scale) AND baseline_norm_scale > 0),
  -- Largest distance between a score and the sum of its contributions, over sides, bases and both positions, in score
  -- units; where a replaced vector's score is larger than max(1, |score|, |baseline|), in proportion to it.
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

-- Frozen scales of the norms behind attention and MLP: what a layer's outputs were divided by before they
-- were added to the residual stream. Only for models that have such norms.
CREATE TABLE layer_scale (
  -- The run.
  run_id          INTEGER NOT NULL,
  -- The prompt.
  prompt_id       INTEGER NOT NULL,
  -- Layer, from 0.
  layer           INTEGER NOT NULL,
  -- Position, from 0: the query, key and baseline positions of the prompt's examples.
  pos             INTEGER NOT NULL,
  -- Scale of the norm behind attention.
  post_attn_scale FLOAT   NOT NULL CHECK (isfinite(post_attn_scale)),
  -- Scale of the norm behind the MLP.
  post_mlp_scale  FLOAT   NOT NULL CHECK (isfinite(post_mlp_scale))
);

-- Contributions as stored, the quadrants side by side. The views contribution and contribution_unsplit are
-- easier to query.
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
