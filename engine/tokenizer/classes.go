package tokenizer

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// set is a set of characters. A byte that is not UTF-8 counts as U+FFFD.
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

// first returns the width of the first character of text if it is in the set, and otherwise 0.
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

// isSpace reports whether r has the White_Space property, as 25 characters do. This is \s in Oniguruma and
// Rust; \s in Go's regexp is ASCII only.
func isSpace(r rune) bool { return unicode.IsSpace(r) }

// isWord is Oniguruma's \w outside of a class. By its table for Latin-1 it includes ² ³ ¹ ¼ ½ ¾, which \w in
// a class does not.
func isWord(r rune) bool {
	if r <= unicode.MaxLatin1 && unicode.IsNumber(r) {
		return true
	}
	return isClassWord(r)
}

// isClassWord is Oniguruma's \w in a class: letters, marks, digits, and connectors such as "_".
func isClassWord(r rune) bool { return isRustWord(r) && r != 0x200c && r != 0x200d }

// isRustWord is Rust's \w (Unicode Technical Standard 18, annex C), which also includes the joiners.
func isRustWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z'
	}
	return isLetter(r) || isMark(r) || isDigit(r) || r == 0x200c || r == 0x200d ||
		unicode.In(r, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic)
}

func isPunctuation(r rune) bool {
	return unicode.IsPunct(r) || r < utf8.RuneSelf && unicode.IsSymbol(r)
}

// property returns the meaning of \p{name}: a general category or a script, by its short or long name.
func property(name string) (func(rune) bool, bool) {
	holds, ok := properties()[plainName(name)]
	return holds, ok
}

// plainName removes from a name what does not matter in it: case, blanks, "_" and "-".
func plainName(name string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r == ' ' || r == '_' || r == '-' {
			return -1
		}
		return r
	}, name))
}

var properties = sync.OnceValue(func() map[string]func(rune) bool {
	list := map[string]func(rune) bool{"any": func(rune) bool { return true }}
	for name, table := range unicode.Scripts {
		list[plainName(name)] = script(name, table)
	}
	for name := range unicode.Categories {
		list[plainName(name)] = category(name)
	}
	for alias, name := range unicode.CategoryAliases {
		list[plainName(alias)] = category(name)
	}
	return list
})
