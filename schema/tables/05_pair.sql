-- Both sides of a score split at once: a pair is a component of the query vector with a component of the key
-- vector. The factors of a pair are what its components add to the two vectors. Their inner product times
-- head.score_scale is the contribution of the pair.
--
-- A basis splits a vector along orthonormal axes. Let q and k be the factors of a query component and of a
-- key component. Axis i of the query basis is mapped to u[i], as the component itself is mapped to q, and
-- axis j of the key basis to v[j]. The coordinates of the two components along these axes are a[i] and b[j].
-- Then the quadrants of the pair are, summed over i and j,
--   par_par   = a[i] b[j] (u[i] . v[j])
--   par_perp  = a[i] (u[i] . k) - par_par
--   perp_par  = b[j] (q . v[j]) - par_par
--   perp_perp = q . k - the other three.
-- u[i] . k and q . v[j] are computed once for each component, so each pair costs one inner product of d_head
-- numbers.
--
-- The alternative is to store the two parts of each vector for each basis. On 200 prompts of GPT-2 small's
-- shape, head 10.7, that takes 305 kB a prompt, and factors take 129 kB. The view pair takes 25 % of its
-- processor time for one pair over all prompts, 60 % for all pairs of one prompt, and 125 % for one quadrant
-- of all pairs. pair_wide takes 90 % for all pairs. For one pair or one prompt it takes up to 3 times as
-- long: some 20 ms, most of it planning. Storing the products of components and axes too would halve the time
-- of pairs, but they are short lists, each of which takes 8 bytes beside its numbers: 35 kB more a prompt.

-- What each component adds to the query vector of a target head at the query position. The rows of an example
-- and head add up to the query vector.
CREATE TABLE query_factor (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The example.
  example_id   INTEGER NOT NULL,
  -- The target head.
  head_id      INTEGER NOT NULL,
  -- The component, or b_Q.
  component_id INTEGER NOT NULL,
  -- (x / sigma) W_Q, d_head numbers: x is what the component wrote, sigma the scale of the norm before the
  -- head. If the model has QK-norm or rotary embedding, both are applied, with the scale that QK-norm had.
  vector       FLOAT[] NOT NULL
);

-- What each component adds to the key vector of a target head, at the key and at the baseline.
CREATE TABLE key_factor (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The example.
  example_id   INTEGER NOT NULL,
  -- The target head.
  head_id      INTEGER NOT NULL,
  -- The component, or b_K.
  component_id INTEGER NOT NULL,
  -- (x / sigma) W_K at the key position, computed like query_factor.vector.
  vector       FLOAT[] NOT NULL,
  -- The same at the baseline, or its mean over the positions if the baseline is a mean; NULL if there is no
  -- baseline.
  baseline     FLOAT[]
);

-- Axes of the bases that split query vectors, mapped as a target head maps components. A basis has one row
-- for each of its dimensions.
CREATE TABLE query_axis (
  -- The run.
  run_id     INTEGER NOT NULL,
  -- The example.
  example_id INTEGER NOT NULL,
  -- The target head.
  head_id    INTEGER NOT NULL,
  -- Query-side basis.
  basis_id   INTEGER NOT NULL,
  -- Number of the axis in its basis, from 0.
  axis       INTEGER NOT NULL,
  -- The axis times W_Q, d_head numbers, with QK-norm and rotary embedding as in query_factor.vector.
  image      FLOAT[] NOT NULL
);

-- Axes of the bases that split key vectors, mapped as a target head maps components.
CREATE TABLE key_axis (
  -- The run.
  run_id     INTEGER NOT NULL,
  -- The example.
  example_id INTEGER NOT NULL,
  -- The target head.
  head_id    INTEGER NOT NULL,
  -- Key-side basis.
  basis_id   INTEGER NOT NULL,
  -- Number of the axis in its basis, from 0.
  axis       INTEGER NOT NULL,
  -- The axis at the key position times W_K, computed like query_axis.image; NULL where the basis has fewer
  -- axes there than at the baseline.
  image      FLOAT[],
  -- The axis at the baseline; NULL where the baseline has no such axis, or there is no baseline. A baseline
  -- that is a mean has no axes, because each of its positions has its own. Pairs whose key side is split then
  -- have no baseline.
  baseline   FLOAT[]
);

