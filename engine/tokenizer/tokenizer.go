package tokenizer

import (
	"fmt"
	"slices"
	"strings"
)

// EndOfTextText is the text of the token that GPT-2 puts between documents and that TransformerLens puts
// before a prompt as its BOS.
const EndOfTextText = "<|endoftext|>"

// Tokenizer is a vocabulary with all that happens to a text on its way to token ids. It does not change after
// it is made and may be used from several goroutines at once.
type Tokenizer struct {
	source string
	tokens []string // bytes by id; "" where an id is not used

	raw         addedSet // cut out of the text as it is
	normalizers []step
	normal      addedSet // cut out of the normalized text
	cutters     []stage
	model       model

	before, after []int // what the tokenizer itself puts around a text
	bos           int   // or noToken
	endOfText     int   // or noToken
}

// BOS says whether a text gets a token for its beginning.
type BOS uint8

const (
	// AutoBOS does what the tokenizer itself does, at the end of the text too.
	AutoBOS BOS = iota
	// WithBOS puts the BOS token in front; a tokenizer without one puts nothing there.
	WithBOS
	// WithoutBOS puts nothing.
	WithoutBOS
)

// VocabSize is one more than the largest id.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// EndOfText is the id of "<|endoftext|>", or -1 where the vocabulary has no such token.
func (t *Tokenizer) EndOfText() int { return t.endOfText }

// BOS is the id of the token for the beginning of a text, if the tokenizer has one, whether it adds it or
// not.
func (t *Tokenizer) BOS() (id int, ok bool) { return t.bos, t.bos != noToken }

// AddsBOS tells whether [AutoBOS] puts the BOS token in front of a text.
func (t *Tokenizer) AddsBOS() bool {
	return t.bos != noToken && len(t.before) > 0 && t.before[0] == t.bos
}

// BeginsWithBOS tells whether a text begins with BOS already, spelt out in it. With one more in front it has
// two.
func (t *Tokenizer) BeginsWithBOS(text string) bool {
	if t.bos == noToken {
		return false
	}
	// The first token depends on what is after it, but not if it is an added one; others are found only by
	// encoding.
	if start, _, token := t.raw.next(text, 0); token != nil && start == 0 {
		return int(token.id) == t.bos
	}
	ids, err := t.Encode(text)
	return err == nil && len(ids) > 0 && ids[0] == t.bos
}

// Source names what the vocabulary was read from: "vocab.json", "tokenizer.json", "GGUF metadata" or
// "embedded GPT-2".
func (t *Tokenizer) Source() string { return t.source }

// Token gives the bytes that id spells, a leading blank included, or "" for an id that the vocabulary
// does not have. They need not be valid UTF-8: one character may be spread over several tokens.
func (t *Tokenizer) Token(id int) string {
	if id < 0 || id >= len(t.tokens) {
		return ""
	}
	return t.tokens[id]
}

// Decode gives the bytes that ids spell. Where nothing is normalized or put in front, it is the inverse of
// [Tokenizer.Encode].
func (t *Tokenizer) Decode(ids []int) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(t.Token(id))
	}
	return b.String()
}

// EncodeBOS gives the token ids of text, with or without BOS. Its error is that of [Tokenizer.Encode].
func (t *Tokenizer) EncodeBOS(text string, bos BOS) ([]int, error) {
	ids, err := t.Encode(text)
	switch {
	case err != nil:
		return nil, err
	case bos == AutoBOS:
		return slices.Concat(t.before, ids, t.after), nil
	case bos == WithBOS && t.bos != noToken:
		return append([]int{t.bos}, ids...), nil
	}
	return ids, nil
}

// Encode gives the token ids of text, and nothing around them. Special tokens that are spelt out in the text
// are read as such. A node that makes far more bytes than the text has is an [ErrVocabulary].
func (t *Tokenizer) Encode(text string) ([]int, error) {
	e := encoder{Tokenizer: t, limit: newLimit(len(text), len(t.normalizers)+len(t.cutters))}
	t.raw.cut(text, func(start, end int, token *addedToken) {
		if token != nil {
			e.ids = append(e.ids, int(token.id))
			return
		}
		e.normalized(text[start:end], start == 0)
	})
	if e.err != nil {
		return nil, fmt.Errorf("tokenizer: %w", e.err)
	}
	return e.ids, nil
}

// encoder collects the ids of one text, up to the first error.
type encoder struct {
	*Tokenizer
	*limit
	err    error
	ids    []int
	buffer []uint32
}

// normalized encodes a part of the text between added tokens.
func (e *encoder) normalized(text string, first bool) {
	if e.err != nil {
		return
	}
	if text, e.err = rewrite("normalizer", e.normalizers, text, e.limit); e.err != nil {
		return
	}
	e.normal.cut(text, func(start, end int, token *addedToken) {
		if token != nil {
			e.ids = append(e.ids, int(token.id))
			return
		}
		e.cut(0, text[start:end], first && start == 0)
	})
}

// cut passes a piece through the cutters from the one with index i on, and the last pieces to the model.
func (e *encoder) cut(i int, text string, first bool) {
	if e.err != nil {
		return
	}
	if i == len(e.cutters) {
		e.ids = e.model.appendPiece(e.ids, text, &e.buffer)
		return
	}
	e.cutters[i].cut(text, first, func(part string, first bool) {
		if e.err == nil {
			e.err = e.take(len(e.normalizers)+i, len(part), "pre_tokenizer", i, e.cutters[i].name)
		}
		e.cut(i+1, part, first)
	})
}
