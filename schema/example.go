package schema

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Prompt is a text with its positions of interest, as a prompt source yields it.
type Prompt struct {
	Text     string
	Query    Position // the position that attends (IOI: END, the token before the answer)
	Key      Position // the position that it attends to (IOI: the first IO)
	Baseline Position // the position for comparison (IOI: the first S); zero value: none
	Template string   // the template it was made from, or ""
	Order    string   // "ABBA" or "BABA" for an IOI prompt, or ""
	Fields   Fields   // further values of the author; usually nil
	Document string   // for a document, which has no positions: its name or number; else ""

	Stored int // of activations in a folder: number of the prompt, from 1; else 0
}

// Field is a further value of a prompt, chosen by its author.
type Field struct {
	Name  string
	Value string // JSON, on one line
}

// Fields are the further values of a prompt, in the order of the file. Their names are distinct, but may
// differ only in case.
type Fields []Field

// JSON returns the fields as one JSON object on one line, in order, or "" if there are none.
func (f Fields) JSON() string {
	if len(f) == 0 {
		return ""
	}
	var b strings.Builder
	for i, field := range f {
		if i > 0 {
			b.WriteString(", ")
		}
		name, _ := json.Marshal(field.Name) // strings always marshal
		b.Write(name)
		b.WriteString(": " + field.Value)
	}
	return "{" + b.String() + "}"
}

// Label is a label that a user gives to examples of a finished run, by example_id or by the text of the
// prompt.
type Label struct {
	Run     int // 0: all runs
	Example int // -1: all examples with the prompt Text
	Text    string
	Fields  Fields
}

// Position identifies a token of a prompt by index or by word. The zero value is no position.
type Position struct {
	word   string
	index  int   // the index; of a word: which occurrence, from 1, or 0 for the default
	kind   uint8 // 0 none, 1 index, 2 word
	part   Part
	before bool
}

// Part selects a token of a word that may be several tokens.
type Part uint8

// The parts. OnlyToken requires that the word is one token.
const (
	OnlyToken Part = iota
	FirstToken
	LastToken
)

// partWords are the prefixes of a word in [ParseWord].
var partWords = [...]string{FirstToken: "first of ", LastToken: "last of "}

// AtIndex returns the position with index i in the stored tokens, which begin with BOS if the run has one. A
// negative i counts from the end: -1 is the last token.
func AtIndex(i int) Position { return Position{index: i, kind: 1} }

// AtWord returns the position of the token that spells word, with or without a space before it: the first
// occurrence in the text for a key or a baseline, the last one for a query. An occurrence of several tokens
// is an error, not passed over.
func AtWord(word string) Position { return Position{word: word, kind: 2} }

// AtOccurrence returns the position of the n-th occurrence of word in the text, from 1. It must be one token,
// with or without a space before it.
func AtOccurrence(word string, n int) Position { return Position{word: word, index: n, kind: 2} }

// AtPart returns the position of a token of the n-th occurrence, from 1, of a word that is spelt by one or
// several tokens, with or without a space before it. n = 0 selects the default occurrence, as in [AtWord].
func AtPart(word string, n int, part Part) Position {
	return Position{word: word, index: n, kind: 2, part: part}
}

// First returns p with the first occurrence selected, if p is a word without an explicit occurrence.
func (p Position) First() Position {
	if p.kind == 2 && p.index == 0 {
		p.index = 1
	}
	return p
}

// Before returns the position before p.
func (p Position) Before() Position {
	p.before = true
	return p
}

// ParseWord parses a word in the syntax of prompt files. Mary is [AtWord], Mary#2 is [AtOccurrence], and
// first of Łukasz, last of Łukasz and last of Łukasz#2 are [AtPart]. A word that ends like an occurrence
// needs an explicit one: C#2#1 is the first C#2.
func ParseWord(s string) Position {
	p := Position{word: s, kind: 2}
	for _, part := range []Part{FirstToken, LastToken} {
		if rest, ok := strings.CutPrefix(s, partWords[part]); ok && strings.TrimSpace(rest) != "" {
			p.word, p.part = rest, part
			break
		}
	}
	if at := strings.LastIndexByte(p.word, '#'); at > 0 {
		if n, err := strconv.Atoi(p.word[at+1:]); err == nil && n > 0 && strconv.Itoa(n) == p.word[at+1:] {
			p.word, p.index = p.word[:at], n
		}
	}
	return p
}

// IsNone reports whether p is the zero value.
func (p Position) IsNone() bool { return p.kind == 0 }

// Index returns the index, and whether p has one.
func (p Position) Index() (int, bool) {
	if p.kind != 1 {
		return 0, false
	}
	return p.index, true
}

// Word returns the word, and whether p has one.
func (p Position) Word() (string, bool) { return p.word, p.kind == 2 }

// Occurrence returns which occurrence of the word in the text is selected, from 1; 0: the first for a key or
// a baseline, the last for a query.
func (p Position) Occurrence() int {
	if p.kind != 2 {
		return 0
	}
	return p.index
}

// Part returns which token of the word is selected.
func (p Position) Part() Part { return p.part }

// IsBefore reports whether p is the position before the one that its index or word identifies.
func (p Position) IsBefore() bool { return p.before }

// String returns p for an error message: 12, "Mary", "Mary#2", "last of Łukasz", before "Mary" or none.
func (p Position) String() string {
	text := "none"
	switch p.kind {
	case 1:
		text = strconv.Itoa(p.index)
	case 2:
		text = partWords[p.part] + p.word
		if p.index > 0 {
			text += "#" + strconv.Itoa(p.index)
		}
		text = strconv.Quote(text)
	}
	if p.before {
		return "before " + text
	}
	return text
}

// Token is one token of an example.
type Token struct {
	ID   int
	Text string // the bytes it spells, a leading space included
}

// NoPosition stands for a missing position.
const NoPosition = -1

// NoToken stands for a token that was not drawn.
const NoToken = -1

// Example is a prompt prepared for the model, with its tokens, BOS included, and the indices of its
// positions.
type Example struct {
	Index       int // example_id
	PromptIndex int // prompt_id
	Prompt      Prompt
	Tokens      []Token
	Query       int // indices into Tokens; Key <= Query. NoPosition: rules choose the edges of the prompt
	Key         int
	Baseline    int // or NoPosition

	Offset int // of a window of a document: number of tokens before it, without BOS

	Rules        []string     // rules that chose the edge; empty: given
	BaselineKind BaselineKind // "": token if there is a Baseline, else none

	Notices []string // what the author of the prompt should know; usually none

	// Tokens drawn for this example, whose unembeddings replace the query; NoToken if none was drawn.
	RandomName, RandomToken int
}
