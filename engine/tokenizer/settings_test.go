package tokenizer_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/fstest"

	"ducklens/engine/tokenizer"
)

// Files beside the vocabulary have the effect that they have in transformers. The vocabulary is that of
// small: bytes, Ġa, Ġab, bb, and the end of text, which is 259.
func TestSettings(t *testing.T) {
	t.Parallel()
	const gpt2 = `{"model_type": "gpt2", "vocab_size": 260}`
	whole := func(files map[string]string, change func(file, model map[string]any)) fstest.MapFS {
		fsys := fast(t, false, change)
		for name, text := range files {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
		return fsys
	}
	template := func(file, _ map[string]any) {
		piece := func(kind, id string) map[string]any {
			return map[string]any{kind: map[string]any{"id": id, "type_id": 0}}
		}
		file["post_processor"] = map[string]any{
			"type": "TemplateProcessing", "pair": []any{},
			"single":         []any{piece("SpecialToken", "x"), piece("Sequence", "A"), piece("SpecialToken", "y")},
			"special_tokens": map[string]any{"x": map[string]any{"id": "x", "ids": []int{1}}, "y": map[string]any{"id": "y", "ids": []int{2}}},
		}
	}
	for name, c := range map[string]struct {
		fsys fstest.MapFS
		text string
		want []int // with BOS by the tokenizer's own policy
		bos  int
	}{
		"GPT-2's own":           {beside(t, nil), "a<|endoftext|>", []int{259, 'a', 259}, 259},
		"GPT-2 by its type":     {whole(map[string]string{"config.json": gpt2}, nil), "a", []int{259, 'a'}, 259},
		"TransformerLens":       {whole(map[string]string{"config.json": `{"d_vocab": 260}`}, nil), "a", []int{259, 'a'}, 259},
		"another type":          {whole(map[string]string{"config.json": `{"model_type": "gptj", "bos_token_id": 259}`}, nil), "a", []int{'a'}, 259},
		"tokenizer.json alone":  {whole(nil, nil), "a", []int{'a'}, -1},
		"tokenizer.json wins":   {whole(map[string]string{"vocab.json": `{"a": 7}`, "merges.txt": ""}, nil), "a", []int{'a'}, -1},
		"template":              {whole(nil, template), "a", []int{1, 'a', 2}, 1},
		"template of GPT-2":     {whole(map[string]string{"config.json": gpt2}, template), "a", []int{1, 'a', 2}, 1},
		"prefix space":          {beside(t, map[string]string{"tokenizer_config.json": `{"add_prefix_space": true}`}), "ab<|endoftext|>a a", []int{259, 257, 259, 256, 256}, 259},
		"prefix space, whole":   {whole(map[string]string{"tokenizer_config.json": `{"add_prefix_space": true, "tokenizer_class": "GPT2Tokenizer"}`}, nil), "ab", []int{257}, -1},
		"BOS of its own":        {beside(t, map[string]string{"special_tokens_map.json": `{"bos_token": "bb"}`}), "abb", []int{258, 'a', 258}, 258},
		"BOS as an object":      {beside(t, map[string]string{"tokenizer_config.json": `{"bos_token": {"content": "<b>", "lstrip": true}}`}), "a  <b>", []int{260, 'a', 260}, 260},
		"adds BOS":              {beside(t, map[string]string{"config.json": `{"model_type": "opt"}`, "tokenizer_config.json": `{"add_bos_token": true, "bos_token": "bb"}`}), "a", []int{258, 'a'}, 258},
		"adds none":             {beside(t, map[string]string{"config.json": `{"model_type": "opt"}`}), "a", []int{'a'}, 259},
		"adds both":             {beside(t, map[string]string{"tokenizer_config.json": `{"add_eos_token": true, "eos_token": "<|endoftext|>"}`}), "a", []int{259, 'a', 259}, 259},
		"added_tokens.json":     {beside(t, map[string]string{"added_tokens.json": `{"<y>": 261, "<x>": 260}`}), "<x><y>", []int{259, 260, 261}, 259},
		"ids are the library's": {beside(t, map[string]string{"added_tokens.json": `{"<x>": 900}`}), "<x>", []int{259, 260}, 259},
		"added_tokens_decoder": {beside(t, map[string]string{
			"tokenizer_config.json":   `{"added_tokens_decoder": {"260": {"content": "<x>", "rstrip": true}}, "pad_token": "<p>"}`,
			"special_tokens_map.json": `{"bos_token": "bb"}`, "added_tokens.json": `{"<z>": 261}`,
		}), "<x>  a<p>", []int{259, 260, 'a', 261}, 259},
		"extra tokens":        {beside(t, map[string]string{"tokenizer_config.json": `{"additional_special_tokens": ["<x>", {"content": "<y>"}], "image_token": "<i>"}`}), "<i><x><y>", []int{259, 260, 261, 262}, 259},
		"beside a whole file": {whole(map[string]string{"added_tokens.json": `{"<x>": 260}`, "special_tokens_map.json": `{"unk_token": "bb"}`}, nil), "<x>abbb", []int{260, 'a', 258, 'b'}, -1},
		"flags of a whole file": {whole(map[string]string{"added_tokens.json": `{"<x>": 260}`}, func(file, _ map[string]any) {
			file["added_tokens"] = []any{map[string]any{"id": 260, "content": "<x>", "lstrip": true}}
		}), "a  <x>", []int{'a', 260}, -1},
		"two roles":        {beside(t, map[string]string{"special_tokens_map.json": `{"mask_token": {"content": "<x>", "lstrip": true}, "eos_token": "<x>"}`}), "a  <x>", []int{259, 'a', 260}, 259},
		"Qwen":             {beside(t, map[string]string{"config.json": `{"model_type": "qwen3"}`}), "12 e\u0301", []int{'1', '2', ' ', 0xc3, 0xa9}, -1},
		"BOS of the model": {whole(map[string]string{"config.json": `{"model_type": "llama", "text_config": {"bos_token_id": 258}}`}, nil), "a", []int{'a'}, 258},
		"lists as ids":     {whole(map[string]string{"config.json": `{"model_type": "llama", "bos_token_id": [258]}`}, nil), "a", []int{'a'}, -1},
	} {
		tok, err := tokenizer.Load(c.fsys)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		bos, ok := tok.BOS()
		if got := must(tok.EncodeBOS(c.text, tokenizer.AutoBOS)); !slices.Equal(got, c.want) || bos != c.bos || ok != (c.bos >= 0) {
			t.Errorf("%s: %q is %v with BOS %d, want %v with %d", name, c.text, got, bos, c.want, c.bos)
		}
		if adds := bos >= 0 && c.want[0] == bos && c.text[0] != '<'; c.text[0] != '<' && tok.AddsBOS() != adds {
			t.Errorf("%s: BOS is added: %v", name, tok.AddsBOS())
		}
	}
}

func TestBOS(t *testing.T) {
	t.Parallel()
	gpt := gpt2(t)
	for _, c := range []struct {
		bos  tokenizer.BOS
		want []int
	}{
		{tokenizer.AutoBOS, []int{50256, 5335}},
		{tokenizer.WithBOS, []int{50256, 5335}},
		{tokenizer.WithoutBOS, []int{5335}},
	} {
		if got := must(gpt.EncodeBOS(" Mary", c.bos)); !slices.Equal(got, c.want) {
			t.Errorf("%d: %v, want %v", c.bos, got, c.want)
		}
	}
	for text, want := range map[string]bool{"": false, "a<|endoftext|>": false, "<|endoftext|>": true, "<|endoftext|> a": true, "<|endoftext": false} {
		if got := gpt.BeginsWithBOS(text); got != want {
			t.Errorf("%q begins with BOS: %v", text, got)
		}
	}
	llama := loadMade(t, madeTokenizers(t)["llama"])
	if !llama.AddsBOS() || !llama.BeginsWithBOS("<s>x") || llama.BeginsWithBOS("x<s>") || llama.BeginsWithBOS(" <s>") {
		t.Error("a SentencePiece tokenizer does not add its BOS, or takes something else for it")
	}
	none := loadMade(t, madeTokenizers(t)["possessive"])
	if _, ok := none.BOS(); ok || none.AddsBOS() || none.BeginsWithBOS("<s>") || none.EndOfText() != -1 || len(must(none.EncodeBOS("", tokenizer.WithBOS))) > 0 {
		t.Error("a tokenizer without BOS has one")
	}
}

// Bytes and characters without a token are dropped, or become the unknown token or tokens of their bytes.
func TestUnknown(t *testing.T) {
	t.Parallel()
	vocab, _ := small()
	delete(vocab, "z")
	tok, err := tokenizer.Load(folder(t, vocab, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := must(tok.Encode("azb")); !slices.Equal(got, []int{'a', 'b'}) {
		t.Errorf("%v, want a and b", got)
	}
	small := map[string]int{"<unk>": 0, "<0xC3>": 1, "<0xA9>": 2, "a": 3, "b": 4, "ab": 5, "<0xFF>": 6, "▁": 7}
	for _, c := range []struct {
		fields string
		want   []int
	}{
		{`"unk_token": null`, []int{5, 3}},
		{`"unk_token": "<unk>"`, []int{0, 5, 0, 0, 0, 3, 0}},
		{`"unk_token": "<unk>", "fuse_unk": true`, []int{0, 5, 0, 3, 0}},
		{`"unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true`, []int{1, 2, 5, 1, 2, 0, 3, 6}},
		{`"unk_token": "?", "byte_fallback": true`, []int{1, 2, 5, 1, 2, 3, 6}},
	} {
		text := `{"model": {"vocab": ` + string(marshal(t, small)) + `, "merges": ["a b"], ` + c.fields + `}}`
		tok, err := tokenizer.Load(fstest.MapFS{"tokenizer.json": {Data: []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := must(tok.Encode("éabézza\xff")); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.fields, got, c.want)
		}
	}
}

// A piece that is itself a token is taken without merging. If a pair has two merges, the last one counts.
func TestMergeRules(t *testing.T) {
	t.Parallel()
	vocab := map[string]int{"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5, "cab": 6}
	for _, c := range []struct {
		ignore bool
		merges []string
		text   string
		want   []int
	}{
		{false, []string{"b c", "a b"}, "abc", []int{0, 4}},
		{true, []string{"b c", "a b"}, "abc", []int{5}},
		{false, []string{"a b", "b c", "a b"}, "abc", []int{0, 4}},
		{false, []string{"a b", "ab c", "c ab"}, "abcab", []int{5, 3}},
	} {
		file := marshal(t, map[string]any{"model": map[string]any{"type": "BPE", "vocab": vocab, "merges": c.merges, "ignore_merges": c.ignore}})
		tok, err := tokenizer.Load(fstest.MapFS{"tokenizer.json": {Data: file}})
		if err != nil {
			t.Fatal(err)
		}
		if got := must(tok.Encode(c.text)); !slices.Equal(got, c.want) {
			t.Errorf("%v, ignore %v: %v, want %v", c.merges, c.ignore, got, c.want)
		}
	}
}

// The decoder says which bytes a token stands for; without a decoder, the other nodes do.
func TestTokenBytes(t *testing.T) {
	t.Parallel()
	vocab := map[string]int{"▁a": 0, "<0xE2>": 1, "<s>▁": 2, "Ġb": 3, "Ġ中": 4, "_": 5}
	for _, c := range []struct {
		nodes string
		want  []string
	}{
		{`{}`, []string{"▁a", "<0xE2>", "<s>▁", "Ġb", "Ġ中", "_"}},
		{`{"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}}`, []string{" a", "<0xE2>", "<s> ", "Ġb", "Ġ中", "_"}},
		{`{"pre_tokenizer": {"type": "Metaspace", "replacement": "_"}}`, []string{"▁a", "<0xE2>", "<s>▁", "Ġb", "Ġ中", " "}},
		{`{"pre_tokenizer": {"type": "ByteLevel"}}`, []string{"▁a", "<0xE2>", "<s>▁", " b", "Ġ中", "_"}},
		{`{"decoder": {"type": "ByteLevel"}}`, []string{"▁a", "<0xE2>", "<s>▁", " b", "Ġ中", "_"}},
		{`{"decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}}`,
			[]string{" a", "\xe2", "<s> ", "Ġb", "Ġ中", "_"}},
	} {
		file := map[string]any{}
		unmarshal(t, []byte(c.nodes), &file)
		file["model"] = map[string]any{"vocab": vocab, "merges": []any{}}
		file["added_tokens"] = []any{map[string]any{"id": 2, "content": "<s>▁"}}
		tok, err := tokenizer.Load(fstest.MapFS{"tokenizer.json": {Data: marshal(t, file)}})
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range c.want {
			if got := tok.Token(id); got != want {
				t.Errorf("%s: token %d is %q, want %q", c.nodes, id, got, want)
			}
		}
	}
}

// A vocabulary may come after the merges and contain escapes.
func TestOrder(t *testing.T) {
	t.Parallel()
	const text = `{"added_tokens": [{"content": "<x>"}], "extra": [1, {"a": "]"}], "model": {"merges": [["a", "\u0062"], "ab \ud83e\udd86"],
		"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "\ud83e\udd86": 3, "ab\ud83e\udd86": 4, "\ufffd\"\\": 5}}}`
	tok, err := tokenizer.Load(fstest.MapFS{"tokenizer.json": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	if got := must(tok.Encode("ab🦆<x>")); !slices.Equal(got, []int{4, 6}) || tok.Token(5) != "\ufffd\"\\" {
		t.Errorf("%v, and token 5 is %q", got, tok.Token(5))
	}
	if !json.Valid([]byte(text)) {
		t.Error("the test is no JSON")
	}
}

// ggml returns the small vocabulary in the form of a GGUF file.
func ggml(set map[string]any) fakeMetadata {
	vocab, merges := small()
	tokens, types := make([]string, len(vocab)), slices.Repeat([]int64{1}, len(vocab))
	for token, id := range vocab {
		tokens[id] = token
	}
	types[259] = 3
	m := fakeMetadata{"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types, "tokenizer.ggml.merges": merges}
	maps.Copy(m, set)
	return m
}

// pieces is a SentencePiece vocabulary with scores.
func pieces(set map[string]any) fakeMetadata {
	m := fakeMetadata{
		"tokenizer.ggml.model":      "llama",
		"tokenizer.ggml.tokens":     []string{"<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "ab", "▁a", "▁▁", "ba", "<sep>"},
		"tokenizer.ggml.token_type": []int64{2, 3, 3, 6, 1, 1, 1, 1, 1, 4, 1, 4},
		"tokenizer.ggml.scores":     []float64{0, 0, 0, 0, -9, -9, -9, -1, -2, -3, -1, 0},
	}
	maps.Copy(m, set)
	return m
}

func TestFromMetadata(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m    fakeMetadata
		text string
		want []int
		bos  int
	}{
		"GPT-2's pattern": {ggml(nil), "ab ab<|endoftext|>", []int{'a', 'b', 257, 259}, -1},
		"GPT-2":           {ggml(map[string]any{"general.architecture": "gpt2"}), "a", []int{259, 'a'}, 259},
		"adds BOS":        {ggml(map[string]any{"tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.bos_token_id": int64(258)}), "a", []int{258, 'a'}, 258},
		"adds none":       {ggml(map[string]any{"tokenizer.ggml.pre": "tekken", "tokenizer.ggml.bos_token_id": int64(258), "tokenizer.ggml.add_bos_token": false}), "bb", []int{258}, 258},
		"adds EOS":        {ggml(map[string]any{"tokenizer.ggml.eos_token_id": int64(259), "tokenizer.ggml.add_eos_token": true}), "a", []int{'a', 259}, -1},
		"digits":          {ggml(map[string]any{"tokenizer.ggml.pre": "smollm"}), "bb1", []int{258, '1'}, -1},
		"NFC":             {ggml(map[string]any{"tokenizer.ggml.pre": "qwen2"}), "e\u0301", []int{0xc3, 0xa9}, -1},
		"falcon":          {ggml(map[string]any{"tokenizer.ggml.pre": "falcon"}), "a`bb", []int{'a', '`', 258}, -1},
		"default":         {ggml(map[string]any{"tokenizer.ggml.pre": "default"}), " ab?bb", []int{257, '?', 258}, -1},
		"SentencePiece":   {pieces(nil), "ab\n<sep>ba", []int{1, 4, 7, 3, 11, 4, 10}, 1},
		"leftmost":        {pieces(nil), "bab", []int{1, 4, 10, 6}, 1},
		"no prefix":       {pieces(map[string]any{"tokenizer.ggml.add_space_prefix": false}), "a  a", []int{1, 5, 4, 8}, 1},
		"unknown":         {pieces(map[string]any{"tokenizer.ggml.unknown_token_id": int64(0), "tokenizer.ggml.add_bos_token": false}), "xya", []int{4, 0, 5}, 1},
	} {
		tok, err := tokenizer.FromMetadata(c.m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		bos, _ := tok.BOS()
		if got := must(tok.EncodeBOS(c.text, tokenizer.AutoBOS)); !slices.Equal(got, c.want) || bos != c.bos {
			t.Errorf("%s: %q is %v with BOS %d, want %v with %d", name, c.text, got, bos, c.want, c.bos)
		}
	}
}

func TestFromMetadataErrors(t *testing.T) {
	t.Parallel()
	tokens := func(list ...string) map[string]any {
		return map[string]any{"tokenizer.ggml.tokens": list, "tokenizer.ggml.token_type": nil}
	}
	for name, c := range map[string]struct {
		m    fakeMetadata
		text string
	}{
		"no tokens":        {fakeMetadata{}, "tokens"},
		"model":            {ggml(map[string]any{"tokenizer.ggml.model": "t5"}), "t5"},
		"pre":              {ggml(map[string]any{"tokenizer.ggml.pre": "kimi-k2"}), "kimi-k2"},
		"types":            {ggml(map[string]any{"tokenizer.ggml.token_type": []int64{1}}), "token_type"},
		"merges":           {ggml(map[string]any{"tokenizer.ggml.merges": nil}), "merges"},
		"merge of unknown": {ggml(map[string]any{"tokenizer.ggml.merges": []string{"x yy"}}), "merge 0"},
		"token twice":      {ggml(tokens("a", "a")), "both"},
		"token no UTF-8":   {ggml(tokens("a", "\xff")), "UTF-8"},
		"BOS":              {ggml(map[string]any{"tokenizer.ggml.bos_token_id": int64(300)}), "bos_token_id"},
		"EOS":              {ggml(map[string]any{"tokenizer.ggml.eos_token_id": int64(-1)}), "eos_token_id"},
		"scores":           {pieces(map[string]any{"tokenizer.ggml.scores": nil}), "scores"},
	} {
		_, err := tokenizer.FromMetadata(c.m)
		checkFault(t, name, err, c.text)
	}
}

func FuzzFromMetadata(f *testing.F) {
	f.Add("gpt2", "smollm", []byte("a\nb\nab\n▁a\n<s>"), []byte("a b\n▁ a"), []byte{1, 1, 1, 1, 3}, uint8(4), true)
	f.Add("llama", "", []byte("a\nb\nab\n▁\n▁a\n<0x41>"), []byte(""), []byte{1, 1, 1, 1, 1, 6}, uint8(0), false)
	f.Fuzz(func(t *testing.T, model, pre string, tokens, merges, types []byte, bos uint8, adds bool) {
		m := fakeMetadata{
			"tokenizer.ggml.model": model, "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": lines(tokens), "tokenizer.ggml.merges": lines(merges),
			"tokenizer.ggml.bos_token_id": int64(bos), "tokenizer.ggml.add_bos_token": adds,
		}
		var kinds []int64
		var scores []float64
		for i, b := range types {
			kinds, scores = append(kinds, int64(b)), append(scores, float64(b)-float64(i))
		}
		m["tokenizer.ggml.token_type"], m["tokenizer.ggml.scores"] = kinds, scores
		tok, err := tokenizer.FromMetadata(m)
		if err != nil {
			checkFault(t, model, err, "")
			return
		}
		checkIDs(t, tok)
	})
}

func ExampleTokenizer_EncodeBOS() {
	gpt, err := tokenizer.GPT2()
	if err != nil {
		panic(err)
	}
	fmt.Println(gpt.EncodeBOS(" Mary", tokenizer.AutoBOS))
	fmt.Println(gpt.EncodeBOS(" Mary", tokenizer.WithoutBOS))
	fmt.Println(gpt.BeginsWithBOS("<|endoftext|> Mary"))
	// Output:
	// [50256 5335] <nil>
	// [5335] <nil>
	// true
}

func ExampleLoad() {
	const file = `{
		"added_tokens": [{"content": "<s>", "special": true}],
		"normalizer": {"type": "Sequence", "normalizers": [
			{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
		"decoder": {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
		"model": {"type": "BPE", "vocab": {"<s>": 0, "▁": 1, "a": 2, "b": 3, "ab": 4, "▁ab": 5}, "merges": ["a b", "▁ ab"]}
	}`
	tok, err := tokenizer.Load(fstest.MapFS{"tokenizer.json": {Data: []byte(file)}})
	if err != nil {
		panic(err)
	}
	for _, id := range must(tok.Encode("ab <s>ba")) {
		fmt.Printf("%d %q\n", id, tok.Token(id))
	}
	// Output:
	// 5 " ab"
	// 1 " "
	// 0 "<s>"
	// 1 " "
	// 3 "b"
	// 2 "a"
}
