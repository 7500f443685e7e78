-- What heads do on whole prompts, whatever edges of them are explained.

-- What each target head does on a prompt, averaged over its query positions: the row of attention of each of
-- them gives a value. A measure that no position of the prompt has, has no row. The view head_measure_mean has
-- means over prompts.
CREATE TABLE head_measure (
  -- The run.
  run_id    INTEGER NOT NULL,
  -- The prompt.
  prompt_id INTEGER NOT NULL,
  -- The target head.
  head_id   INTEGER NOT NULL,
  -- What is measured. Attention probability of the token before the query (previous), of position 0, which is
  -- BOS where the run has one (first), of the query itself (self), of all earlier occurrences of the query's
  -- token together (duplicate), of all tokens right behind such occurrences together (induction); entropy of
  -- the row in nats, a sink's share included (entropy); mean distance to what is attended to, in tokens
  -- (distance); share of rows whose largest probability is above a threshold, 0.5 unless the run's options
  -- say another (above).
  measure   VARCHAR NOT NULL,
  -- Query positions that have a value: all for self; those after position 0 for previous, first, entropy,
  -- distance and above; those whose token has occurred before for duplicate, and before the previous one for
  -- induction.
  n         INTEGER NOT NULL,
  -- Mean of their values.
  value     FLOAT   NOT NULL CHECK (isfinite(value))
);
