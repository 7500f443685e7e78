-- What the model does without a component: it was taken away as it reached the stream, and the model run on, so
-- that all later layers respond. Rows are made by ducklens ablate.

-- Attention of target heads, and logits, when a component is ablated, beside the model's own.
CREATE TABLE ablation (
  -- The run.
  run_id             INTEGER NOT NULL,
  -- The example.
  example_id         INTEGER NOT NULL,
  -- The target head; its layer is above that of the component.
  head_id            INTEGER NOT NULL,
  -- The component: a head or an MLP.
  component_id       INTEGER NOT NULL,
  -- What stands in its place: zero, or mean (of what it wrote at the positions where it is replaced, over the
  -- examples of the run, the first position of a prompt apart).
  method             VARCHAR NOT NULL,
  -- Where it is replaced: all (positions up to the query), query or key (that position alone).
  place              VARCHAR NOT NULL,
  -- Attention score to the key position, before any soft cap and before softmax.
  score              FLOAT   NOT NULL CHECK (isfinite(score)),
  -- Attention score to the baseline position; NULL if there is none.
  baseline           FLOAT   CHECK (isfinite(baseline)),
  -- Attention probability of the key position.
  prob               FLOAT   NOT NULL CHECK (isfinite(prob)),
  -- Attention probability of the baseline position; NULL if there is none.
  baseline_prob      FLOAT   CHECK (isfinite(baseline_prob)),
  -- Logit of the key's token at the query position, before any soft cap; NULL for a model without unembedding.
  key_logit          FLOAT   CHECK (isfinite(key_logit)),
  -- Logit of the baseline's token there; NULL if there is none.
  baseline_logit     FLOAT   CHECK (isfinite(baseline_logit)),
  -- Logit of the key's token with nothing ablated.
  own_key_logit      FLOAT   CHECK (isfinite(own_key_logit)),
  -- Logit of the baseline's token with nothing ablated.
  own_baseline_logit FLOAT   CHECK (isfinite(own_baseline_logit)),
  -- score - baseline.
  diff               FLOAT   GENERATED ALWAYS AS (score - baseline) VIRTUAL
);
