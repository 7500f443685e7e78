package tokenizer

import (
	"slices"
	"unicode"
)

// The reference uses several versions of Unicode: its regular expressions have the categories of Unicode 16,
// its digits and lower case are those of 17, and its normalization forms those of 9. Go 1.26's package
// unicode and package norm have 15.0. The tables here are the differences, generated from each version's
// UnicodeData.txt.

// runeSpan is a range of characters with a general category.
type runeSpan struct {
	first, last rune
	category    string
}

// newer16 are the characters that Unicode 16.0 added to 15.0.
var newer16 = []runeSpan{
	{0x897, 0x897, "Mn"}, {0x1b4e, 0x1b4f, "Po"}, {0x1b7f, 0x1b7f, "Po"}, {0x1c89, 0x1c89, "Lu"},
	{0x1c8a, 0x1c8a, "Ll"}, {0x2427, 0x2429, "So"}, {0x2ffc, 0x2fff, "So"}, {0x31e4, 0x31e5, "So"},
	{0x31ef, 0x31ef, "So"}, {0xa7cb, 0xa7cc, "Lu"}, {0xa7cd, 0xa7cd, "Ll"}, {0xa7da, 0xa7da, "Lu"},
	{0xa7db, 0xa7db, "Ll"}, {0xa7dc, 0xa7dc, "Lu"}, {0x105c0, 0x105f3, "Lo"}, {0x10d40, 0x10d49, "Nd"},
	{0x10d4a, 0x10d4d, "Lo"}, {0x10d4e, 0x10d4e, "Lm"}, {0x10d4f, 0x10d4f, "Lo"}, {0x10d50, 0x10d65, "Lu"},
	{0x10d69, 0x10d6d, "Mn"}, {0x10d6e, 0x10d6e, "Pd"}, {0x10d6f, 0x10d6f, "Lm"}, {0x10d70, 0x10d85, "Ll"},
	{0x10d8e, 0x10d8f, "Sm"}, {0x10ec2, 0x10ec4, "Lo"}, {0x10efc, 0x10efc, "Mn"}, {0x11380, 0x11389, "Lo"},
	{0x1138b, 0x1138b, "Lo"}, {0x1138e, 0x1138e, "Lo"}, {0x11390, 0x113b5, "Lo"}, {0x113b7, 0x113b7, "Lo"},
	{0x113b8, 0x113ba, "Mc"}, {0x113bb, 0x113c0, "Mn"}, {0x113c2, 0x113c2, "Mc"}, {0x113c5, 0x113c5, "Mc"},
	{0x113c7, 0x113ca, "Mc"}, {0x113cc, 0x113cd, "Mc"}, {0x113ce, 0x113ce, "Mn"}, {0x113cf, 0x113cf, "Mc"},
	{0x113d0, 0x113d0, "Mn"}, {0x113d1, 0x113d1, "Lo"}, {0x113d2, 0x113d2, "Mn"}, {0x113d3, 0x113d3, "Lo"},
	{0x113d4, 0x113d5, "Po"}, {0x113d7, 0x113d8, "Po"}, {0x113e1, 0x113e2, "Mn"}, {0x116d0, 0x116e3, "Nd"},
	{0x11bc0, 0x11be0, "Lo"}, {0x11be1, 0x11be1, "Po"}, {0x11bf0, 0x11bf9, "Nd"}, {0x11f5a, 0x11f5a, "Mn"},
	{0x13460, 0x143fa, "Lo"}, {0x16100, 0x1611d, "Lo"}, {0x1611e, 0x16129, "Mn"}, {0x1612a, 0x1612c, "Mc"},
	{0x1612d, 0x1612f, "Mn"}, {0x16130, 0x16139, "Nd"}, {0x16d40, 0x16d42, "Lm"}, {0x16d43, 0x16d6a, "Lo"},
	{0x16d6b, 0x16d6c, "Lm"}, {0x16d6d, 0x16d6f, "Po"}, {0x16d70, 0x16d79, "Nd"}, {0x18cff, 0x18cff, "Lo"},
	{0x1cc00, 0x1ccef, "So"}, {0x1ccf0, 0x1ccf9, "Nd"}, {0x1cd00, 0x1ceb3, "So"}, {0x1e5d0, 0x1e5ed, "Lo"},
	{0x1e5ee, 0x1e5ef, "Mn"}, {0x1e5f0, 0x1e5f0, "Lo"}, {0x1e5f1, 0x1e5fa, "Nd"}, {0x1e5ff, 0x1e5ff, "Po"},
	{0x1f8b2, 0x1f8bb, "So"}, {0x1f8c0, 0x1f8c1, "So"}, {0x1fa89, 0x1fa89, "So"}, {0x1fa8f, 0x1fa8f, "So"},
	{0x1fabe, 0x1fabe, "So"}, {0x1fac6, 0x1fac6, "So"}, {0x1fadc, 0x1fadc, "So"}, {0x1fadf, 0x1fadf, "So"},
	{0x1fae9, 0x1fae9, "So"}, {0x1fbcb, 0x1fbef, "So"}, {0x2ebf0, 0x2ee5d, "Lo"},
}

// newer17 are the numbers that Unicode 17.0 added to 16.0.
var newer17 = []runeSpan{
	{0x11de0, 0x11de9, "Nd"}, {0x16ff4, 0x16ff6, "Nl"},
}

