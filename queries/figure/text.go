package figure

import (
	"image/color"
	"strings"
	"unicode"
	"unicode/utf8"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/typeface"
)

// Subscripts are set at this fraction of the text size, lowered by this fraction.
const (
	subSize = 0.74
	subDrop = 0.20
)

// span is a piece of text on one level.
type span struct {
	text string
	sub  bool
}

// spans finds the subscripts in a label: what follows an underscore behind a single letter, as in W_E,
// W_pos, W_EE0 or W_U[IO], where U alone is lowered. Digits behind a single lowered letter are a layer, as
// in MLP3, and stay large: b_O3. Words such as key_components or a_b_c are left as they are.
func spans(s string) []span {
	word := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
	var list []span
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
			list = append(list, span{text: s[plain : i+len(base)]}, span{text: sub, sub: true})
			plain = i + len(base) + 1 + len(sub)
		}
		i = end
	}
	if plain < len(s) {
		list = append(list, span{text: s[plain:]})
	}
	return list
}

// textStyle is how a text is set.
type textStyle struct {
	size  vg.Length
	bold  bool
	plain bool // underscores are underscores: names of queries and columns
	color color.NRGBA
}

func (st textStyle) spans(s string) []span {
	if st.plain {
		return []span{{text: s}}
	}
	return spans(s)
}

func (st textStyle) face(sub bool) font.Face {
	size := st.size
	if sub {
		size *= subSize
	}
	if st.bold {
		return typeface.Bold(size)
	}
	return typeface.Regular(size)
}

// width is how wide s is when drawn.
func (st textStyle) width(s string) vg.Length {
	var w vg.Length
	for _, sp := range st.spans(s) {
		w += typeface.Width(st.face(sp.sub), sp.text)
	}
	return w
}

// widest is the width of the widest of texts.
func (st textStyle) widest(texts []string) vg.Length {
	var w vg.Length
	for _, s := range texts {
		w = max(w, st.width(s))
	}
	return w
}

// cap is the height of a capital letter.
func (st textStyle) cap() vg.Length { return st.size * typeface.CapHeight }

// line is the distance of two lines.
func (st textStyle) line() vg.Length { return st.size * 1.28 }

// draw sets s with its baseline through at: from there to the right (align 0), centred (0.5) or ending there (1).
func (st textStyle) draw(c vg.Canvas, at vg.Point, align vg.Length, s string) {
	at.X -= align * st.width(s)
	c.SetColor(st.color)
	for _, sp := range st.spans(s) {
		face, pt := st.face(sp.sub), at
		if sp.sub {
			pt.Y -= subDrop * st.size
		}
		c.FillString(face, pt, sp.text)
		at.X += typeface.Width(face, sp.text)
	}
}

// drawUp is draw turned by a quarter to the left: the text reads upwards.
func (st textStyle) drawUp(c vg.Canvas, at vg.Point, align vg.Length, s string) {
	c.Push()
	c.Translate(at)
	c.Rotate(halfPi)
	st.draw(c, vg.Point{}, align, s)
	c.Pop()
}

// truncate shortens s to a width, with an ellipsis for what is left out.
func (st textStyle) truncate(s string, width vg.Length) string {
	if st.width(s) <= width {
		return s
	}
	runes := []rune(s)
	for n := len(runes) - 1; n > 0; n-- {
		if short := strings.TrimRight(string(runes[:n]), " ") + "…"; st.width(short) <= width {
			return short
		}
	}
	return "…"
}

// wrap breaks s into lines of at most width, at spaces; the last of at most most lines is truncated.
func (st textStyle) wrap(s string, width vg.Length, most int) []string {
	var lines []string
	line := ""
	words := strings.Fields(s)
	for i, w := range words {
		longer := w
		if line != "" {
			longer = line + " " + w
		}
		if line == "" || st.width(longer) <= width {
			line = longer
			continue
		}
		if len(lines)+1 == most {
			line = line + " " + strings.Join(words[i:], " ")
			break
		}
		lines = append(lines, st.truncate(line, width))
		line = w
	}
	if line != "" {
		lines = append(lines, st.truncate(line, width))
	}
	return lines
}

// balance is wrap with lines of about the same width: as many lines as wrap needs, each as short as that allows.
func (st textStyle) balance(s string, width vg.Length, most int) []string {
	lines := st.wrap(s, width, most)
	if len(lines) < 2 || strings.Join(lines, " ") != strings.Join(strings.Fields(s), " ") {
		return lines
	}
	low, high := width/2, width
	for range 12 {
		mid := (low + high) / 2
		try := st.wrap(s, mid, most)
		if len(try) == len(lines) && strings.Join(try, " ") == strings.Join(lines, " ") {
			lines, high = try, mid
		} else {
			low = mid
		}
	}
	return lines
}