-- Coordinates of components along the axes of query_axis, at the query position.
CREATE TABLE query_coordinate (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The example.
  example_id   INTEGER NOT NULL,
  -- The target head.
  head_id      INTEGER NOT NULL,
  -- The component, or b_Q.
  component_id INTEGER NOT NULL,
  -- Query-side basis.
  basis_id     INTEGER NOT NULL,
  -- Number of the axis in its basis, from 0.
  axis         INTEGER NOT NULL,
  -- x / sigma along the axis; 0 for b_Q. The scale of QK-norm is in the image of the axis.
  coordinate   FLOAT   NOT NULL CHECK (isfinite(coordinate))
);

-- Coordinates of components along the axes of key_axis, at the key position and at the baseline.
CREATE TABLE key_coordinate (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The example.
  example_id   INTEGER NOT NULL,
  -- The target head.
  head_id      INTEGER NOT NULL,
  -- The component, or b_K.
  component_id INTEGER NOT NULL,
  -- Key-side basis.
  basis_id     INTEGER NOT NULL,
  -- Number of the axis in its basis, from 0.
  axis         INTEGER NOT NULL,
  -- x / sigma along the axis at the key position; 0 for b_K. NULL where the basis has fewer axes there than
  -- at the baseline.
  coordinate   FLOAT   CHECK (isfinite(coordinate)),
  -- The same at the baseline; NULL where key_axis.baseline is.
  baseline     FLOAT   CHECK (isfinite(baseline))
);

-- Contributions of pairs of components, one column for each quadrant; only for runs that store all pairs
-- (ingest --pairs). The view pair_wide has the same columns for every run with factors.
CREATE TABLE pair_contribution_wide (
  -- The run.
  run_id             INTEGER NOT NULL,
  -- The example.
  example_id         INTEGER NOT NULL,
  -- The target head.
  head_id            INTEGER NOT NULL,
  -- Component of the query vector, or b_Q.
  query_component_id INTEGER NOT NULL,
  -- Component of the key vector, or b_K.
  key_component_id   INTEGER NOT NULL,
  -- Basis that splits query components.
  query_basis_id     INTEGER NOT NULL,
  -- Basis that splits key components.
  key_basis_id       INTEGER NOT NULL,
{{range quadrants}}
  -- Contribution of the pair to the score at the key position: {{.Words}}. Score units.
  score_{{.}} FLOAT NOT NULL,
{{end}}{{range quadrants}}
  -- Contribution of the pair to the score at the baseline: {{.Words}}; NULL if there is no baseline, or if it
  -- is a mean and the key side is split.
  baseline_{{.}} FLOAT,
{{end}}{{range quadrants}}
  -- score_{{.}} - baseline_{{.}}.
  diff_{{.}} FLOAT GENERATED ALWAYS AS (score_{{.}} - baseline_{{.}}) VIRTUAL,
{{end}}
  CHECK (isfinite({{sum "score_"}})),
  CHECK (isfinite({{sum "baseline_"}}))
);

-- Mean contributions of pairs of components over the examples of a complete run, one column for each
-- quadrant. The view pair_mean is easier to query.
CREATE TABLE pair_mean_wide (
  -- The run.
  run_id             INTEGER NOT NULL,
  -- The target head.
  head_id            INTEGER NOT NULL,
  -- Component of the query vector, or b_Q.
  query_component_id INTEGER NOT NULL,
  -- Component of the key vector, or b_K.
  key_component_id   INTEGER NOT NULL,
  -- Basis that splits query components.
  query_basis_id     INTEGER NOT NULL,
  -- Basis that splits key components.
  key_basis_id       INTEGER NOT NULL,
  -- Examples.
  n                  INTEGER NOT NULL,
  -- Examples that have a baseline; if the key side is split, those whose baseline is one position.
  n_baseline         INTEGER NOT NULL,
{{range quadrants}}
  -- Mean over examples of the contribution at the key position: {{.Words}}.
  mean_score_{{.}} FLOAT NOT NULL,
{{end}}{{range quadrants}}
  -- Standard error of mean_score_{{.}}: sample standard deviation / sqrt(n); NULL for one example.
  se_score_{{.}} FLOAT,
{{end}}{{range quadrants}}
  -- Mean of score - baseline over these examples: {{.Words}}; NULL if there are none.
  mean_diff_{{.}} FLOAT,
{{end}}{{range quadrants}}
  -- Standard error of mean_diff_{{.}}; NULL for fewer than two baselines.
  se_diff_{{.}} FLOAT,
{{end}}
  CHECK (isfinite({{sum "mean_score_"}})),
  CHECK (isfinite({{sum "mean_diff_"}}))
);
