package tokenizer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"ducklens/engine/tokenizer"
)

// small is a vocabulary in printable characters: the 256 bytes, three merges and the end of text.
func small() (vocab map[string]int, merges []string) {
	vocab = map[string]int{}
	for b := range 256 {
		vocab[tokenizer.Printable(string([]byte{byte(b)}))] = b
	}
	vocab["Ġa"], vocab["Ġab"], vocab["bb"], vocab["<|endoftext|>"] = 256, 257, 258, 259
	return vocab, []string{"Ġ a", "Ġa b", "b b"}
}

func marshal(tb testing.TB, x any) []byte {
	tb.Helper()
	text, err := json.Marshal(x)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func folder(tb testing.TB, vocab any, merges []string) fstest.MapFS {
	tb.Helper()
	return fstest.MapFS{
		"vocab.json":  {Data: marshal(tb, vocab)},
		"merges.txt":  {Data: []byte("#version: 0.2\n" + strings.Join(merges, "\n") + "\n")},
		"config.json": {Data: []byte(`{"vocab_size": 260}`)},
	}
}

// fast writes a tokenizer.json, after change has edited it.
func fast(tb testing.TB, pairs bool, change func(file, model map[string]any)) fstest.MapFS {
	tb.Helper()
	vocab, merges := small()
	list := make([]any, len(merges))
	for i, m := range merges {
		list[i] = m
		if left, right, _ := strings.Cut(m, " "); pairs {
			list[i] = []string{left, right}
		}
	}
	model := map[string]any{"type": "BPE", "dropout": nil, "unk_token": "", "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false, "vocab": vocab, "merges": list}
	file := map[string]any{
		"version":       "1.0",
		"added_tokens":  []any{map[string]any{"id": 259, "content": "<|endoftext|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": true}},
		"normalizer":    nil,
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
		"model":         model,
	}
	if change != nil {
		change(file, model)
	}
	return fstest.MapFS{"tokenizer.json": {Data: marshal(tb, file)}}
}

// A vocabulary gives the same ids in each of its three forms.
func TestLoad(t *testing.T) {
	t.Parallel()
	vocab, merges := small()
	windows := folder(t, vocab, merges)
	windows["merges.txt"].Data = []byte("#version: 0.2\r\nĠ a\r\nĠa b\r\nb b")
	for name, fsys := range map[string]fstest.MapFS{
		"vocab.json":            folder(t, vocab, merges),
		"lines of Windows":      windows,
		"tokenizer.json":        fast(t, false, nil),
		"tokenizer.json, pairs": fast(t, true, nil),
	} {
		tok, err := tokenizer.Load(fsys)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if tok.VocabSize() != 260 || tok.EndOfText() != 259 {
			t.Errorf("%s: %d tokens, end of text %d", name, tok.VocabSize(), tok.EndOfText())
		}
		if got, want := must(tok.Encode(" abb<|endoftext|>bbb")), []int{257, 'b', 259, 258, 'b'}; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if got := tok.Token(257); got != " ab" {
			t.Errorf("%s: token 257 is %q", name, got)
		}
	}
}

// All added tokens are matched, the longest first.
func TestAddedTokens(t *testing.T) {
	t.Parallel()
	tok, err := tokenizer.Load(fast(t, false, func(file, _ map[string]any) {
		for i, text := range []string{"<é>", "<é><", "b b"} {
			file["added_tokens"] = append(file["added_tokens"].([]any), map[string]any{"id": 260 + i, "content": text})
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	text := "<é><é>b bb"
	if got, want := must(tok.Encode(text)), []int{261, 0xc3, 0xa9, '>', 262, 'b'}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := tok.Decode(must(tok.Encode(text))); got != text {
		t.Errorf("%q comes back as %q", text, got)
	}
}

func TestLoadEmbedded(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{"Hugging Face": `{"vocab_size": 50257}`, "TransformerLens": `{"d_vocab": 50257}`} {
		tok, err := tokenizer.Load(fstest.MapFS{"config.json": {Data: []byte(config)}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if tok.Source() != "embedded GPT-2" || !slices.Equal(must(tok.Encode(" Mary")), []int{5335}) {
			t.Errorf("%s: %s", name, tok.Source())
		}
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	vocab, merges := small()
	with := func(token string, id int) fstest.MapFS {
		changed := maps.Clone(vocab)
		changed[token] = id
		return folder(t, changed, merges)
	}
	lines := func(list ...string) fstest.MapFS { return folder(t, vocab, list) }
	file := func(name, text string) fstest.MapFS {
		fsys := folder(t, vocab, merges)
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
		return fsys
	}
	model := func(key string, value any) fstest.MapFS {
		return fast(t, false, func(_, model map[string]any) { model[key] = value })
	}
	top := func(key string, value any) fstest.MapFS {
		return fast(t, false, func(file, _ map[string]any) { file[key] = value })
	}
	node := func(key string, fields ...any) fstest.MapFS {
		n := map[string]any{}
		for i := 0; i < len(fields); i += 2 {
			n[fields[i].(string)] = fields[i+1]
		}
		return top(key, n)
	}
	split := func(pattern any, fields ...any) fstest.MapFS {
		return node("pre_tokenizer", append([]any{"type", "Split", "pattern", pattern}, fields...)...)
	}
	regex := func(expression string) fstest.MapFS {
		return split(map[string]any{"Regex": expression}, "behavior", "Isolated")
	}
	half := folder(t, vocab, merges)
	delete(half, "merges.txt")
	for name, c := range map[string]struct {
		fsys fstest.MapFS
		text string
	}{
		"nothing":                 {fstest.MapFS{}, "nor config.json"},
		"another size":            {fstest.MapFS{"config.json": {Data: []byte(`{"vocab_size": 1015}`)}}, "1015"},
		"size missing":            {fstest.MapFS{"config.json": {Data: []byte(`{}`)}}, "vocab_size"},
		"size no number":          {fstest.MapFS{"config.json": {Data: []byte(`{"vocab_size": "x"}`)}}, "vocab_size"},
		"half":                    {half, "only one"},
		"config no JSON":          {file("config.json", "{"), "config.json"},
		"no JSON":                 {file("vocab.json", "{"), "vocab.json"},
		"a list":                  {file("vocab.json", "[]"), "vocab.json"},
		"id no number":            {file("vocab.json", `{"a": "b"}`), "vocab.json"},
		"two ids":                 {with("zz", 257), "both have id 257"},
		"id negative":             {with("zz", -1), "-1"},
		"id broken":               {file("vocab.json", `{"a": 1.5}`), "1.5"},
		"id of 10^12":             {with("zz", 1e12), "1000000000000"},
		"empty token":             {with("", 260), "empty"},
		"long token":              {with(strings.Repeat("z", 5000), 260), "5000 bytes"},
		"merge of one":            {lines("Ġ a", "bb"), "line 3"},
		"merge of three":          {lines("Ġ a b"), "line 2"},
		"merge of unknown":        {lines("x y"), `"xy"`},
		"word piece":              {model("type", "WordPiece"), "WordPiece"},
		"dropout":                 {model("dropout", 0.1), "dropout"},
		"prefix":                  {model("continuing_subword_prefix", "##"), "##"},
		"merge no text":           {model("merges", []any{1}), "merge 0"},
		"merge of three texts":    {model("merges", []any{[]string{"a", "b", "c"}}), "merge 0"},
		"vocabulary a list":       {model("vocab", []any{}), "vocab"},
		"vocabulary missing":      {top("model", map[string]any{"type": "BPE", "merges": []any{}}), "missing"},
		"Unigram":                 {top("model", map[string]any{"type": "Unigram", "vocab": []any{}}), "Unigram"},
		"no model":                {top("model", nil), "model"},
		"suffix":                  {model("end_of_word_suffix", "</w>"), "end_of_word_suffix"},
		"field of the model":      {model("cache", 1), "cache"},
		"flag no flag":            {model("byte_fallback", "yes"), "byte_fallback"},
		"normalizer":              {node("normalizer", "type", "Precompiled"), "Precompiled"},
		"normalizer without type": {node("normalizer"), "without a type"},
		"normalizer a text":       {top("normalizer", "NFC"), "normalizer"},
		"field of a normalizer":   {node("normalizer", "type", "NFC", "version", 9), "version"},
		"normalizers too deep":    {top("normalizer", nested(100)), "deep"},
		"pre-tokenizer":           {node("pre_tokenizer", "type", "BertPreTokenizer"), "BertPreTokenizer"},
		"metaspace":               {node("pre_tokenizer", "type", "Metaspace", "replacement", "ab"), "replacement"},
		"scheme":                  {node("pre_tokenizer", "type", "Metaspace", "replacement", "_", "prepend_scheme", "last"), "last"},
		"two schemes":             {node("pre_tokenizer", "type", "Metaspace", "replacement", "_", "prepend_scheme", "first", "add_prefix_space", false), "add_prefix_space"},
		"behavior":                {split(map[string]any{"String": "a"}, "behavior", "Kept"), "Kept"},
		"behavior missing":        {split(map[string]any{"String": "a"}), "behavior"},
		"pattern":                 {split(map[string]any{"Glob": "a"}, "behavior", "Removed"), "Glob"},
		"pattern a number":        {split(1, "behavior", "Removed"), "pattern"},
		"look behind":             {regex(`(?<=a)b`), "(?<="},
		"back reference":          {regex(`(a)\1`), `\1`},
		"bracket":                 {regex(`(a`), "without"},
		"class":                   {regex(`[a`), "without"},
		"script":                  {regex(`\p{Klingon}`), "Klingon"},
		"nothing repeated":        {regex(`+`), "repeats nothing"},
		"endless":                 {regex(`(a*)*`), "endless"},
		"too large":               {regex(`((a{1000}){1000}){1000}`), "instructions"},
		"groups too deep":         {regex(strings.Repeat("(", 100) + strings.Repeat(")", 100)), "deep"},
		"post-processor":          {node("post_processor", "type", "Other"), "Other"},
		"template":                {node("post_processor", "type", "TemplateProcessing", "single", []any{map[string]any{"SpecialToken": map[string]any{"id": "<s>"}}}), "single"},
		"id of a template":        {node("post_processor", "type", "RobertaProcessing", "cls", []any{"<s>", 999}, "sep", []any{"<s>", 0}), "999"},
		"decoder":                 {node("decoder", "type", "CTC"), "CTC"},
		"half a surrogate":        {fstest.MapFS{"tokenizer.json": {Data: []byte(`{"model": {"vocab": {"\ud800": 0}, "merges": []}}`)}}, "surrogate"},
		"not UTF-8":               {fstest.MapFS{"tokenizer.json": {Data: []byte("{\"model\": \"\xff\"}")}}, "UTF-8"},
		"more after it":           {fstest.MapFS{"tokenizer.json": {Data: append(fast(t, false, nil)["tokenizer.json"].Data, '1')}}, "the end"},
		"cut off":                 {fstest.MapFS{"tokenizer.json": {Data: []byte(`{"model": {"vocab": {"a": 0`)}}, "byte"},
		"SentencePiece":           {fstest.MapFS{"tokenizer.model": {}, "config.json": {Data: []byte(`{"vocab_size": 32000}`)}}, "tokenizer.model"},
		"another class":           {file("tokenizer_config.json", `{"tokenizer_class": "CLIPTokenizer"}`), "CLIPTokenizer"},
		"settings no JSON":        {file("tokenizer_config.json", `[`), "tokenizer_config.json"},
		"added no object":         {file("tokenizer_config.json", `{"added_tokens_decoder": {"x": {"content": "<x>"}}}`), "token id"},
		"two added with one id":   {file("added_tokens.json", `{"<a>": 260, "<b>": 260}`), "one id"},
	} {
		_, err := tokenizer.Load(c.fsys)
		checkFault(t, name, err, c.text)
	}
}

// nested wraps a node in many sequences.
func nested(depth int) any {
	var n any = map[string]any{"type": "NFC"}
	for range depth {
		n = map[string]any{"type": "Sequence", "normalizers": []any{n}}
	}
	return n
}

// Decoding gives the same bytes back, and every id is in the vocabulary.
func FuzzEncode(f *testing.F) {
	gpt := gpt2(f)
	for _, text := range append(slices.Clone(alphabet), "When Mary and John went to the store,", "<|endoftext|><|endoftext", strings.Repeat("a", 100)) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids := must(gpt.Encode(text))
		for _, id := range ids {
			if gpt.Token(id) == "" {
				t.Errorf("id %d", id)
			}
		}
		if got := gpt.Decode(ids); got != text {
			t.Errorf("%q comes back as %q", text, got)
		}
	})
}

// Any files are either refused or give a tokenizer whose ids are in its vocabulary.
func FuzzLoad(f *testing.F) {
	vocab, merges := small()
	f.Add(marshal(f, vocab), []byte(strings.Join(merges, "\n")), []byte(`{"add_prefix_space": true, "bos_token": "Ġa"}`), false)
	f.Add([]byte(`{"Ā": 0, "ā": 99999999999}`), []byte("#version\n\n\n"), []byte(nil), false)
	f.Add(fast(f, true, nil)["tokenizer.json"].Data, []byte(nil), []byte(`{"added_tokens_decoder": {"7": {"content": "<x>"}}}`), true)
	for _, m := range madeTokenizers(f) {
		f.Add([]byte(m.File), []byte(nil), []byte(nil), true)
	}
	f.Fuzz(func(t *testing.T, text, merges, settings []byte, whole bool) {
		fsys := fstest.MapFS{"vocab.json": {Data: text}, "merges.txt": {Data: merges}}
		if whole {
			fsys = fstest.MapFS{"tokenizer.json": {Data: text}}
		}
		if len(settings) > 0 {
			fsys["tokenizer_config.json"] = &fstest.MapFile{Data: settings}
		}
		tok, err := tokenizer.Load(fsys)
		if err != nil {
			if !errors.Is(err, tokenizer.ErrVocabulary) {
				t.Errorf("%v is not an ErrVocabulary", err)
			}
			return
		}
		checkIDs(t, tok)
	})
}

// checkIDs encodes texts and checks that their ids are in the vocabulary.
func checkIDs(t *testing.T, tok *tokenizer.Tokenizer) {
	t.Helper()
	for _, text := range []string{"", "When Mary's 12 ducks ▁ \n\n<s>é", "\xff\x00a b", strings.Repeat("ab ", 100)} {
		for _, bos := range []tokenizer.BOS{tokenizer.AutoBOS, tokenizer.WithBOS, tokenizer.WithoutBOS} {
			for _, id := range must(tok.EncodeBOS(text, bos)) {
				if id < 0 || id >= tok.VocabSize() {
					t.Fatalf("%q has id %d of %d", text, id, tok.VocabSize())
				}
			}
		}
	}
}

func checkFault(t *testing.T, name string, err error, text string) {
	t.Helper()
	if !errors.Is(err, tokenizer.ErrVocabulary) || !strings.Contains(fmt.Sprint(err), text) {
		t.Errorf("%s: %v, want an ErrVocabulary that names %q", name, err, text)
	}
}

func lines(text []byte) []string { return strings.Split(string(text), "\n") }
