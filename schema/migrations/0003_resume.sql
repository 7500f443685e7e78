-- What is needed to continue an unfinished run with the same prompts. NULL in runs of older files.

ALTER TABLE run ADD COLUMN n_prompts INTEGER;
COMMENT ON COLUMN run.n_prompts IS 'Prompts that the run was begun over: what n_examples becomes when it is complete; NULL in runs of files of schema version 2.';
ALTER TABLE run ADD COLUMN prompts_sha256 VARCHAR;
COMMENT ON COLUMN run.prompts_sha256 IS 'SHA-256, in hexadecimal, over the texts, tokens and positions of all prompts in their order, and the names that random ones are drawn from; NULL in runs of files of schema version 2.';
