// Package prompts is where prompts come from: the seeded ioi generator with ducklens's own templates,
// a template file of the user's, sampled exactly as CPython's random module draws, so that a published
// prompt set can be made again word for word, and files of finished prompts (JSONL, CSV, Parquet).
//
// Every source is an iter.Seq2[schema.Prompt, error]: prompts in their order, or one error, after
// which it ends. A source may be ranged over more than once and gives the same prompts each time, so long as
// the file behind it does not change.
package prompts
