-- Results of the model without a component. The component's output is replaced and the model runs on, so that
-- all later layers respond. ducklens ablate adds these rows.

-- Attention of target heads, and logits, with a component ablated.
CREATE TABLE ablation (
  -- The run.
  run_id             INTEGER NOT NULL,
  -- The example.
  example_id         INTEGER NOT NULL,
  -- The target head; its layer is above that of the component.
  head_id            INTEGER NOT NULL,
  -- The component: a head or an MLP.
  component_id       INTEGER NOT NULL,
  -- What replaces its output: zero, or mean, which is its mean output at the replaced positions over the
  -- examples of the run. The first position of a prompt has a mean of its own.
  method             VARCHAR NOT NULL,
  -- Where it is replaced: all (every position up to the query), query or key (only that position).
  place              VARCHAR NOT NULL,
  -- Attention score to the key position, before any soft cap and before softmax.
  score              FLOAT   NOT NULL CHECK (isfinite(score)),
  -- Attention score to the baseline position; NULL if there is none.
  baseline           FLOAT   CHECK (isfinite(baseline)),
  -- Attention probability of the key position.
  prob               FLOAT   NOT NULL CHECK (isfinite(prob)),
  -- Attention probability of the baseline position; NULL if there is none.
  baseline_prob      FLOAT   CHECK (isfinite(baseline_prob)),
  -- Logit of the key's token at the query position, before any soft cap; NULL for a model without
  -- unembedding.
  key_logit          FLOAT   CHECK (isfinite(key_logit)),
  -- Logit of the baseline's token there; NULL if there is none.
  baseline_logit     FLOAT   CHECK (isfinite(baseline_logit)),
  -- key_logit with nothing ablated.
  own_key_logit      FLOAT   CHECK (isfinite(own_key_logit)),
  -- baseline_logit with nothing ablated.
  own_baseline_logit FLOAT   CHECK (isfinite(own_baseline_logit)),
  -- score - baseline.
  diff               FLOAT   GENERATED ALWAYS AS (score - baseline) VIRTUAL
);
