package figure

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"gonum.org/v1/plot/vg"

	"ducklens/queries"
	"ducklens/queries/figure/internal/axis"
	"ducklens/queries/figure/internal/page"
)

// Caption says in sentences what the figure shows, how to read it and where it comes from, for the caption in
// a paper. Names are written as in the query: W_U[IO]. A figure without panels has no caption.
func (f *Figure) Caption() string {
	if len(f.Frames) == 0 || len(f.Frames[0].Panels) == 0 {
		return ""
	}
	parts := []string{f.Title, f.Subtitle, f.captionSettings()}
	for _, remark := range f.shown() {
		if remark == f.countRemark() {
			remark = "values are over " + remark
		}
		parts = append(parts, upperFirst(remark))
	}
	first := &f.Frames[0].Panels[0]
	switch f.Mark {
	case queries.Heatmap, queries.Matrix:
		parts = append(parts, f.captionCells(first))
	case queries.Histogram:
		parts = append(parts, f.captionHistogram(first))
	case queries.Bar:
		parts = append(parts, "Bars show "+first.Y.Title+f.captionError("error bars are"), upperFirst(f.missingBars()))
	case queries.Scatter:
		parts = append(parts, f.captionScatter(first))
	case queries.Line:
		parts = append(parts, fmt.Sprintf("Lines show %s over %s", first.Y.Title, orElse(first.X.Title, "the places named"))+f.captionError("bands are"))
	}
	if f.Mark == queries.Bar || f.Mark == queries.Line || f.Mark == queries.Scatter {
		if names := f.Legend.Names; len(names) > 1 {
			parts = append(parts, orElse(upperFirst(f.Legend.Title), "Colours")+": "+list(names))
		}
	}
	parts = append(parts, f.captionPanels()...)
	var source []string
	for _, fact := range f.Facts {
		if !fact.Quiet {
			source = append(source, fact.Name+" "+fact.Value)
		}
	}
	made := "Made by ducklens"
	if len(source) > 0 {
		made += ": " + strings.Join(source, ", ")
	}
	parts = append(parts, made)
	return sentences(parts)
}

// PrintedCaption is [Figure.Caption] for a drawing with these options. It also explains the marks in cells,
// which a bare figure does not.
func (f *Figure) PrintedCaption(o Options) (string, error) {
	text := f.Caption()
	if text == "" || f.Mark != queries.Heatmap && f.Mark != queries.Matrix {
		return text, nil
	}
	p, err := f.page(o.Theme.colors())
	if err != nil {
		return "", err
	}
	p.Height = vg.Length(o.Height/o.Theme.zoom()) * vg.Inch
	p.Arrange(vg.Length(o.Width/o.Theme.zoom()) * vg.Inch)
	parts := []string{text}
	for _, note := range append(p.Plot.Notes(), f.numbersNote(p.Plot)...) {
		parts = append(parts, upperFirst(note))
	}
	return sentences(parts), nil
}

// numbersNote says which cells have their numbers in them, if not all do.
func (f *Figure) numbersNote(plot page.Plot) []string {
	if serial, ok := plot.(serialPlot); ok {
		plot = serial.Plot
	}
	switch m := plot.(type) {
	case *heatmapPlot:
		if m.values {
			return []string{fmt.Sprintf("numbers are in cells above %g %% of the end of the colour scale", 100*strong)}
		}
	case *matrixPlot:
		for p := range f.panels() {
			if slices.ContainsFunc(p.Cells, func(c Cell) bool { return p.Beyond(c) && m.beyondText(c) != "" }) {
				return []string{"numbers are in cells beyond the colour scale, as far as there is room"}
			}
		}
	}
	return nil
}

// captionPanels names panels and frames.
func (f *Figure) captionPanels() []string {
	var parts []string
	panels, frames := f.PanelNames(0), f.FrameNames()
	if len(panels) > 1 {
		parts = append(parts, "Panels: "+strings.Join(panels, "; "))
	}
	switch {
	case f.serial():
		parts = append(parts, "Panels: "+strings.Join(frames, "; "))
	case len(frames) > 1:
		parts = append(parts, "From top to bottom: "+strings.Join(frames, "; "))
	}
	return parts
}

// sentences joins texts, each followed by a full stop, and leaves out empty ones.
func sentences(parts []string) string {
	var b strings.Builder
	for _, part := range parts {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(part)
		if !strings.ContainsAny(part[len(part)-1:], ".?!") {
			b.WriteByte('.')
		}
	}
	return b.String()
}

