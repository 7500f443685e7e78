package tokenizer_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/text/unicode/norm"

	"ducklens/engine/tokenizer"
)

// normalizing returns what a normalizer makes of a text. Its vocabulary has a token for every byte and no
// merges, so ids are bytes.
func normalizing(tb testing.TB, node map[string]any) func(string) string {
	tb.Helper()
	tok, err := tokenizer.Load(fast(tb, false, func(file, model map[string]any) {
		file["normalizer"] = node
		file["pre_tokenizer"] = map[string]any{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}
		model["merges"] = []any{}
	}))
	if err != nil {
		tb.Fatal(err)
	}
	return func(text string) string { return tok.Decode(must(tok.Encode(text))) }
}

func TestNormalizers(t *testing.T) {
	t.Parallel()
	pattern := func(kind, text string) map[string]any { return map[string]any{kind: text} }
	for _, c := range []struct {
		node       map[string]any
		text, want string
	}{
		{map[string]any{"type": "Lowercase"}, "ÀΣİK\u1c89Z\xff", "àσi̇k\u1c8az\xff"},
		{map[string]any{"type": "Prepend", "prepend": "▁"}, " a", "▁ a"},
		{map[string]any{"type": "Prepend", "prepend": "▁"}, "", ""},
		{map[string]any{"type": "Strip", "strip_left": true, "strip_right": false}, " \u3000a ", "a "},
		{map[string]any{"type": "Strip", "strip_left": false, "strip_right": true}, " a\n\u0085", " a"},
		{map[string]any{"type": "Replace", "pattern": pattern("String", "a"), "content": "bb"}, "aca", "bbcbb"},
		{map[string]any{"type": "Replace", "pattern": pattern("Regex", ` {2,}|\n`), "content": "_"}, "a   b c\n", "a_b c_"},
		{map[string]any{"type": "NFC"}, "e\u0301 \u1100\u1161\u11a8 \u212b \u0958", "é 각 Å \u0915\u093c"},
		{map[string]any{"type": "NFD"}, "ệ각", "e\u0323\u0302\u1100\u1161\u11a8"},
		{map[string]any{"type": "NFKC"}, "ﬁ²ｶﾞ", "fi2ガ"},
		{map[string]any{"type": "NFKD"}, "ﬁé", "fie\u0301"},
		{map[string]any{"type": "NFC"}, "a" + strings.Repeat("\u0300", 40), "à" + strings.Repeat("\u0300", 39)},
		{map[string]any{"type": "NFC"}, "a\u1df7\u0301\xff", "a\u1df7\u0301\xff"}, // U+1DF7 is newer than Unicode 9
	} {
		if got := normalizing(t, c.node)(c.text); got != c.want {
			t.Errorf("%v: %+q becomes %+q, want %+q", c.node, c.text, got, c.want)
		}
	}
}

// The normal forms are those of package norm, as far as it can serve as a reference. It knows Unicode 9 and
// at most 30 marks in a row, and it moves marks across U+09BE and U+FF9E although these are starters.
func TestNormalForms(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(*seed, 5))
	t.Logf("-seed %d", *seed)
	chars := []string{"a", "e", "o", "é", "ệ", "ﬁ", "가", "각", "\u1100", "\u1161", "\u11a8", "\u0300", "\u0301", "\u0323", "\u0345", "\u093c", "क",
		"\u0958", "\u09c7\u09be", "\u0f71", "\u0f72", "\u0f73", "Å", "\u212b", "½", "ｶﾞ", "\u0344", "\u05b4", "\u05bc", "中", " "}
	for name, form := range map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD} {
		normalize := normalizing(t, map[string]any{"type": name})
		for range 3000 {
			text := randomText(r, chars)
			if got, want := normalize(text), form.String(text); got != want {
				t.Fatalf("%s: %+q becomes %+q, want %+q", name, text, got, want)
			}
		}
	}
}

// beside makes a folder of vocab.json, merges.txt and further files.
func beside(tb testing.TB, files map[string]string) fstest.MapFS {
	tb.Helper()
	vocab, merges := small()
	fsys := folder(tb, vocab, merges)
	delete(fsys, "config.json")
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}
