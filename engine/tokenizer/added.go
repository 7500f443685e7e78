package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// addedToken is a token that is cut out of the text before the model sees it.
type addedToken struct {
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // not within a word
	LStrip     bool   `json:"lstrip"`      // with the white space on its left
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"` // in the normalized text, and in its own normalized form
	Special    bool   `json:"special"`    // matched like the others
	id         uint32
}

// addedSet finds added tokens: the leftmost first, and of those the longest.
type addedSet struct {
	tokens []addedToken
	heads  [256]bool
	// A trie. The root is node 0; the edge from a node by a byte has the key node<<8 | byte.
	edges map[uint64]uint32
	ends  []int32 // by node: the token that ends here, or -1
}

func (s *addedSet) add(text string, t addedToken) {
	if s.edges == nil {
		s.edges, s.ends = map[uint64]uint32{}, []int32{-1}
	}
	if text == "" {
		return
	}
	at := uint32(0)
	for i := range len(text) {
		key := uint64(at)<<8 | uint64(text[i])
		next, ok := s.edges[key]
		if !ok {
			next = uint32(len(s.ends))
			s.edges[key], s.ends = next, append(s.ends, -1)
		}
		at = next
	}
	s.heads[text[0]] = true
	s.ends[at] = int32(len(s.tokens))
	s.tokens = append(s.tokens, t)
}

// next returns the first token at or after a position, with its start and end, or nil.
func (s *addedSet) next(text string, from int) (start, end int, token *addedToken) {
	for start := from; start < len(text); start++ {
		if !s.heads[text[start]] {
			continue
		}
		node := uint32(0)
		for i := start; i < len(text); i++ {
			next, ok := s.edges[uint64(node)<<8|uint64(text[i])]
			if !ok {
				break
			}
			node = next
			if k := s.ends[node]; k >= 0 {
				end, token = i+1, &s.tokens[k]
			}
		}
		if token != nil {
			return start, end, token
		}
	}
	return len(text), len(text), nil
}

// cut calls found for the parts of a text, in order: ordinary text with a nil token, and added tokens with
// the white space that they take in. Tokens are found in the original text. White space that one token has
// taken in is not available to the next, but the next is still found.
func (s *addedSet) cut(text string, found func(start, end int, token *addedToken)) {
	done := 0
	for from := 0; len(s.tokens) > 0; {
		start, end, token := s.next(text, from)
		if token == nil {
			break
		}
		from = end
		if token.SingleWord && (endsInWord(text[:start]) || startsWithWord(text[end:])) {
			continue
		}
		if token.LStrip {
			start = max(len(strings.TrimRightFunc(text[:start], isSpace)), done)
		}
		if token.RStrip {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], isSpace))
		}
		if done < start {
			found(done, start, nil)
		}
		if start < end { // otherwise the token before took all of it
			found(start, end, token)
		}
		done = end
	}
	if done < len(text) {
		found(done, len(text), nil)
	}
}

func endsInWord(text string) bool {
	r, width := utf8.DecodeLastRuneInString(text)
	return width > 0 && isRustWord(r)
}

func startsWithWord(text string) bool {
	r, width := utf8.DecodeRuneInString(text)
	return width > 0 && isRustWord(r)
}
