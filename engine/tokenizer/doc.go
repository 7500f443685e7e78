// Package tokenizer turns text into token ids and ids into bytes, as the tokenizer of a model does: byte-pair encoding,
// byte-level or SentencePiece's.
//
// [Load] reads a model folder: tokenizer.json, node by node, or vocab.json with merges.txt, with the settings that stand
// beside them. A folder with neither gets GPT-2's own vocabulary, which is embedded, if its config.json has GPT-2's
// vocabulary size. [FromMetadata] reads the metadata of a GGUF file. What is not understood, a node, a field, a part of a
// pattern, is refused by its name.
//
// A text goes through six steps. Added tokens are cut out of it as it stands (1); what lies between them is
// normalized (2), added tokens that are matched in normalized text are cut out (3), and the rest is cut into
// pieces (4). Each piece is taken apart into the tokens of its bytes or characters, and these are merged, the pair of lowest
// rank and then the leftmost first (5). Last, the tokenizer puts its own tokens around the text (6): [Tokenizer.Encode]
// leaves them out, [Tokenizer.EncodeBOS] is told.
//
// Ids follow Hugging Face's tokenizers (huggingface/tokenizers), down to its odd sides: bytes without a token are dropped
// where there is no unknown token, an added token's id is not the one that its file says, and versions of
// Unicode differ between its parts. Which file wins follows transformers. Where transformers builds
// a tokenizer's nodes anew by the name of its class, tokenizer.json is followed and not the class.
//
// GPT-2's pattern (openai/gpt-2:src/encoder.py)
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// with Unicode white space for \s is matched by hand; others by a small matcher, because Go's package regexp has no
// lookahead and regexp2 has other classes.
//
// Two decisions. Bytes that are not valid UTF-8 are encoded as they are, each as a character that is neither letter,
// number nor space (the reference has no say here: it takes text that is already decoded). And special tokens that
// are spelt out in a text are read as such, as in TransformerLens' to_tokens; a prompt can contain an end of text.
package tokenizer
