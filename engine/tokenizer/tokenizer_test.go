package tokenizer_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
	"github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"

	"ducklens/engine/internal/refdata"
	"ducklens/engine/tokenizer"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random tests")

func gpt2(tb testing.TB) *tokenizer.Tokenizer {
	tb.Helper()
	t, err := tokenizer.GPT2()
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// Token ids of GPT-2, as in its vocab.json.
func TestGPT2(t *testing.T) {
	t.Parallel()
	gpt := gpt2(t)
	if gpt.VocabSize() != 50257 || gpt.EndOfText() != 50256 {
		t.Errorf("%d tokens, end of text %d, want 50257 and 50256", gpt.VocabSize(), gpt.EndOfText())
	}
	for text, want := range map[string][]int{
		"":                              nil,
		" Mary":                         {5335},
		" John":                         {1757},
		"hello world":                   {31373, 995},
		"<|endoftext|>":                 {50256},
		"a<|endoftext|> Mary<|endoftex": {64, 50256, 5335, 27, 91, 437, 1659, 16886},
	} {
		if got := must(gpt.Encode(text)); !slices.Equal(got, want) {
			t.Errorf("Encode(%q) = %v, want %v", text, got, want)
		}
	}
	for id, want := range map[int]string{5335: " Mary", 50256: "<|endoftext|>", 50257: "", -1: ""} {
		if got := gpt.Token(id); got != want {
			t.Errorf("Token(%d) = %q, want %q", id, got, want)
		}
	}
}

// pattern is GPT-2's. Its \s stands for the characters of Go's unicode.IsSpace.
const pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

func TestPieces(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"a  b":          {"a", " ", " b"},
		"a\n\nb":        {"a", "\n", "\n", "b"},
		"a \n":          {"a", " \n"},
		"it's 12!":      {"it", "'s", " 12", "!"},
		"''s 's":        {"''", "s", " '", "s"},
		"we'll'd":       {"we", "'ll", "'d"},
		"x\u00a0\u3000": {"x", "\u00a0\u3000"},
		"é\xffé":        {"é", "\xff", "é"},
		"Ⅷ½":            {"Ⅷ½"},
	} {
		if got := tokenizer.Pieces(text); !slices.Equal(got, want) {
			t.Errorf("Pieces(%q) = %q, want %q", text, got, want)
		}
	}
}

// alphabet gives texts in which each alternative of the pattern follows each other one.
var alphabet = []string{
	"'", "'s", "'re", "'ll", "'D", "s", "t", "l", " ", "  ", "\n", "\t", "\r\n", "\v", "\f", "\u0085", "\u00a0", "\u2003", "\u3000", "\u200b",
	"a", "Mary", " John", "é", "ß", "ǅ", "中", "字", "я", "א", "0", "42", "½", "Ⅷ", "٣", "!", ".", ",", "?!", "-", "_", "<|endoftext|>", "<|", "́", "👍🏽", "\x00", "\x1c", "\x7f", "\ufffd", "𝒳",
}

func randomText(r *rand.Rand, list []string) string {
	var b strings.Builder
	for range r.IntN(24) {
		b.WriteString(list[r.IntN(len(list))])
	}
	return b.String()
}

// The splitter gives what a backtracking engine gives for the pattern.
func TestPiecesOracle(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(*seed, 1))
	t.Logf("-seed %d", *seed)
	re := regexp2.MustCompile(pattern, regexp2.Unicode)
	for range 3000 {
		text := randomText(r, alphabet)
		if strings.ContainsAny(text, "\u0085\u200b\x1c") {
			continue // \s of regexp2 does not agree with White_Space here
		}
		var want []string
		for m, err := re.FindStringMatch(text); m != nil; m, err = re.FindNextMatch(m) {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, m.String())
		}
		if got := tokenizer.Pieces(text); !slices.Equal(got, want) {
			t.Fatalf("Pieces(%q) = %q, want %q", text, got, want)
		}
	}
}

// Every UTF-8 text gets the ids that an independent implementation gives.
func TestEncodeOracle(t *testing.T) {
	t.Parallel()
	tiktoken.SetBpeLoader(loader.NewOfflineLoader())
	oracle, err := tiktoken.GetEncoding("r50k_base")
	if err != nil {
		t.Fatal(err)
	}
	gpt := gpt2(t)
	r := rand.New(rand.NewPCG(*seed, 2))
	t.Logf("-seed %d", *seed)
	texts := []string{strings.Repeat("a", 1000), strings.Repeat(" ", 777) + "x", strings.Repeat("ab!1 ", 50)}
	for range 2000 {
		text := randomText(r, alphabet)
		if !strings.ContainsAny(text, "\u0085\x1c") { // \s of its regular expressions is not White_Space
			texts = append(texts, text)
		}
	}
	for range 500 { // runs of tokens, which may merge in other ways
		var b strings.Builder
		for range 8 {
			b.WriteString(gpt.Token(r.IntN(50256)))
		}
		if text := b.String(); utf8.ValidString(text) && !strings.ContainsAny(text, "\u0085\x1c") {
			texts = append(texts, text)
		}
	}
	for _, text := range texts {
		want := oracle.Encode(text, []string{"all"}, nil)
		if got := must(gpt.Encode(text)); !slices.Equal(got, want) {
			t.Fatalf("Encode(%q) = %v, want %v", text, got, want)
		}
	}
	t.Logf("%d texts agree", len(texts))
}

