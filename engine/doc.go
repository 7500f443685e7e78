// Package engine turns prompts into exact contributions to attention scores: the front of checkpoint, family,
// tokenizer, model and decompose, for callers that want rows and no tensors.
//
// [Open] loads a model, a folder or a GGUF file, with [Options]: target heads, bases, convention, precision.
// [Engine.Example] makes a [schema.Prompt] ready, with errors that tell a stranger what to change.
// [Engine.Analyze] runs examples through the model, packed into few forward passes, and decomposes the scores
// of every head:
//
//	e, err := engine.Open("gpt2-small", engine.Options{Heads: []schema.Head{{Layer: 10, Index: 7}}})
//	...
//	example, err := e.Example(prompt)
//	...
//	results, err := e.Analyze(ctx, []schema.Example{example})
//
// [Engine.Explain] does so for prompts of which rules choose the edges ([Options.Edges]), such as the three keys of
// every query that get most attention, after one forward pass for each prompt, and says what the heads do on
// it; [Engine.Stream] gives the same part by part, so that a document of any length fits into memory.
//
// Contributions come always; [Options] asks for more: what each component adds to query and key (Factors),
// every pair of components (Pairs), the score when another vector stands in for the query or the key
// (Substitutions), how vectors lie to a basis and to the map that scores them (Projections), what each
// component adds to the logits of two tokens (Logits). [Engine.Prepare] settles, from the first examples,
// what the options leave open, and [Engine.Notices] says what had to be left out. Bases are named, random
// ([Options.NullBases]) or a user's ([ReadUserBasis]).
//
// Results depend on the model, the options, what Prepare settled and the example alone: not on the examples
// beside it, on their order, on the number of threads or on how many examples one call gets.
//
// Contributions to a score are not causal effects.
package engine
