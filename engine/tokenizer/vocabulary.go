package tokenizer

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrVocabulary: the files of a vocabulary are missing, damaged or contradictory, or describe a tokenizer
// that is not supported.
var ErrVocabulary = errors.New("unusable vocabulary")

// Limits of a vocabulary. Gemma 3 has 262,145 tokens, 6,415 of them added, in a tokenizer.json of 33 MB.
const (
	maxFileBytes  = 256 << 20
	maxVocabulary = 1 << 22
	maxTokenBytes = 1 << 12
	maxAdded      = 1 << 17
	maxAddedBytes = 1 << 22 // of all their contents; Gemma 3 has 90 kB
)

func fault(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrVocabulary, fmt.Errorf(format, args...))
}

// builder collects the vocabulary of a tokenizer, spelt as in its files, and builds the tokenizer.
type builder struct {
	ids    map[string]uint32
	spelt  []string // by id; "" if an id is not used
	pairs  *pairTable
	ranks  uint32
	buffer []byte

	added   []addedToken // in order, without repeated contents
	addedAt map[string]int

	unknownToken       string
	fuse, byteFallback bool
	ignoreMerges       bool
	parts
}

// newBuilder returns a builder with room for this many tokens and merges.
func newBuilder(tokens, merges int) *builder {
	return &builder{
		ids: make(map[string]uint32, tokens), spelt: make([]string, 0, tokens),
		pairs: newPairTable(merges), addedAt: map[string]int{},
	}
}

// put adds a token of the model. If a token has several ids, the last one counts, as with every JSON parser.
// Two tokens with the same id are an error, because it would be arbitrary which one the id stands for.
func (b *builder) put(token string, id int) error {
	switch {
	case token == "":
		return fault("an empty token with id %d", id)
	case len(token) > maxTokenBytes:
		return fault("token of id %d has %d bytes, want at most %d", id, len(token), maxTokenBytes)
	}
	if err := b.grow(id); err != nil {
		return fmt.Errorf("token %q: %w", token, err)
	}
	if other := b.spelt[id]; other != "" && other != token {
		return fault("tokens %q and %q both have id %d", min(other, token), max(other, token), id)
	}
	if other, twice := b.ids[token]; twice {
		b.spelt[other] = ""
	}
	b.spelt[id], b.ids[token] = token, uint32(id)
	return nil
}

// merge appends a merge; its rank is its position. If a pair is repeated it gets the new rank, as in the
// reference.
func (b *builder) merge(left, right string) error {
	b.buffer = append(append(b.buffer[:0], left...), right...)
	l, ok := b.ids[left]
	if !ok {
		return fault("merge of %q and %q: %q is not in the vocabulary", left, right, left)
	}
	r, ok := b.ids[right]
	if !ok {
		return fault("merge of %q and %q: %q is not in the vocabulary", left, right, right)
	}
	both, ok := b.ids[string(b.buffer)]
	if !ok {
		return fault("merge of %q and %q: %q is not in the vocabulary", left, right, b.buffer)
	}
	b.pairs.add(l, r, b.ranks, both)
	b.ranks++
	return nil
}

// mergeLine appends a merge that is spelt as two tokens with a blank between them.
func (b *builder) mergeLine(line string) error {
	left, right, ok := strings.Cut(line, " ")
	if !ok || strings.Contains(right, " ") {
		return fault("%.80q, want two tokens with one space between them", line)
	}
	return b.merge(left, right)
}

// add adds added tokens, by the rules of the reference: a token that the vocabulary has keeps its id, and the
// others get consecutive ids after the vocabulary, whatever their file says. The first of these is the number
// of tokens, so in a vocabulary with gaps such an id may be taken; the added token then wins. One call of the
// reference is one call here.
func (b *builder) add(tokens []addedToken) error {
	next := len(b.ids)
	for _, t := range b.added {
		next = max(next, int(t.id)+1)
	}
	for _, t := range tokens {
		if t.Content == "" {
			continue
		}
		if !utf8.ValidString(t.Content) || len(t.Content) > maxTokenBytes {
			return fault("added token %.80q, want UTF-8 of at most %d bytes", t.Content, maxTokenBytes)
		}
		if at, twice := b.addedAt[t.Content]; twice { // perhaps with other flags: the last ones count
			t.id = b.added[at].id
			b.added[at] = t
			continue
		}
		id, known := b.ids[t.Content]
		if !known {
			id = uint32(next)
			next++
			if err := b.grow(int(id)); err != nil {
				return err
			}
		}
		t.id = id
		b.addedAt[t.Content] = len(b.added)
		b.added = append(b.added, t)
	}
	if len(b.added) > maxAdded {
		return fault("%d added tokens, want at most %d", len(b.added), maxAdded)
	}
	bytes := 0
	for _, t := range b.added {
		bytes += len(t.Content)
	}
	if bytes > maxAddedBytes {
		return tooLong(bytes)
	}
	return nil
}

