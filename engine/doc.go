// Package engine turns prompts into exact contributions to attention scores. It puts the packages checkpoint,
// family, tokenizer, model and decompose behind one interface, for callers that want rows and no tensors.
//
// [Open] loads a model from a folder or a GGUF file. [Options] say which heads, bases, convention and
// precision to use. [Engine.Example] prepares a [schema.Prompt]; its errors say what to change.
// [Engine.Analyze] runs examples through the model, packed into few forward passes, and decomposes the scores
// of every head:
//
//	e, err := engine.Open("gpt2-small", engine.Options{Heads: []schema.Head{{Layer: 10, Index: 7}}})
//	...
//	example, err := e.Example(prompt)
//	...
//	results, err := e.Analyze(ctx, []schema.Example{example})
//
// [Engine.Explain] does this for prompts whose edges are chosen by rules ([Options.Edges]), such as the three
// keys of every query that get most attention. It runs one forward pass for each prompt and also reports what
// the heads do on it. [Engine.Stream] returns the same in parts, so that a document of any length fits into
// memory.
//
// Contributions are always computed. [Options] can ask for more: what each component adds to query and key
// (Factors), every pair of components (Pairs), the score if another vector replaces the query or the key
// (Substitutions), how vectors lie relative to a basis and to the map that scores them (Projections), and
// what each component adds to the logits of two tokens (Logits). [Engine.Prepare] settles, from the first
// examples, what the options leave open; [Engine.Notices] says what had to be left out. Bases are named ones,
// random ones ([Options.NullBases]) or the user's ([ReadUserBasis]).
//
// Results depend only on the model, the options, what Prepare settled and the example itself. They do not
// depend on the other examples, their order, the number of threads or how many examples a call gets.
//
// Contributions to a score are not causal effects.
package engine
