package tokenizer

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"

	"ducklens/engine/internal/jsonfault"
	"ducklens/internal/advice"
)

// Load reads the tokenizer of a model folder: tokenizer.json, or else vocab.json with merges.txt, or else the
// embedded GPT-2 vocabulary, if config.json says that the model has GPT-2's 50257 tokens. Next to the first
// two, tokenizer_config.json, special_tokens_map.json and added_tokens.json have the same effect as in
// Hugging Face's transformers.
//
// A vocabulary may have ids for which the model has no row, perhaps as padding. A caller that encodes a text
// must check that it contains none of them.
func Load(fsys fs.FS) (*Tokenizer, error) {
	t, err := load(fsys)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func load(fsys fs.FS) (*Tokenizer, error) {
	config, err := readConfig(fsys)
	if err != nil {
		return nil, err
	}
	var b *builder
	source := "tokenizer.json"
	vocab, merges := exists(fsys, "vocab.json"), exists(fsys, "merges.txt")
	switch {
	case exists(fsys, source):
		b, err = readTokenizerJSON(fsys, source)
	case vocab && merges:
		source = "vocab.json"
		b, err = readVocabFiles(fsys)
	case vocab || merges:
		return nil, fault("found only one of vocab.json and merges.txt, want both")
	default:
		return embedded(fsys, config)
	}
	if err != nil {
		return nil, err
	}
	s, err := readSettings(fsys)
	if err != nil {
		return nil, err
	}
	s.whole = source == "tokenizer.json"
	return s.apply(b, config, source)
}

// otherFiles are tokenizer files that are not supported.
var otherFiles = []string{"tokenizer.model", "spiece.model", "tekken.json", "tokenizer.tiktoken", "vocab.txt"}

const saveHint = "save the tokenizer with transformers (AutoTokenizer.from_pretrained, " +
	"then save_pretrained), " +
	"which writes tokenizer.json"

// embedded returns GPT-2's vocabulary for a folder without tokenizer files.
func embedded(fsys fs.FS, config *modelConfig) (*Tokenizer, error) {
	const hint = "copy tokenizer.json, or vocab.json and merges.txt, of the model into its folder"
	for _, other := range otherFiles {
		if exists(fsys, other) {
			return nil,
				advice.Add(fault("no tokenizer.json, and %s is of a kind that is not read", other), saveHint)
		}
	}
	if !config.exists {
		return nil,
			advice.Add(fault("no tokenizer.json, no vocab.json with merges.txt, nor config.json"), hint)
	}
	size, err := config.vocabulary()
	if err != nil {
		return nil, err
	}
	if size != gpt2Size {
		return nil,
			advice.Add(
				fault("no tokenizer.json, no vocab.json with merges.txt, and the model has %d tokens, "+
					"want %d for the embedded GPT-2 vocabulary", size, gpt2Size),
				hint)
	}
	return GPT2()
}

func exists(fsys fs.FS, name string) bool {
	_, err := fs.Stat(fsys, name)
	return err == nil
}

// read reads a file of at most maxFileBytes.
func read(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", fault("%w", err)
	}
	defer f.Close()
	var text strings.Builder
	if info, err := f.Stat(); err == nil && info.Size() < maxFileBytes {
		text.Grow(int(info.Size()))
	}
	if _, err := io.Copy(&text, io.LimitReader(f, maxFileBytes+1)); err != nil {
		return "", fault("%s: %w", name, err)
	}
	if text.Len() > maxFileBytes {
		return "", fault("%s: more than %d bytes", name, maxFileBytes)
	}
	return text.String(), nil
}

// readObject reads a JSON file, or returns nil if there is none.
func readObject(fsys fs.FS, name string) (map[string]json.RawMessage, error) {
	if !exists(fsys, name) {
		return nil, nil
	}
	text, err := read(fsys, name)
	if err != nil {
		return nil, err
	}
	object := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return nil, fault("%s: %w", name, jsonfault.Explain(err))
	}
	return object, nil
}

// modelConfig is what a tokenizer takes from the model's config.json.
type modelConfig struct {
	exists    bool
	modelType string
	keys      map[string]json.RawMessage
}

func readConfig(fsys fs.FS) (*modelConfig, error) {
	keys, err := readObject(fsys, "config.json")
	if err != nil {
		return nil, err
	}
	c := &modelConfig{exists: keys != nil, keys: keys}
	json.Unmarshal(keys["model_type"], &c.modelType)
	return c, nil
}

// vocabulary returns vocab_size, or TransformerLens's d_vocab.
func (c *modelConfig) vocabulary() (int, error) {
	raw, key := c.keys["vocab_size"], "vocab_size"
	if lens, ok := c.keys["d_vocab"]; raw == nil && ok {
		raw, key = lens, "d_vocab"
	}
	size := 0
	if err := json.Unmarshal(raw, &size); err != nil || size < 1 {
		return 0, fault("config.json: %s is %.40q, want a positive number", key, raw)
	}
	return size, nil
}

// bos returns bos_token_id, or noToken.
func (c *modelConfig) bos() int {
	raw, id := c.keys["bos_token_id"], noToken
	var text map[string]json.RawMessage // the configuration of the text model, in a model of several parts
	if json.Unmarshal(c.keys["text_config"], &text) == nil && text["bos_token_id"] != nil {
		raw = text["bos_token_id"]
	}
	if absent(raw) || json.Unmarshal(raw, &id) != nil {
		return noToken
	}
	return id
}

// gpt2 reports whether the model is GPT-2: by its type or, in TransformerLens's form, by the lack of one.
func (c *modelConfig) gpt2() bool { return c.modelType == "gpt2" || c.modelType == "" }

// readVocabFiles reads vocab.json, an object of ids by token, and merges.txt, which has a line for each
// merge. Both spell bytes as GPT-2's printable characters.
func readVocabFiles(fsys fs.FS) (*builder, error) {
	text, err := read(fsys, "vocab.json")
	if err != nil {
		return nil, err
	}
	b := newBuilder(gpt2Size, gpt2Size)
	s := &scanner{text: text}
	if !utf8.ValidString(text) {
		return nil, fault("vocab.json: not UTF-8")
	}
	if err = b.readVocab(s); err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, fmt.Errorf("vocab.json: %w", err)
	}
	if text, err = read(fsys, "merges.txt"); err != nil {
		return nil, err
	}
	i := 0
	for line := range strings.Lines(text) {
		i++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line == "" || strings.HasPrefix(line, "#version") {
			continue
		}
		if err := b.mergeLine(line); err != nil {
			return nil, fmt.Errorf("merges.txt: line %d: %w", i, err)
		}
	}
	return b, nil
}
