-- Every key of a query, and not one: what the row of attention of a query position is made of.

-- Contributions to the score of every position that a query sees, the quadrants side by side; only for runs that
-- were asked for all keys. Each is what contribution_wide has of the position as a key: on the key side the
-- query is held fixed and the key there is split, on the query side the query is split and the key there is held
-- fixed. They add up over components to the score in prompt_attention. A row is there once for each prompt and
-- query position, whatever examples it has; the views row_contribution and row_contribution_unsplit have it by
-- example.
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
  -- Basis that splits query vectors: none, or the one that was asked for. A basis that is made from the token
  -- of the key is made from that at pos.
  query_basis_id INTEGER NOT NULL,
  -- Basis that splits key vectors, at each pos along directions of its own: none, or the one that was asked
  -- for.
  key_basis_id   INTEGER NOT NULL,
  -- Position attended to, from 0.
  pos            INTEGER NOT NULL,
{{range quadrants}}
  -- Contribution to the score of that position: {{.Words}}. Score units.
  score_{{.}} FLOAT NOT NULL,
{{end}}
  CHECK (isfinite({{sum "score_"}}))
);