// newerScripts are the characters of newer16 by script, for the scripts that patterns name; the others are
// those of 15.0.
var newerScripts = []runeSpan{
	{0x1c89, 0x1c8a, "Cyrillic"}, {0xa7cb, 0xa7cd, "Latin"}, {0xa7da, 0xa7dc, "Latin"},
	{0x2ebf0, 0x2ee5d, "Han"},
}

// script returns a function that reports whether a character belongs to a script.
func script(name string, table *unicode.RangeTable) func(rune) bool {
	return func(r rune) bool {
		s, _ := find(newerScripts, r)
		return s.category == name || unicode.Is(table, r)
	}
}

// after9 are the characters assigned after Unicode 9.0, up to 15.0, that have a decomposition or a combining
// class.
var after9 = []runeSpan{
	{0x7fd, 0x7fd, ""}, {0x898, 0x89f, ""}, {0x8ca, 0x8d3, ""}, {0x9fe, 0x9fe, ""}, {0xc3c, 0xc3c, ""},
	{0xd3b, 0xd3c, ""}, {0xeba, 0xeba, ""}, {0x1715, 0x1715, ""}, {0x1abf, 0x1ace, ""}, {0x1df6, 0x1dfa, ""},
	{0x32ff, 0x32ff, ""}, {0xa7f2, 0xa7f4, ""}, {0xa82c, 0xa82c, ""}, {0xab69, 0xab69, ""},
	{0x10781, 0x10785, ""}, {0x10787, 0x107b0, ""}, {0x107b2, 0x107ba, ""}, {0x10d24, 0x10d27, ""},
	{0x10eab, 0x10eac, ""}, {0x10efd, 0x10eff, ""}, {0x10f46, 0x10f50, ""}, {0x10f82, 0x10f85, ""},
	{0x11070, 0x11070, ""}, {0x1133b, 0x1133b, ""}, {0x1145e, 0x1145e, ""}, {0x11839, 0x1183a, ""},
	{0x11938, 0x11938, ""}, {0x1193d, 0x1193e, ""}, {0x11943, 0x11943, ""}, {0x119e0, 0x119e0, ""},
	{0x11a34, 0x11a34, ""}, {0x11a47, 0x11a47, ""}, {0x11a99, 0x11a99, ""}, {0x11d42, 0x11d42, ""},
	{0x11d44, 0x11d45, ""}, {0x11d97, 0x11d97, ""}, {0x11f41, 0x11f42, ""}, {0x16ff0, 0x16ff1, ""},
	{0x1e030, 0x1e06d, ""}, {0x1e08f, 0x1e08f, ""}, {0x1e130, 0x1e136, ""}, {0x1e2ae, 0x1e2ae, ""},
	{0x1e2ec, 0x1e2ef, ""}, {0x1e4ec, 0x1e4ef, ""}, {0x1f16c, 0x1f16c, ""}, {0x1fbf0, 0x1fbf9, ""},
}

// newerLower are lower-case mappings that Unicode 15.0 does not have, up to 17.0. The lower case of each
// character of a span is at that distance from it.
var newerLower = []struct{ first, last, distance rune }{
	{0x1c89, 0x1c89, 1}, {0xa7cb, 0xa7cb, 0x264 - 0xa7cb}, {0xa7cc, 0xa7cc, 1}, {0xa7ce, 0xa7ce, 1},
	{0xa7d2, 0xa7d2, 1}, {0xa7d4, 0xa7d4, 1}, {0xa7da, 0xa7da, 1}, {0xa7dc, 0xa7dc, 0x19b - 0xa7dc},
	{0x10d50, 0x10d65, 0x20}, {0x16ea0, 0x16eb8, 0x1b},
}

// find returns the span that contains r.
func find(list []runeSpan, r rune) (runeSpan, bool) {
	i, _ := slices.BinarySearchFunc(list, r, func(s runeSpan, r rune) int { return int(s.last - r) })
	if i < len(list) && list[i].first <= r {
		return list[i], true
	}
	return runeSpan{}, false
}

// category returns a function that reports whether a character has a general category of Unicode 16, or one
// of those that a single letter stands for.
func category(name string) func(rune) bool {
	table := unicode.Categories[name]
	return func(r rune) bool {
		if unicode.Is(table, r) {
			if name != "C" && name != "Cn" {
				return true
			}
			_, newer := find(newer16, r)
			return !newer
		}
		if r < 0x897 { // the first newer character
			return false
		}
		s, newer := find(newer16, r)
		switch {
		case !newer:
			return false
		case name == "LC":
			return s.category == "Lu" || s.category == "Ll" || s.category == "Lt"
		case len(name) == 1:
			return s.category[:1] == name
		}
		return s.category == name
	}
}

var isLetter, isMark, isNumber, isDigit = category("L"), category("M"), category("N"), category("Nd")

// isNumeric reports whether r is a number in Unicode 17, as the pre-tokenizer Digits defines it.
func isNumeric(r rune) bool {
	if isNumber(r) {
		return true
	}
	_, newer := find(newer17, r)
	return newer
}

// toLower returns the lower case of one character, in Unicode 17.
func toLower(r rune) rune {
	for _, s := range newerLower {
		if s.first <= r && r <= s.last {
			return r + s.distance
		}
	}
	return unicode.ToLower(r)
}

// inert reports whether the reference's normalizer does not know r, so that r stays as it is and no mark
// moves past it.
func inert(r rune) bool {
	_, after := find(after9, r)
	return after
}
