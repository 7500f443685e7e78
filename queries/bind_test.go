package queries_test

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"ducklens/queries"
)

func TestFind(t *testing.T) {
	t.Parallel()
	list := queries.Embedded()
	if q, err := queries.Find(list, "closure"); err != nil || q.Name != "closure" {
		t.Errorf("query %q, %v", q.Name, err)
	}
	for name, want := range map[string]string{
		"key_component":   "did you mean key_components or",
		"key-components":  "did you mean key_components",
		"pct_explained":   "did you mean pct_explained_mlp0 or",
		"closre":          "did you mean closure?",
		"something_else":  "there is basis_shares, closure, component_sources, contribution_against_ablation",
		"":                "there is basis_shares",
		"\x1b[31mclosure": "did you mean closure",
	} {
		_, err := queries.Find(list, name)
		var e *queries.NameError
		if !errors.Is(err, queries.ErrUnknownQuery) || !errors.As(err, &e) || !strings.HasPrefix(e.Hint(), want) {
			t.Errorf("%q: error %v, hint %q, want %q", name, err, e.Hint(), want)
		}
		if strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: the error has an escape code", name)
		}
	}
}

func TestEmbeddedIsACopy(t *testing.T) {
	t.Parallel()
	list := queries.Embedded()
	if !slices.IsSortedFunc(list, func(a, b queries.Query) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not in the order of names")
	}
	list[0].Name = "changed"
	if queries.Embedded()[0].Name == "changed" {
		t.Error("the caller's change is seen by others")
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	const text = "-- name: one\n-- title: t\n-- description: d\n\nSELECT 1\n"
	fsys := fstest.MapFS{
		"q/one.sql":    {Data: []byte(text)},
		"q/two.sql":    {Data: []byte(text)},
		"q/three.sql":  {Data: []byte("-- name: three\n-- pie: no\n\nSELECT 1")},
		"q/notes.txt":  {Data: []byte("not a query")},
		"q/huge.sql":   {Data: []byte(strings.Repeat("-", 2*queries.MaxLength))},
		"q/d.sql/x":    {Data: []byte("in a folder")},
		"other/no.sql": {Data: []byte("elsewhere")},
	}
	list, err := queries.Load(fsys, "q")
	if len(list) != 1 || list[0].Name != "one" {
		t.Errorf("%d queries, want one", len(list))
	}
	for _, want := range []string{`q/two.sql: name "one" in the header, want "two"`, `q/three.sql: `, `line 2: unknown key "pie"`, "q/huge.sql: saved query of 262145 bytes, want at most 262144"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := queries.Load(fsys, "missing"); err == nil {
		t.Error("no error for a folder that is not there")
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"head", "run", "query_basis", "key_basis", "most"}
	for name, want := range map[string]string{"haed": "head", "basis": "query_basis key_basis", "n": "", "key-basis": "key_basis query_basis", "mots": "most", "RUN": "run"} {
		if got := strings.Join(queries.Nearest(name, known), " "); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	r := &queries.Result{
		Columns: []queries.Column{{Name: "a"}, {Name: "b"}, {Name: "head"}},
		Rows:    [][]any{{int64(1), "x", "9.9"}, {int64(1), "y", "9.9"}},
		Facts:   []queries.Fact{{Name: "head", Value: "10.7"}, {Name: "model", Value: "{a}"}},
	}
	if got, err := r.Expand("Head {head}, {a}, {head}"); err != nil || got != "Head 10.7, 1, 10.7" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := r.Expand("{model}: {a}, {head}"); err != nil || got != "{a}: 1, 10.7" {
		t.Errorf("a value was expanded again: %q, %v", got, err)
	}
	for count, want := range map[string]string{
		"1": "gpt2, 1 prompt (x), 1 pair; 1 promptsy, prompts 1s", "11": "gpt2, 11 prompts (x), 11 pairs; 11 promptsy, prompts 11s",
	} {
		one := &queries.Result{Facts: []queries.Fact{{Name: "n", Value: count}}}
		if got, err := one.Expand("gpt2, {n} prompts (x), {n} pairs; {n} promptsy, prompts {n}s"); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	for title, want := range map[string]string{"{b}": `values "x" and "y", want the same in every row`, "{c}": "no such fact, column or parameter, want one of a, b, head", "{": "braces only as {column}"} {
		if _, err := r.Expand(title); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", title, err, want)
		}
	}
	if _, err := (&queries.Result{Columns: r.Columns}).Expand("{a}"); err == nil {
		t.Error("no error for a result without rows")
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain ∥ é 東":      "plain ∥ é 東",
		"a\nb\tc\rd":       `a\nb\tc\rd`,
		"\x1b[2J\x7f\x00":  `\x1b[2J\x7f\x00`,
		"\u009b31m":        `\u009b31m`,
		"\u202eabc\u2028":  `\u202eabc\u2028`,
		"\xff\xc3":         `\xff\xc3`,
		"\U000e0001 hello": `\U000e0001 hello`,
		"\ufffd":           `\ufffd`,
	} {
		if got := queries.Printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    any
		want float64
		ok   bool
	}{
		{int64(-3), -3, true}, {float32(0.5), 0.5, true}, {0.25, 0.25, true}, {queries.Decimal("1.50"), 1.5, true},
		{big.NewInt(1 << 40), 1 << 40, true}, {nil, 0, false}, {"1", 0, false}, {true, 0, false},
	} {
		if x, ok := queries.Number(c.v); x != c.want || ok != c.ok {
			t.Errorf("%v: %v, %v; want %v, %v", c.v, x, ok, c.want, c.ok)
		}
	}
}

func TestParseWords(t *testing.T) {
	t.Parallel()
	for m := queries.Table; m <= queries.Scatter; m++ {
		if again, err := queries.ParseMark(m.String()); err != nil || again != m {
			t.Errorf("mark %v: %v, %v", m, again, err)
		}
	}
	for p := queries.TextParam; p <= queries.BooleanParam; p++ {
		if again, err := queries.ParseParamType(p.String()); err != nil || again != p {
			t.Errorf("parameter type %v: %v, %v", p, again, err)
		}
	}
}

func ExampleFind() {
	_, err := queries.Find(queries.Embedded(), "key_component")
	fmt.Println(err)
	var e *queries.NameError
	if errors.As(err, &e) {
		fmt.Println(queries.Nearest(e.Name, e.Known)[0])
	}
	// Output:
	// unknown saved query "key_component"
	// key_components
}

func BenchmarkParse(b *testing.B) {
	text := queries.Embedded()[0].String()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := queries.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
