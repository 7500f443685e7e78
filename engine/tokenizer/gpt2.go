package tokenizer

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/pkoukk/tiktoken-go-loader/assets"
)

// gpt2Size is the number of GPT-2's tokens: 256 bytes, 50000 merges and the end of text, the last id.
const gpt2Size = 50257

// GPT2 returns GPT-2's own vocabulary, which is embedded: OpenAI's r50k_base.tiktoken, in the copy of module
// github.com/pkoukk/tiktoken-go-loader (MIT). Each line has the bytes of a token and its rank, which is also
// its id in GPT-2. All calls return the same tokenizer.
func GPT2() (*Tokenizer, error) { return gpt2() }

var gpt2 = sync.OnceValues(func() (*Tokenizer, error) {
	t, err := readRanks()
	if err != nil {
		return nil, fmt.Errorf("embedded GPT-2 vocabulary: %w", err)
	}
	return t, nil
})

func readRanks() (*Tokenizer, error) {
	text, err := assets.Assets.ReadFile("r50k_base.tiktoken")
	if err != nil {
		return nil, err
	}
	b := newBuilder(gpt2Size, gpt2Size)
	tokens := make([]string, 0, gpt2Size)
	for line := range strings.Lines(string(text)) {
		coded, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		token, err := base64.StdEncoding.DecodeString(coded)
		if err != nil {
			return nil, fault("%w", err)
		}
		rank, err := strconv.Atoi(number)
		if err != nil {
			return nil, fault("%w", err)
		}
		if rank != len(tokens) {
			return nil, fault("rank %d after %d tokens", rank, len(tokens))
		}
		tokens = append(tokens, string(token))
		if err := b.put(Printable(string(token)), rank); err != nil {
			return nil, err
		}
	}
	if err := b.mergesFromRanks(tokens); err != nil {
		return nil, err
	}
	if len(tokens) != gpt2Size-1 {
		return nil, fault("%d tokens, want %d", len(tokens), gpt2Size-1)
	}
	b.gpt2Nodes(false)
	if err := b.add([]addedToken{{Content: EndOfTextText, Special: true}}); err != nil {
		return nil, err
	}
	t, err := b.finish("embedded GPT-2")
	if err != nil {
		return nil, err
	}
	t.putBOS(t.endOfText)
	return t, nil
}

// mergesFromRanks finds the two tokens that each token was merged from: what its bytes become under the
// merges before its own.
func (b *builder) mergesFromRanks(tokens []string) error {
	var ofByte [256]uint32
	for c := range ofByte {
		ofByte[c] = b.ids[string(printable[c])]
	}
	var ids []uint32
	for id, token := range tokens {
		if len(token) == 1 {
			continue
		}
		ids = ids[:0]
		for i := range len(token) {
			ids = append(ids, ofByte[token[i]])
		}
		if n := b.pairs.mergePiece(ids); n != 2 {
			return fault("token %q is made of %d tokens before it, want 2", token, n)
		}
		b.pairs.add(ids[0], ids[1], uint32(id), uint32(id))
	}
	return nil
}

// gpt2Nodes sets the nodes of GPT-2's tokenizer, which vocab.json and merges.txt do not contain.
func (b *builder) gpt2Nodes(prefixSpace bool) {
	b.cutters = []stage{{"ByteLevel", &byteLevelCutter{prefixSpace: prefixSpace, regex: true}}}
	b.spelling, b.byteLevel = []step{{"ByteLevel", always(unprintable)}}, true
}
