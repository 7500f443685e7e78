-- Scores of attention heads and their contributions. Statements end with a semicolon at the end of a line.
--
-- Fact tables have no keys, because an index would take more space than the rows. ducklens verify checks what
-- a key would guarantee. The words are those of the Go package schema.

CREATE TYPE side AS ENUM ('query', 'key');
COMMENT ON TYPE side IS 'The end of an attention score that is split over components: the query vector or the key vector.';
CREATE TYPE quadrant AS ENUM ('par_par', 'par_perp', 'perp_par', 'perp_perp');
COMMENT ON TYPE quadrant IS 'Query part, then key part; each is parallel (par) or perpendicular (perp) to the basis of its side.';
CREATE TYPE component_kind AS ENUM ('embed', 'pos_embed', 'head', 'attn_bias', 'mlp', 'q_bias', 'k_bias');
COMMENT ON TYPE component_kind IS 'What sort of part of the model a component is.';
CREATE TYPE basis_kind AS ENUM ('whole', 'subspace', 'replacement');
COMMENT ON TYPE basis_kind IS 'whole: not split; subspace: projected on it; replacement: the vector of the side that is held fixed is exchanged for another.';
CREATE TYPE run_status AS ENUM ('running', 'complete');
COMMENT ON TYPE run_status IS 'running until the last batch is written and its counts are checked, then complete.';
CREATE TYPE convention AS ENUM ('exact', 'notebook');
COMMENT ON TYPE convention IS 'exact: contributions add up to the score of the model; notebook: the arithmetic of the published research code, which does not.';
CREATE TYPE processing AS ENUM ('processed', 'raw');
COMMENT ON TYPE processing IS 'processed: LayerNorm folded, writing weights and unembedding centred, value biases folded into b_O; raw: as stored. Scores are the same.';

-- What was run --------------------------------------------------------------------------------------------------------

CREATE TABLE meta (
  key   VARCHAR PRIMARY KEY,
  value VARCHAR NOT NULL
);
COMMENT ON TABLE meta IS 'Facts about this file: its schema version and what made it.';
COMMENT ON COLUMN meta.key IS 'Name of the fact: schema_version, created_by, about.';
COMMENT ON COLUMN meta.value IS 'The fact, as text.';

CREATE TABLE model (
  model_id   INTEGER PRIMARY KEY CHECK (model_id >= 0),
  name       VARCHAR NOT NULL,
  sha256     VARCHAR NOT NULL,
  n_layers   INTEGER NOT NULL CHECK (n_layers > 0),
  n_heads    INTEGER NOT NULL CHECK (n_heads > 0),
  d_model    INTEGER NOT NULL CHECK (d_model > 0),
  d_head     INTEGER NOT NULL CHECK (d_head > 0),
  d_mlp      INTEGER NOT NULL CHECK (d_mlp > 0),
  d_vocab    INTEGER NOT NULL CHECK (d_vocab > 0),
  n_ctx      INTEGER NOT NULL CHECK (n_ctx > 0),
  ln_eps     DOUBLE  NOT NULL CHECK (isfinite(ln_eps) AND ln_eps >= 0),
  activation VARCHAR NOT NULL
);
COMMENT ON TABLE model IS 'One row per model; several runs may share it.';
COMMENT ON COLUMN model.model_id IS 'Number of the model in this file.';
COMMENT ON COLUMN model.name IS 'Name of the model, such as gpt2.';
COMMENT ON COLUMN model.sha256 IS 'SHA-256 of the weights, in hexadecimal.';
COMMENT ON COLUMN model.n_layers IS 'Transformer blocks.';
COMMENT ON COLUMN model.n_heads IS 'Attention heads per layer.';
COMMENT ON COLUMN model.d_model IS 'Width of the residual stream.';
COMMENT ON COLUMN model.d_head IS 'Width of a query, key or value vector of one head.';
COMMENT ON COLUMN model.d_mlp IS 'Width of the hidden layer of an MLP.';
COMMENT ON COLUMN model.d_vocab IS 'Tokens in the vocabulary.';
COMMENT ON COLUMN model.n_ctx IS 'Most tokens in a prompt.';
COMMENT ON COLUMN model.ln_eps IS 'Epsilon under the root of LayerNorm.';
COMMENT ON COLUMN model.activation IS 'Activation function of the MLPs, such as gelu_new.';

CREATE TABLE run (
  run_id               INTEGER    PRIMARY KEY CHECK (run_id >= 0),
  model_id             INTEGER    NOT NULL,
  created_at           TIMESTAMP  NOT NULL,
  ducklens_version     VARCHAR    NOT NULL,
  command_line         VARCHAR    NOT NULL,
  prompt_source        VARCHAR    NOT NULL,
  seed                 BIGINT     NOT NULL,
  bos                  BOOLEAN    NOT NULL,
  convention           convention NOT NULL,
  processing           processing NOT NULL,
  precision            VARCHAR    NOT NULL CHECK (precision IN ('float32', 'float64')),
  blas                 VARCHAR    NOT NULL,
  threads              INTEGER    NOT NULL CHECK (threads > 0),
  factors              BOOLEAN    NOT NULL,
  pairs                BOOLEAN    NOT NULL,
  status               run_status NOT NULL,
  n_examples           INTEGER    CHECK (n_examples >= 0),
  n_heads              INTEGER    NOT NULL CHECK (n_heads > 0),
  max_closure_residual DOUBLE     CHECK (isfinite(max_closure_residual)),
  CHECK (status = 'running' OR n_examples IS NOT NULL)
);
COMMENT ON TABLE run IS 'One row per ingest: everything needed to make its rows again.';
COMMENT ON COLUMN run.run_id IS 'Number of the run in this file; a later run has a larger one.';
COMMENT ON COLUMN run.model_id IS 'The model that was run.';
COMMENT ON COLUMN run.created_at IS 'When the run began, UTC.';
COMMENT ON COLUMN run.ducklens_version IS 'Version of ducklens that made the run.';
COMMENT ON COLUMN run.command_line IS 'The command that made the run.';
COMMENT ON COLUMN run.prompt_source IS 'Where the prompts come from: ioi (the generator), or the path of a file.';
COMMENT ON COLUMN run.seed IS 'Seed of the prompt generator.';
COMMENT ON COLUMN run.bos IS 'Whether every prompt begins with a beginning-of-sequence token.';
COMMENT ON COLUMN run.convention IS 'Arithmetic of the run; only exact runs add up to the score of the model.';
COMMENT ON COLUMN run.processing IS 'Form of the weights.';
COMMENT ON COLUMN run.precision IS 'Arithmetic type of the model: float32 or float64. Contributions are stored as FLOAT in both cases.';
COMMENT ON COLUMN run.blas IS 'Matrix-multiply provider.';
COMMENT ON COLUMN run.threads IS 'Threads used for computing.';
COMMENT ON COLUMN run.factors IS 'Whether the run has rows in query_factor and key_factor, which the views pair and pair_wide need.';
COMMENT ON COLUMN run.pairs IS 'Whether the run has rows in pair_contribution_wide.';
COMMENT ON COLUMN run.status IS 'complete when all batches are there; a running run holds whole batches only.';
COMMENT ON COLUMN run.n_examples IS 'Examples in the run; NULL until it is complete.';
COMMENT ON COLUMN run.n_heads IS 'Target heads of the run (model.n_heads counts the heads of a layer).';
COMMENT ON COLUMN run.max_closure_residual IS 'Largest closure_residual of the run, in score units; NULL until it is complete.';

