-- What heads do on whole prompts, whatever edges of them are explained.

-- What each target head does on a prompt, averaged over its query positions: the row of attention of each of
-- them gives a value. The view head_measure_mean has means over prompts.
CREATE TABLE head_measure (
  -- The run.
  run_id    INTEGER NOT NULL,
  -- The prompt.
  prompt_id INTEGER NOT NULL,
  -- The target head.
  head_id   INTEGER NOT NULL,
  -- What is measured. Attention probability of the token before the query (previous), of the first token
  -- (first), of the query itself (self), of all earlier occurrences of the query's token together (duplicate),
  -- of all tokens behind such occurrences together (induction); entropy of the row in nats (entropy); mean
  -- distance to what is attended to, in tokens (distance); share of rows in which one token gets more than the
  -- run's threshold (above).
  measure   VARCHAR NOT NULL,
  -- Query positions that have a value: the first token has none before it, and few tokens have occurred
  -- before.
  n         INTEGER NOT NULL,
  -- Mean of their values; NULL where n is 0.
  value     FLOAT   CHECK (isfinite(value))
);
