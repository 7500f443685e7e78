-- Inner products from which the scale of a norm without some components is computed. The macros score_without
-- and prob_without do that; only for runs with norms. They are DOUBLE because massive activations make them
-- large, and the result is a small difference of large numbers.
--
-- The norm before a head divides by the root of a mean square. Its scale without component c is
--   sigma'^2 = whole - 2 with_whole + squared
-- and without a set of components
--   sigma'^2 = whole - 2 sum(with_whole) + sum(squared) + 2 sum(product), the last over all pairs of the set.
-- The stream and the components are centred first if the norm centres.
--
-- QK-norm divides the query or the key, of one head or of all heads together, by the root of a mean square.
-- A component adds a part to that vector, before QK-norm's gain and before rotary embedding. With r = sigma /
-- sigma' of the norm before the head, the scale without component c is
--   tau'^2 = r^2 (whole - 2 with_whole + squared) + 2 r (whole_bias - with_bias) + constant.

-- Inner products of components with the residual stream before the layer of a target head. The norm before
-- the head looks at this stream.
CREATE TABLE component_norm (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The prompt.
  prompt_id    INTEGER NOT NULL,
  -- Layer of target heads, from 0.
  layer        INTEGER NOT NULL,
  -- Position, from 0: the query, key and baseline positions of the prompt's examples.
  pos          INTEGER NOT NULL,
  -- The component.
  component_id INTEGER NOT NULL,
  -- Mean square of the stream, plus epsilon: sigma^2. The same for all components.
  whole        DOUBLE  NOT NULL CHECK (isfinite(whole) AND whole >= 0),
  -- Inner product of the component and the stream, divided by d_model.
  with_whole   DOUBLE  NOT NULL CHECK (isfinite(with_whole)),
  -- Mean square of the component.
  squared      DOUBLE  NOT NULL CHECK (isfinite(squared) AND squared >= 0)
);

-- Inner products of two components in the residual stream before the layer of a target head; only for the
-- components that ingest --gram chose.
CREATE TABLE component_gram (
  -- The run.
  run_id             INTEGER NOT NULL,
  -- The prompt.
  prompt_id          INTEGER NOT NULL,
  -- Layer of target heads, from 0.
  layer              INTEGER NOT NULL,
  -- Position, from 0.
  pos                INTEGER NOT NULL,
  -- One component.
  component_id       INTEGER NOT NULL,
  -- The other component, which writes later (run_component.ordinal is larger).
  other_component_id INTEGER NOT NULL,
  -- Their inner product, divided by d_model.
  product            DOUBLE  NOT NULL CHECK (isfinite(product))
);

-- Inner products of the parts that components add to the vector that QK-norm divides; only for models with
-- QK-norm.
CREATE TABLE component_qk_norm (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The prompt.
  prompt_id    INTEGER NOT NULL,
  -- The target head.
  head_id      INTEGER NOT NULL,
  -- query: the norm of the query, at query positions; key: that of the key, at key and baseline positions.
  side         side    NOT NULL,
  -- Position, from 0.
  pos          INTEGER NOT NULL,
  -- The component.
  component_id INTEGER NOT NULL,
  -- Mean square of the sum of all parts. The same for all components, like whole_bias and constant.
  whole        DOUBLE  NOT NULL CHECK (isfinite(whole) AND whole >= 0),
  -- Inner product of that sum and the bias, divided by the length of the vector; 0 without a bias.
  whole_bias   DOUBLE  NOT NULL CHECK (isfinite(whole_bias)),
  -- Mean square of the bias, plus epsilon.
  constant     DOUBLE  NOT NULL CHECK (isfinite(constant) AND constant >= 0),
  -- Inner product of the component's part and the sum, divided by the length of the vector.
  with_whole   DOUBLE  NOT NULL CHECK (isfinite(with_whole)),
  -- Inner product of the component's part and the bias, divided by the length of the vector.
  with_bias    DOUBLE  NOT NULL CHECK (isfinite(with_bias)),
  -- Mean square of the component's part.
  squared      DOUBLE  NOT NULL CHECK (isfinite(squared) AND squared >= 0)
);

-- Inner products of the parts that two components add to the vector that QK-norm divides; only for models
-- with QK-norm, and for the components that ingest --gram chose.
CREATE TABLE component_qk_gram (
  -- The run.
  run_id             INTEGER NOT NULL,
  -- The prompt.
  prompt_id          INTEGER NOT NULL,
  -- The target head.
  head_id            INTEGER NOT NULL,
  -- query or key: whose norm it is.
  side               side    NOT NULL,
  -- Position, from 0.
  pos                INTEGER NOT NULL,
  -- One component.
  component_id       INTEGER NOT NULL,
  -- The other component, which writes later (run_component.ordinal is larger).
  other_component_id INTEGER NOT NULL,
  -- Their inner product, divided by the length of the vector.
  product            DOUBLE  NOT NULL CHECK (isfinite(product))
);
