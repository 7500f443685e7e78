-- Scores of attention heads and their contributions. Statements end with a semicolon at the end of a line.
--
-- Fact tables have no keys: an index would cost more than the rows. What a key would promise is checked by
-- ducklens verify. Vocabulary words are those of the Go package schema.

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
  PRIMARY KEY (run_id, basis_id),
  UNIQUE (run_id, side, name)
);
COMMENT ON TABLE basis IS 'Ways in which a run splits the vectors of a side into a parallel and a perpendicular part.';
COMMENT ON COLUMN basis.run_id IS 'The run.';
COMMENT ON COLUMN basis.basis_id IS 'Number of the basis in its run, from 0.';
COMMENT ON COLUMN basis.side IS 'Whose vectors it splits: the query side or the key side.';
COMMENT ON COLUMN basis.kind IS 'whole (not split), subspace (projected on it) or replacement (another vector is put in place of the one held fixed).';
COMMENT ON COLUMN basis.name IS 'Name, such as none, unembed, unembed+baseline, mlp0.';
COMMENT ON COLUMN basis.dimension IS 'Dimensions of the subspace; 0 for none.';
COMMENT ON COLUMN basis.description IS 'What the subspace is spanned by, in words.';

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
