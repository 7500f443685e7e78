-- Vectors put in the place of a query or a key, and compared with each other; and what components add to the
-- logits.

-- Attention that results when the whole vector of one side, before the map of the head, becomes another one,
-- normalised by the norm before the layer as the model would.
CREATE TABLE substitution (
  -- The run.
  run_id     INTEGER NOT NULL,
  -- The example.
  example_id INTEGER NOT NULL,
  -- The target head.
  head_id    INTEGER NOT NULL,
  -- Whose vector is replaced: the query's or the key's; the other is the model's own.
  side       side    NOT NULL,
  -- What is put in: on the query side W_U[key], W_U[baseline], W_U[random name], W_U[random], the output of a
  -- mover head (9.9), its part perpendicular to W_U[key] (9.9 perp W_U[key]) or unpatched; on the key side
  -- W_E, W_EE, W_EE0, MLP0 or unpatched, each of the token at its own position.
  vector     VARCHAR NOT NULL,
  -- Attention score to the key position, before any soft cap and before softmax.
  score      FLOAT   NOT NULL CHECK (isfinite(score)),
  -- Attention score to the baseline; on the key side with the baseline's own vector, or the mean of the scores with
  -- each position's own. NULL if there is none.
  baseline   FLOAT   CHECK (isfinite(baseline)),
  -- Attention probability of the key position if its score, and no other, becomes score.
  prob       FLOAT   NOT NULL CHECK (isfinite(prob)),
  -- The same with score - baseline put in: a quirk of the notebook convention, without direct meaning; else
  -- NULL.
  diff_prob  FLOAT   CHECK (isfinite(diff_prob)),
  -- score - baseline.
  diff       FLOAT   GENERATED ALWAYS AS (score - baseline) VIRTUAL
);

-- How much of a vector, at unit length, lies in a basis, and how its parts are turned towards the linear map
-- from vectors of its side to the score: W_Q k times head.score_scale on the query side, W_K q times it on
-- the key side.
CREATE TABLE projection (
  -- The run.
  run_id        INTEGER NOT NULL,
  -- The example.
  example_id    INTEGER NOT NULL,
  -- The target head.
  head_id       INTEGER NOT NULL,
  -- The side of the vector: query or key.
  side          side    NOT NULL,
  -- The vector: on the query side the output of a mover head at the query position (9.9); on the key side
  -- resid_pre, the residual stream before the layer of the head.
  vector        VARCHAR NOT NULL,
  -- Basis that splits the vector.
  basis_id      INTEGER NOT NULL,
  -- diff: the baseline is subtracted, on the query side in the map, on the key side part by part in the
  -- vector; score: it is not. No diff on the key side where the baseline is a mean.
  measure       measure NOT NULL,
  -- Length of the part of the unit vector in the basis.
  par_norm      FLOAT   NOT NULL CHECK (isfinite(par_norm)),
  -- Length of the rest of the unit vector.
  perp_norm     FLOAT   NOT NULL CHECK (isfinite(perp_norm)),
  -- Cosine of the part in the basis with the map; NULL where it is zero.
  par_cos       FLOAT   CHECK (isfinite(par_cos)),
  -- Cosine of the rest with the map; NULL where it is zero.
  perp_cos      FLOAT   CHECK (isfinite(perp_cos)),
  -- par_norm squared: the fraction of the vector that the basis explains.
  par_fraction  FLOAT   GENERATED ALWAYS AS (par_norm * par_norm) VIRTUAL,
  -- perp_norm squared: the fraction that it leaves.
  perp_fraction FLOAT   GENERATED ALWAYS AS (perp_norm * perp_norm) VIRTUAL
);

-- How alike two vectors of an example are, in a basis and outside of it.
CREATE TABLE vector_cosine (
  -- The run.
  run_id     INTEGER NOT NULL,
  -- The example.
  example_id INTEGER NOT NULL,
  -- The side of both vectors.
  side       side    NOT NULL,
  -- One vector: the output of a mover head at the query position, such as 9.9.
  vector_a   VARCHAR NOT NULL,
  -- The other vector, such as 9.6.
  vector_b   VARCHAR NOT NULL,
  -- Basis that splits both.
  basis_id   INTEGER NOT NULL,
  -- Cosine of the parts in the basis; NULL where one is zero.
  par_cos    FLOAT   CHECK (isfinite(par_cos)),
  -- Cosine of the rests; NULL where one is zero.
  perp_cos   FLOAT   CHECK (isfinite(perp_cos))
);

-- The model's own logits at the query position; only for runs with logits.
CREATE TABLE logit (
  -- The run.
  run_id           INTEGER NOT NULL,
  -- The example.
  example_id       INTEGER NOT NULL,
  -- Whose logit it is: key or baseline, the token at that position.
  token            VARCHAR NOT NULL,
  -- Number of the token in the vocabulary.
  token_id         INTEGER NOT NULL,
  -- The logit, before any soft cap.
  logit            FLOAT   NOT NULL CHECK (isfinite(logit)),
  -- What no component adds to it: the biases of the final norm and of the unembedding.
  constant         FLOAT   NOT NULL CHECK (isfinite(constant)),
  -- Scale of the final norm at the query position.
  scale            FLOAT   NOT NULL CHECK (isfinite(scale)),
  -- Distance between logit and the sum of constant and all effects.
  closure_residual DOUBLE  NOT NULL CHECK (isfinite(closure_residual))
);

-- What each component of the model adds at the query position to a logit, through the frozen final norm.
CREATE TABLE logit_effect (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The example.
  example_id   INTEGER NOT NULL,
  -- The component: any that writes, in any layer.
  component_id INTEGER NOT NULL,
  -- Whose logit: key or baseline, the token at that position.
  token        VARCHAR NOT NULL,
  -- What the component adds to the logit.
  effect       FLOAT   NOT NULL CHECK (isfinite(effect))
);