func tooLong(bytes int) error {
	return fault("added tokens of %d bytes or more, normalized, want at most %d", bytes, maxAddedBytes)
}

// grow makes room for an id.
func (b *builder) grow(id int) error {
	if id < 0 || id >= maxVocabulary {
		return fault("token id %d, want 0 to %d", id, maxVocabulary-1)
	}
	if id >= len(b.spelt) {
		b.spelt = append(b.spelt, make([]string, id+1-len(b.spelt))...)
	}
	return nil
}

// id returns the id of a token, added or not.
func (b *builder) id(token string) int {
	if at, ok := b.addedAt[token]; ok {
		return int(b.added[at].id)
	}
	if id, ok := b.ids[token]; ok && token != "" {
		return int(id)
	}
	return noToken
}

// finish builds the tokenizer.
func (b *builder) finish(source string) (*Tokenizer, error) {
	tokens, err := b.tokenBytes()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	t := &Tokenizer{
		source: source, tokens: tokens, normalizers: b.normalizers, cutters: b.cutters,
		before: b.before, after: b.after, bos: noToken, endOfText: b.id(EndOfTextText),
	}
	for _, ids := range [][]int{t.before, t.after} {
		for _, id := range ids {
			if t.Token(id) == "" {
				return nil, fault("%s: the post_processor adds id %d, which no token has", source, id)
			}
		}
	}
	if len(t.before) > 0 {
		t.bos = t.before[0]
	}
	bytes := 0
	for _, a := range b.added {
		bytes += len(a.Content)
	}
	normalized := newLimit(bytes, len(b.normalizers))
	for _, a := range b.added {
		if a.Normalized {
			text, err := rewrite("normalizer", b.normalizers, a.Content, normalized)
			if err != nil {
				return nil, fmt.Errorf("%s: added tokens: %w", source, err)
			}
			if bytes += len(text) - len(a.Content); bytes > maxAddedBytes {
				return nil, fmt.Errorf("%s: %w", source, tooLong(bytes))
			}
			t.normal.add(text, a)
		} else {
			t.raw.add(a.Content, a)
		}
	}
	b.finishModel(&t.model)
	return t, nil
}

// finishModel builds the tables of the model.
func (b *builder) finishModel(m *model) {
	m.pairs, m.unknown, m.fuse = b.pairs, noToken, b.fuse
	if id, ok := b.ids[b.unknownToken]; ok {
		m.unknown = int32(id)
	}
	if n := len(b.cutters); n > 0 {
		if last, ok := b.cutters[n-1].cutter.(*byteLevelCutter); ok {
			last.spell, m.byBytes = false, true // the model reads the bytes itself
		}
	}
	for c := range m.ofByte {
		m.ofByte[c] = b.token(string(printable[c]))
	}
	for c := range m.ascii {
		m.ascii[c] = b.token(string(rune(c)))
	}
	m.ofRune = map[rune]int32{}
	for token, id := range b.ids {
		if r, width := utf8.DecodeRuneInString(token); width == len(token) && r >= utf8.RuneSelf &&
			!m.byBytes {
			m.ofRune[r] = int32(id)
		}
	}
	if b.byteFallback {
		m.fallback = new([256]int32)
		for c := range m.fallback {
			m.fallback[c] = b.token(fmt.Sprintf("<0x%02X>", c))
		}
	}
	if b.ignoreMerges {
		m.whole = make(map[string]int32, len(b.ids))
		for token, id := range b.ids {
			if !m.byBytes {
				m.whole[strings.Clone(token)] = int32(id)
			} else if bytes, ok := fromPrintable(token); ok {
				m.whole[bytes] = int32(id)
			}
		}
	}
}

func (b *builder) token(spelt string) int32 {
	if id, ok := b.ids[spelt]; ok {
		return int32(id)
	}
	return noToken
}

// tokenBytes returns the bytes of every token, in one piece of memory, so that the texts of the files can be
// freed.
func (b *builder) tokenBytes() ([]string, error) {
	var all strings.Builder
	bytes := 0
	for _, a := range b.added {
		bytes += len(a.Content)
	}
	for _, token := range b.spelt {
		bytes += len(token)
	}
	spelt := newLimit(bytes, len(b.spelling))
	spelt.most = bytes + growthSpare
	ends := make([]int, len(b.spelt))
	added := make(map[int]string, len(b.added))
	for _, a := range b.added {
		added[int(a.id)] = a.Content
	}
	for id, token := range b.spelt {
		steps := b.spelling
		if content, ok := added[id]; ok {
			token = content
			if b.byteLevel { // an added token is spelt as it is
				steps = nil
			}
		}
		text, err := rewrite("decoder", steps, token, spelt)
		if err != nil {
			return nil, err
		}
		all.WriteString(text)
		ends[id] = all.Len()
	}
	tokens, from, text := make([]string, len(ends)), 0, all.String()
	for id, end := range ends {
		tokens[id] = text[from:end]
		from = end
	}
	return tokens, nil
}