func (f *Figure) captionCells(first *Panel) string {
	limit := f.Scale.Limit
	text := fmt.Sprintf("Colour shows the %s, red above and blue below zero", f.Scale.Title)
	if s := f.counted(); s.high > 0 {
		text += fmt.Sprintf(" (%v)", s)
	}
	if f.Scale.Shared() {
		text += fmt.Sprintf(", on one scale from %s to %s", axis.Text(-limit, limit/100, limit),
			axis.Text(limit, limit/100, limit))
	}
	if f.Scale.Shared() && len(f.Frames)*len(f.Frames[0].Panels) > 1 {
		text += " for all panels"
	}
	if f.Mark == queries.Matrix {
		text += fmt.Sprintf("; rows: %s, columns: %s", orElse(first.Y.Title, "as named"), orElse(first.X.Title, "as named"))
		if first.X.Groups != nil || first.Y.Groups != nil {
			text += ", with lines between groups"
		}
	}
	for _, key := range f.Keys() {
		text += "; " + key
	}
	return text
}

// captionSettings names the parameters that are not at their defaults.
func (f *Figure) captionSettings() string {
	var texts []string
	for _, s := range f.Settings {
		texts = append(texts, s.Text)
	}
	if len(texts) == 0 {
		return ""
	}
	return "Not as by default: " + strings.Join(texts, "; ")
}

func (f *Figure) captionScatter(first *Panel) string {
	text := fmt.Sprintf("Points show %s over %s", first.Y.Title, first.X.Title)
	var fits []string
	n := 0
	for p := range f.panels() {
		for _, c := range p.Clouds {
			n += len(c.Dots)
			if c.Fit != nil {
				fits = append(fits, c.Fit.String())
			}
		}
	}
	text += fmt.Sprintf(" (%d points)", n)
	switch len(fits) {
	case 0:
	case 1:
		text += "; the line is one of least squares, " + fits[0]
	default:
		text += "; lines are of least squares, each with Pearson's r"
	}
	if f.Uncertain() {
		text += "; error bars are one standard error"
	}
	if s := f.counted(); s.high > 0 {
		text += fmt.Sprintf(" (%v)", s)
	}
	if f.hasDiagonal() {
		text += "; on the dotted line both numbers are equal"
	}
	return text
}

func (f *Figure) captionHistogram(first *Panel) string {
	text := fmt.Sprintf("Histograms of %s in bins of %s", first.X.Title, axis.Text(f.Bins.Width, f.Bins.Width, f.Bins.Width))
	if n := len(f.Legend.Names); n > 1 {
		text += fmt.Sprintf(", %d series in order of their means", n)
		if len(f.Frames)*len(f.Frames[0].Panels) == 1 {
			var means []string
			for _, d := range first.Distributions {
				means = append(means, f.seriesName(d)+" "+axis.Plain(d.Mean, f.meanDecimals()))
			}
			text += ": " + list(means)
		}
	}
	if n := f.sameCount(); n > 0 {
		text += fmt.Sprintf(" (n = %d each)", n)
	}
	return text + "; boxes show quartiles, median and mean, whiskers reach to the outermost values within 1.5 times the interquartile range"
}

// meanDecimals returns how many decimals show a mean to a hundredth of a bin or better.
func (f *Figure) meanDecimals() int { return min(8, axis.Decimals(f.Bins.Width, 2)) }

// sameCount returns the number of values of every distribution, or 0 if they differ.
func (f *Figure) sameCount() int {
	n := -1
	for p := range f.panels() {
		for _, d := range p.Distributions {
			if n >= 0 && n != len(d.Values) {
				return 0
			}
			n = len(d.Values)
		}
	}
	return max(n, 0)
}

// captionError says what error bars or bands are, if there are any, and how many examples they are based on.
func (f *Figure) captionError(are string) string {
	text := ""
	if f.Uncertain() {
		text = "; " + are + " one standard error"
		if f.dependent() {
			text += ", with edges of one prompt taken as independent"
		}
	}
	if s := f.counted(); s.high > 0 {
		text += fmt.Sprintf(" (%v)", s)
	}
	return text
}

// orElse returns s, or another text if s is empty.
func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// upperFirst capitalises s if it begins with an ASCII letter.
func upperFirst(s string) string {
	if s == "" || s[0] >= utf8.RuneSelf {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// list joins names as in a sentence.
func list(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}
