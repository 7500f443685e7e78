-- Contributions to whole rows of attention: to the score of every key of a query, not of one.

-- Contributions to the score of every position that a query sees, one column for each quadrant; only for runs
-- with ingest --keys all. A row has what contribution_wide would have if pos were the key: on the key side
-- the query is held fixed and the key at pos is split, on the query side the query is split and the key at
-- pos is held fixed. Contributions add up over components to the score in prompt_attention. They are stored
-- once for each prompt and query position, even if several examples share them. The views row_contribution
-- and row_contribution_unsplit repeat them for each example.
CREATE TABLE row_contribution_wide (
  -- The run.
  run_id         INTEGER NOT NULL,
  -- The prompt.
  prompt_id      INTEGER NOT NULL,
  -- Position that attends, from 0: the query position of an example.
  query_pos      INTEGER NOT NULL,
  -- The target head.
  head_id        INTEGER NOT NULL,
  -- Which vector is split over components; the other is held fixed.
  side           side    NOT NULL,
  -- The component that contributes.
  component_id   INTEGER NOT NULL,
  -- Basis that splits query vectors: none, or the requested one. A basis that depends on the key's token uses
  -- the token at pos.
  query_basis_id INTEGER NOT NULL,
  -- Basis that splits key vectors: none, or the requested one. Its directions are those at pos.
  key_basis_id   INTEGER NOT NULL,
  -- Position attended to, from 0.
  pos            INTEGER NOT NULL,
{{range quadrants}}
  -- Contribution to the score of that position: {{.Words}}. Score units.
  score_{{.}} FLOAT NOT NULL,
{{end}}
  CHECK (isfinite({{sum "score_"}}))
);
