-- Vectors in place of the query or the key, vectors compared with bases and with each other, and logits.

-- Attention of a target head if another vector replaces the residual stream on one side. The norm before the
-- head is applied to the new vector.
CREATE TABLE substitution (
  -- The run.
  run_id     INTEGER NOT NULL,
  -- The example.
  example_id INTEGER NOT NULL,
  -- The target head.
  head_id    INTEGER NOT NULL,
  -- The side whose vector is replaced; the other side keeps the model's own.
  side       side    NOT NULL,
  -- The replacement. On the query side: W_U[key], W_U[baseline], W_U[random name], W_U[random], the output of
  -- a mover head (9.9), or its part perpendicular to W_U[key] (9.9 perp W_U[key]). On the key side: W_E,
  -- W_EE, W_EE0 or MLP0, each of the token at its own position. On both: unpatched, the residual stream
  -- itself.
  vector     VARCHAR NOT NULL,
  -- Attention score to the key position, before any soft cap and before softmax.
  score      FLOAT   NOT NULL CHECK (isfinite(score)),
  -- Attention score to the baseline. On the key side, the replacement is made from the baseline's token; for
  -- a baseline that is a mean, from the token at each position, and this is the mean of the scores. NULL if
  -- there is no baseline.
  baseline   FLOAT   CHECK (isfinite(baseline)),
  -- Attention probability of the key position if its score becomes score and all other scores stay.
  prob       FLOAT   NOT NULL CHECK (isfinite(prob)),
  -- The same with score - baseline in place of score, which has no direct meaning: a quirk of the notebook
  -- convention. NULL in exact runs.
  diff_prob  FLOAT   CHECK (isfinite(diff_prob)),
  -- score - baseline.
  diff       FLOAT   GENERATED ALWAYS AS (score - baseline) VIRTUAL
);

-- How much of a vector lies in a basis, and the cosines of its parts with the linear map from vectors of this
-- side to the score. The map is W_Q k times head.score_scale on the query side, W_K q times head.score_scale
-- on the key side.
CREATE TABLE projection (
  -- The run.
  run_id        INTEGER NOT NULL,
  -- The example.
  example_id    INTEGER NOT NULL,
  -- The target head.
  head_id       INTEGER NOT NULL,
  -- The side of the vector.
  side          side    NOT NULL,
  -- The vector, scaled to length 1: on the query side the output of a mover head at the query position (9.9),
  -- on the key side resid_pre, the residual stream before the layer of the head.
  vector        VARCHAR NOT NULL,
  -- Basis that splits the vector.
  basis_id      INTEGER NOT NULL,
  -- score, or diff, which subtracts the baseline: on the query side the map of the baseline from the map of
  -- the key; on the key side each part of the vector at the baseline from the same part at the key. The key
  -- side has no diff if the baseline is a mean.
  measure       measure NOT NULL,
  -- Length of the part in the basis.
  par_norm      FLOAT   NOT NULL CHECK (isfinite(par_norm)),
  -- Length of the part perpendicular to the basis.
  perp_norm     FLOAT   NOT NULL CHECK (isfinite(perp_norm)),
  -- Cosine of the part in the basis with the map; NULL if that part is zero.
  par_cos       FLOAT   CHECK (isfinite(par_cos)),
  -- Cosine of the perpendicular part with the map; NULL if that part is zero.
  perp_cos      FLOAT   CHECK (isfinite(perp_cos)),
  -- par_norm squared: the fraction of the squared length in the basis.
  par_fraction  FLOAT   GENERATED ALWAYS AS (par_norm * par_norm) VIRTUAL,
  -- perp_norm squared: the fraction perpendicular to it.
  perp_fraction FLOAT   GENERATED ALWAYS AS (perp_norm * perp_norm) VIRTUAL
);

-- Cosines of two vectors of an example, in a basis and perpendicular to it.
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
  -- Basis that splits both vectors.
  basis_id   INTEGER NOT NULL,
  -- Cosine of the parts in the basis; NULL if one is zero.
  par_cos    FLOAT   CHECK (isfinite(par_cos)),
  -- Cosine of the perpendicular parts; NULL if one is zero.
  perp_cos   FLOAT   CHECK (isfinite(perp_cos))
);

-- The tokens whose unembeddings have the largest cosine with a vector; only for runs with --nearest. The
-- unembedding of a token is the direction W_U[token] that the bases and substitutions of that name use:
-- processed, it has the final norm's weight folded in, is centred if that norm centres, and has the mean over
-- the vocabulary subtracted unless logits are capped; raw, it is as stored. Tokens that the tokenizer cannot
-- spell, such as padding of the vocabulary, are left out.
CREATE TABLE nearest_token (
  -- The run.
  run_id     INTEGER NOT NULL,
  -- The example.
  example_id INTEGER NOT NULL,
  -- The target head.
  head_id    INTEGER NOT NULL,
  -- The side of the vector: query or key.
  side       side    NOT NULL,
  -- The vector. map is the linear map from vectors of the side to the score: on the query side W_Q k times
  -- head.score_scale, minus the same for the baseline if there is one; on the key side W_K q times it, at the
  -- key position. A label such as 9.9, on the query side, is the output of that mover head at the query
  -- position. random is a random direction, drawn from the run's seed for each prompt, and the same for all
  -- heads and both sides. All are centred if the norm before attention centres.
  vector     VARCHAR NOT NULL,
  -- The place of the token among all tokens, 1 for the largest cosine. Equal cosines are ordered by token_id.
  -- Each vector has the places 1 to K of --nearest K, and those of the tokens at the key and at the baseline
  -- position.
  rank       INTEGER NOT NULL CHECK (rank >= 1),
  -- Number of the token in the vocabulary.
  token_id   INTEGER NOT NULL,
  -- The token's text.
  token      VARCHAR NOT NULL,
  -- Cosine of the vector and the token's unembedding; 0 if one of them is zero.
  cosine     FLOAT   NOT NULL CHECK (isfinite(cosine))
);

-- The model's logits at the query position, of the tokens at the key and at the baseline; only for runs with
-- logits.
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
  -- The part that no component adds: the biases of the final norm and of the unembedding.
  constant         FLOAT   NOT NULL CHECK (isfinite(constant)),
  -- Scale of the final norm at the query position.
  scale            FLOAT   NOT NULL CHECK (isfinite(scale)),
  -- Distance between logit and the sum of constant and all rows of logit_effect.
  closure_residual DOUBLE  NOT NULL CHECK (isfinite(closure_residual))
);

-- What each component adds to a logit at the query position, with the scale of the final norm held fixed.
CREATE TABLE logit_effect (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The example.
  example_id   INTEGER NOT NULL,
  -- The component, from any layer of the model.
  component_id INTEGER NOT NULL,
  -- Whose logit: key or baseline, the token at that position.
  token        VARCHAR NOT NULL,
  -- What the component adds to the logit.
  effect       FLOAT   NOT NULL CHECK (isfinite(effect))
);
