package ingest

// Keys of log records.
const (
	keyPath     = "path"
	keyRun      = "run"
	keyExamples = "examples"
	keyResumed  = "resumed_examples"
	keyHeads    = "heads"
	keyBatch    = "batch_examples"
	keyRows     = "rows"
	keyClosure  = "max_closure_residual"
	keyElapsed  = "elapsed"
)
