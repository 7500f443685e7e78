package tokenizer

import (
	"strings"
)

// EndOfTextText is the text of the token that GPT-2 puts between documents and that TransformerLens puts
// before a prompt as its BOS.
const EndOfTextText = "<|endoftext|>"

// Tokenizer is a vocabulary with its merges. It does not change after [Load] and may be used from several
// goroutines at once.
type Tokenizer struct {
	tokens    []string // bytes by id; "" where an id is not used
	ofByte    [256]uint32
	pairs     *pairTable
	added     []addedToken // matched in the text as they are; longest first
	addedHead [256]bool    // first bytes of added
	endOfText int
	source    string
}

type addedToken struct {
	text string
	id   uint32
}

// VocabSize is one more than the largest id.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// EndOfText is the id of "<|endoftext|>", the BOS of this family.
func (t *Tokenizer) EndOfText() int { return t.endOfText }

// Source names what the vocabulary was read from: "vocab.json", "tokenizer.json" or "embedded GPT-2".
func (t *Tokenizer) Source() string { return t.source }

// Token gives the bytes that id spells, a leading space included, or "" for an id that the vocabulary
// does not have. They need not be valid UTF-8: one character may be spread over several tokens.
func (t *Tokenizer) Token(id int) string {
	if id < 0 || id >= len(t.tokens) {
		return ""
	}
	return t.tokens[id]
}

// Decode gives the bytes that ids spell. It is the inverse of [Tokenizer.Encode].
func (t *Tokenizer) Decode(ids []int) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(t.Token(id))
	}
	return b.String()
}

// Encode gives the token ids of text. No BOS is put before them.
func (t *Tokenizer) Encode(text string) []int {
	var ids []int
	var buffer [shortPiece]uint32
	for len(text) > 0 {
		ordinary, special := t.nextAdded(text)
		for rest := text[:ordinary]; len(rest) > 0; {
			n := pieceLen(rest)
			ids = t.appendPiece(ids, rest[:n], buffer[:0])
			rest = rest[n:]
		}
		text = text[ordinary:]
		if special != nil {
			ids = append(ids, int(special.id))
			text = text[len(special.text):]
		}
	}
	return ids
}

// nextAdded finds the first added token in text, the longest where several begin: the length of what
// stands before it, and the token, or nil where there is none.
func (t *Tokenizer) nextAdded(text string) (int, *addedToken) {
	for i := range len(text) {
		if !t.addedHead[text[i]] {
			continue
		}
		for k := range t.added {
			if strings.HasPrefix(text[i:], t.added[k].text) {
				return i, &t.added[k]
			}
		}
	}
	return len(text), nil
}

func (t *Tokenizer) appendPiece(ids []int, piece string, buffer []uint32) []int {
	for i := range len(piece) {
		buffer = append(buffer, t.ofByte[piece[i]])
	}
	for _, id := range buffer[:t.pairs.mergePiece(buffer)] {
		ids = append(ids, int(id))
	}
	return ids
}
