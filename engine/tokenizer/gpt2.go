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

// GPT2 gives GPT-2's own vocabulary, which is embedded: OpenAI's r50k_base.tiktoken, in the copy of module
// github.com/pkoukk/tiktoken-go-loader (MIT). Its lines have the bytes of a token and its rank, which is also
// its id in GPT-2. Later calls give the same tokenizer.
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
	b := &builder{ids: make(map[string]int, gpt2Size)}
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
		if rank != len(b.tokens) {
			return nil, fault("rank %d after %d tokens", rank, len(b.tokens))
		}
		if err := b.put(string(token), rank); err != nil {
			return nil, err
		}
	}
	if err := b.mergesFromRanks(); err != nil {
		return nil, err
	}
	if len(b.tokens) != gpt2Size-1 {
		return nil, fault("%d tokens, want %d", len(b.tokens), gpt2Size-1)
	}
	if err := b.add(EndOfTextText, gpt2Size-1); err != nil {
		return nil, err
	}
	return b.finish("embedded GPT-2")
}

// mergesFromRanks finds the two tokens that every token was merged from: what its bytes become under the
// merges before its own.
func (b *builder) mergesFromRanks() error {
	table := newPairTable(len(b.tokens))
	for id, token := range b.tokens {
		if len(token) == 1 {
			continue
		}
		ids := make([]uint32, len(token))
		for i := range len(token) {
			ids[i] = uint32(b.ids[token[i:i+1]])
		}
		if n := table.mergePiece(ids); n != 2 {
			return fault("token %q is made of %d tokens before it, want 2", token, n)
		}
		b.merges = append(b.merges, merge{ids[0], ids[1], uint32(id)})
		table.add(ids[0], ids[1], uint32(id), uint32(id))
	}
	return nil
}
