package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// wordLists is the JSON of a file of words: the IOI prompts, or the templates that only the training uses.
type wordLists struct {
	Templates []string `json:"templates"`
	Names     []string `json:"names"`
	Places    []string `json:"places"`
	Objects   []string `json:"objects"`

	Two     []string `json:"two"`
	Three   []string `json:"three"`
	Other   []string `json:"other"`
	Openers []string `json:"openers"`
	Chain   []string `json:"chain"`
}

// word matches a run of letters, with the space before it, or one other character that is not a space.
var word = regexp.MustCompile(` ?[A-Za-z]+|[^A-Za-z ]`)

// slot matches a place in a template that is filled with a word.
var slot = regexp.MustCompile(`\[[A-Z]+\]`)

// pieces lists the texts that must be one token each: names, places and objects after a space, the words and
// punctuation of the templates, their first words also after a space, and the full stop.
func pieces(files ...wordLists) []string {
	set := map[string]bool{".": true}
	for _, w := range files {
		for _, name := range slices.Concat(w.Names, w.Places, w.Objects) {
			set[" "+name] = true
		}
		for _, template := range slices.Concat(w.Templates, w.Two, w.Three, w.Other, w.Openers, w.Chain) {
			for _, text := range []string{template, " " + template} {
				for _, part := range slot.Split(text, -1) { // a slot takes the space before it along
					for _, piece := range word.FindAllString(part, -1) {
						set[piece] = true
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// endOfText is the last token.
const endOfText = "<|endoftext|>"

// vocabulary is a byte-level vocabulary: the 256 bytes, the results of the merges, and the end of text.
type vocabulary struct {
	tokens []string // by id
	merges [][2]string
}

// train makes merges until every piece is one token. Each step merges the pair that occurs in most pieces; of
// several, the first in order of bytes (Sennrich et al. 2016, arXiv:1508.07909, algorithm 1).
func train(pieces []string) vocabulary {
	var v vocabulary
	for b := range 256 {
		v.tokens = append(v.tokens, string([]byte{byte(b)}))
	}
	split := make([][]string, len(pieces))
	for i, p := range pieces {
		for j := range len(p) {
			split[i] = append(split[i], p[j:j+1])
		}
	}
	known := map[string]bool{}
	for {
		counts := map[[2]string]int{}
		for _, parts := range split {
			for j := 1; j < len(parts); j++ {
				counts[[2]string{parts[j-1], parts[j]}]++
			}
		}
		if len(counts) == 0 {
			break
		}
		best := slices.MinFunc(slices.Collect(maps.Keys(counts)), func(a, b [2]string) int {
			if d := counts[b] - counts[a]; d != 0 {
				return d
			}
			return strings.Compare(a[0]+"\x00"+a[1], b[0]+"\x00"+b[1])
		})
		v.merges = append(v.merges, best)
		if token := best[0] + best[1]; !known[token] {
			known[token] = true
			v.tokens = append(v.tokens, token)
		}
		for i, parts := range split {
			split[i] = mergePair(parts, best)
		}
	}
	v.tokens = append(v.tokens, endOfText)
	return v
}

// mergePair joins every occurrence of a pair, from the left.
func mergePair(parts []string, pair [2]string) []string {
	merged := parts[:0]
	for j := 0; j < len(parts); j++ {
		if j+1 < len(parts) && parts[j] == pair[0] && parts[j+1] == pair[1] {
			merged = append(merged, pair[0]+pair[1])
			j++
			continue
		}
		merged = append(merged, parts[j])
	}
	return merged
}

// printable writes bytes as GPT-2's files do (openai/gpt-2:src/encoder.py, bytes_to_unicode).
func printable(token string) string {
	var b strings.Builder
	for i := range len(token) {
		c := rune(token[i])
		switch {
		case c <= ' ':
			c += 0x100
		case 0x7f <= c && c <= 0xa0:
			c += 0x121 - 0x7f
		case c == 0xad:
			c = 0x143
		}
		b.WriteRune(c)
	}
	return b.String()
}

// json returns vocab.json, in the order of the ids.
func (v vocabulary) json() ([]byte, error) {
	var b bytes.Buffer
	for id, token := range v.tokens {
		if token != endOfText {
			token = printable(token)
		}
		key, err := json.Marshal(token)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%c\n  %s: %d", "{,"[min(id, 1)], key, id)
	}
	b.WriteString("\n}\n")
	return b.Bytes(), nil
}

// mergesText returns merges.txt.
func (v vocabulary) mergesText() []byte {
	var b bytes.Buffer
	b.WriteString("#version: 0.2\n")
	for _, m := range v.merges {
		fmt.Fprintf(&b, "%s %s\n", printable(m[0]), printable(m[1]))
	}
	return b.Bytes()
}
