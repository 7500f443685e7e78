-- Measures of heads on whole prompts, independent of the edges that are explained.

-- Measures of each target head on a prompt, averaged over query positions. A value is computed from the
-- attention row of a position. A measure without a value at any position has no row. The view
-- head_measure_mean has means over prompts.
CREATE TABLE head_measure (
  -- The run.
  run_id    INTEGER NOT NULL,
  -- The prompt.
  prompt_id INTEGER NOT NULL,
  -- The target head.
  head_id   INTEGER NOT NULL,
  -- The measure. Five are attention probabilities: of the token before the query (previous), of position 0
  -- (first), of the query itself (self), of all earlier occurrences of the query's token (duplicate), of all
  -- tokens right after such occurrences (induction). The others: entropy of the row in nats, the share of a
  -- sink included (entropy); mean distance to the keys in tokens, weighted by attention (distance); share of
  -- rows whose largest probability is above a threshold, by default 0.5 (above).
  measure   VARCHAR NOT NULL,
  -- Query positions that have a value. For self, all; for previous, first, entropy, distance and above, all
  -- after position 0; for duplicate, those whose token occurs at an earlier position; for induction, at one
  -- before the previous position.
  n         INTEGER NOT NULL,
  -- Mean of their values.
  value     FLOAT   NOT NULL CHECK (isfinite(value))
);
