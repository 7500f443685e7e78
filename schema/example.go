package schema

import (
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
}

// Position names a token of a prompt, by index or by word. The zero value names none.
type Position struct {
	word  string
	index int   // of an index; of a word: which occurrence, counted from 1, or 0 for the one that its role takes
	kind  uint8 // 0 none, 1 index, 2 word
}

// AtIndex is the token at index i of the stored token list, which begins with BOS where the run has
// one. A negative i counts from the end: -1 is the last token.
func AtIndex(i int) Position { return Position{index: i, kind: 1} }

// AtWord is the token that spells word, with or without the space before it: the first such token
// for a key or a baseline, the last for a query.
func AtWord(word string) Position { return Position{word: word, kind: 2} }

// AtOccurrence is the n-th token, counted from 1, that spells word, with or without the space before it.
func AtOccurrence(word string, n int) Position { return Position{word: word, index: n, kind: 2} }

// ParseWord reads a word as people write it in a prompt file: Mary is [AtWord], Mary#2 is [AtOccurrence]. A word that ends like
// an occurrence needs one of its own: C#2#1 is the first C#2.
func ParseWord(s string) Position {
	if at := strings.LastIndexByte(s, '#'); at > 0 {
		if n, err := strconv.Atoi(s[at+1:]); err == nil && n > 0 && strconv.Itoa(n) == s[at+1:] {
			return AtOccurrence(s[:at], n)
		}
	}
	return AtWord(s)
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

// String spells the position as an error message should: 12, "Mary", "Mary#2" or none.
func (p Position) String() string {
	switch p.kind {
	case 1:
		return strconv.Itoa(p.index)
	case 2:
		if p.index > 0 {
			return strconv.Quote(p.word + "#" + strconv.Itoa(p.index))
		}
		return strconv.Quote(p.word)
	}
	return "none"
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
	Index    int // number of the example in its run, from 0
	Prompt   Prompt
	Tokens   []Token
	Query    int // token positions, from 0; Key <= Query
	Key      int
	Baseline int // or NoPosition

	Notice string // what the author of the prompt should know about it; mostly ""

	// Tokens drawn for this example, whose unembeddings stand in for the query; NoToken where none was drawn.
	RandomName, RandomToken int
}
