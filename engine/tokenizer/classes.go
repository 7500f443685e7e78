package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// set is a set of characters, ready to be asked for single ones. A byte that is not UTF-8 counts as U+FFFD.
type set struct {
	ascii [utf8.RuneSelf]bool
	holds func(rune) bool
}

func newSet(holds func(rune) bool) *set {
	s := &set{holds: holds}
	for r := range s.ascii {
		s.ascii[r] = holds(rune(r))
	}
	return s
}

// first gives the width of the first character of text if it is in the set, and otherwise 0.
func (s *set) first(text string) int {
	if len(text) == 0 {
		return 0
	}
	if c := text[0]; c < utf8.RuneSelf {
		if s.ascii[c] {
			return 1
		}
		return 0
	}
	if r, width := utf8.DecodeRuneInString(text); s.holds(r) {
		return width
	}
	return 0
}

func not(holds func(rune) bool) func(rune) bool { return func(r rune) bool { return !holds(r) } }

func in(tables ...*unicode.RangeTable) func(rune) bool {
	return func(r rune) bool { return unicode.In(r, tables...) }
}

// isSpace is the White_Space property, 25 characters: \s of Oniguruma and of Rust, whose ASCII namesake in Go is smaller.
func isSpace(r rune) bool { return unicode.IsSpace(r) }

// isWord is \w: letters, marks, digits, connectors such as "_" (Unicode Technical Standard 18, annex C).
func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z'
	}
	return isLetter(r) || isMark(r) || isDigit(r) || unicode.In(r, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic)
}

// isRustWord is \w of Rust's regular expressions, which has the joiners too.
func isRustWord(r rune) bool { return isWord(r) || r == 0x200c || r == 0x200d }

func isPunctuation(r rune) bool {
	return unicode.IsPunct(r) || r < utf8.RuneSelf && unicode.IsSymbol(r)
}

// property finds what \p{name} means: a general category or a script, by its short or long name.
func property(name string) (func(rune) bool, bool) {
	plain := func(s string) string {
		return strings.ToLower(strings.NewReplacer(" ", "", "_", "", "-", "").Replace(s))
	}
	wanted := plain(name)
	for short := range unicode.Categories {
		if plain(short) == wanted {
			return category(short), true
		}
	}
	for alias, short := range unicode.CategoryAliases {
		if plain(alias) == wanted {
			return category(short), true
		}
	}
	for script, table := range unicode.Scripts {
		if plain(script) == wanted {
			return in(table), true
		}
	}
	switch wanted {
	case "any":
		return func(rune) bool { return true }, true
	case "alpha", "alphabetic":
		return func(r rune) bool { return isLetter(r) || unicode.In(r, unicode.Nl, unicode.Other_Alphabetic) }, true
	case "space", "whitespace":
		return isSpace, true
	case "word":
		return isWord, true
	}
	return nil, false
}
