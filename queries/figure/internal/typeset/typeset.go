// Package typeset sets one-line labels: it finds the subscripts of mathematical names in them, and measures,
// draws, shortens and wraps them.
package typeset

import (
	"image/color"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/typeface"
)

// Subscripts have this fraction of the text size and are lowered by this fraction of it, but are not smaller
// than can be read.
const (
	subSize  = 0.74
	subDrop  = 0.20
	leastSub = 5.0
)

// Span is a piece of text on one level.
type Span struct {
	Text string
	Sub  bool // a subscript
}

// Spans finds the subscripts in a label: what follows an underscore after a single letter, as in W_E, W_pos,
// W_EE0 or W_U[IO], where only U is lowered. Digits after a single lowered letter are a layer, as in MLP3,
// and stay large: b_O3. Words such as key_components or a_b_c do not change.
func Spans(s string) []Span {
	word := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
	var list []Span
	plain := 0 // start of the text not yet listed
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !word(r) {
			i += size
			continue
		}
		end := i + size
		for end < len(s) {
			next, n := utf8.DecodeRuneInString(s[end:])
			if !word(next) {
				break
			}
			end += n
		}
		base, sub, ok := strings.Cut(s[i:end], "_")
		if ok && utf8.RuneCountInString(base) == 1 && unicode.IsLetter(r) && sub != "" && !strings.Contains(sub, "_") {
			if sub[0] > '9' && strings.Trim(sub[1:], "0123456789") == "" {
				sub = sub[:1]
			}
			list = append(list, Span{Text: s[plain : i+len(base)]}, Span{Text: sub, Sub: true})
			plain = i + len(base) + 1 + len(sub)
		}
		i = end
	}
	if plain < len(s) {
		list = append(list, Span{Text: s[plain:]})
	}
	return list
}

// Style says how a text is set.
type Style struct {
	Size  vg.Length
	Bold  bool
	Plain bool // underscores are literal: names of queries and columns
	Color color.NRGBA
}

func (st Style) spans(s string) []Span {
	if st.Plain {
		return []Span{{Text: s}}
	}
	return Spans(s)
}

func (st Style) face(sub bool) font.Face {
	size := st.Size
	if sub {
		size = max(subSize*size, min(size, leastSub))
	}
	if st.Bold {
		return typeface.Bold(size)
	}
	return typeface.Regular(size)
}

// Width returns how wide s is when drawn.
func (st Style) Width(s string) vg.Length {
	var w vg.Length
	for _, sp := range st.spans(s) {
		w += typeface.Width(st.face(sp.Sub), sp.Text)
	}
	return w
}

// Widest returns the width of the widest of texts.
func (st Style) Widest(texts []string) vg.Length {
	var w vg.Length
	for _, s := range texts {
		w = max(w, st.Width(s))
	}
	return w
}

// Cap returns the height of a capital letter.
func (st Style) Cap() vg.Length { return st.Size * typeface.CapHeight }

// Line returns the distance between two lines.
func (st Style) Line() vg.Length { return st.Size * 1.28 }

// Draw draws s with its baseline at the height of at. It begins at at (align 0), is centred on it (0.5) or
// ends there (1).
func (st Style) Draw(c vg.Canvas, at vg.Point, align vg.Length, s string) {
	at.X -= align * st.Width(s)
	c.SetColor(st.Color)
	for _, sp := range st.spans(s) {
		face, pt := st.face(sp.Sub), at
		if sp.Sub {
			pt.Y -= subDrop * st.Size
		}
		c.FillString(face, pt, sp.Text)
		at.X += typeface.Width(face, sp.Text)
	}
}

// DrawUp is Draw turned by a quarter turn to the left: the text reads upwards.
func (st Style) DrawUp(c vg.Canvas, at vg.Point, align vg.Length, s string) {
	c.Push()
	c.Translate(at)
	c.Rotate(math.Pi / 2)
	st.Draw(c, vg.Point{}, align, s)
	c.Pop()
}

// Truncate cuts s to a width, with an ellipsis for what is left out.
func (st Style) Truncate(s string, width vg.Length) string {
	if st.Width(s) <= width {
		return s
	}
	runes := []rune(s)
	for n := len(runes) - 1; n > 0; n-- {
		if short := strings.TrimRight(string(runes[:n]), " ") + "…"; st.Width(short) <= width {
			return short
		}
	}
	return "…"
}

// Wrap breaks s at spaces into at most most lines of at most width; if s is longer, the last line is
// truncated.
func (st Style) Wrap(s string, width vg.Length, most int) []string {
	var lines []string
	line := ""
	words := strings.Fields(s)
	for i, w := range words {
		longer := w
		if line != "" {
			longer = line + " " + w
		}
		if line == "" || st.Width(longer) <= width {
			line = longer
			continue
		}
		if len(lines)+1 == most {
			line = line + " " + strings.Join(words[i:], " ")
			break
		}
		lines = append(lines, st.Truncate(line, width))
		line = w
	}
	if line != "" {
		lines = append(lines, st.Truncate(line, width))
	}
	return lines
}

// Balance is Wrap with lines of about the same width: as many lines as Wrap needs, each as short as that
// allows.
func (st Style) Balance(s string, width vg.Length, most int) []string {
	lines := st.Wrap(s, width, most)
	if len(lines) < 2 || strings.Join(lines, " ") != strings.Join(strings.Fields(s), " ") {
		return lines
	}
	low, high := width/2, width
	for range 12 {
		mid := (low + high) / 2
		try := st.Wrap(s, mid, most)
		if len(try) == len(lines) && strings.Join(try, " ") == strings.Join(lines, " ") {
			lines, high = try, mid
		} else {
			low = mid
		}
	}
	return lines
}