CREATE TABLE component (
  component_id INTEGER        PRIMARY KEY CHECK (component_id // 10000 = model_id),
  model_id     INTEGER        NOT NULL,
  kind         component_kind NOT NULL,
  layer        INTEGER        CHECK (layer >= 0),
  head         INTEGER        CHECK (head >= 0),
  label        VARCHAR        NOT NULL,
  tl_name      VARCHAR        NOT NULL,
  grid_row     INTEGER        NOT NULL CHECK (grid_row >= 0),
  grid_column  INTEGER        NOT NULL CHECK (grid_column >= 0),
  UNIQUE (model_id, label),
  CHECK ((layer IS NOT NULL) = (kind IN ('head', 'attn_bias', 'mlp'))),
  CHECK ((head IS NOT NULL) = (kind = 'head'))
);
COMMENT ON TABLE component IS 'Parts of a model that a score is split over: what writes into the residual stream, and the biases of the target head.';
COMMENT ON COLUMN component.component_id IS 'model_id * 10000 + the place of the component in the order in which components write.';
COMMENT ON COLUMN component.model_id IS 'The model it is a part of.';
COMMENT ON COLUMN component.kind IS 'embed, pos_embed, head, attn_bias (b_O of a layer), mlp, q_bias or k_bias (b_Q, b_K of the target head).';
COMMENT ON COLUMN component.layer IS 'Layer, from 0; NULL for embeddings and for b_Q and b_K.';
COMMENT ON COLUMN component.head IS 'Index of the head in its layer, from 0; NULL but for heads.';
COMMENT ON COLUMN component.label IS 'Name in figures: W_E, W_pos, 9.6, b_O3, MLP0, b_Q, b_K.';
COMMENT ON COLUMN component.tl_name IS 'Name in TransformerLens: embed, pos_embed, L9H6, blocks.3.attn.b_O, 0_mlp_out, b_Q, b_K.';
COMMENT ON COLUMN component.grid_row IS 'Row in the heatmap: 0 for embeddings, b_Q and b_K, else 1 + layer.';
COMMENT ON COLUMN component.grid_column IS 'Column in the heatmap: heads, then the MLP, then b_O; in row 0 W_E, W_pos, then b_Q or b_K.';

CREATE TABLE head (
  run_id  INTEGER NOT NULL,
  head_id INTEGER NOT NULL CHECK (head_id >= 0),
  layer   INTEGER NOT NULL CHECK (layer >= 0),
  head    INTEGER NOT NULL CHECK (head >= 0),
  label   VARCHAR NOT NULL,
  ordinal INTEGER NOT NULL CHECK (ordinal >= 0),
  PRIMARY KEY (run_id, head_id),
  UNIQUE (run_id, label),
  UNIQUE (run_id, ordinal)
);
COMMENT ON TABLE head IS 'Target heads of a run: the heads whose scores are split.';
COMMENT ON COLUMN head.run_id IS 'The run.';
COMMENT ON COLUMN head.head_id IS 'layer * (heads per layer) + index of the head in its layer.';
COMMENT ON COLUMN head.layer IS 'Layer, from 0.';
COMMENT ON COLUMN head.head IS 'Index of the head in its layer, from 0.';
COMMENT ON COLUMN head.label IS 'Name in figures and in the column head of the views, such as 10.7.';
COMMENT ON COLUMN head.ordinal IS 'Place in the order in which the heads were asked for, from 0; default_head() takes the first.';

CREATE TABLE basis (
  run_id      INTEGER    NOT NULL,
  basis_id    INTEGER    NOT NULL CHECK (basis_id >= 0),
  side        side       NOT NULL,
  kind        basis_kind NOT NULL,
  name        VARCHAR    NOT NULL,
  dimension   INTEGER    NOT NULL CHECK (dimension >= 0),
  description VARCHAR    NOT NULL,
  null_number INTEGER    CHECK (null_number >= 0),
  PRIMARY KEY (run_id, basis_id),
  UNIQUE (run_id, side, name),
  CHECK ((null_number IS NULL) OR name = 'random' || null_number)
);
COMMENT ON TABLE basis IS 'Ways in which a run splits the vectors of a side into a parallel and a perpendicular part.';
COMMENT ON COLUMN basis.run_id IS 'The run.';
COMMENT ON COLUMN basis.basis_id IS 'Number of the basis in its run, from 0.';
COMMENT ON COLUMN basis.side IS 'Whose vectors it splits: the query side or the key side.';
COMMENT ON COLUMN basis.kind IS 'whole (not split), subspace (projected on it) or replacement (another vector is put in place of the one held fixed).';
COMMENT ON COLUMN basis.name IS 'Name, such as none, unembed, unembed+baseline, mlp0.';
COMMENT ON COLUMN basis.dimension IS 'Dimensions of the subspace; 0 for none.';
COMMENT ON COLUMN basis.description IS 'What the subspace is spanned by, in words.';
COMMENT ON COLUMN basis.null_number IS 'Number of a random direction, from 0; else NULL. The directions of one number, one on each side, are paired with each other alone: one draw of what a basis without meaning explains.';

CREATE TABLE example (
  run_id         INTEGER NOT NULL,
  example_id     INTEGER NOT NULL CHECK (example_id >= 0),
  text           VARCHAR NOT NULL,
  template       VARCHAR,
  prompt_order   VARCHAR CHECK (prompt_order IN ('ABBA', 'BABA')),
  key_token      VARCHAR NOT NULL,
  baseline_token VARCHAR,
  query_pos      INTEGER NOT NULL,
  key_pos        INTEGER NOT NULL CHECK (key_pos BETWEEN 0 AND query_pos),
  baseline_pos   INTEGER CHECK (baseline_pos BETWEEN 0 AND query_pos),
  n_tokens       INTEGER NOT NULL CHECK (n_tokens > query_pos),
  random_name_id INTEGER CHECK (random_name_id >= 0),
  random_token_id INTEGER CHECK (random_token_id >= 0),
  PRIMARY KEY (run_id, example_id),
  CHECK ((baseline_token IS NULL) = (baseline_pos IS NULL))
);
COMMENT ON TABLE example IS 'Prompts of a run, and the token positions that matter in each.';
COMMENT ON COLUMN example.run_id IS 'The run.';
COMMENT ON COLUMN example.example_id IS 'Number of the prompt in its run, from 0.';
COMMENT ON COLUMN example.text IS 'The prompt.';
COMMENT ON COLUMN example.template IS 'Template it was made from; NULL if none.';
COMMENT ON COLUMN example.prompt_order IS 'ABBA or BABA for an IOI prompt, else NULL.';
COMMENT ON COLUMN example.key_token IS 'Token at the key position, a leading space included (IOI: the indirect object).';
COMMENT ON COLUMN example.baseline_token IS 'Token at the baseline position (IOI: the subject); NULL if there is no baseline.';
COMMENT ON COLUMN example.query_pos IS 'Position that attends, from 0 (IOI: END, the token before the answer).';
COMMENT ON COLUMN example.key_pos IS 'Position attended to, from 0; never after query_pos.';
COMMENT ON COLUMN example.baseline_pos IS 'Position it is compared with, from 0; NULL if there is none.';
COMMENT ON COLUMN example.n_tokens IS 'Tokens of the prompt, BOS included.';
COMMENT ON COLUMN example.random_name_id IS 'Number in the vocabulary of the name that was drawn for the substitution W_U[random name]; NULL if none was.';
COMMENT ON COLUMN example.random_token_id IS 'Number of the token that was drawn for the substitution W_U[random]; NULL if none was.';

CREATE TABLE token (
  run_id     INTEGER NOT NULL,
  example_id INTEGER NOT NULL,
  pos        INTEGER NOT NULL CHECK (pos >= 0),
  token_id   INTEGER NOT NULL CHECK (token_id >= 0),
  text       VARCHAR NOT NULL
);
COMMENT ON TABLE token IS 'Tokens of each prompt, BOS included.';
COMMENT ON COLUMN token.run_id IS 'The run.';
COMMENT ON COLUMN token.example_id IS 'The prompt.';
COMMENT ON COLUMN token.pos IS 'Position in the prompt, from 0.';
COMMENT ON COLUMN token.token_id IS 'Number of the token in the vocabulary.';
COMMENT ON COLUMN token.text IS 'What the token spells, a leading space included; bytes that are not UTF-8 appear as U+FFFD.';

-- What was found ------------------------------------------------------------------------------------------------------

CREATE TABLE score (
  run_id           INTEGER NOT NULL,
  example_id       INTEGER NOT NULL,
  head_id          INTEGER NOT NULL,
  score            FLOAT   NOT NULL CHECK (isfinite(score)),
  baseline         FLOAT   CHECK (isfinite(baseline)),
  prob             FLOAT   NOT NULL CHECK (prob BETWEEN 0 AND 1.00001),
  baseline_prob    FLOAT   CHECK (baseline_prob BETWEEN 0 AND 1.00001),
  query_scale      FLOAT   NOT NULL CHECK (isfinite(query_scale) AND query_scale > 0),
  key_scale        FLOAT   NOT NULL CHECK (isfinite(key_scale) AND key_scale > 0),
  baseline_scale   FLOAT   CHECK (isfinite(baseline_scale) AND baseline_scale > 0),
  closure_residual DOUBLE  NOT NULL CHECK (isfinite(closure_residual) AND closure_residual >= 0),
  diff             FLOAT   GENERATED ALWAYS AS (score - baseline) VIRTUAL
);
COMMENT ON TABLE score IS 'Attention of each target head from the query position to the key and the baseline position, as the model computes it.';
COMMENT ON COLUMN score.run_id IS 'The run.';
COMMENT ON COLUMN score.example_id IS 'The prompt.';
COMMENT ON COLUMN score.head_id IS 'The target head.';
COMMENT ON COLUMN score.score IS 'Attention score to the key position: before softmax, divided by sqrt(d_head).';
COMMENT ON COLUMN score.baseline IS 'Attention score to the baseline position; NULL if there is none.';
COMMENT ON COLUMN score.prob IS 'Attention probability of the key position, 0 to 1.';
COMMENT ON COLUMN score.baseline_prob IS 'Attention probability of the baseline position, 0 to 1; NULL if there is none.';
COMMENT ON COLUMN score.query_scale IS 'LayerNorm scale at the query position before the layer of the head: sqrt(variance + eps).';
COMMENT ON COLUMN score.key_scale IS 'LayerNorm scale at the key position.';
COMMENT ON COLUMN score.baseline_scale IS 'LayerNorm scale at the baseline position; NULL if there is none.';
COMMENT ON COLUMN score.closure_residual IS 'Largest distance between a score and the sum of its contributions, over sides, bases and both positions; score units.';
COMMENT ON COLUMN score.diff IS 'score - baseline.';

CREATE TABLE attention (
  run_id     INTEGER NOT NULL,
  example_id INTEGER NOT NULL,
  head_id    INTEGER NOT NULL,
  pos        INTEGER NOT NULL CHECK (pos >= 0),
  score      FLOAT   NOT NULL CHECK (isfinite(score)),
  prob       FLOAT   NOT NULL CHECK (prob BETWEEN 0 AND 1.00001)
);
COMMENT ON TABLE attention IS 'Attention of each target head from the query position to every position up to it.';
COMMENT ON COLUMN attention.run_id IS 'The run.';
COMMENT ON COLUMN attention.example_id IS 'The prompt.';
COMMENT ON COLUMN attention.head_id IS 'The target head.';
COMMENT ON COLUMN attention.pos IS 'Position attended to, from 0.';
COMMENT ON COLUMN attention.score IS 'Attention score: before softmax, divided by sqrt(d_head).';
COMMENT ON COLUMN attention.prob IS 'Attention probability, 0 to 1.';

CREATE TABLE contribution_wide (
  run_id             INTEGER NOT NULL,
  example_id         INTEGER NOT NULL,
  head_id            INTEGER NOT NULL,
  side               side    NOT NULL,
  component_id       INTEGER NOT NULL,
  query_basis_id     INTEGER NOT NULL,
  key_basis_id       INTEGER NOT NULL,
  score_par_par      FLOAT   NOT NULL,
  score_par_perp     FLOAT   NOT NULL,
  score_perp_par     FLOAT   NOT NULL,
  score_perp_perp    FLOAT   NOT NULL,
  baseline_par_par   FLOAT,
  baseline_par_perp  FLOAT,
  baseline_perp_par  FLOAT,
  baseline_perp_perp FLOAT,
  diff_par_par       FLOAT   GENERATED ALWAYS AS (score_par_par - baseline_par_par) VIRTUAL,
  diff_par_perp      FLOAT   GENERATED ALWAYS AS (score_par_perp - baseline_par_perp) VIRTUAL,
  diff_perp_par      FLOAT   GENERATED ALWAYS AS (score_perp_par - baseline_perp_par) VIRTUAL,
  diff_perp_perp     FLOAT   GENERATED ALWAYS AS (score_perp_perp - baseline_perp_perp) VIRTUAL,
  CHECK (isfinite(score_par_par + score_par_perp + score_perp_par + score_perp_perp)),
  CHECK (isfinite(baseline_par_par + baseline_par_perp + baseline_perp_par + baseline_perp_perp))
);
COMMENT ON TABLE contribution_wide IS 'Contributions as stored, the quadrants side by side. The views contribution and contribution_unsplit are easier to query.';
COMMENT ON COLUMN contribution_wide.run_id IS 'The run.';
COMMENT ON COLUMN contribution_wide.example_id IS 'The prompt.';
COMMENT ON COLUMN contribution_wide.head_id IS 'The target head.';
COMMENT ON COLUMN contribution_wide.side IS 'Which vector is split over components; the other is held fixed.';
COMMENT ON COLUMN contribution_wide.component_id IS 'The component that contributes.';
COMMENT ON COLUMN contribution_wide.query_basis_id IS 'Basis that splits query vectors.';
COMMENT ON COLUMN contribution_wide.key_basis_id IS 'Basis that splits key vectors.';
COMMENT ON COLUMN contribution_wide.score_par_par IS 'Contribution to the score at the key position: query part parallel, key part parallel. Score units.';
COMMENT ON COLUMN contribution_wide.score_par_perp IS 'Contribution to the score at the key position: query part parallel, key part perpendicular.';
COMMENT ON COLUMN contribution_wide.score_perp_par IS 'Contribution to the score at the key position: query part perpendicular, key part parallel.';
COMMENT ON COLUMN contribution_wide.score_perp_perp IS 'Contribution to the score at the key position: both parts perpendicular.';
COMMENT ON COLUMN contribution_wide.baseline_par_par IS 'The same to the score at the baseline position: both parts parallel; NULL if there is none.';
COMMENT ON COLUMN contribution_wide.baseline_par_perp IS 'The same at the baseline position: query part parallel, key part perpendicular.';
COMMENT ON COLUMN contribution_wide.baseline_perp_par IS 'The same at the baseline position: query part perpendicular, key part parallel.';
COMMENT ON COLUMN contribution_wide.baseline_perp_perp IS 'The same at the baseline position: both parts perpendicular.';
COMMENT ON COLUMN contribution_wide.diff_par_par IS 'score_par_par - baseline_par_par.';
COMMENT ON COLUMN contribution_wide.diff_par_perp IS 'score_par_perp - baseline_par_perp.';
COMMENT ON COLUMN contribution_wide.diff_perp_par IS 'score_perp_par - baseline_perp_par.';
COMMENT ON COLUMN contribution_wide.diff_perp_perp IS 'score_perp_perp - baseline_perp_perp.';

CREATE TABLE saved_query (
  name VARCHAR PRIMARY KEY,
  sql  VARCHAR NOT NULL
);
COMMENT ON TABLE saved_query IS 'Questions that travel with the file. Run one with: ducklens query FILE NAME.';
COMMENT ON COLUMN saved_query.name IS 'Name of the query.';
COMMENT ON COLUMN saved_query.sql IS 'The SQL, with a header of comments that says how to draw its answer.';

-- Questions -----------------------------------------------------------------------------------------------------------
-- Views are made of UNION ALL and plain joins, which every DuckDB since 1.0 reads and filters fast. Macros
-- read tables only, because a macro cannot have a parameter with the name of a column of a view that it
-- reads.

CREATE VIEW contribution AS
SELECT w.run_id, w.example_id, h.label AS head, w.side, c.label AS component, c.kind, c.layer AS component_layer, c.head AS component_head,
  qb.name AS query_basis, kb.name AS key_basis, 'par_par'::quadrant AS quadrant,
  w.score_par_par AS score, w.baseline_par_par AS baseline, w.diff_par_par AS diff
FROM contribution_wide AS w
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id
WHERE qb.kind <> 'whole' AND kb.kind <> 'whole' AND qb.null_number IS NULL
UNION ALL
SELECT w.run_id, w.example_id, h.label AS head, w.side, c.label AS component, c.kind, c.layer AS component_layer, c.head AS component_head,
  qb.name AS query_basis, kb.name AS key_basis, 'par_perp'::quadrant AS quadrant,
  w.score_par_perp AS score, w.baseline_par_perp AS baseline, w.diff_par_perp AS diff
FROM contribution_wide AS w
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id
WHERE qb.kind <> 'whole' AND qb.null_number IS NULL
UNION ALL
SELECT w.run_id, w.example_id, h.label AS head, w.side, c.label AS component, c.kind, c.layer AS component_layer, c.head AS component_head,
  qb.name AS query_basis, kb.name AS key_basis, 'perp_par'::quadrant AS quadrant,
  w.score_perp_par AS score, w.baseline_perp_par AS baseline, w.diff_perp_par AS diff
FROM contribution_wide AS w
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id
WHERE kb.kind <> 'whole' AND qb.null_number IS NULL
UNION ALL
SELECT w.run_id, w.example_id, h.label AS head, w.side, c.label AS component, c.kind, c.layer AS component_layer, c.head AS component_head,
  qb.name AS query_basis, kb.name AS key_basis, 'perp_perp'::quadrant AS quadrant,
  w.score_perp_perp AS score, w.baseline_perp_perp AS baseline, w.diff_perp_perp AS diff
FROM contribution_wide AS w
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id
WHERE qb.null_number IS NULL;
COMMENT ON VIEW contribution IS 'One row per prompt, target head, side, pair of bases, component and quadrant. Filter on query_basis and key_basis: each pair of bases splits the same score again. Random directions are left out: contribution_null has them. contribution_unsplit is for unsplit values.';
COMMENT ON COLUMN contribution.run_id IS 'The run.';
COMMENT ON COLUMN contribution.example_id IS 'The prompt.';
COMMENT ON COLUMN contribution.head IS 'The target head, such as 10.7.';
COMMENT ON COLUMN contribution.side IS 'Which vector is split over components: query or key; the other is held fixed.';
COMMENT ON COLUMN contribution.component IS 'The component that contributes, as in figures: W_E, W_pos, 9.6, b_O3, MLP0, b_Q, b_K.';
COMMENT ON COLUMN contribution.kind IS 'Sort of component: embed, pos_embed, head, attn_bias, mlp, q_bias, k_bias.';
COMMENT ON COLUMN contribution.component_layer IS 'Layer of the component, from 0; NULL for W_E, W_pos, b_Q, b_K.';
COMMENT ON COLUMN contribution.component_head IS 'Index of the component in its layer if it is a head, from 0; else NULL.';
COMMENT ON COLUMN contribution.query_basis IS 'Name of the basis that splits query vectors; none: not split, all of it is perp.';
COMMENT ON COLUMN contribution.key_basis IS 'Name of the basis that splits key vectors; none: not split, all of it is perp.';
COMMENT ON COLUMN contribution.quadrant IS 'Part of the query vector, then part of the key vector: par_par, par_perp, perp_par, perp_perp.';
COMMENT ON COLUMN contribution.score IS 'Contribution to the attention score at the key position; before softmax, divided by sqrt(d_head).';
COMMENT ON COLUMN contribution.baseline IS 'Contribution to the attention score at the baseline position; NULL if there is none.';
COMMENT ON COLUMN contribution.diff IS 'score - baseline.';

CREATE VIEW contribution_unsplit AS
SELECT w.run_id, w.example_id, h.label AS head, w.side, c.label AS component, c.kind, c.layer AS component_layer, c.head AS component_head,
  w.score_perp_perp AS score, w.baseline_perp_perp AS baseline, w.diff_perp_perp AS diff
FROM contribution_wide AS w
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id
WHERE qb.kind = 'whole' AND kb.kind = 'whole';
COMMENT ON VIEW contribution_unsplit IS 'Contributions that are not split into quadrants: one row per prompt, target head, side and component.';
COMMENT ON COLUMN contribution_unsplit.run_id IS 'The run.';
COMMENT ON COLUMN contribution_unsplit.example_id IS 'The prompt.';
COMMENT ON COLUMN contribution_unsplit.head IS 'The target head, such as 10.7.';
COMMENT ON COLUMN contribution_unsplit.side IS 'Which vector is split over components: query or key; the other is held fixed.';
COMMENT ON COLUMN contribution_unsplit.component IS 'The component that contributes, as in figures: W_E, W_pos, 9.6, b_O3, MLP0, b_Q, b_K.';
COMMENT ON COLUMN contribution_unsplit.kind IS 'Sort of component: embed, pos_embed, head, attn_bias, mlp, q_bias, k_bias.';
COMMENT ON COLUMN contribution_unsplit.component_layer IS 'Layer of the component, from 0; NULL for W_E, W_pos, b_Q, b_K.';
COMMENT ON COLUMN contribution_unsplit.component_head IS 'Index of the component in its layer if it is a head, from 0; else NULL.';
COMMENT ON COLUMN contribution_unsplit.score IS 'Contribution to the attention score at the key position; before softmax, divided by sqrt(d_head).';
COMMENT ON COLUMN contribution_unsplit.baseline IS 'Contribution to the attention score at the baseline position; NULL if there is none.';
COMMENT ON COLUMN contribution_unsplit.diff IS 'score - baseline.';

CREATE VIEW contribution_null AS
SELECT w.run_id, w.example_id, h.label AS head, w.side, c.label AS component, c.kind, c.layer AS component_layer, c.head AS component_head,
  qb.null_number AS draw, 'par_par'::quadrant AS quadrant, w.score_par_par AS score, w.baseline_par_par AS baseline, w.diff_par_par AS diff
FROM contribution_wide AS w
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
WHERE qb.null_number IS NOT NULL
UNION ALL
SELECT w.run_id, w.example_id, h.label AS head, w.side, c.label AS component, c.kind, c.layer AS component_layer, c.head AS component_head,
  qb.null_number AS draw, 'par_perp'::quadrant AS quadrant, w.score_par_perp AS score, w.baseline_par_perp AS baseline, w.diff_par_perp AS diff
FROM contribution_wide AS w
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
WHERE qb.null_number IS NOT NULL
UNION ALL
SELECT w.run_id, w.example_id, h.label AS head, w.side, c.label AS component, c.kind, c.layer AS component_layer, c.head AS component_head,
  qb.null_number AS draw, 'perp_par'::quadrant AS quadrant, w.score_perp_par AS score, w.baseline_perp_par AS baseline, w.diff_perp_par AS diff
FROM contribution_wide AS w
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
WHERE qb.null_number IS NOT NULL
UNION ALL
SELECT w.run_id, w.example_id, h.label AS head, w.side, c.label AS component, c.kind, c.layer AS component_layer, c.head AS component_head,
  qb.null_number AS draw, 'perp_perp'::quadrant AS quadrant, w.score_perp_perp AS score, w.baseline_perp_perp AS baseline, w.diff_perp_perp AS diff
FROM contribution_wide AS w
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
WHERE qb.null_number IS NOT NULL;
COMMENT ON VIEW contribution_null IS 'Contributions split along random directions, for comparison: one row per prompt, target head, side, draw, component and quadrant. Filter on draw or group by it; empty unless the run was asked for random directions.';
COMMENT ON COLUMN contribution_null.run_id IS 'The run.';
COMMENT ON COLUMN contribution_null.example_id IS 'The prompt.';
COMMENT ON COLUMN contribution_null.head IS 'The target head, such as 10.7.';
COMMENT ON COLUMN contribution_null.side IS 'Which vector is split over components: query or key; the other is held fixed.';
COMMENT ON COLUMN contribution_null.component IS 'The component that contributes, as in figures: W_E, W_pos, 9.6, b_O3, MLP0, b_Q, b_K.';
COMMENT ON COLUMN contribution_null.kind IS 'Sort of component: embed, pos_embed, head, attn_bias, mlp, q_bias, k_bias.';
COMMENT ON COLUMN contribution_null.component_layer IS 'Layer of the component, from 0; NULL for W_E, W_pos, b_Q, b_K.';
COMMENT ON COLUMN contribution_null.component_head IS 'Index of the component in its layer if it is a head, from 0; else NULL.';
COMMENT ON COLUMN contribution_null.draw IS 'Number of the pair of random directions, from 0.';
COMMENT ON COLUMN contribution_null.quadrant IS 'Part of the query vector, then part of the key vector: par_par, par_perp, perp_par, perp_perp.';
COMMENT ON COLUMN contribution_null.score IS 'Contribution to the attention score at the key position; before softmax, divided by sqrt(d_head).';
COMMENT ON COLUMN contribution_null.baseline IS 'Contribution to the attention score at the baseline position; NULL if there is none.';
COMMENT ON COLUMN contribution_null.diff IS 'score - baseline.';

CREATE VIEW contribution_mean AS
SELECT run_id, head, side, component, kind, component_layer, component_head, query_basis, key_basis, quadrant,
  avg(score) AS mean_score, avg(baseline) AS mean_baseline, avg(diff) AS mean_diff,
  stddev_samp(score) / sqrt(count(score)) AS se_score, stddev_samp(baseline) / sqrt(count(baseline)) AS se_baseline,
  stddev_samp(diff) / sqrt(count(diff)) AS se_diff, count(score) AS n, count(diff) AS n_baseline
FROM contribution
GROUP BY run_id, head, side, component, kind, component_layer, component_head, query_basis, key_basis, quadrant;
COMMENT ON VIEW contribution_mean IS 'contribution, averaged over the prompts of a run: one row per target head, side, pair of bases, component and quadrant.';
COMMENT ON COLUMN contribution_mean.run_id IS 'The run.';
COMMENT ON COLUMN contribution_mean.head IS 'The target head, such as 10.7.';
COMMENT ON COLUMN contribution_mean.side IS 'Which vector is split over components: query or key; the other is held fixed.';
COMMENT ON COLUMN contribution_mean.component IS 'The component that contributes, as in figures: W_E, W_pos, 9.6, b_O3, MLP0, b_Q, b_K.';
COMMENT ON COLUMN contribution_mean.kind IS 'Sort of component: embed, pos_embed, head, attn_bias, mlp, q_bias, k_bias.';
COMMENT ON COLUMN contribution_mean.component_layer IS 'Layer of the component, from 0; NULL for W_E, W_pos, b_Q, b_K.';
COMMENT ON COLUMN contribution_mean.component_head IS 'Index of the component in its layer if it is a head, from 0; else NULL.';
COMMENT ON COLUMN contribution_mean.query_basis IS 'Name of the basis that splits query vectors; none: not split, all of it is perp.';
COMMENT ON COLUMN contribution_mean.key_basis IS 'Name of the basis that splits key vectors; none: not split, all of it is perp.';
COMMENT ON COLUMN contribution_mean.quadrant IS 'Part of the query vector, then part of the key vector: par_par, par_perp, perp_par, perp_perp.';
COMMENT ON COLUMN contribution_mean.mean_score IS 'Mean contribution at the key position, score units.';
COMMENT ON COLUMN contribution_mean.mean_baseline IS 'Mean contribution at the baseline position, over prompts that have one; else NULL.';
COMMENT ON COLUMN contribution_mean.mean_diff IS 'Mean of score - baseline, over prompts that have a baseline; else NULL.';
COMMENT ON COLUMN contribution_mean.se_score IS 'Standard error of mean_score: sample standard deviation / sqrt(n); NULL for one prompt.';
COMMENT ON COLUMN contribution_mean.se_baseline IS 'Standard error of mean_baseline.';
COMMENT ON COLUMN contribution_mean.se_diff IS 'Standard error of mean_diff.';
COMMENT ON COLUMN contribution_mean.n IS 'Prompts.';
COMMENT ON COLUMN contribution_mean.n_baseline IS 'Prompts that have a baseline.';

CREATE VIEW contribution_sum AS
SELECT t.run_id, t.example_id, h.label AS head, t.side, qb.name AS query_basis, kb.name AS key_basis,
  t.total AS score_sum, s.score, abs(t.total - s.score) AS score_residual,
  t.total_baseline AS baseline_sum, s.baseline, abs(t.total_baseline - s.baseline) AS baseline_residual
FROM (
  SELECT run_id, example_id, head_id, side, query_basis_id, key_basis_id,
    sum(score_par_par::DOUBLE + score_par_perp + score_perp_par + score_perp_perp) AS total,
    sum(baseline_par_par::DOUBLE + baseline_par_perp + baseline_perp_par + baseline_perp_perp) AS total_baseline
  FROM contribution_wide
  GROUP BY run_id, example_id, head_id, side, query_basis_id, key_basis_id
) AS t
JOIN score AS s ON s.run_id = t.run_id AND s.example_id = t.example_id AND s.head_id = t.head_id
JOIN head AS h ON h.run_id = t.run_id AND h.head_id = t.head_id
JOIN basis AS qb ON qb.run_id = t.run_id AND qb.basis_id = t.query_basis_id
JOIN basis AS kb ON kb.run_id = t.run_id AND kb.basis_id = t.key_basis_id
WHERE qb.kind <> 'replacement' AND kb.kind <> 'replacement';
COMMENT ON VIEW contribution_sum IS 'Do the stored contributions add up? Their sum beside the score of the model, per prompt, target head, side and pair of bases, random directions included. Pairs in which a vector is replaced are left out: they are not meant to add up to it.';
COMMENT ON COLUMN contribution_sum.run_id IS 'The run.';
COMMENT ON COLUMN contribution_sum.example_id IS 'The prompt.';
COMMENT ON COLUMN contribution_sum.head IS 'The target head, such as 10.7.';
COMMENT ON COLUMN contribution_sum.side IS 'Which vector is split over components: query or key; the other is held fixed.';
COMMENT ON COLUMN contribution_sum.query_basis IS 'Name of the basis that splits query vectors; none: not split, all of it is perp.';
COMMENT ON COLUMN contribution_sum.key_basis IS 'Name of the basis that splits key vectors; none: not split, all of it is perp.';
COMMENT ON COLUMN contribution_sum.score_sum IS 'Sum of the contributions at the key position.';
COMMENT ON COLUMN contribution_sum.score IS 'Score of the model at the key position.';
COMMENT ON COLUMN contribution_sum.score_residual IS 'Distance between the two.';
COMMENT ON COLUMN contribution_sum.baseline_sum IS 'Sum of the contributions at the baseline position; NULL if there is none.';
COMMENT ON COLUMN contribution_sum.baseline IS 'Score of the model at the baseline position; NULL if there is none.';
COMMENT ON COLUMN contribution_sum.baseline_residual IS 'Distance between the two.';

CREATE VIEW closure AS
SELECT r.run_id, r.status, r.convention, count(*) AS n_scores,
  max(s.closure_residual) AS worst_residual,
  max(s.closure_residual / greatest(1, abs(s.score), abs(coalesce(s.baseline, 0)))) AS worst_relative,
  arg_max(s.example_id, s.closure_residual / greatest(1, abs(s.score), abs(coalesce(s.baseline, 0)))) AS worst_example_id,
  arg_max(h.label, s.closure_residual / greatest(1, abs(s.score), abs(coalesce(s.baseline, 0)))) AS worst_head,
  1e-4::DOUBLE AS tolerance,
  CASE r.convention WHEN 'exact' THEN
    max(s.closure_residual / greatest(1, abs(s.score), abs(coalesce(s.baseline, 0)))) <= 1e-4::DOUBLE END AS ok
FROM run AS r
JOIN score AS s ON s.run_id = r.run_id
JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id
GROUP BY r.run_id, r.status, r.convention;
COMMENT ON VIEW closure IS 'Does it add up, as measured while the run was made: the worst closure residual per run. contribution_sum measures again from the stored rows.';
COMMENT ON COLUMN closure.run_id IS 'The run.';
COMMENT ON COLUMN closure.status IS 'running or complete.';
COMMENT ON COLUMN closure.convention IS 'exact runs must add up, notebook runs do not.';
COMMENT ON COLUMN closure.n_scores IS 'Prompts x target heads.';
COMMENT ON COLUMN closure.worst_residual IS 'Largest distance between a score and the sum of its contributions, score units.';
COMMENT ON COLUMN closure.worst_relative IS 'The largest residual / max(1, |score|, |baseline|).';
COMMENT ON COLUMN closure.worst_example_id IS 'The prompt where it is.';
COMMENT ON COLUMN closure.worst_head IS 'The target head where it is.';
COMMENT ON COLUMN closure.tolerance IS 'Bound for worst_relative.';
COMMENT ON COLUMN closure.ok IS 'Whether the run is within it; NULL for a notebook run, which is not judged.';

CREATE VIEW head_score AS
SELECT s.run_id, s.example_id, h.label AS head, e.text, e.key_token, e.baseline_token,
  s.score, s.baseline, s.diff, s.prob, s.baseline_prob
FROM score AS s
JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id
JOIN example AS e ON e.run_id = s.run_id AND e.example_id = s.example_id;
COMMENT ON VIEW head_score IS 'score with its prompt and the name of the head.';
COMMENT ON COLUMN head_score.run_id IS 'The run.';
COMMENT ON COLUMN head_score.example_id IS 'The prompt.';
COMMENT ON COLUMN head_score.head IS 'The target head, such as 10.7.';
COMMENT ON COLUMN head_score.text IS 'The prompt.';
COMMENT ON COLUMN head_score.key_token IS 'Token at the key position.';
COMMENT ON COLUMN head_score.baseline_token IS 'Token at the baseline position; NULL if there is none.';
COMMENT ON COLUMN head_score.score IS 'Attention score to the key position: before softmax, divided by sqrt(d_head).';
COMMENT ON COLUMN head_score.baseline IS 'Attention score to the baseline position; NULL if there is none.';
COMMENT ON COLUMN head_score.diff IS 'score - baseline.';
COMMENT ON COLUMN head_score.prob IS 'Attention probability of the key position, 0 to 1.';
COMMENT ON COLUMN head_score.baseline_prob IS 'Attention probability of the baseline position, 0 to 1; NULL if there is none.';

CREATE VIEW head_attention AS
SELECT a.run_id, a.example_id, h.label AS head, a.pos, t.text AS token, a.score, a.prob
FROM attention AS a
JOIN head AS h ON h.run_id = a.run_id AND h.head_id = a.head_id
JOIN token AS t ON t.run_id = a.run_id AND t.example_id = a.example_id AND t.pos = a.pos;
COMMENT ON VIEW head_attention IS 'attention with its tokens and the name of the head.';
COMMENT ON COLUMN head_attention.run_id IS 'The run.';
COMMENT ON COLUMN head_attention.example_id IS 'The prompt.';
COMMENT ON COLUMN head_attention.head IS 'The target head, such as 10.7.';
COMMENT ON COLUMN head_attention.pos IS 'Position attended to, from 0.';
COMMENT ON COLUMN head_attention.token IS 'Token at that position.';
COMMENT ON COLUMN head_attention.score IS 'Attention score: before softmax, divided by sqrt(d_head).';
COMMENT ON COLUMN head_attention.prob IS 'Attention probability, 0 to 1.';

CREATE MACRO latest_run() AS (SELECT max(r.run_id) FROM run AS r WHERE r.status = 'complete');
COMMENT ON MACRO latest_run IS 'latest_run(): number of the last complete run; NULL if there is none.';
CREATE MACRO default_head(run) AS (SELECT arg_min(h.label, h.ordinal) FROM head AS h WHERE h.run_id = run);
COMMENT ON MACRO default_head IS 'default_head(run): the first target head that the run was asked for, such as 10.7.';

CREATE MACRO heatmap(run := NULL, head := NULL, side := 'key', query_basis := 'none', key_basis := 'none', quadrant := NULL, example := NULL) AS TABLE
SELECT c.grid_row, c.grid_column, c.label AS component, c.kind,
  avg(CASE WHEN quadrant IS NULL THEN w.score_par_par::DOUBLE + w.score_par_perp + w.score_perp_par + w.score_perp_perp
    WHEN quadrant = 'par_par' THEN w.score_par_par WHEN quadrant = 'par_perp' THEN w.score_par_perp
    WHEN quadrant = 'perp_par' THEN w.score_perp_par WHEN quadrant = 'perp_perp' THEN w.score_perp_perp
    ELSE error('quadrant ' || quadrant || ', want par_par, par_perp, perp_par, perp_perp or NULL for their sum') END) AS mean_score,
  avg(CASE WHEN quadrant IS NULL THEN w.baseline_par_par::DOUBLE + w.baseline_par_perp + w.baseline_perp_par + w.baseline_perp_perp
    WHEN quadrant = 'par_par' THEN w.baseline_par_par WHEN quadrant = 'par_perp' THEN w.baseline_par_perp
    WHEN quadrant = 'perp_par' THEN w.baseline_perp_par WHEN quadrant = 'perp_perp' THEN w.baseline_perp_perp
    ELSE error('quadrant ' || quadrant || ', want par_par, par_perp, perp_par, perp_perp or NULL for their sum') END) AS mean_baseline,
  avg(CASE WHEN quadrant IS NULL THEN w.diff_par_par::DOUBLE + w.diff_par_perp + w.diff_perp_par + w.diff_perp_perp
    WHEN quadrant = 'par_par' THEN w.diff_par_par WHEN quadrant = 'par_perp' THEN w.diff_par_perp
    WHEN quadrant = 'perp_par' THEN w.diff_perp_par WHEN quadrant = 'perp_perp' THEN w.diff_perp_perp
    ELSE error('quadrant ' || quadrant || ', want par_par, par_perp, perp_par, perp_perp or NULL for their sum') END) AS mean_diff,
  count(*) AS n
FROM contribution_wide AS w
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN component AS c ON c.component_id = w.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id
WHERE w.run_id = coalesce(run, latest_run())
  AND h.label = coalesce(head, default_head(coalesce(run, latest_run())))
  AND w.side = side::side AND qb.name = query_basis AND kb.name = key_basis
  AND (example IS NULL OR w.example_id = example)
GROUP BY c.component_id, c.grid_row, c.grid_column, c.label, c.kind
ORDER BY c.component_id;
COMMENT ON MACRO TABLE heatmap IS 'FROM heatmap(run := 1, head := ''10.7'', side := ''key'', query_basis := ''none'', key_basis := ''none'', quadrant := NULL, example := NULL): cells of a heatmap, the mean contribution of each component. All parameters are optional. quadrant NULL adds up the four; example picks one prompt.';

CREATE MACRO pct_explained(run := NULL, head := NULL, side := 'key', query_basis := 'unembed', key_basis := 'mlp0', subtract := true) AS TABLE
WITH cell AS (
SELECT w.component_id,
  avg(CASE WHEN subtract THEN w.diff_par_par ELSE w.score_par_par END) AS par_par,
  avg(CASE WHEN subtract THEN w.diff_par_perp ELSE w.score_par_perp END) AS par_perp,
  avg(CASE WHEN subtract THEN w.diff_perp_par ELSE w.score_perp_par END) AS perp_par,
  avg(CASE WHEN subtract THEN w.diff_perp_perp ELSE w.score_perp_perp END) AS perp_perp
FROM contribution_wide AS w
JOIN head AS h ON h.run_id = w.run_id AND h.head_id = w.head_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id
WHERE w.run_id = coalesce(run, latest_run())
  AND h.label = coalesce(head, default_head(coalesce(run, latest_run())))
  AND w.side = side::side AND qb.name = query_basis AND kb.name = key_basis
GROUP BY w.component_id
), term AS (
SELECT cell.component_id, 'par_par'::quadrant AS corner, cell.par_par AS amount FROM cell
UNION ALL
SELECT cell.component_id, 'par_perp'::quadrant AS corner, cell.par_perp AS amount FROM cell
UNION ALL
SELECT cell.component_id, 'perp_par'::quadrant AS corner, cell.perp_par AS amount FROM cell
UNION ALL
SELECT cell.component_id, 'perp_perp'::quadrant AS corner, cell.perp_perp AS amount FROM cell
), counted AS (
SELECT term.component_id, c.label, c.kind, term.corner, term.amount, sum(term.amount) OVER () AS whole
FROM term JOIN component AS c ON c.component_id = term.component_id
WHERE NOT (subtract AND c.kind = 'k_bias')
)
SELECT counted.label AS component, counted.kind, counted.corner AS quadrant,
  100 * counted.amount / nullif(counted.whole, 0) AS pct, counted.amount AS explained, counted.whole AS denominator,
  CASE WHEN NOT subtract THEN 'sum of the mean score over all ' || side || '-side components and quadrants'
    WHEN side = 'key' THEN 'sum of the mean diff over all key-side components and quadrants but b_K, which cancels'
    ELSE 'sum of the mean diff over all query-side components and quadrants, b_Q included' END AS denominator_is
FROM counted
ORDER BY counted.component_id, counted.corner;
COMMENT ON MACRO TABLE pct_explained IS 'FROM pct_explained(run := 1, head := ''10.7'', side := ''key'', query_basis := ''unembed'', key_basis := ''mlp0'', subtract := true): share of each component and quadrant in the mean score, in percent of the column denominator; the shares add up to 100. All parameters are optional. With subtract, the baseline is subtracted and b_K left out, because it cancels exactly. Terms of a score are not causal effects.';
