-- What was run. Keys are unique across files: the first 32 hexadecimal digits of a SHA-256 over the content
-- that identifies the row; package schema computes them (ModelKey, ComponentKey, RunKey, PromptKey). Numbers
-- (model_id, run_id, ...) are valid in one file only; merging assigns new ones.

-- Facts about this file: its schema version and what made it.
CREATE TABLE meta (
  -- Name of the fact: schema_version, created_by, about.
  key   VARCHAR PRIMARY KEY,
  -- The fact, as text.
  value VARCHAR NOT NULL
);

-- One row per model; several runs may share it.
CREATE TABLE model (
  -- Number of the model in this file.
  model_id      INTEGER PRIMARY KEY,
  -- Unique across files: made of family, sha256 and config_sha256.
  key           VARCHAR NOT NULL UNIQUE,
  -- Name of the model, such as gpt2. It is not part of the key, because a folder may be renamed.
  name          VARCHAR NOT NULL,
  -- Family of the model, such as gpt2 or llama.
  family        VARCHAR NOT NULL,
  -- SHA-256 of the weights, in hexadecimal.
  sha256        VARCHAR NOT NULL,
  -- SHA-256 of the arithmetic in its configuration; NULL in runs of files of schema version 1 to 3.
  config_sha256 VARCHAR,
  -- Transformer blocks.
  n_layers      INTEGER NOT NULL,
  -- Query heads per layer.
  n_heads       INTEGER NOT NULL,
  -- Key-value heads per layer: n_heads, or fewer if query heads share them.
  n_kv_heads    INTEGER NOT NULL,
  -- Width of the residual stream.
  d_model       INTEGER NOT NULL,
  -- Width of a query, key or value vector of one head.
  d_head        INTEGER NOT NULL,
  -- Width of the hidden layer of an MLP.
  d_mlp         INTEGER NOT NULL,
  -- Tokens in the vocabulary.
  d_vocab       INTEGER NOT NULL,
  -- Largest number of tokens in a prompt.
  n_ctx         INTEGER NOT NULL,
  -- Norm before attention: LN (LayerNorm), RMS (RMSNorm) or none.
  norm          VARCHAR NOT NULL,
  -- Epsilon under the root of the norm.
  ln_eps        DOUBLE  NOT NULL CHECK (isfinite(ln_eps)),
  -- Activation function of the MLPs, such as gelu_new.
  activation    VARCHAR NOT NULL
);

-- One row per ingest: everything needed to compute its rows again.
CREATE TABLE run (
  -- Number of the run in this file; a later run has a larger one.
  run_id               INTEGER    PRIMARY KEY,
  -- Unique across files: made of the model's key and of everything that was requested, prompts included, so
  -- that the same request has the same key everywhere. A second run of the same request in one file has
  -- another key.
  key                  VARCHAR    NOT NULL UNIQUE,
  -- The model that was run.
  model_id             INTEGER    NOT NULL,
  -- When the run began, UTC.
  created_at           TIMESTAMP  NOT NULL,
  -- Version of ducklens that made the run.
  ducklens_version     VARCHAR    NOT NULL,
  -- The command that made the run.
  command_line         VARCHAR    NOT NULL,
  -- Where the prompts come from: ioi (the generator), or the path of a file.
  prompt_source        VARCHAR    NOT NULL,
  -- Number of prompts of the run, windows of documents included; NULL in runs of files of schema version 1
  -- and 2.
  n_prompts            INTEGER,
  -- SHA-256, in hexadecimal, over the texts, tokens and positions of all prompts in their order, and the
  -- names that random ones are drawn from; NULL in runs of files of schema version 1 and 2.
  prompts_sha256       VARCHAR,
  -- Seed of the prompt generator.
  seed                 BIGINT     NOT NULL,
  -- Whether every prompt begins with a beginning-of-sequence token.
  bos                  BOOLEAN    NOT NULL,
  -- How bos was decided: auto (the tokenizer), on or off (the user); NULL in runs of files of schema version
  -- 1 to 3.
  bos_policy           VARCHAR,
  -- Arithmetic of the run; only exact runs add up to the score of the model.
  convention           convention NOT NULL,
  -- Form of the weights.
  processing           processing NOT NULL,
  -- Arithmetic type of the model, such as float32 or float64. Contributions are stored as FLOAT in any case.
  precision            VARCHAR    NOT NULL,
  -- Matrix-multiply provider.
  blas                 VARCHAR    NOT NULL,
  -- Threads used for computing.
  threads              INTEGER    NOT NULL,
  -- Whether the run has factors (query_factor, key_factor, and the tables of axes and coordinates), which the
  -- views pair and pair_wide need.
  factors              BOOLEAN    NOT NULL,
  -- Whether the run has rows in pair_contribution_wide.
  pairs                BOOLEAN    NOT NULL,
  -- Whether the run, when it is complete, has rows in pair_mean_wide.
  pair_means           BOOLEAN    NOT NULL,
  -- Whether the run has rows in logit and logit_effect.
  logits               BOOLEAN    NOT NULL,
  -- Further options of the run, as a JSON object; NULL if none.
  options              VARCHAR,
  -- complete when all batches are there; a running run holds whole batches only.
  status               run_status NOT NULL,
  -- Examples in the run, edges of its prompts; NULL until it is complete.
  n_examples           INTEGER,
  -- Target heads of the run (model.n_heads counts the heads of a layer).
  n_heads              INTEGER    NOT NULL,
  -- Largest closure_residual of the run, in score units; NULL until it is complete, and of a run without
  -- examples.
  max_closure_residual DOUBLE     CHECK (isfinite(max_closure_residual)),
  CHECK (status = 'running' OR n_examples IS NOT NULL)
);

