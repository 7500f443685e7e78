package figure

import (
	"fmt"
	"strings"
)

// Lead is what stands below the title: the subtitle, and what makes this figure differ from what its query
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

// shown says what of the answer is in the figure, where that is not all.
func (f *Figure) shown() []string {
	var remarks []string
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

// portion says how many of something there are in the figure.
func portion(n, of int, what string) string {
	if n == of {
		return fmt.Sprintf("all %d %ss", of, what)
	}
	return fmt.Sprintf("%d of %d %ss", n, of, what)
}

// percentage writes a share in per cent, so that less than all is not rounded to it.
func percentage(share float64) string {
	switch {
	case share > 0.999 && share < 1:
		return "99.9"
	case share > 0.99 || share < 0.1:
		return fmt.Sprintf("%.1f", 100*share)
	}
	return fmt.Sprintf("%.0f", 100*share)
}
