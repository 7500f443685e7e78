-- What the scales of norms need to be made again without some components: inner products, in double
-- precision, because of a massive activation they are large and what they leave is small. The macros
-- score_without and prob_without do the arithmetic; only for runs with norms.
--
-- The norm before a head divides by the root of a mean square. With x the residual stream there, centred where
-- the norm centres, and x_c what component c wrote, centred likewise, its scale without c is
--   sigma'^2 = whole - 2 with_whole + squared,
-- and without a set of components: whole, less two times the sum of with_whole, plus the sum of squared, plus
-- two times the sum of product over the pairs of the set.
--
-- QK-norm divides by the root of a mean square of the query or key, of a head or of all heads together. With f_c
-- what c adds to that vector before gain and turn, u their sum, b the bias, and r = sigma / sigma' of the norm
-- before, its scale without c is
--   tau'^2 = r^2 (whole - 2 with_whole + squared) + 2 r (whole_bias - with_bias) + constant.

-- Inner products of components with the residual stream before the layer of a target head.
CREATE TABLE component_norm (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The prompt.
  prompt_id    INTEGER NOT NULL,
  -- Layer of target heads, from 0: the stream is that before it.
  layer        INTEGER NOT NULL,
  -- Position, from 0: the query, key and baseline positions of the prompt's examples.
  pos          INTEGER NOT NULL,
  -- The component.
  component_id INTEGER NOT NULL,
  -- Mean square of the stream, plus epsilon: the square of the norm's scale. The same for all components.
  whole        DOUBLE  NOT NULL CHECK (isfinite(whole) AND whole >= 0),
  -- Inner product of the component and the stream, divided by d_model.
  with_whole   DOUBLE  NOT NULL CHECK (isfinite(with_whole)),
  -- Mean square of the component.
  squared      DOUBLE  NOT NULL CHECK (isfinite(squared) AND squared >= 0)
);

-- Inner products of two components before the layer of a target head; only for runs that name components for it.
CREATE TABLE component_gram (
  -- The run.
  run_id             INTEGER NOT NULL,
  -- The prompt.
  prompt_id          INTEGER NOT NULL,
  -- Layer of target heads, from 0.
  layer              INTEGER NOT NULL,
  -- Position, from 0.
  pos                INTEGER NOT NULL,
  -- The one component.
  component_id       INTEGER NOT NULL,
  -- The other, after it in the order of the run.
  other_component_id INTEGER NOT NULL,
  -- Their inner product, divided by d_model.
  product            DOUBLE  NOT NULL CHECK (isfinite(product))
);

-- Inner products of what components add to the numbers that QK-norm looks at, before its gain and the turn;
-- only for models with QK-norm.
CREATE TABLE component_qk_norm (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The prompt.
  prompt_id    INTEGER NOT NULL,
  -- The target head.
  head_id      INTEGER NOT NULL,
  -- Whose norm it is: the query's, at query positions, or the key's, at key and baseline positions.
  side         side    NOT NULL,
  -- Position, from 0.
  pos          INTEGER NOT NULL,
  -- The component.
  component_id INTEGER NOT NULL,
  -- Mean square of the sum of all components. The same for all components, as whole_bias and constant are.
  whole        DOUBLE  NOT NULL CHECK (isfinite(whole) AND whole >= 0),
  -- Inner product of that sum and the bias, divided by the number of numbers; 0 without a bias.
  whole_bias   DOUBLE  NOT NULL CHECK (isfinite(whole_bias)),
  -- Mean square of the bias, plus epsilon.
  constant     DOUBLE  NOT NULL CHECK (isfinite(constant) AND constant >= 0),
  -- Inner product of the component and the sum, divided by the number of numbers.
  with_whole   DOUBLE  NOT NULL CHECK (isfinite(with_whole)),
  -- Inner product of the component and the bias, divided by the number of numbers.
  with_bias    DOUBLE  NOT NULL CHECK (isfinite(with_bias)),
  -- Mean square of the component.
  squared      DOUBLE  NOT NULL CHECK (isfinite(squared) AND squared >= 0)
);

-- Inner products of two components in the numbers that QK-norm looks at; only for models with QK-norm, and runs
-- that name components for it.
CREATE TABLE component_qk_gram (
  -- The run.
  run_id             INTEGER NOT NULL,
  -- The prompt.
  prompt_id          INTEGER NOT NULL,
  -- The target head.
  head_id            INTEGER NOT NULL,
  -- Whose norm it is: the query's or the key's.
  side               side    NOT NULL,
  -- Position, from 0.
  pos                INTEGER NOT NULL,
  -- The one component.
  component_id       INTEGER NOT NULL,
  -- The other, after it in the order of the run.
  other_component_id INTEGER NOT NULL,
  -- Their inner product, divided by the number of numbers.
  product            DOUBLE  NOT NULL CHECK (isfinite(product))
);
