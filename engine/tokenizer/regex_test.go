package tokenizer_test

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"

	"ducklens/engine/internal/refdata"
	"ducklens/engine/tokenizer"
)

func matches(tb testing.TB, expression, text string) []string {
	tb.Helper()
	spans, err := tokenizer.Matches(expression, text)
	if err != nil {
		tb.Fatalf("%s: %v", expression, err)
	}
	var list []string
	for _, s := range spans {
		list = append(list, text[s[0]:s[1]])
	}
	return list
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expression, text string
		want             []string
	}{
		{`a|b`, "xaby", []string{"a", "b"}},
		{`\s+(?!\S)|\s+`, "a  b \n", []string{" ", " ", " \n"}},
		{`(?=b)|c`, "abc", []string{"", "c"}},
		{`a*`, "baa", []string{"", "aa"}},
		{`a{2}|b{1,2}|c{,2}d|e{2,}`, "aaabbbccdeee", []string{"aa", "bb", "b", "ccd", "eee"}},
		{`{|a{|a{x}`, "a{x}{", []string{"a{", "{"}},
		{`\p{N}{1,3}+`, "1234567", []string{"1234567"}}, // in Oniguruma, + after a count repeats; it is not possessive
		{`a?+ab|a++b|(?>a|ab)c`, "abaab", []string{"ab", "aab"}},
		{`<.*?>|x.+?y`, "<a><b>xyyy", []string{"<a>", "<b>", "xyy"}},
		{`(?i:'S|k|ß)`, "'ſ'sK\u212aSẞ", []string{"'ſ", "'s", "K", "\u212a", "ẞ"}},
		{`(?i:[a-c])(?-i:[a-c])`, "AbABaa", []string{"Ab", "Ba"}},
		{`[^\s\p{L}\p{N}]+`, "a ?!é1\u00a0½…", []string{"?!", "…"}},
		{`[[a-z]&&[^aeiou]]+|[-+]|[a\-]`, "bcda-+", []string{"bcd", "a", "-", "+"}},
		{`[^(\s|[.,])]+`, "ab (c)|d.", []string{"ab", "c", "d"}},
		{`\p{^L}|\P{Lu}|\p{Greek}`, "Aaα1", []string{"a", "α", "1"}},
		{`\w+`, "a_1é½ⅷ\u0301-", []string{"a_1é½ⅷ\u0301"}},
		{`[\w]+`, "1½", []string{"1"}}, // in Oniguruma, \w in a class does not match ½
		{`\x41|\u00e9|\x{4e2d}|\.`, "Aé中.b", []string{"A", "é", "中", "."}},
		{`^a|b$|\Ac|d\z|\be`, "a\na\nab\nc d e d", []string{"a", "a", "a", "b", "e", "d"}},
		{`\d{1,3}(?=(?:\d{3})*\b)`, "1234567", []string{"1", "234", "567"}},
		{`.`, "a\n\xffé", []string{"a", "\xff", "é"}},
	} {
		if got := matches(t, c.expression, c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s in %q: %q, want %q", c.expression, c.text, got, c.want)
		}
	}
}

// published are the expressions of tokenizers that many models use.
var published = []string{
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
	`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
	pattern,
}

// Both ways of the matcher, the plain one and the one that remembers failures, give what a backtracking
// engine gives.
func TestMatchesOracle(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(*seed, 4))
	t.Logf("-seed %d", *seed)
	for _, expression := range published {
		re := regexp2.MustCompile(expression, regexp2.Unicode)
		for i := range 300 {
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
			if got := matches(t, expression, text); !slices.Equal(got, want) {
				t.Fatalf("%s in %q: %q, want %q", expression, text, got, want)
			}
			if i%20 > 0 {
				continue
			}
			// An alternative that always fails, slowly, makes the matcher remember failures.
			slow := `(?:(?:a|a)(?:a|a)?)*(?:aa|a)*(?:a+a+)*[^\s\S]|` + expression
			if got := matches(t, slow, text+strings.Repeat("a", 40)); !slices.Equal(got, matches(t, expression, text+strings.Repeat("a", 40))) {
				t.Fatalf("%s in %q: %q", slow, text, got)
			}
		}
	}
}

// What has failed is not tried again. Otherwise these would take hours.
func TestHostilePatterns(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a", 30_000)
	for _, expression := range []string{`(a+)+b`, `(?:a|aa)+b`, `a*a*a*a*a*a*b`, `(?:a?){50}a{50}b`, `a+b|a`, `a++b|a`, `(?:a|b|ab)*c|.`} {
		start := time.Now()
		if _, err := tokenizer.Matches(expression, text); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s takes %v", expression, took)
		}
	}
}

// Every class has the same characters as that of the reference.
func TestUnicodeClasses(t *testing.T) {
	dir := referenceDir(t)
	var ranges map[string][][2]string
	refdata.JSON(t, filepath.Join(dir, "unicode_classes.json"), &ranges)
	var all strings.Builder
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if utf8.ValidRune(r) {
			all.WriteRune(r)
		}
	}
	for name, spans := range ranges {
		if name == "digits" {
			continue // see TestReferenceTokenizers
		}
		expression := `\p{` + name + `}+`
		if name == "s" {
			expression = `\s+`
		}
		in := map[rune]bool{}
		for _, s := range spans {
			first, _ := strconv.ParseUint(s[0], 16, 32)
			last, _ := strconv.ParseUint(s[1], 16, 32)
			for r := rune(first); r <= rune(last); r++ {
				in[r] = true
			}
		}
		for _, r := range strings.Join(matches(t, expression, all.String()), "") {
			if !in[r] {
				t.Errorf("%s has %U", name, r)
			}
			delete(in, r)
		}
		if len(in) > 0 {
			t.Errorf("%s lacks %d characters", name, len(in))
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, expression := range published {
		f.Add(expression, "When Mary's 12 ducks\n  ")
	}
	f.Add(`[[^a]&&\p{L}]*?(?>b++|\x{41}{2,3})$`, "aB")
	f.Fuzz(func(t *testing.T, expression, text string) {
		if len(text) > 1000 || len(expression) > 1000 {
			return
		}
		spans, err := tokenizer.Matches(expression, text)
		if err != nil {
			return
		}
		at := 0
		for _, s := range spans {
			if s[0] < at || s[1] < s[0] || s[1] > len(text) {
				t.Fatalf("%v after %d in %q", s, at, text)
			}
			at = s[1]
		}
	})
}

func BenchmarkPattern(b *testing.B) {
	text := strings.Repeat("When Mary and John went to the store, it's 1234 ducks!\n\n", 1000)
	for i, expression := range published {
		b.Run(strconv.Itoa(i), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := tokenizer.Matches(expression, text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
