package tokenizer

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"ducklens/internal/advice"
)

// Metadata are the values of a GGUF file by key. The second result reports whether the key exists and has a
// value of that kind.
type Metadata interface {
	Text(key string) (string, bool)
	Texts(key string) ([]string, bool)
	Number(key string) (int64, bool)
	Numbers(key string) ([]int64, bool)
	Floats(key string) ([]float64, bool)
	Flag(key string) (bool, bool)
}

// Types of tokens, with llama.cpp's numbers.
const (
	typeNormal      = 1
	typeUnknown     = 2
	typeControl     = 3
	typeUserDefined = 4
	typeUnused      = 5
	typeByte        = 6
)

// preTokenizer is a value of tokenizer.ggml.pre: how a byte-level tokenizer cuts a text. steps are regular
// expressions, gpt2Step or digitsStep.
type preTokenizer struct {
	names        []string
	steps        []string
	nfc          bool // as in the models' own tokenizer.json, though llama.cpp omits it
	ignoreMerges bool
	addsBOS      bool // if tokenizer.ggml.add_bos_token does not say
}

const (
	gpt2Step    = "GPT-2's pattern"
	digitsStep  = `\p{N}`
	threeDigits = `[0-9][0-9][0-9]`
)

// preTokenizers are the supported kinds, taken from ggml-org/llama.cpp:src/llama-vocab.cpp.
var preTokenizers = []preTokenizer{
	{names: []string{"gpt-2", "phi-2", "jais", "mellum", "exaone4", "gigachat", "trillion"},
		steps: []string{gpt2Step}},
	{names: []string{"olmo", "mpt"}, steps: []string{gpt2Step}, nfc: true},
	{names: []string{"smollm", "starcoder", "refact", "codeshell", "exaone"},
		steps: []string{digitsStep, gpt2Step}},
	{names: []string{"command-r"}, steps: []string{digitsStep, gpt2Step}, nfc: true},
	{names: []string{"qwen2", "deepseek-r1-qwen", "megrez"}, steps: []string{qwen2Pattern}, nfc: true},
	{names: []string{"stablelm2", "hunyuan", "grok-2", "solar-open"}, steps: []string{qwen2Pattern}},
	{names: []string{"qwen35"}, steps: []string{qwen35Pattern}, nfc: true},
	{names: []string{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2"},
		steps: []string{llama3Pattern}, ignoreMerges: true, addsBOS: true},
	{names: []string{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, steps: []string{llama3Pattern}},
	{names: []string{"gpt-4o", "llama4", "kanana2"}, steps: []string{gpt4oPattern}},
	{names: []string{"tekken"}, steps: []string{tekkenPattern}, ignoreMerges: true, addsBOS: true},
	{names: []string{"falcon"}, steps: []string{"[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2Step, threeDigits}},
	{names: []string{"default", ""},
		steps: []string{`[\p{P}\$\+<=>\^~\|]+`, gpt2Step, `\p{N}+`, threeDigits}},
}

// FromMetadata reads the tokenizer of a GGUF file from its metadata: byte-level tokenizers
// (tokenizer.ggml.model gpt2), which cut text as tokenizer.ggml.pre says, and SentencePiece tokenizers
// (llama), which merge by scores.
func FromMetadata(m Metadata) (*Tokenizer, error) {
	t, err := fromMetadata(m)
	if err != nil {
		return nil, fmt.Errorf("GGUF metadata: %w", err)
	}
	return t, nil
}

const ggml = "tokenizer.ggml."

func fromMetadata(m Metadata) (*Tokenizer, error) {
	tokens, _ := m.Texts(ggml + "tokens")
	if len(tokens) == 0 || len(tokens) > maxVocabulary {
		return nil, fault("%stokens has %d tokens, want 1 to %d", ggml, len(tokens), maxVocabulary)
	}
	types, ok := m.Numbers(ggml + "token_type")
	if !ok {
		types = slices.Repeat([]int64{typeNormal}, len(tokens))
	}
	if len(types) != len(tokens) {
		return nil, fault("%stoken_type has %d numbers for %d tokens", ggml, len(types), len(tokens))
	}
	b := newBuilder(len(tokens), len(tokens))
	if err := b.putTokens(tokens); err != nil {
		return nil, err
	}
	var addsBOS bool
	var err error
	otherwise := b.id(EndOfTextText)
	switch kind, _ := m.Text(ggml + "model"); kind {
	case "gpt2":
		addsBOS, err = b.byteLevelNodes(m)
	case "llama":
		addsBOS, err = true, b.sentencePieceNodes(m, tokens, types)
		otherwise = b.id("<s>")
	default:
		return nil, fault("%smodel is %q, want \"gpt2\" or \"llama\"", ggml, kind)
	}
	if err != nil {
		return nil, err
	}
	if err := b.addTyped(tokens, types); err != nil {
		return nil, err
	}
	t, err := b.finish("GGUF metadata")
	if err != nil {
		return nil, err
	}
	if architecture, _ := m.Text("general.architecture"); architecture != "gpt2" && otherwise == t.endOfText {
		otherwise = noToken // only in GPT-2 the end of text is also BOS
	}
	return t, t.metadataBOS(m, addsBOS, otherwise)
}

func (b *builder) putTokens(tokens []string) error {
	for id, token := range tokens {
		if token == "" { // an unused id
			continue
		}
		if !utf8.ValidString(token) {
			return fault("token %d, %.80q, is not UTF-8", id, token)
		}
		if other, twice := b.ids[token]; twice {
			return fault("tokens %d and %d are both %.80q", other, id, token)
		}
		if err := b.put(token, id); err != nil {
			return err
		}
	}
	return b.grow(len(tokens) - 1)
}

// addTyped adds the added tokens that are matched in the original text.
func (b *builder) addTyped(tokens []string, types []int64) error {
	var added []addedToken
	for id, token := range tokens {
		if kind := types[id]; kind == typeControl || kind == typeUserDefined || kind == typeUnknown {
			added = append(added, addedToken{Content: token, Special: kind != typeUserDefined})
		}
	}
	return b.add(added)
}

// byteLevelNodes reads the nodes of a byte-level tokenizer, and reports whether its kind adds BOS.
func (b *builder) byteLevelNodes(m Metadata) (addsBOS bool, err error) {
	name, _ := m.Text(ggml + "pre")
	i := slices.IndexFunc(preTokenizers, func(p preTokenizer) bool { return slices.Contains(p.names, name) })
	if i < 0 {
		return false, advice.Add(fault("%spre is %q, which is not known", ggml, name),
			"use the model's own folder, with its tokenizer.json")
	}
	p := preTokenizers[i]
	merges, ok := m.Texts(ggml + "merges")
	if !ok {
		return false, fault("no %smerges", ggml)
	}
	for i, line := range merges {
		if err := b.mergeLine(line); err != nil {
			return false, fmt.Errorf("merge %d: %w", i, err)
		}
	}
	b.gpt2Nodes(false)
	b.cutters, b.ignoreMerges = nil, p.ignoreMerges
	if p.nfc {
		b.normalizers = []step{{"NFC", always(nfc.normalize)}}
	}
	for _, step := range p.steps {
		switch step {
		case gpt2Step:
			b.cutters = append(b.cutters, stage{"ByteLevel", &byteLevelCutter{regex: true}})
		case digitsStep:
			b.cutters = append(b.cutters,
				stage{"Digits", &splitCutter{matches: each(newSet(isNumeric)), behavior: isolated}})
		default:
			compiled, err := compile(step)
			if err != nil {
				return false, err
			}
			b.cutters = append(b.cutters,
				stage{"Split", &splitCutter{matches: compiled.all, behavior: isolated}})
		}
	}
	b.cutters = append(b.cutters, stage{"ByteLevel", &byteLevelCutter{}})
	architecture, _ := m.Text("general.architecture")
	return p.addsBOS || architecture == "gpt2", nil
}

// maxPieceBytes is the maximum length of a token that SentencePiece may merge: all ways of splitting it are
// tried.
const maxPieceBytes = 512

// sentencePieceNodes reads the nodes of a SentencePiece tokenizer. Its merges are all pairs of tokens that
// together make a token, ordered by descending score of that token.
func (b *builder) sentencePieceNodes(m Metadata, tokens []string, types []int64) error {
	scores, _ := m.Floats(ggml + "scores")
	if len(scores) != len(tokens) {
		return fault("%sscores has %d numbers for %d tokens", ggml, len(scores), len(tokens))
	}
	merged := func(id int) bool { return types[id] == typeNormal || types[id] == typeUserDefined }
	ranks := slices.Clone(scores)
	slices.SortFunc(ranks, func(x, y float64) int { return compareDown(x, y) })
	ranks = slices.Compact(ranks)
	for id, token := range tokens {
		if !merged(id) {
			continue
		}
		if len(token) > maxPieceBytes {
			return fault("token %d has %d bytes, want at most %d in a tokenizer with scores", id, len(token),
				maxPieceBytes)
		}
		rank, _ := slices.BinarySearchFunc(ranks, scores[id], compareDown)
		for at := range token {
			left, okLeft := b.ids[token[:at]]
			right, okRight := b.ids[token[at:]]
			if at > 0 && okLeft && okRight && merged(int(left)) && merged(int(right)) {
				b.pairs.add(left, right, uint32(rank), uint32(id))
			}
		}
	}
	const blank = "▁"
	if space, said := m.Flag(ggml + "add_space_prefix"); space || !said {
		b.normalizers = append(b.normalizers, step{"Prepend", prepend(blank)})
	}
	b.normalizers = append(b.normalizers, step{"Replace", replace(literal(" "), blank)})
	b.spelling = []step{{"Replace", replace(literal(blank), " ")}, {"ByteFallback", always(unfallback)}}
	b.byteFallback, b.fuse = true, true
	if id, ok := m.Number(ggml + "unknown_token_id"); ok && id >= 0 && id < int64(len(tokens)) {
		b.unknownToken = tokens[id]
	}
	return nil
}

// compareDown orders scores, the highest first.
func compareDown(x, y float64) int {
	switch {
	case x > y:
		return -1
	case x < y:
		return 1
	}
	return 0
}

// metadataBOS decides which token is BOS and what is put around a text. If the file does not say, BOS is
// otherwise.
func (t *Tokenizer) metadataBOS(m Metadata, adds bool, otherwise int) error {
	bos, err := t.specialID(m, "bos", otherwise)
	if err != nil {
		return err
	}
	eos, err := t.specialID(m, "eos", noToken)
	if err != nil {
		return err
	}
	if flag, said := m.Flag(ggml + "add_bos_token"); said {
		adds = flag
	}
	if t.bos = bos; adds {
		t.putBOS(bos)
	}
	if adds, _ := m.Flag(ggml + "add_eos_token"); adds && eos != noToken {
		t.after = []int{eos}
	}
	return nil
}

func (t *Tokenizer) specialID(m Metadata, name string, otherwise int) (int, error) {
	id, ok := m.Number(ggml + name + "_token_id")
	if !ok {
		return otherwise, nil
	}
	if id < 0 || id >= int64(len(t.tokens)) || t.tokens[id] == "" {
		return 0, fault("%s%s_token_id is %d, which no token has", ggml, name, id)
	}
	return int(id), nil
}
