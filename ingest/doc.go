// Package ingest fills a database: it reads prompts from a source, lets the engine analyse them in batches,
// and writes the results to the tables of package schema.
//
// [Run] does all of this. It goes over the prompts twice. The first pass only turns them into examples, so
// that an unusable prompt is reported before anything is computed or written. The second pass analyses them,
// one forward pass at a time. A single writer writes the results of one forward pass while the next is
// computed, so no more than a few passes are in memory.
//
// Before the second pass the engine sees the first examples, to settle what depends on them. Each example
// gets a random name and a random token, drawn as in the published research code ([prompts.Draws]). Means of
// pairs of components accumulate during the run, in the order of the examples, and are written when the run
// is marked complete.
//
// A prompt has one edge, the pair of positions that it came with, or many edges, which rules of the engine
// choose. An edge is an example; examples are numbered in the order of prompts. A document, which is a prompt
// without positions, is cut into windows, and each window is a prompt. Text, tokens, the measures of heads on
// a prompt, and the attention row of a query position are stored once, even if several edges share them.
//
// [Measure] estimates the size of a run. It writes a sample of the prompts to a temporary file.
//
// A batch is one transaction. The manifest of the run (model, components, heads, bases) is part of the first
// one. A file therefore holds whole batches if the process dies, and whole passes if the run stops by itself.
// The rows of table prompt show how far a run has come. Its status is "running" until the last batch is
// written and the rows have been counted. A new file appears with its first batch: a run that fails earlier
// leaves no file, and a file that it should have replaced is still there.
package ingest
