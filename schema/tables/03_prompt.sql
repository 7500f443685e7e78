-- What was read. A prompt is a text. An edge is a query position, a key position, and a baseline with which
-- the key is compared. An edge with its prompt is an example: the view example has both, and the views token
-- and attention repeat the rows of a prompt for each of its examples.

-- Texts of a run. A document that is longer than a window is several prompts.
CREATE TABLE prompt (
  -- The run.
  run_id          INTEGER NOT NULL,
  -- Number of the prompt in its run, from 0.
  prompt_id       INTEGER NOT NULL,
  -- Made of the tokens alone: the same prompt has the same key in every run and file.
  key             VARCHAR NOT NULL,
  -- The prompt.
  text            VARCHAR NOT NULL,
  -- Tokens of the prompt, BOS included.
  n_tokens        INTEGER NOT NULL,
  -- Whether the first token is a beginning-of-sequence token.
  bos             BOOLEAN NOT NULL,
  -- Template of the prompt; NULL if none.
  template        VARCHAR,
  -- ABBA or BABA for an IOI prompt, else NULL.
  prompt_order    VARCHAR,
  -- Document of which the prompt is the whole or a window: its id, or its number in the file, from 1; NULL
  -- for a prompt that came with positions.
  document        VARCHAR,
  -- Tokens of the document before the window, BOS not counted; 0 for its first or only window, NULL if the
  -- prompt is not from a document.
  document_offset INTEGER,
  -- Further columns of the prompt file, as a JSON object; NULL if none. The view example_field spreads them.
  fields          VARCHAR,
  PRIMARY KEY (run_id, prompt_id)
);

-- Tokens of each prompt, BOS included. The view token has them by example.
CREATE TABLE prompt_token (
  -- The run.
  run_id    INTEGER NOT NULL,
  -- The prompt.
  prompt_id INTEGER NOT NULL,
  -- Position in the prompt, from 0.
  pos       INTEGER NOT NULL,
  -- Number of the token in the vocabulary.
  token_id  INTEGER NOT NULL,
  -- Text of the token, a leading space included; bytes that are not UTF-8 appear as U+FFFD.
  text      VARCHAR NOT NULL
);

-- Edges of attention that a run explains: one row per example. The view example adds the prompt.
CREATE TABLE edge (
  -- The run.
  run_id          INTEGER NOT NULL,
  -- Number of the example in its run, from 0.
  example_id      INTEGER NOT NULL,
  -- The prompt.
  prompt_id       INTEGER NOT NULL,
  -- Rules that chose the edge, separated by spaces: given (with the prompt), top:3, previous. The view
  -- edge_rule has a row for each.
  rule            VARCHAR NOT NULL,
  -- Position that attends, from 0 (IOI: END, the token before the answer).
  query_pos       INTEGER NOT NULL,
  -- Position attended to, from 0; never after query_pos.
  key_pos         INTEGER NOT NULL,
  -- What the key is compared with: token (the one at baseline_pos), mean (of all other keys), attention
  -- (their mean, weighted by attention) or none.
  baseline_kind   VARCHAR NOT NULL,
  -- Position with which the key is compared, from 0; NULL unless baseline_kind is token.
  baseline_pos    INTEGER,
  -- Token at the key position, a leading space included (IOI: the indirect object).
  key_token       VARCHAR NOT NULL,
  -- Token at the baseline position (IOI: the subject); NULL unless baseline_kind is token.
  baseline_token  VARCHAR,
  -- Number in the vocabulary of the name that was drawn for the substitution W_U[random name]; NULL if none.
  random_name_id  INTEGER,
  -- Number of the token that was drawn for the substitution W_U[random]; NULL if none.
  random_token_id INTEGER,
  PRIMARY KEY (run_id, example_id)
);
