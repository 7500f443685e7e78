package ingest

import "ducklens/schema"

// BatchSize exports the size of batches.
func (o *Options) BatchSize() int {
	run := o.Engine.Run()
	return batchPrompts(o.BatchPrompts, &run)
}

// KeepsMeans exports keepsMeans.
func KeepsMeans(run schema.Run) bool { return keepsMeans(&run) }

// Limit sets the largest number of rows and bytes of a run.
func (o *Options) Limit(rows, bytes float64) { o.most = limits{rows, bytes} }
