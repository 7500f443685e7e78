package ingest

import "ducklens/schema"

// BatchSize makes the size of batches visible to the tests.
func (o *Options) BatchSize() int {
	run := o.Engine.Run()
	return batchPrompts(o.BatchPrompts, &run)
}

// KeepsMeans makes the bound of means of pairs visible to the tests.
func KeepsMeans(run schema.Run) bool { return keepsMeans(&run) }

// Limit lets runs have at most so many rows and bytes.
func (o *Options) Limit(rows, bytes float64) { o.most = limits{rows, bytes} }
