package typeset

import (
	"slices"
	"testing"

	"gonum.org/v1/plot/vg"
)

func TestSpans(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]Span{
		"W_E":                {{Text: "W"}, {"E", true}},
		"W_pos":              {{Text: "W"}, {"pos", true}},
		"W_U[IO]":            {{Text: "W"}, {"U", true}, {Text: "[IO]"}},
		"W_EE0":              {{Text: "W"}, {"EE0", true}},
		"b_O3":               {{Text: "b"}, {"O", true}, {Text: "3"}},
		"b_O":                {{Text: "b"}, {"O", true}},
		"x_1":                {{Text: "x"}, {"1", true}},
		"9.6":                {{Text: "9.6"}},
		"key_components":     {{Text: "key_components"}},
		"a_b_c":              {{Text: "a_b_c"}},
		"W_ and _E":          {{Text: "W_ and _E"}},
		"span(W_U[S], W_E)→": {{Text: "span(W"}, {"U", true}, {Text: "[S], W"}, {"E", true}, {Text: ")→"}},
		"σ_é":                {{Text: "σ"}, {"é", true}},
		"":                   nil,
	} {
		if got := Spans(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	st := Style{Size: 10}
	for _, width := range []float64{20, 60, 100, 1000} {
		for _, text := range []string{"", "word", "a few short words to be broken", "averylongwordthatcannotbebroken", "W_U[IO] and W_U[S] and W_U[random]"} {
			for _, lines := range [][]string{st.Wrap(text, vg.Length(width), 2), st.Balance(text, vg.Length(width), 2)} {
				if len(lines) > 2 {
					t.Errorf("%q at %g: %d lines", text, width, len(lines))
				}
				for _, line := range lines {
					if w := st.Width(line).Points(); w > width && line != "…" {
						t.Errorf("%q is %.1f wide, want at most %g", line, w, width)
					}
				}
			}
		}
	}
	if got := st.Balance("query along W_U[IO], key along MLP0", 150, 3); len(got) != 2 || got[0] != "query along W_U[IO]," {
		t.Errorf("balanced lines %q", got)
	}
}
