package tokenizer

// Patterns of byte-level tokenizers, as in their tokenizer.json files, assembled from their parts.
const (
	contractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)`
	notWord      = `[^\r\n\p{L}\p{N}]?`
	upper        = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
	lower        = `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
	blanks       = `|\s*[\r\n]+|\s+(?!\S)|\s+`
	signs        = `| ?[^\s\p{L}\p{N}]+[\r\n]*` + blanks
	pathSigns    = `| ?[^\s\p{L}\p{N}]+[\r\n/]*` + blanks

	qwen2Pattern  = contractions + `|` + notWord + `\p{L}+|\p{N}` + signs
	llama3Pattern = contractions + `|` + notWord + `\p{L}+|\p{N}{1,3}` + signs
	qwen35Pattern = contractions + `|` + notWord + `[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*` +
		blanks
	gpt4oPattern = notWord + upper + `*` + lower + `+` + contractions + `?|` +
		notWord + upper + `+` + lower + `*` + contractions + `?|\p{N}{1,3}` + pathSigns
	tekkenPattern = notWord + upper + `*` + lower + `+|` + notWord + upper + `+` + lower + `*|\p{N}` +
		pathSigns
)
