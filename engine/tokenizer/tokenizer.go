package tokenizer

import (
	"fmt"
	"slices"
	"strings"
)

// EndOfTextText is the text of the token that GPT-2 puts between documents and that TransformerLens puts in
// front of a prompt as its BOS.
const EndOfTextText = "<|endoftext|>"

// Tokenizer is a vocabulary and everything that happens to a text on its way to token ids. It is immutable
// and safe for concurrent use.
type Tokenizer struct {
	source string
	tokens []string // bytes by id; "" if an id is not used

	raw         addedSet // cut out of the original text
	normalizers []step
	normal      addedSet // cut out of the normalized text
	cutters     []stage
	model       model

	before, after []int // what the tokenizer itself puts around a text
	bos           int   // or noToken
	endOfText     int   // or noToken
}

// BOS says whether a token that begins a text is put in front of it.
type BOS uint8

const (
	// AutoBOS does what the tokenizer itself does, including at the end of the text.
	AutoBOS BOS = iota
	// WithBOS puts the BOS token in front, if the tokenizer has one.
	WithBOS
	// WithoutBOS puts nothing in front.
	WithoutBOS
)

// VocabSize returns the largest id plus one.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// EndOfText returns the id of "<|endoftext|>", or -1 if the vocabulary has no such token.
func (t *Tokenizer) EndOfText() int { return t.endOfText }

// BOS returns the id of the token for the beginning of a text, if the tokenizer has one, whether it adds it
// or not.
func (t *Tokenizer) BOS() (id int, ok bool) { return t.bos, t.bos != noToken }

// AddsBOS reports whether [AutoBOS] puts the BOS token in front of a text.
func (t *Tokenizer) AddsBOS() bool {
	return t.bos != noToken && len(t.before) > 0 && t.before[0] == t.bos
}

// BeginsWithBOS reports whether a text already begins with BOS, spelt out in it. With one more in front it
// would have two.
func (t *Tokenizer) BeginsWithBOS(text string) bool {
	if t.bos == noToken {
		return false
	}
	// What follows the first token can change it, unless it is an added token. So if it is not, the text has
	// to be encoded.
	if start, _, token := t.raw.next(text, 0); token != nil && start == 0 {
		return int(token.id) == t.bos
	}
	ids, err := t.Encode(text)
	return err == nil && len(ids) > 0 && ids[0] == t.bos
}

// Source says where the vocabulary was read from: "vocab.json", "tokenizer.json", "GGUF metadata" or
// "embedded GPT-2".
func (t *Tokenizer) Source() string { return t.source }

// Token returns the bytes that id spells, including a leading blank, or "" for an id that the vocabulary does
// not have. They need not be valid UTF-8: one character may be spread over several tokens.
func (t *Tokenizer) Token(id int) string {
	if id < 0 || id >= len(t.tokens) {
		return ""
	}
	return t.tokens[id]
}

// Decode returns the bytes that ids spell. If nothing is normalized or put in front, it is the inverse of
// [Tokenizer.Encode].
func (t *Tokenizer) Decode(ids []int) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(t.Token(id))
	}
	return b.String()
}

// EncodeBOS returns the token ids of text, with or without BOS. Its errors are those of [Tokenizer.Encode].
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

// Encode returns the token ids of text, without anything around them. Special tokens that are spelt out in
// the text are read as such. If a node produces far more bytes than the text has, the error is
// [ErrVocabulary].
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
		return nil, fmt.Errorf("%w", e.err)
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

// cut passes a piece through the cutters from index i on, and the last pieces to the model.
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
