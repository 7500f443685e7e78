-- Where a head's writing came from, and what positions give to a score.

-- The contribution of a head's output, as contribution_unsplit has it, split by the position that the head
-- read; only of the heads that the run was asked for (ingest --sources). A head writes at a position the sum
-- over all positions that it sees of its attention times their values through its W_O; with all norms as they
-- were, the score of the target head is linear in that. Rows of an example, head, side and component add up to
-- the contribution. Biases of values are in b_O, a component of its own; where they are left in the heads'
-- outputs (raw weights, models with attention sinks), each value is read with its bias.
CREATE TABLE source_contribution (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The example.
  example_id   INTEGER NOT NULL,
  -- The target head, whose score is split.
  head_id      INTEGER NOT NULL,
  -- Where the component enters: the query vector or the key vector of the target head.
  side         side    NOT NULL,
  -- The head that read and wrote, in a layer below.
  component_id INTEGER NOT NULL,
  -- Position that it read, from 0: up to query_pos on the query side, up to key_pos or baseline_pos on the key
  -- side.
  pos          INTEGER NOT NULL,
  -- Contribution to the score at the key position; 0 where the head did not see pos from there. Score units.
  score        FLOAT   NOT NULL CHECK (isfinite(score)),
  -- The same to the score at baseline_pos: on the key side of what the head wrote there. NULL if the example has
  -- no baseline at one position.
  baseline     FLOAT   CHECK (isfinite(baseline)),
  -- score - baseline.
  diff         FLOAT   GENERATED ALWAYS AS (score - baseline) VIRTUAL
);

-- A score split over the pairs of dimensions that rotary embedding turns together; only for runs that were
-- asked for it (ingest --rotary). A pair turns by the distance of query and key over its wavelength; what it
-- gives is a product of two vectors of two numbers. Rows of an example and head add up to the score.
CREATE TABLE rotary_contribution (
  -- The run.
  run_id           INTEGER NOT NULL,
  -- The example.
  example_id       INTEGER NOT NULL,
  -- The target head.
  head_id          INTEGER NOT NULL,
  -- Number of the pair, from 0, the fastest first; NULL for all dimensions that do not turn, together.
  pair             INTEGER,
  -- Tokens in which the pair turns once; NULL for what does not turn.
  wavelength       FLOAT   CHECK (isfinite(wavelength)),
  -- What the pair gives to the score at the key position. Score units.
  score            FLOAT   NOT NULL CHECK (isfinite(score)),
  -- What it would give if query and key stood at one position: the content, without the rotation.
  content          FLOAT   NOT NULL CHECK (isfinite(content)),
  -- What the pair gives to the score at baseline_pos; NULL if the example has no baseline at one position.
  baseline         FLOAT   CHECK (isfinite(baseline)),
  -- content of the baseline's key.
  baseline_content FLOAT   CHECK (isfinite(baseline_content)),
  -- score - baseline.
  diff             FLOAT   GENERATED ALWAYS AS (score - baseline) VIRTUAL,
  -- content - baseline_content.
  content_diff     FLOAT   GENERATED ALWAYS AS (content - baseline_content) VIRTUAL
);
