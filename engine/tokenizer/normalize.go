package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// rewriter rewrites a text. It may stop early if the result would be longer than most bytes, and return any
// text that is longer than that.
type rewriter func(text string, most int) string

// always makes a rewriter of a function that makes at most a few bytes of one.
func always(rewrite func(string) string) rewriter {
	return func(text string, _ int) string { return rewrite(text) }
}

func prepend(prefix string) rewriter {
	return always(func(text string) string {
		if text == "" {
			return ""
		}
		return prefix + text
	})
}

// replace replaces every match by content.
func replace(matches func(string, func(start, end int)), content string) rewriter {
	return func(text string, most int) string {
		var b strings.Builder
		at := 0
		matches(text, func(start, end int) {
			if b.Len() > most {
				return
			}
			b.WriteString(text[at:start])
			b.WriteString(content)
			at = end
		})
		if text == "" || at == 0 && b.Len() == 0 {
			return text
		}
		b.WriteString(text[at:])
		return b.String()
	}
}

func strip(left, right bool) rewriter {
	return always(func(text string) string {
		if left {
			text = strings.TrimLeftFunc(text, isSpace)
		}
		if right {
			text = strings.TrimRightFunc(text, isSpace)
		}
		return text
	})
}

// eachRune rewrites the characters of a text; bytes that are not UTF-8 stay.
func eachRune(text string, rewrite func(b *strings.Builder, r rune)) string {
	var b strings.Builder
	for len(text) > 0 {
		r, width := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && width == 1 {
			b.WriteByte(text[0])
		} else {
			rewrite(&b, r)
		}
		text = text[width:]
	}
	return b.String()
}

// lowercase works character by character, without context: a final sigma is treated like any other.
func lowercase(text string) string {
	return eachRune(text, func(b *strings.Builder, r rune) {
		if r == 'İ' { // the only one that becomes two
			b.WriteString("i̇")
			return
		}
		b.WriteRune(toLower(r))
	})
}

// form is one of Unicode's normalization forms.
type form struct {
	data    norm.Form // its data, named by the composed form
	compose bool
}

var (
	nfc  = form{norm.NFC, true}
	nfd  = form{norm.NFC, false}
	nfkc = form{norm.NFKC, true}
	nfkd = form{norm.NFKC, false}
)

// normalize converts text to a normalization form. It uses the data of package norm, but not its conversions:
// these insert U+034F into a run of more than 30 marks, which the reference does not do, and the ids would
// differ.
func (f form) normalize(text string) string {
	quick := f.data
	if !f.compose {
		quick++ // norm's forms come in pairs: NFC, NFD, NFKC, NFKD
	}
	if quick.IsNormalString(text) {
		return text
	}
	var b strings.Builder
	var run []mark // a starter and the marks after it, decomposed
	settle := func() {
		slices.SortStableFunc(run, func(x, y mark) int { return int(x.class) - int(y.class) })
		if f.compose {
			run = composed(run)
		}
	}
	flush := func() {
		settle()
		for _, m := range run {
			b.WriteRune(m.r)
		}
		run = run[:0]
	}
	add := func(m mark) {
		if m.class > 0 {
			run = append(run, m)
			return
		}
		// A starter ends the run, unless it combines with the one before it and nothing is left between them.
		if settle(); f.compose && len(run) == 1 {
			if one, ok := pair(run[0].r, m.r); ok {
				run[0].r = one
				return
			}
		}
		flush()
		run = append(run, m)
	}
	for len(text) > 0 {
		r, width := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && width == 1 {
			flush()
			b.WriteByte(text[0])
		} else {
			for _, m := range f.decomposed(r) {
				add(m)
			}
		}
		text = text[width:]
	}
	flush()
	return b.String()
}

// mark is a character with its canonical combining class, 0 for a starter.
type mark struct {
	r     rune
	class uint8
}

func (f form) decomposed(r rune) []mark {
	if s := r - hangul; s >= 0 && s < 19*21*28 {
		list := []mark{{0x1100 + s/(21*28), 0}, {0x1161 + s/28%21, 0}}
		if s%28 != 0 {
			list = append(list, mark{0x11a7 + s%28, 0})
		}
		return list
	}
	text := string(r)
	if !inert(r) {
		if d := f.data.PropertiesString(text).Decomposition(); d != nil {
			text = string(d)
		}
	}
	var list []mark
	for _, r := range text {
		class := uint8(0)
		if !inert(r) {
			class = norm.NFC.PropertiesString(string(r)).CCC()
		}
		list = append(list, mark{r, class})
	}
	return list
}

const hangul = 0xac00

// composed combines the marks of a run with its starter, if they make one character and nothing between them
// blocks it.
func composed(run []mark) []mark {
	if len(run) == 0 || run[0].class != 0 {
		return run
	}
	kept := run[:1]
	for _, m := range run[1:] {
		barred := len(kept) > 1 && kept[len(kept)-1].class >= m.class
		if one, ok := pair(kept[0].r, m.r); ok && !barred {
			kept[0].r = one
			continue
		}
		kept = append(kept, m)
	}
	return kept
}

// pair returns the character that two characters compose to.
func pair(a, b rune) (rune, bool) {
	if s := a - hangul; s >= 0 && s < 19*21*28 && s%28 == 0 && b > 0x11a7 && b < 0x11a7+28 {
		return a + b - 0x11a7, true
	}
	if l, v := a-0x1100, b-0x1161; l >= 0 && l < 19 && v >= 0 && v < 21 {
		return hangul + (l*21+v)*28, true
	}
	if inert(a) || inert(b) {
		return 0, false
	}
	text := norm.NFC.String(string(a) + string(b))
	one, width := utf8.DecodeRuneInString(text)
	return one, width == len(text) && !inert(one)
}
