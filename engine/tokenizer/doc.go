// Package tokenizer converts text to token ids and ids to bytes, as the tokenizer of a model does, by
// byte-level or SentencePiece's byte-pair encoding.
//
// [Load] reads a model folder: tokenizer.json, node by node, or vocab.json with merges.txt, and the settings
// files beside them. If a folder has none of these and its config.json has GPT-2's vocabulary size, GPT-2's
// own vocabulary, which is embedded, is used. [FromMetadata] reads the metadata of a GGUF file. A node, field
// or part of a pattern that is not understood is an error that names it.
//
// A text goes through six steps. Added tokens are cut out of the original text (1). What is between them is
// normalized (2), added tokens that match normalized text are cut out (3), and the rest is cut into pieces
// (4). Each piece is split into the tokens of its bytes or characters, and these are merged, the pair of
// lowest rank first and of equal ones the leftmost (5). Finally the tokenizer puts its own tokens around the
// text (6): [Tokenizer.Encode] omits them, and [Tokenizer.EncodeBOS] takes an argument.
//
// Ids are those of Hugging Face's tokenizers (huggingface/tokenizers), including its oddities: bytes without
// a token are dropped if there is no unknown token, an added token's id is not the one that its file says,
// and different parts use different versions of Unicode. Which file takes precedence follows transformers. If
// transformers would rebuild a tokenizer's nodes from the name of its class, tokenizer.json is followed
// instead of the class.
//
// GPT-2's pattern (openai/gpt-2:src/encoder.py)
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// is matched by hand, with Unicode white space for \s. Others are matched by a small matcher, because Go's
// package regexp has no lookahead and regexp2 has different classes.
//
// Two decisions: bytes that are not valid UTF-8 are encoded as they are, each as a character that is neither
// letter, number nor space (the reference does not define this, as it takes decoded text). And special tokens
// that are spelt out in a text are read as special tokens, as in TransformerLens's to_tokens, so a prompt can
// contain an end of text.
package tokenizer
