// Package tokenizer is GPT-2's byte-level byte-pair encoding, both ways: text to token ids, ids to bytes.
//
// [Load] takes the vocabulary from a model folder: vocab.json with merges.txt, or tokenizer.json. A folder
// with neither gets GPT-2's own vocabulary, which is embedded, if its config.json has GPT-2's vocabulary size.
//
// Text is split by GPT-2's pattern (openai/gpt-2:src/encoder.py)
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// with Unicode white space for \s, by hand and in linear time; the bytes of each piece are then merged in
// the order of the merges. Every string of bytes can be encoded, and decoding gives the same bytes back.
//
// Two decisions. Bytes that are not valid UTF-8 are encoded as they are, each as a character that is neither letter,
// number nor space (the reference has no say here: it takes text that is already decoded). And the text
// "<|endoftext|>", like other added tokens, becomes its one token wherever it stands, as in Hugging Face's
// tokenizers and so in TransformerLens' to_tokens; a prompt can contain an end of text.
package tokenizer
