package schema

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Prompt is one text with its positions of interest, as a prompt source gives it.
type Prompt struct {
	Text     string
	Query    Position // where attention comes from (IOI: END, the token before the answer)
	Key      Position // where it goes to (IOI: the first IO)
	Baseline Position // what it is compared with (IOI: the first S); zero value: none
	Template string   // the template it was made from, or ""
	Order    string   // "ABBA" or "BABA" for an IOI prompt, or ""
	Fields   Fields   // what else its author wrote beside it; mostly nil
	Document string   // name or number of the document that it is, without positions; "" for a prompt with positions

	Stored int // of a folder of activations: which prompt of it this is, counted from 1; 0: it is none of one
}

// Field is a value of the author's own that came with a prompt.
type Field struct {
	Name  string
	Value string // JSON, on one line
}

// Fields are the values that came with a prompt, in the order of the file. No two have the same name; names may differ in letter
// case only.
type Fields []Field

// JSON gives the fields as one JSON object on one line, in their order; "" where there are none.
func (f Fields) JSON() string {
	if len(f) == 0 {
		return ""
	}
	var b strings.Builder
	for i, field := range f {
		if i > 0 {
			b.WriteString(", ")
		}
		name, _ := json.Marshal(field.Name) // a string has no error
		b.Write(name)
		b.WriteString(": " + field.Value)
	}
	return "{" + b.String() + "}"
}

// Label is what somebody says of an example after the run: by the number of the example, or by the text of its prompt.
type Label struct {
	Run     int // 0: of every run
	Example int // -1: every example whose prompt is Text
	Text    string
	Fields  Fields
}

// Position names a token of a prompt, by index or by word. The zero value names none.
type Position struct {
	word   string
	index  int   // of an index; of a word: which occurrence, counted from 1, or 0 for the one that its role takes
	kind   uint8 // 0 none, 1 index, 2 word
	part   Part
	before bool
}

// Part says which token of a word is meant, where a word may be several tokens.
type Part uint8

// OnlyToken asks for a word that is one token.
const (
	OnlyToken Part = iota
	FirstToken
	LastToken
)

// partWords introduce a word whose part is named.
var partWords = [...]string{FirstToken: "first of ", LastToken: "last of "}

// AtIndex is the token at index i of the stored token list, which begins with BOS where the run has
// one. A negative i counts from the end: -1 is the last token.
func AtIndex(i int) Position { return Position{index: i, kind: 1} }

// AtWord is the token that spells word, with or without the space before it: the first such token
// for a key or a baseline, the last for a query.
func AtWord(word string) Position { return Position{word: word, kind: 2} }

// AtOccurrence is the n-th token, counted from 1, that spells word, with or without the space before it.
func AtOccurrence(word string, n int) Position { return Position{word: word, index: n, kind: 2} }

// AtPart is a token of the n-th word, counted from 1, that is spelt by one token or by several in a row, with or without the
// space before it; n = 0 is the occurrence that the role takes, as for [AtWord].
func AtPart(word string, n int, part Part) Position {
	return Position{word: word, index: n, kind: 2, part: part}
}

// First is p with its first occurrence named, where p names a word and no occurrence of it.
func (p Position) First() Position {
	if p.kind == 2 && p.index == 0 {
		p.index = 1
	}
	return p
}

// Before is the token before p.
func (p Position) Before() Position {
	p.before = true
	return p
}

// ParseWord reads a word as people write it in a prompt file: Mary is [AtWord], Mary#2 is [AtOccurrence], and first of Łukasz,
// last of Łukasz and last of Łukasz#2 are [AtPart]. A word that ends like an occurrence needs one of its own: C#2#1 is the first C#2.
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

// IsNone tells whether the position names no token.
func (p Position) IsNone() bool { return p.kind == 0 }

// Index gives the index, and whether the position is one.
func (p Position) Index() (int, bool) {
	if p.kind != 1 {
		return 0, false
	}
	return p.index, true
}

// Word gives the word, and whether the position is one.
func (p Position) Word() (string, bool) { return p.word, p.kind == 2 }

// Occurrence says which of the tokens that spell the word is meant, counted from 1; 0: the first for a key or a baseline,
// the last for a query.
func (p Position) Occurrence() int {
	if p.kind != 2 {
		return 0
	}
	return p.index
}

// Part says which token of the word is meant.
func (p Position) Part() Part { return p.part }

// IsBefore tells whether the token before the one that the rest of the position names is meant.
func (p Position) IsBefore() bool { return p.before }

// String spells the position as an error message should: 12, "Mary", "Mary#2", "last of Łukasz", before "Mary" or none.
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

// NoPosition stands for a baseline that an example does not have.
const NoPosition = -1

// NoToken stands for a token that was not drawn.
const NoToken = -1

// Example is a prompt made ready for the model: tokens, BOS included, and positions found.
type Example struct {
	Index       int // number of the example in its run, from 0
	PromptIndex int // number of the prompt in its run, from 0
	Prompt      Prompt
	Tokens      []Token
	Query       int // token positions, from 0; Key <= Query. NoPosition: rules choose the edges of the prompt
	Key         int
	Baseline    int // or NoPosition

	Offset int // of a document: its tokens before this window, BOS not counted

	Rules        []string     // that chose the edge; empty: given
	BaselineKind BaselineKind // "": token where there is a Baseline, else none

	Notice string // what the author of the prompt should know about it; mostly ""

	// Tokens drawn for this example, whose unembeddings stand in for the query; NoToken where none was drawn.
	RandomName, RandomToken int
}
