package schema

import "strconv"

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
	index int
	kind  uint8 // 0 none, 1 index, 2 word
}

// AtIndex is the token at index i of the stored token list, which begins with BOS where the run has
// one. A negative i counts from the end: -1 is the last token.
func AtIndex(i int) Position { return Position{index: i, kind: 1} }

// AtWord is the token that spells word, with or without the space before it: the first such token
// for a key or a baseline, the last for a query.
func AtWord(word string) Position { return Position{word: word, kind: 2} }

// IsNone tells whether the position names no token.
func (p Position) IsNone() bool { return p.kind == 0 }

// Index gives the index, and whether the position is one.
func (p Position) Index() (int, bool) { return p.index, p.kind == 1 }

// Word gives the word, and whether the position is one.
func (p Position) Word() (string, bool) { return p.word, p.kind == 2 }

// String spells the position as an error message should: 12, "Mary" or none.
func (p Position) String() string {
	switch p.kind {
	case 1:
		return strconv.Itoa(p.index)
	case 2:
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

	// Tokens drawn for this example, whose unembeddings stand in for the query; NoToken where none was drawn.
	RandomName, RandomToken int
}
