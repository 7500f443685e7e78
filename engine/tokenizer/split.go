package tokenizer

import "unicode/utf8"

// class is the kind of character that GPT-2's pattern distinguishes.
type class uint8

const (
	other class = iota // [^\s\p{L}\p{N}], including bytes that are not UTF-8
	letter
	number
	space
)

var asciiClass = func() (table [utf8.RuneSelf]class) {
	for r := range table {
		table[r] = unicodeClass(rune(r))
	}
	return table
}()

func unicodeClass(r rune) class {
	switch {
	case isLetter(r):
		return letter
	case isNumber(r):
		return number
	case isSpace(r):
		return space
	}
	return other
}

// first returns the class and the width of the first character of s, which must not be empty.
func first(s string) (class, int) {
	if c := s[0]; c < utf8.RuneSelf {
		return asciiClass[c], 1
	}
	r, width := utf8.DecodeRuneInString(s)
	return unicodeClass(r), width
}

// pieceLen returns the length in bytes of the first match of GPT-2's pattern in s, which must not be empty.
// The pattern matches every character, so there are no gaps between pieces.
func pieceLen(s string) int {
	if s[0] == '\'' {
		if n := contraction(s); n > 0 {
			return n
		}
	}
	kind, n := first(s)
	if s[0] == ' ' && len(s) > 1 { // " ?" of the three middle alternatives
		if next, width := first(s[1:]); next != space {
			kind, n = next, 1+width
		}
	}
	if kind == space {
		return spaceLen(s)
	}
	for n < len(s) {
		next, width := first(s[n:])
		if next != kind {
			break
		}
		n += width
	}
	return n
}

// contraction returns the length of one of 's 't 're 've 'm 'll 'd at the start of s, or 0.
func contraction(s string) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(s) >= 3 {
		switch s[1:3] {
		case "re", "ve", "ll":
			return 3
		}
	}
	return 0
}

// spaceLen returns the length of \s+(?!\S)|\s+ at the start of s: the whole run of white space at the end of
// the text; otherwise the run without its last character, unless that is the only one.
func spaceLen(s string) int {
	end, last := 0, 0
	for end < len(s) {
		kind, width := first(s[end:])
		if kind != space {
			if last > 0 {
				return last
			}
			return end
		}
		last = end
		end += width
	}
	return end
}
