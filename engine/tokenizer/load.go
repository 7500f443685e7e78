package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"
)

// ErrVocabulary: the files of a vocabulary are missing, damaged, contradict each other or the model, or
// describe another kind of tokenizer.
var ErrVocabulary = errors.New("unusable vocabulary")

// hinted is an error with advice for the user.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// Hint says what to do next.
func (e *hinted) Hint() string { return e.hint }

// Limits of vocabulary files. GPT-2 has 50257 tokens, tokenizer.json of 1.4 MB.
const (
	maxFileBytes  = 64 << 20
	maxVocabulary = 1 << 22
	maxTokenBytes = 1 << 12
	maxAdded      = 1 << 12
)

func fault(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrVocabulary, fmt.Errorf(format, args...))
}

// Load reads the vocabulary of a model folder: vocab.json and merges.txt, otherwise tokenizer.json,
// otherwise the embedded GPT-2 vocabulary, if config.json says that the model has GPT-2's 50257 tokens. Ids that
// the model of config.json does not have are an error.
func Load(fsys fs.FS) (*Tokenizer, error) {
	t, err := load(fsys)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return t, nil
}

func load(fsys fs.FS) (*Tokenizer, error) {
	size, err := modelVocabulary(fsys)
	if err != nil {
		return nil, err
	}
	var t *Tokenizer
	switch {
	case exists(fsys, "vocab.json") && exists(fsys, "merges.txt"):
		t, err = fromVocab(fsys)
	case exists(fsys, "tokenizer.json"):
		t, err = fromTokenizerJSON(fsys)
	case exists(fsys, "vocab.json") || exists(fsys, "merges.txt"):
		return nil, fault("only one of vocab.json and merges.txt is there, want both")
	case size != gpt2Size:
		err := fault("no vocab.json and merges.txt, nor tokenizer.json, and the model has %d tokens, want %d for the embedded GPT-2 vocabulary", size, gpt2Size)
		if size < 0 {
			err = fault("no vocab.json and merges.txt, nor tokenizer.json, nor config.json")
		}
		return nil, &hinted{err, "copy vocab.json and merges.txt of the model into its folder"}
	default:
		t, err = GPT2()
	}
	if err != nil {
		return nil, err
	}
	if size >= 0 && t.VocabSize() > size {
		return nil, fault("%s has token id %d, the model of config.json has only %d tokens", t.source, t.VocabSize()-1, size)
	}
	return t, nil
}

func exists(fsys fs.FS, name string) bool {
	_, err := fs.Stat(fsys, name)
	return err == nil
}

// read reads a file of at most maxFileBytes.
func read(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fault("%w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fault("%s: %w", name, err)
	}
	if len(text) > maxFileBytes {
		return nil, fault("%s: more than %d bytes", name, maxFileBytes)
	}
	return text, nil
}

// modelVocabulary gives vocab_size (or TransformerLens' d_vocab) of config.json, or -1 where there is no
// config.json.
func modelVocabulary(fsys fs.FS) (int, error) {
	if !exists(fsys, "config.json") {
		return -1, nil
	}
	text, err := read(fsys, "config.json")
	if err != nil {
		return 0, err
	}
	var config map[string]json.RawMessage
	if err := json.Unmarshal(text, &config); err != nil {
		return 0, fault("config.json: %w", err)
	}
	raw, key := config["vocab_size"], "vocab_size"
	if lens, ok := config["d_vocab"]; raw == nil && ok {
		raw, key = lens, "d_vocab"
	}
	size := 0
	if err := json.Unmarshal(raw, &size); err != nil || size < 1 {
		return 0, fault("config.json: %s is %.40q, want a positive number", key, raw)
	}
	return size, nil
}

