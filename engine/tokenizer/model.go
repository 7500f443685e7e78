package tokenizer

import (
	"unicode/utf8"
)

// noToken marks a byte or character without a token.
const noToken = -1

// model is byte-pair encoding: a piece is split into the tokens of its characters, and these are merged.
type model struct {
	pairs *pairTable

	byBytes bool       // pieces are bytes, each with a printable character; otherwise they are characters
	ofByte  [256]int32 // by byte: the token of its character
	ascii   [utf8.RuneSelf]int32
	ofRune  map[rune]int32

	fallback *[256]int32 // the tokens <0x00> to <0xFF>, for characters without a token
	unknown  int32       // for one without those too; or noToken, and then the reference drops the character
	fuse     bool        // one such token for several characters in a row

	whole map[string]int32 // if ignore_merges is set: pieces that are tokens themselves
}

// appendPiece appends the tokens of a piece. buffer is scratch memory.
func (m *model) appendPiece(ids []int, piece string, buffer *[]uint32) []int {
	if id, ok := m.whole[piece]; ok {
		return append(ids, int(id))
	}
	symbols := (*buffer)[:0]
	if m.byBytes {
		symbols = m.bytes(symbols, piece)
	} else {
		symbols = m.runes(symbols, piece)
	}
	*buffer = symbols
	for _, id := range symbols[:m.pairs.mergePiece(symbols)] {
		ids = append(ids, int(id))
	}
	return ids
}

func (m *model) bytes(symbols []uint32, piece string) []uint32 {
	u := unknowns{model: m}
	for i := range len(piece) {
		if id := m.ofByte[piece[i]]; id != noToken {
			symbols = append(u.flush(symbols), uint32(id))
			continue
		}
		symbols = u.add(symbols, string(printable[piece[i]]))
	}
	return u.flush(symbols)
}

func (m *model) runes(symbols []uint32, piece string) []uint32 {
	u := unknowns{model: m}
	for len(piece) > 0 {
		r, width := utf8.DecodeRuneInString(piece)
		id := int32(noToken)
		if r < utf8.RuneSelf {
			id = m.ascii[r]
		} else if known, ok := m.ofRune[r]; ok && (r != utf8.RuneError || width > 1) {
			id = known
		}
		if id != noToken {
			symbols = append(u.flush(symbols), uint32(id))
		} else {
			symbols = u.add(symbols, piece[:width])
		}
		piece = piece[width:]
	}
	return u.flush(symbols)
}

// unknowns handles characters without a token. The reference writes the unknown token when it reaches the
// next known character, so the bytes of others may come before it.
type unknowns struct {
	model   *model
	waiting bool
}

func (u *unknowns) add(symbols []uint32, char string) []uint32 {
	if f := u.model.fallback; f != nil {
		n := len(symbols)
		for i := range len(char) {
			if id := f[char[i]]; id != noToken {
				symbols = append(symbols, uint32(id))
			}
		}
		if len(symbols) == n+len(char) {
			return symbols
		}
		symbols = symbols[:n] // if one byte has no token, none of them counts
	}
	if !u.model.fuse {
		symbols = u.flush(symbols)
	}
	u.waiting = u.model.unknown != noToken
	return symbols
}

func (u *unknowns) flush(symbols []uint32) []uint32 {
	if u.waiting {
		symbols = append(symbols, uint32(u.model.unknown))
		u.waiting = false
	}
	return symbols
}
