package tokenizer

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"ducklens/engine/internal/jsonfault"
)

// readTokenizerJSON reads a tokenizer.json of Hugging Face's tokenizers. It ignores truncation and padding:
// how much of a text is read is not the tokenizer's decision.
func readTokenizerJSON(fsys fs.FS, name string) (*builder, error) {
	text, err := read(fsys, name)
	if err != nil {
		return nil, err
	}
	b, err := parseTokenizerJSON(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

func parseTokenizerJSON(text string) (*builder, error) {
	if !utf8.ValidString(text) {
		return nil, fault("not UTF-8")
	}
	s := &scanner{text: text}
	// About as in Gemma's file, the largest; for smaller files these grow.
	b := newBuilder(len(text)/128, len(text)/64)
	nodes := map[string]json.RawMessage{}
	models := 0
	err := s.object(func(key string) (err error) {
		if key == "model" {
			if models++; models > 1 {
				return fault("two models")
			}
			return b.readModel(s)
		}
		nodes[key], err = s.raw()
		return err
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, err
	}
	if models == 0 {
		return nil, fault("no model")
	}
	for _, part := range []struct {
		key  string
		read func(json.RawMessage) error
	}{
		{"normalizer", b.readNormalizer},
		{"pre_tokenizer", b.readPreTokenizer},
		{"post_processor", b.readPostProcessor},
		{"decoder", b.readDecoder},
		{"added_tokens", b.readAdded},
	} {
		if err := part.read(nodes[part.key]); err != nil {
			return nil, fmt.Errorf("%s: %w", part.key, err)
		}
	}
	return b, nil
}

// readModel reads the model. If its merges come before the vocabulary, they wait for it.
func (b *builder) readModel(s *scanner) error {
	if s.next() != '{' {
		return fault("the model is no object")
	}
	f := &fields{left: map[string]json.RawMessage{}}
	var merges *scanner
	vocab := false
	err := s.object(func(key string) (err error) {
		switch {
		case key == "vocab" && !vocab && s.next() == '{':
			vocab = true
			return b.readVocab(s)
		case key == "merges" && merges == nil && vocab:
			merges = s
			return b.readMerges(s)
		case key == "merges" && merges == nil:
			raw, err := s.raw()
			merges = &scanner{text: string(raw)}
			return err
		}
		f.left[key], err = s.raw()
		return err
	})
	if err != nil {
		return err
	}
	if !vocab || merges == nil {
		return fault("the model needs a vocab, an object of ids by token, and merges: %s", kindOf(f))
	}
	if err := b.readModelFields(f); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	if merges != s {
		return b.readMerges(merges)
	}
	return nil
}

func kindOf(f *fields) string {
	if kind := f.text("type"); kind != "BPE" && kind != "" {
		return fmt.Sprintf("it is %q, want \"BPE\"", kind)
	}
	return "one of them is missing"
}

func (b *builder) readModelFields(f *fields) error {
	if kind := f.text("type"); kind != "BPE" && kind != "" && f.err == nil {
		return fault("type is %q, want \"BPE\"", kind)
	}
	b.unknownToken, b.fuse = f.text("unk_token"), f.flag("fuse_unk", false)
	b.byteFallback, b.ignoreMerges = f.flag("byte_fallback", false), f.flag("ignore_merges", false)
	var dropout float64
	if f.take("dropout", &dropout); dropout != 0 {
		return fault("dropout is %v, want none: ids would be drawn at random", dropout)
	}
	for _, name := range []string{"continuing_subword_prefix", "end_of_word_suffix"} {
		if value := f.text(name); value != "" {
			return fault("%s is %q, want none", name, value)
		}
	}
	return f.done()
}

func (b *builder) readVocab(s *scanner) error {
	return s.object(func(token string) error {
		id, err := s.integer()
		if err != nil {
			return fmt.Errorf("vocab: %w", err)
		}
		return b.put(token, id)
	})
}

// readMerges reads merges as "a b" or, since tokenizers 0.20, ["a", "b"].
func (b *builder) readMerges(s *scanner) error {
	n := 0
	return s.array(func() (err error) {
		if s.next() == '[' {
			var pair [2]string
			i := 0
			if err = s.array(func() error {
				token, err := s.string()
				if i < len(pair) {
					pair[i] = token
				}
				i++
				return err
			}); err == nil && i != len(pair) {
				err = fault("%d texts, want two", i)
			}
			if err == nil {
				err = b.merge(pair[0], pair[1])
			}
		} else {
			var line string
			if line, err = s.string(); err == nil && !strings.HasPrefix(line, "#version") {
				err = b.mergeLine(line)
			}
		}
		if err != nil {
			return fmt.Errorf("merge %d: %w", n, err)
		}
		n++
		return nil
	})
}

func (b *builder) readAdded(raw json.RawMessage) error {
	if absent(raw) {
		return nil
	}
	var list []addedToken
	if err := json.Unmarshal(raw, &list); err != nil {
		return fault("%w", jsonfault.Explain(err))
	}
	return b.add(list)
}
