package ingest

// BatchSize makes the size of batches visible to the tests.
func (o *Options) BatchSize() int { return o.batchExamples() }