// fromVocab reads vocab.json, an object of ids by token, and merges.txt, a line for each merge; both spell
// bytes in GPT-2's printable characters.
func fromVocab(fsys fs.FS) (*Tokenizer, error) {
	text, err := read(fsys, "vocab.json")
	if err != nil {
		return nil, err
	}
	var vocab map[string]int
	if err := json.Unmarshal(text, &vocab); err != nil {
		return nil, fault("vocab.json: %w", err)
	}
	if text, err = read(fsys, "merges.txt"); err != nil {
		return nil, err
	}
	b, err := newBuilder(vocab)
	if err != nil {
		return nil, fmt.Errorf("vocab.json: %w", err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || i == 0 && strings.HasPrefix(line, "#version") {
			continue
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(right, " ") {
			return nil, fault("merges.txt: line %d is %.80q, want two tokens with one space between them", i+1, line)
		}
		if err := b.merge(left, right); err != nil {
			return nil, fmt.Errorf("merges.txt: line %d: %w", i+1, err)
		}
	}
	return b.finish("vocab.json")
}

// tokenizerJSON is the part of a Hugging Face tokenizer.json that we read or that has to be as in GPT-2.
type tokenizerJSON struct {
	AddedTokens []struct {
		ID         int    `json:"id"`
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		LStrip     bool   `json:"lstrip"`
		RStrip     bool   `json:"rstrip"`
	} `json:"added_tokens"`
	Normalizer   json.RawMessage `json:"normalizer"`
	PreTokenizer struct {
		Type           string `json:"type"`
		AddPrefixSpace bool   `json:"add_prefix_space"`
		UseRegex       *bool  `json:"use_regex"`
	} `json:"pre_tokenizer"`
	Model struct {
		Type         string            `json:"type"`
		Dropout      *float64          `json:"dropout"`
		Prefix       string            `json:"continuing_subword_prefix"`
		Suffix       string            `json:"end_of_word_suffix"`
		IgnoreMerges bool              `json:"ignore_merges"`
		Vocab        map[string]int    `json:"vocab"`
		Merges       []json.RawMessage `json:"merges"`
	} `json:"model"`
}

// check refuses what is not byte-level BPE with GPT-2's pattern.
func (j *tokenizerJSON) check() error {
	switch {
	case j.Model.Type != "BPE" && j.Model.Type != "":
		return fault("model is %q, want \"BPE\"", j.Model.Type)
	case j.PreTokenizer.Type != "ByteLevel":
		return fault("pre_tokenizer is %q, want \"ByteLevel\"", j.PreTokenizer.Type)
	case j.PreTokenizer.AddPrefixSpace:
		return fault("add_prefix_space is true, want false")
	case j.PreTokenizer.UseRegex != nil && !*j.PreTokenizer.UseRegex:
		return fault("use_regex is false, want true")
	case len(j.Normalizer) > 0 && !bytes.Equal(j.Normalizer, []byte("null")):
		return fault("normalizer is %.80s, want null", j.Normalizer)
	case j.Model.Dropout != nil && *j.Model.Dropout != 0:
		return fault("dropout is %v, want none", *j.Model.Dropout)
	case j.Model.Prefix != "" || j.Model.Suffix != "":
		return fault("subword prefix %q and suffix %q, want none", j.Model.Prefix, j.Model.Suffix)
	case j.Model.IgnoreMerges:
		return fault("ignore_merges is true, want false")
	}
	return nil
}

func fromTokenizerJSON(fsys fs.FS) (*Tokenizer, error) {
	const name = "tokenizer.json"
	text, err := read(fsys, name)
	if err != nil {
		return nil, err
	}
	var j tokenizerJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, fault("%s: %w", name, err)
	}
	if err := j.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	vocab := j.Model.Vocab
	for _, a := range j.AddedTokens { // they are spelt as they are, not in printable characters
		delete(vocab, a.Content)
	}
	b, err := newBuilder(vocab)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for i, raw := range j.Model.Merges {
		left, right, err := mergeOf(raw)
		if err == nil {
			err = b.merge(left, right)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: merge %d: %w", name, i, err)
		}
	}
	for _, a := range j.AddedTokens {
		if a.SingleWord || a.LStrip || a.RStrip {
			return nil, fault("%s: added token %q strips spaces or matches whole words, want neither", name, a.Content)
		}
		if err := b.add(a.Content, a.ID); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return b.finish(name)
}

// mergeOf reads a merge of a tokenizer.json: "a b", or since tokenizers 0.20 ["a", "b"].
func mergeOf(raw json.RawMessage) (left, right string, err error) {
	var line string
	if json.Unmarshal(raw, &line) == nil {
		left, right, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(right, " ") {
			return "", "", fault("%.80q, want two tokens with one space between them", line)
		}
		return left, right, nil
	}
	var pair []string
	if err := json.Unmarshal(raw, &pair); err != nil || len(pair) != 2 {
		return "", "", fault("%.80s, want a text or a pair of texts", raw)
	}
	return pair[0], pair[1], nil
}

// builder collects a vocabulary and checks it.
type builder struct {
	ids    map[string]int // by bytes
	tokens []string
	used   []bool
	merges []merge
	added  []addedToken
}

type merge struct{ left, right, token uint32 }

// newBuilder takes ids by token, spelt in printable characters.
func newBuilder(vocab map[string]int) (*builder, error) {
	if len(vocab) > maxVocabulary {
		return nil, fault("%d tokens, want at most %d", len(vocab), maxVocabulary)
	}
	b := &builder{ids: make(map[string]int, len(vocab))}
	type entry struct {
		spelt string
		id    int
	}
	entries := make([]entry, 0, len(vocab))
	for spelt, id := range vocab {
		entries = append(entries, entry{spelt, id})
	}
	slices.SortFunc(entries, func(x, y entry) int { // so that the first fault is always the same
		return cmp.Or(cmp.Compare(x.id, y.id), strings.Compare(x.spelt, y.spelt))
	})
	for _, e := range entries {
		token, err := fromPrintable(e.spelt)
		if err != nil {
			return nil, err
		}
		if err := b.put(token, e.id); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *builder) put(token string, id int) error {
	switch {
	case token == "":
		return fault("an empty token with id %d", id)
	case len(token) > maxTokenBytes:
		return fault("token of id %d has %d bytes, want at most %d", id, len(token), maxTokenBytes)
	case id < 0 || id >= maxVocabulary:
		return fault("token %q has id %d, want 0 to %d", token, id, maxVocabulary-1)
	}
	if id >= len(b.tokens) {
		b.tokens = append(b.tokens, make([]string, id+1-len(b.tokens))...)
		b.used = append(b.used, make([]bool, id+1-len(b.used))...)
	}
	if b.used[id] {
		return fault("tokens %q and %q both have id %d", b.tokens[id], token, id)
	}
	if other, twice := b.ids[token]; twice {
		return fault("token %q has ids %d and %d", token, other, id)
	}
	b.tokens[id], b.used[id], b.ids[token] = token, true, id
	return nil
}

// merge appends a merge, spelt in printable characters; its rank is its place.
func (b *builder) merge(left, right string) error {
	var parts [2]string
	var err error
	for i, spelt := range []string{left, right} {
		if parts[i], err = fromPrintable(spelt); err != nil {
			return err
		}
	}
	return b.mergeBytes(parts[0], parts[1])
}

func (b *builder) mergeBytes(left, right string) error {
	var ids [3]uint32
	for i, token := range []string{left, right, left + right} {
		id, ok := b.ids[token]
		if !ok {
			return fault("%q is not in the vocabulary", token)
		}
		ids[i] = uint32(id)
	}
	b.merges = append(b.merges, merge{ids[0], ids[1], ids[2]})
	return nil
}

// add enters an added token, spelt as it is.
func (b *builder) add(text string, id int) error {
	if len(b.added) == maxAdded {
		return fault("more than %d added tokens", maxAdded)
	}
	if !utf8.ValidString(text) {
		return fault("added token %q is not UTF-8", text)
	}
	if err := b.put(text, id); err != nil {
		return fmt.Errorf("added token: %w", err)
	}
	b.added = append(b.added, addedToken{text, uint32(id)})
	return nil
}

// finish checks that every byte and the end of text have a token.
func (b *builder) finish(source string) (*Tokenizer, error) {
	t := &Tokenizer{tokens: b.tokens, pairs: newPairTable(len(b.merges)), added: b.added, source: source}
	for c := range t.ofByte {
		id, ok := b.ids[string([]byte{byte(c)})]
		if !ok {
			return nil, fault("%s: byte %#02x has no token", source, c)
		}
		t.ofByte[c] = uint32(id)
	}
	for rank, m := range b.merges {
		if !t.pairs.add(m.left, m.right, uint32(rank), m.token) {
			return nil, fault("%s: %q and %q are merged twice", source, b.tokens[m.left], b.tokens[m.right])
		}
	}
	id, ok := b.ids[EndOfTextText]
	if !ok {
		return nil, fault("%s: no token %q", source, EndOfTextText)
	}
	t.endOfText = id
	if !slices.ContainsFunc(t.added, func(a addedToken) bool { return a.text == EndOfTextText }) {
		t.added = append(t.added, addedToken{EndOfTextText, uint32(id)})
	}
	slices.SortFunc(t.added, func(a, b addedToken) int { return cmp.Compare(len(b.text), len(a.text)) })
	for _, a := range t.added {
		t.addedHead[a.text[0]] = true
	}
	return t, nil
}
