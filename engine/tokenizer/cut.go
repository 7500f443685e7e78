package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// cutter is a pre-tokenizer. It calls piece for each part of a text, in order; none is empty. first says
// whether the text is at the beginning of the whole text.
type cutter interface {
	cut(text string, first bool, piece func(part string, first bool))
}

// stage is a cutter and the type of its node.
type stage struct {
	name string
	cutter
}

// behavior says what happens to the matches that cut a text.
type behavior uint8

const (
	removed behavior = iota
	isolated
	mergedWithPrevious
	mergedWithNext
	contiguous
)

var behaviors = map[string]behavior{
	"Removed": removed, "Isolated": isolated, "Contiguous": contiguous,
	"MergedWithPrevious": mergedWithPrevious, "MergedWithNext": mergedWithNext,
}

// span is a part of a text: a match, or what is between matches.
type span struct {
	start, end int
	match      bool
}

// splitCutter cuts at matches.
type splitCutter struct {
	matches  func(text string, found func(start, end int))
	behavior behavior
	invert   bool
}

func (c *splitCutter) cut(text string, first bool, piece func(string, bool)) {
	for _, s := range c.behavior.join(spans(text, c.matches, c.invert)) {
		if s.start < s.end {
			piece(text[s.start:s.end], first && s.start == 0)
		}
	}
}

// spans returns matches and what is between them; invert exchanges the two.
func spans(text string, matches func(string, func(start, end int)), invert bool) []span {
	var list []span
	at := 0
	matches(text, func(start, end int) {
		if at < start {
			list = append(list, span{at, start, invert})
		}
		list = append(list, span{start, end, !invert})
		at = end
	})
	if at < len(text) {
		list = append(list, span{at, len(text), invert})
	}
	return list
}

// join returns the pieces that the spans make.
func (b behavior) join(list []span) []span {
	var joined []span
	switch b {
	case isolated:
		return list
	case removed:
		for _, s := range list {
			if !s.match {
				joined = append(joined, s)
			}
		}
	case contiguous:
		before := false
		for _, s := range list {
			if n := len(joined); s.match == before && n > 0 {
				joined[n-1].end = s.end
			} else {
				joined = append(joined, s)
			}
			before = s.match
		}
	case mergedWithPrevious:
		before := false
		for _, s := range list {
			if n := len(joined); s.match && !before && n > 0 {
				joined[n-1].end = s.end
			} else {
				joined = append(joined, s)
			}
			before = s.match
		}
	case mergedWithNext:
		for i := 0; i < len(list); i++ {
			s := list[i]
			// The last of consecutive matches is joined with what follows.
			if s.match && i+1 < len(list) && !list[i+1].match {
				i++
				s.end = list[i].end
			}
			joined = append(joined, s)
		}
	}
	return joined
}

// literal matches a text literally. The empty text matches between all characters.
func literal(wanted string) func(string, func(start, end int)) {
	if wanted == "" {
		return (&pattern{[]inst{{op: opMatch}}}).all
	}
	return func(text string, found func(start, end int)) {
		for at := 0; ; {
			i := strings.Index(text[at:], wanted)
			if i < 0 {
				return
			}
			found(at+i, at+i+len(wanted))
			at += i + len(wanted)
		}
	}
}

// each matches every single character of a set.
func each(s *set) func(string, func(start, end int)) {
	return func(text string, found func(start, end int)) {
		for at := 0; at < len(text); {
			width := s.first(text[at:])
			if width > 0 {
				found(at, at+width)
			} else {
				_, width = utf8.DecodeRuneInString(text[at:])
			}
			at += width
		}
	}
}

// byteLevelCutter cuts by GPT-2's pattern. Later cutters, if any, see the bytes of its pieces as printable
// characters.
type byteLevelCutter struct {
	prefixSpace bool // put a blank in front if there is none
	regex       bool // if false, the text is one piece
	spell       bool // as printable characters; not for the last cutter
}

func (c *byteLevelCutter) cut(text string, first bool, piece func(string, bool)) {
	if c.prefixSpace && !strings.HasPrefix(text, " ") {
		text = " " + text
	}
	for at := 0; at < len(text); {
		n := len(text)
		if c.regex {
			n = pieceLen(text[at:])
		}
		part := text[at : at+n]
		if c.spell {
			part = Printable(part)
		}
		piece(part, first && at == 0)
		at += n
	}
}

// metaspaceCutter replaces blanks by another character, puts one in front, and cuts before each.
type metaspaceCutter struct {
	replacement string
	always      bool // put it in front of every text
	first       bool // put it in front of the first text only
	split       bool
}

func (c *metaspaceCutter) cut(text string, first bool, piece func(string, bool)) {
	text = strings.ReplaceAll(text, " ", c.replacement)
	if (c.always || c.first && first) && !strings.HasPrefix(text, c.replacement) {
		text = c.replacement + text
	}
	if !c.split {
		piece(text, first)
		return
	}
	s := splitCutter{matches: literal(c.replacement), behavior: mergedWithNext}
	s.cut(text, first, piece)
}
