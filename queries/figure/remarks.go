package figure

import (
	"fmt"
	"slices"
	"strings"

	"ducklens/queries"
)

// Lead returns the lines below the title: the subtitle, and how this figure differs from what its query
// usually shows.
func (f *Figure) Lead() []string {
	var lines []string
	if f.Subtitle != "" {
		lines = append(lines, f.Subtitle)
	}
	var settings []string
	for _, s := range f.Settings {
		settings = append(settings, s.Text)
	}
	for _, remarks := range [][]string{settings, f.shown()} {
		if len(remarks) > 0 {
			lines = append(lines, strings.Join(remarks, "; "))
		}
	}
	return lines
}

// shown says what part of the answer is in the figure, if it is not all.
func (f *Figure) shown() []string {
	remarks := f.wholeRemarks()
	if text := f.countRemark(); text != "" {
		remarks = append(remarks, text)
	}
	if p := f.Part; p.OfRows > 0 {
		text := fmt.Sprintf("shown are %s and %s, those that carry most", portion(p.Rows, p.OfRows, "row"),
			portion(p.Columns, p.OfColumns, "column"))
		if p.Rows == p.OfRows && p.Columns == p.OfColumns {
			text = "shown is a part of a larger matrix"
		}
		if p.Share > 0 {
			text += fmt.Sprintf(": %s %% of the sum of the sizes of all values", percentage(p.Share))
		}
		remarks = append(remarks, text)
	}
	if names := f.Hidden.Names; len(names) > 0 {
		text := "not shown: " + strings.Join(names, ", ")
		if f.Hidden.Share > 0 {
			text += fmt.Sprintf(" (%s %% of the sum of the sizes of all values)", percentage(f.Hidden.Share))
		}
		remarks = append(remarks, text)
	}
	return remarks
}

// withWhole adds the whole of shares to the title of their axis, if all panels have the same.
func (f *Figure) withWhole(title string) string {
	if len(f.Wholes) == 1 {
		return title + " (" + f.Wholes[0].Number() + ")"
	}
	return title
}

// wholeRemarks says what 100 % is in each panel if the axis does not, and warns of wholes that are negative
// or uncertain.
func (f *Figure) wholeRemarks() []string {
	var remarks, each, negative []string
	for _, w := range f.Wholes {
		text := w.Number()
		if w.Of != "" {
			text += " for " + w.Of
		}
		each = append(each, text)
		if w.Value < 0 {
			negative = append(negative, text)
		}
	}
	if len(each) > 1 {
		remarks = append(remarks, "100 % is "+list(each))
	}
	if len(negative) > 0 {
		remarks = append(remarks, "the whole is negative ("+list(negative)+
			"), so that positive shares are negative contributions")
	}
	return append(remarks, queries.Doubts(f.Wholes)...)
}

// portion says how many of something are in the figure.
func portion(n, of int, what string) string {
	if n == of {
		return fmt.Sprintf("all %d %ss", of, what)
	}
	return fmt.Sprintf("%d of %d %ss", n, of, what)
}

// percentage formats a share in per cent, without rounding less than all up to all.
func percentage(share float64) string {
	switch {
	case share > 0.999 && share < 1:
		return "99.9"
	case share > 0.99 || share < 0.1:
		return fmt.Sprintf("%.1f", 100*share)
	}
	return fmt.Sprintf("%.0f", 100*share)
}

// marks explains error bars, bands and lines, as far as the figure has them, in any format.
func (f *Figure) marks() []string {
	var keys []string
	if f.Uncertain() {
		what := "error bars"
		if f.Mark == queries.Line {
			what = "bands"
		}
		what += ": one standard error"
		if f.dependent() {
			what += "; edges of one prompt are taken as independent"
		}
		keys = append(keys, what)
	}
	if text := f.missingBars(); text != "" {
		keys = append(keys, text)
	}
	if f.hasDiagonal() {
		keys = append(keys, "dotted line: "+equality)
	}
	if f.fitted() {
		keys = append(keys, "lines: least squares; r: Pearson's correlation coefficient")
	}
	return keys
}

// Uncertain reports whether a standard error is drawn, as a bar or a band.
func (f *Figure) Uncertain() bool {
	for p := range f.panels() {
		some := slices.ContainsFunc(p.Bars, func(b Bar) bool { return b.Error > 0 }) ||
			slices.ContainsFunc(p.Lines, Line.banded)
		for _, c := range p.Clouds {
			some = some || slices.ContainsFunc(c.Dots, func(d Dot) bool { return d.XError > 0 || d.YError > 0 })
		}
		if some {
			return true
		}
	}
	return false
}

// hasDiagonal reports whether the diagonal is drawn: it may lie outside of the axes, which all panels share.
func (f *Figure) hasDiagonal() bool {
	_, _, ok := f.Frames[0].Panels[0].Diagonal()
	return f.Diagonal != "" && ok
}

// fitted reports whether any line is fitted to points.
func (f *Figure) fitted() bool {
	for p := range f.panels() {
		if slices.ContainsFunc(p.Clouds, func(c Cloud) bool { return c.Fit != nil }) {
			return true
		}
	}
	return false
}