// Every token is encoded as itself.
func TestEveryToken(t *testing.T) {
	t.Parallel()
	gpt := gpt2(t)
	for id := range gpt.VocabSize() {
		if got := gpt.Decode([]int{id}); got != gpt.Token(id) || got == "" {
			t.Fatalf("Decode(%d) = %q, want %q", id, got, gpt.Token(id))
		}
		if got := must(gpt.Encode(gpt.Token(id))); len(tokenizer.Pieces(gpt.Token(id))) == 1 && !slices.Equal(got, []int{id}) {
			t.Fatalf("Encode(%q) = %v, want [%d]", gpt.Token(id), got, id)
		}
	}
}

// Decoding gives the same bytes back, UTF-8 or not, and both ways of merging agree.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	gpt := gpt2(t)
	r := rand.New(rand.NewPCG(*seed, 3))
	t.Logf("-seed %d", *seed)
	for range 2000 {
		text := make([]byte, r.IntN(64))
		const bytes = "abeht  \n'0!\xc3\xa9\xff\x80"
		for i := range text {
			text[i] = bytes[r.IntN(len(bytes))]
		}
		if got := gpt.Decode(must(gpt.Encode(string(text)))); got != string(text) {
			t.Fatalf("%q comes back as %q", text, got)
		}
		if short, long := gpt.MergeBothWays(string(text)); !slices.Equal(short, long) {
			t.Fatalf("%q merges to %v and %v", text, short, long)
		}
	}
}

// A piece of a million bytes takes no longer than its length needs.
func TestLongPiece(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("ab", 1<<19)
	if got := gpt2(t).Decode(must(gpt2(t).Encode(text))); got != text {
		t.Error("a long piece does not come back")
	}
}

type promptSet struct {
	BOS     bool `json:"prepend_bos"`
	Prompts []struct {
		Text      string `json:"text"`
		Toks      []int  `json:"toks"`
		SmallToks []int  `json:"small_toks"`
	} `json:"prompts"`
}

// Every reference prompt gets its reference ids with the full vocabulary and with the small one.
func TestReferencePrompts(t *testing.T) {
	t.Parallel()
	full, small := refdata.Goldens(t, "m1"), refdata.Goldens(t, "m2")
	sets, err := filepath.Glob(filepath.Join(refdata.Prompts(t), "prompts_*.json"))
	if err != nil || len(sets) == 0 {
		t.Fatalf("%d prompt sets: %v", len(sets), err)
	}
	var models [3]*tokenizer.Tokenizer
	for i, dir := range []string{full, small} {
		if models[i], err = tokenizer.Load(os.DirFS(filepath.Join(dir, "model"))); err != nil {
			t.Fatal(err)
		}
	}
	models[2] = gpt2(t)
	n := 0
	for _, path := range sets {
		var set promptSet
		refdata.JSON(t, path, &set)
		for _, p := range set.Prompts {
			for i, want := range [][]int{p.Toks, p.SmallToks, p.Toks} {
				var got []int
				if set.BOS {
					got = append(got, models[i].EndOfText())
				}
				got = append(got, must(models[i].Encode(p.Text))...)
				for len(got) < len(want) { // the sets are padded on the right
					got = append(got, models[i].EndOfText())
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%s: %q: %v, want %v", filepath.Base(path), p.Text, got, want)
				}
			}
			n++
		}
	}
	t.Logf("%d prompts agree under three vocabularies", n)
}

func ExampleTokenizer_Encode() {
	gpt, err := tokenizer.GPT2()
	if err != nil {
		panic(err)
	}
	ids, err := gpt.Encode("When Mary and John left")
	if err != nil {
		panic(err)
	}
	for _, id := range ids {
		fmt.Printf("%d %q\n", id, gpt.Token(id))
	}
	// Output:
	// 2215 "When"
	// 5335 " Mary"
	// 290 " and"
	// 1757 " John"
	// 1364 " left"
}

func BenchmarkEncode(b *testing.B) {
	gpt := gpt2(b)
	r := rand.New(rand.NewPCG(1, 1))
	words := make([]string, 400)
	for i := range words {
		words[i] = gpt.Token(r.IntN(20000))
	}
	var prose strings.Builder
	for prose.Len() < 100_000 {
		prose.WriteString(words[int(float64(len(words))*r.Float64()*r.Float64())])
	}
	for _, bench := range []struct{ name, text string }{
		{"prose", prose.String()},
		{"long", strings.Repeat("ab", 50_000)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.text)))
			for b.Loop() {
				must(gpt.Encode(bench.text))
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	dir := filepath.Join(refdata.Goldens(b, "m1"), "model")
	for b.Loop() {
		if _, err := tokenizer.Load(os.DirFS(dir)); err != nil {
			b.Fatal(err)
		}
	}
}
