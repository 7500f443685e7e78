package output_test

import (
	"strings"
	"testing"
	"unicode"

	"ducklens/queries"
	"ducklens/queries/output"
)

// hostileTexts do something to a terminal that shows them as they are.
func hostileTexts() []string {
	return []string{
		"\x1b[2J\x1b[H",  // clears the screen
		"\x1b]0;title\a", // sets the title of the window
		"\x1b]8;;https://example.org\x1b\\x\x1b]8;;\x1b\\", // a link
		"\x1b]52;c;cm0gLXJm\a",                             // writes the clipboard
		"\x1bP+q544e\x1b\\", "\x1b[6n", "\x1b[?1049h",
		"\u009b31mred", "\u0090q\u009c", // the same in one byte of Latin-1, here UTF-8
		"\x9b31m", "\xff\xfe", // bytes that are not UTF-8
		"a\rb", "a\bb", "\a", "a\x00b", "a\x7fb", "a\vb\fc", "two\nlines", "a\tb",
		"\u202egnp.exe", "\u2066a\u2069", "\u200fa", "\u200b", "\ufeffa", "a\u2028b\u2029c", "\U000e0041tag",
	}
}

// TestHostileTextStaysText puts such texts in columns, values and nested values. On a terminal no format may
// write a character that does more than take its place; in a table or in Markdown none may anywhere.
func TestHostileTextStaysText(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, text := range hostileTexts() {
		r := &queries.Result{
			Columns: []queries.Column{{Name: "t" + text, Type: queries.Text}, {Name: "n" + text, Type: queries.Nested}, {Name: "o", Type: queries.Other},
				{Name: "d", Type: queries.Exact}},
			Rows: [][]any{{text, []any{text, map[string]any{text: text}}, text, queries.Decimal("1")}, {nil, nil, nil, nil}},
		}
		for f := output.Table; f <= output.Markdown; f++ {
			for _, o := range []output.Options{{Terminal: true}, {Terminal: true, Width: 30}, {}, {Width: 30}} {
				if f == output.Parquet || !o.Terminal && f != output.Table && f != output.Markdown {
					continue
				}
				tried++
				got := write(t, f, r, o)
				if at := strings.IndexFunc(got, acts); at >= 0 {
					t.Errorf("%q as %v %+v: %q acts on a terminal", text, f, o, got[at:])
				}
				if lines := strings.Count(got, "\n"); lines > 12 || f != output.JSON && f != output.Table && lines > 4 {
					t.Errorf("%q as %v %+v makes %d lines:\n%s", text, f, o, lines, got)
				}
			}
		}
		one := &queries.Result{Columns: r.Columns[:1], Rows: [][]any{{text}}}
		if got := write(t, output.Table, one, output.Options{Width: 5}); strings.IndexFunc(got, acts) >= 0 {
			t.Errorf("%q in one row: %q", text, got)
		}
	}
	t.Logf("%d texts, %d outputs", len(hostileTexts()), tried)
}

// acts tells characters that a terminal does not just show.
func acts(r rune) bool {
	return r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029'
}
