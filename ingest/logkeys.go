package ingest

// Keys of log records.
const (
	keyPath     = "path"
	keyRun      = "run"
	keyPrompts  = "prompts"
	keyExamples = "examples"
	keyResumed  = "resumed_prompts"
	keyHeads    = "heads"
	keyBatch    = "batch_prompts"
	keyRows     = "rows"
	keyClosure  = "max_closure_residual"
	keyElapsed  = "elapsed"
)
