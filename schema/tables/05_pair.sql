-- Both sides of a score split at once. What each component adds to the query vector and to the key vector is
-- stored once, whole; an inner product of two such vectors, times head.score_scale, is the contribution of
-- the pair.
--
-- A basis splits a vector x along orthonormal axes. With q and k the vectors of a query and a key component,
-- u the images of the axes of the query basis through W_Q and v those of the key basis through W_K (turned to
-- their positions where the model turns queries and keys), and a and b the coordinates of the two components
-- along those axes, the quadrants are, summed over the axes i of the query basis and j of the key basis,
--   par_par   = a[i] b[j] (u[i] . v[j])
--   par_perp  = a[i] (u[i] . k) - par_par
--   perp_par  = b[j] (q . v[j]) - par_par
--   perp_perp = q . k - the other three.
-- (u . k) and (q . v) are one number for each component and axis, so a pair needs one product of d_head
-- numbers.
--
-- Measured on 200 prompts of GPT-2 small's shape, head 10.7, against vectors stored for each basis, two parts
-- each: factors take 129 kB a prompt in place of 305. Processor time of the view pair: one pair over all
-- prompts a quarter, one prompt with all pairs six tenths, all pairs of one quadrant five quarters; of
-- pair_wide, all pairs nine tenths; one pair or one prompt, which take some 20 ms, up to three times as long,
-- most of it planning. With the products of components and axes stored, pairs take half the time, but short
-- lists take 8 bytes each more than their numbers: 35 kB a prompt.

-- What each component adds to the query vector of a target head at the query position. All vectors of an
-- example and head add up to the query vector.
CREATE TABLE query_factor (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The example.
  example_id   INTEGER NOT NULL,
  -- The target head.
  head_id      INTEGER NOT NULL,
  -- The component, or b_Q.
  component_id INTEGER NOT NULL,
  -- (x / sigma) W_Q, d_head numbers, as they enter the score: divided by the scale of QK-norm and turned to
  -- the position where the model does so.
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
  -- (x / sigma) W_K at the key position, d_head numbers, as they enter the score.
  vector       FLOAT[] NOT NULL,
  -- The same at the baseline, or the mean of it over the positions of a baseline that is a mean; NULL if there
  -- is none.
  baseline     FLOAT[]
);

-- Axes of the bases that split factors, seen through W_Q of a target head. As many rows as the subspace has
-- dimensions.
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
  -- The axis through W_Q, d_head numbers, as vectors of query_factor are.
  image      FLOAT[] NOT NULL
);

-- Axes of the bases that split factors, seen through W_K of a target head.
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
  -- The axis at the key position through W_K, d_head numbers; NULL where the basis has fewer axes there than
  -- at the baseline.
  image      FLOAT[],
  -- The axis at the baseline; NULL where the baseline has no such axis, or there is none. A baseline that is a
  -- mean has no axes, as each of its positions has its own: pairs whose key side is split have no baseline then.
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
  -- x / sigma along the axis, divided by the scale of QK-norm where the model has one; 0 for b_Q.
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
  -- The same at the baseline; NULL where the baseline has no such axis, is a mean, or there is none.
  baseline     FLOAT   CHECK (isfinite(baseline))
);

-- Contributions of pairs of components as stored, the quadrants side by side; only for runs that were asked
-- for all pairs. pair_wide has the same columns for every run that has factors.
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
  -- Contribution of the pair to the score at the baseline: {{.Words}}; NULL if there is none, or it is a mean and
  -- the key side is split.
  baseline_{{.}} FLOAT,
{{end}}{{range quadrants}}
  -- score_{{.}} - baseline_{{.}}.
  diff_{{.}} FLOAT GENERATED ALWAYS AS (score_{{.}} - baseline_{{.}}) VIRTUAL,
{{end}}
  CHECK (isfinite({{sum "score_"}})),
  CHECK (isfinite({{sum "baseline_"}}))
);

-- Contributions of pairs of components, averaged over the examples of a complete run, the quadrants side by
-- side. The view pair_mean is easier to query.
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
  -- Examples that have a baseline; where the key side is split, a baseline position.
  n_baseline         INTEGER NOT NULL,
{{range quadrants}}
  -- Mean over examples of the contribution at the key position: {{.Words}}.
  mean_score_{{.}} FLOAT NOT NULL,
{{end}}{{range quadrants}}
  -- Standard error of mean_score_{{.}}: sample standard deviation / sqrt(n); NULL for one example.
  se_score_{{.}} FLOAT,
{{end}}{{range quadrants}}
  -- Mean of score - baseline over examples that have a baseline: {{.Words}}; NULL if none has.
  mean_diff_{{.}} FLOAT,
{{end}}{{range quadrants}}
  -- Standard error of mean_diff_{{.}}; NULL for fewer than two baselines.
  se_diff_{{.}} FLOAT,
{{end}}
  CHECK (isfinite({{sum "mean_score_"}})),
  CHECK (isfinite({{sum "mean_diff_"}}))
);
