-- Sources of what heads contribute, and the part of rotary embedding in a score.

-- The contribution of a head below the target head, as in contribution_unsplit, split by the position that
-- this head read; only for the heads that ingest --sources names. A head's output is a sum over positions of
-- attention times value, times W_O. With the scales of norms held fixed, the target head's score is linear in
-- that output. The rows of an example, head, side and component add up to the contribution. Biases of values
-- are in b_O, a component of its own. Where they are left in the heads' outputs (raw weights, attention
-- sinks), each value includes its bias.
CREATE TABLE source_contribution (
  -- The run.
  run_id       INTEGER NOT NULL,
  -- The example.
  example_id   INTEGER NOT NULL,
  -- The target head, whose score is split.
  head_id      INTEGER NOT NULL,
  -- The vector of the target head that the component contributes to: query or key.
  side         side    NOT NULL,
  -- The head that read and wrote, in a layer below.
  component_id INTEGER NOT NULL,
  -- Position that it read, from 0: up to query_pos on the query side, up to key_pos or baseline_pos on the
  -- key side.
  pos          INTEGER NOT NULL,
  -- Contribution to the score at the key position; 0 if pos is not visible from where the head wrote. Score
  -- units.
  score        FLOAT   NOT NULL CHECK (isfinite(score)),
  -- Contribution to the score at the baseline position; on the key side, of what the head wrote there. NULL
  -- if the baseline is not one position.
  baseline     FLOAT   CHECK (isfinite(baseline)),
  -- score - baseline.
  diff         FLOAT   GENERATED ALWAYS AS (score - baseline) VIRTUAL
);

-- A score split over the pairs of dimensions that rotary embedding rotates together; only for runs with
-- ingest --rotary. The angle between query and key grows by a full turn for each wavelength of distance. The
-- rows of an example and head add up to the score.
CREATE TABLE rotary_contribution (
  -- The run.
  run_id           INTEGER NOT NULL,
  -- The example.
  example_id       INTEGER NOT NULL,
  -- The target head.
  head_id          INTEGER NOT NULL,
  -- Number of the pair, from 0, the fastest first; NULL for the dimensions that are not rotated, all
  -- together.
  pair             INTEGER,
  -- Tokens in which the pair makes a full turn; NULL for the dimensions that are not rotated.
  wavelength       FLOAT   CHECK (isfinite(wavelength)),
  -- Contribution of the pair to the score at the key position. Score units.
  score            FLOAT   NOT NULL CHECK (isfinite(score)),
  -- Its contribution if query and key were at the same position: the content, without the rotation.
  content          FLOAT   NOT NULL CHECK (isfinite(content)),
  -- Contribution of the pair to the score at the baseline position; NULL if the baseline is not one position.
  baseline         FLOAT   CHECK (isfinite(baseline)),
  -- content of the baseline's key.
  baseline_content FLOAT   CHECK (isfinite(baseline_content)),
  -- score - baseline.
  diff             FLOAT   GENERATED ALWAYS AS (score - baseline) VIRTUAL,
  -- content - baseline_content.
  content_diff     FLOAT   GENERATED ALWAYS AS (content - baseline_content) VIRTUAL
);