-- Parts of a model that a score is split over: everything that writes to the residual stream, and the biases
-- of the target head. run_component lists those of a run.
CREATE TABLE component (
  -- Number of the component in this file.
  component_id INTEGER        PRIMARY KEY,
  -- Unique across files: made of the model's key, kind, layer, head, label and source.
  key          VARCHAR        NOT NULL UNIQUE,
  -- The model.
  model_id     INTEGER        NOT NULL,
  -- embed, pos_embed, head, attn_bias (b_O of a layer), mlp, q_bias or k_bias (b_Q, b_K of the target head),
  -- feature of a sparse dictionary, or error (the part of the vector that the dictionary does not reproduce).
  kind         component_kind NOT NULL,
  -- Layer, from 0; NULL for embeddings and for b_Q and b_K.
  layer        INTEGER,
  -- Index of the head in its layer, from 0; NULL for other kinds.
  head         INTEGER,
  -- Name in figures: W_E, W_pos, 9.6, b_O3, MLP0, b_Q, b_K.
  label        VARCHAR        NOT NULL,
  -- Name in TransformerLens: embed, pos_embed, L9H6, blocks.3.attn.b_O, 0_mlp_out, b_Q, b_K.
  tl_name      VARCHAR        NOT NULL,
  -- Row in the heatmap: 0 for embeddings, b_Q and b_K, else 1 + layer.
  grid_row     INTEGER        NOT NULL,
  -- Column in the heatmap: heads, then the MLP, then b_O; in row 0 W_E, W_pos, then b_Q or b_K.
  grid_column  INTEGER        NOT NULL,
  -- Origin of a component that is not part of the model itself, such as the SHA-256 of a sparse dictionary;
  -- else NULL.
  source       VARCHAR
);

-- Components of a run. Runs of a model share the rows of component. The components of a run depend on the
-- processing of the weights.
CREATE TABLE run_component (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The component.
  component_id INTEGER NOT NULL,
  -- Place in the order in which components write, from 0; b_Q and b_K are last.
  ordinal      INTEGER NOT NULL,
  PRIMARY KEY (run_id, component_id)
);

-- Target heads of a run: the heads whose scores are split, with the parameters of these scores.
CREATE TABLE head (
  -- The run.
  run_id           INTEGER NOT NULL,
  -- layer * (heads per layer) + index of the head in its layer.
  head_id          INTEGER NOT NULL,
  -- Layer, from 0.
  layer            INTEGER NOT NULL,
  -- Index of the head in its layer, from 0.
  head             INTEGER NOT NULL,
  -- Name in the column head of the views, as TransformerLens writes it, such as L10H7. Figures write 10.7,
  -- which programs that read tables take for a number: 11.10 would become 11.1.
  label            VARCHAR NOT NULL,
  -- Place among the requested heads, from 0; default_head() takes the first.
  ordinal          INTEGER NOT NULL,
  -- Key-value head that it reads.
  kv_head          INTEGER NOT NULL,
  -- Factor of the inner product of query and key in the score: 1 / sqrt(d_head) in most models.
  score_scale      DOUBLE  NOT NULL CHECK (isfinite(score_scale)),
  -- Scores s become soft_cap * tanh(s / soft_cap) before softmax; NULL if there is no cap.
  soft_cap         DOUBLE,
  -- Number of positions that it sees, its own included; NULL if it sees all.
  attention_window INTEGER,
  -- Logit of the attention sink, which enters softmax beside the scores; NULL if there is none.
  sink_logit       DOUBLE,
  -- Dimensions of query and key that rotary embedding rotates; 0 if none.
  rotary_dims      INTEGER NOT NULL,
  PRIMARY KEY (run_id, head_id),
  UNIQUE (run_id, label),
  UNIQUE (run_id, ordinal)
);

-- Ways in which a run splits the vectors of a side into a parallel and a perpendicular part.
CREATE TABLE basis (
  -- The run.
  run_id      INTEGER    NOT NULL,
  -- Number of the basis in its run, from 0.
  basis_id    INTEGER    NOT NULL,
  -- The side whose vectors it splits.
  side        side       NOT NULL,
  -- whole (not split), subspace (projected on it) or replacement (another vector replaces the one that is
  -- held fixed).
  kind        basis_kind NOT NULL,
  -- Name, such as none, unembed, unembed+baseline, mlp0.
  name        VARCHAR    NOT NULL,
  -- Dimensions of the subspace; 0 for none.
  dimension   INTEGER    NOT NULL,
  -- Description of the vectors that span the subspace.
  description VARCHAR    NOT NULL,
  -- Number of a random direction, from 0; else NULL. The directions of the same number on both sides are
  -- paired only with each other: they show how much a meaningless basis explains.
  null_number INTEGER,
  PRIMARY KEY (run_id, basis_id),
  UNIQUE (run_id, side, name)
);

-- Heads whose outputs at the query position replace the query and are compared with directions: in the IOI
-- task, the name movers.
CREATE TABLE mover (
  -- The run.
  run_id  INTEGER NOT NULL,
  -- Place in the order of the request or the choice, from 0.
  ordinal INTEGER NOT NULL,
  -- Layer, from 0; below that of every target head.
  layer   INTEGER NOT NULL,
  -- Index of the head in its layer, from 0.
  head    INTEGER NOT NULL,
  -- Name of its component, in figures and in the column vector of other tables, such as 9.9.
  label   VARCHAR NOT NULL,
  PRIMARY KEY (run_id, ordinal),
  UNIQUE (run_id, label)
);

-- Queries that are stored in the file. Run one with: ducklens query FILE NAME.
CREATE TABLE saved_query (
  -- Name of the query.
  name VARCHAR PRIMARY KEY,
  -- The SQL, with a header of comments that says how to draw its result.
  sql  VARCHAR NOT NULL
);
