// Package ingest makes the database: it takes prompts from a source, has the engine analyse them in
// batches, and writes what comes out to the tables of package schema.
//
// [Run] is the whole of it. It goes over the prompts twice. The first pass only makes examples of them, so
// that a prompt that cannot be used is an error before anything is computed or written; the second
// analyses them. A batch is analysed a forward pass at a time; while the results of one pass are written by the only writer, the
// next are computed, so that no more than a few passes are in memory.
//
// Before the second pass the engine is shown the first examples, to settle what depends on them; each example gets a random name and a random
// token, drawn as the published research code draws them ([prompts.Draws]). Means of pairs of components are gathered
// on the way, in the order of the examples, and written with the mark of completion.
//
// A prompt has one edge, the pair of positions that it came with, or many, which rules of the engine choose; an edge is an example, numbered
// in the order of prompts. A document, a prompt without positions, is cut into windows, each a prompt of its own. Text, tokens, what heads
// do on a prompt, and the row of attention of a query position are stored once, however many edges share them.
//
// [Measure] says beforehand what a run becomes, by a sample of its prompts that is written to a temporary file.
//
// A batch is one transaction, and the manifest of the run (model, components, heads, bases) is part of
// the first. So a file holds whole batches only, whenever the process dies, and whole passes when it stops by itself: the rows of
// prompt are the mark of how far a run has come, and its status stays running until the last batch is there and
// the rows have been counted. A new file comes into being with its first batch: a run that fails
// before leaves none behind, and what it should have replaced is still there.
package ingest
