package figure

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"ducklens/queries"
	"ducklens/queries/figure/internal/axis"
)

// Scale is the diverging colour scale of a heatmap or matrix: symmetric, white at zero, full colour at plus
// and minus the limit of a panel.
type Scale struct {
	Title   string
	Rule    string  // what the limits fit: one of queries.Scales, or "fixed"
	Limit   float64 // positive, in the unit of the cells; the largest of the panels' limits
	Beyond  int     // cells that are larger than the limit of their panel, and have the colour of its end
	Largest float64 // the size of the largest of these
}

// Shared reports whether all panels have the same limit.
func (s Scale) Shared() bool { return s.Rule != queries.ScaleFrame && s.Rule != queries.ScalePanel }

// How a scale is determined.
const (
	fixedScale = "fixed"
	within     = 0.98 // part of the cells of the strongest panel that a quantile scale covers
	dwarfing   = 2.0  // a bias this many times larger than everything else is set apart
)

// bias matches the label of a bias. Among the parts of a score, a bias can be larger than all others and yet
// mean nothing: it is the same for every prompt, or cancels against another.
var bias = regexp.MustCompile(`^b_[A-Za-z]+[0-9]*$`)

// rescale determines the limits of all panels.
func (f *Figure) rescale(c queries.Chart) {
	f.Scale = Scale{Title: orElse(c.FillTitle, c.Fill), Rule: c.Scale}
	switch {
	case c.ZMax > 0:
		f.Scale.Rule = fixedScale
	case c.Scale == "" && f.Mark == queries.Matrix:
		f.Scale.Rule = queries.ScaleQuantile
	case c.Scale == "":
		f.Scale.Rule = queries.ScaleFigure
	}
	for _, scope := range f.scopes() {
		limit := c.ZMax
		if limit == 0 {
			limit = f.limit(scope)
		}
		for _, p := range scope {
			p.Limit = limit
			f.mark(p)
		}
		f.Scale.Limit = max(f.Scale.Limit, limit)
	}
}

// scopes returns the sets of panels that share a limit.
func (f *Figure) scopes() [][]*Panel {
	var list [][]*Panel
	for i := range f.Frames {
		for j := range f.Frames[i].Panels {
			p := &f.Frames[i].Panels[j]
			alone := f.Scale.Rule == queries.ScalePanel || f.Scale.Rule == queries.ScaleFrame && j == 0
			if alone || len(list) == 0 {
				list = append(list, nil)
			}
			list[len(list)-1] = append(list[len(list)-1], p)
		}
	}
	return list
}

// limit returns the limit for a set of panels.
func (f *Figure) limit(scope []*Panel) float64 {
	var others, biases, quantile float64
	for _, p := range scope {
		var sizes []float64
		for _, c := range p.Cells {
			size := math.Abs(c.Value)
			if bias.MatchString(c.Label) {
				biases = max(biases, size)
				continue
			}
			others = max(others, size)
			sizes = append(sizes, size)
		}
		if slices.Sort(sizes); len(sizes) > 0 {
			quantile = max(quantile, sizes[int(within*float64(len(sizes)-1))])
		}
	}
	limit := others
	if f.Scale.Rule == queries.ScaleQuantile && quantile > 0 && others > 2*quantile { // otherwise all fit
		limit = quantile
	}
	if limit == 0 || biases <= dwarfing*limit {
		limit = max(limit, biases)
	}
	if limit == 0 {
		limit = 1 // every cell is zero, so any scale will do
	}
	return max(limit, minLimit)
}

// mark sets biases apart that are beyond the limit of their panel, unless the reader has fixed it, and counts
// other cells that are.
func (f *Figure) mark(p *Panel) {
	for i := range p.Cells {
		c := &p.Cells[i]
		if !p.Beyond(*c) {
			continue
		}
		if c.Apart = f.Scale.Rule != fixedScale && bias.MatchString(c.Label); c.Apart {
			continue
		}
		f.Scale.Beyond++
		f.Scale.Largest = max(f.Scale.Largest, math.Abs(c.Value))
	}
}

// Beyond reports whether a cell is beyond the panel's colour scale, and so has the colour of its end.
func (p *Panel) Beyond(c Cell) bool { return !c.Apart && math.Abs(c.Value) > p.Limit*(1+1e-9) }

// shade returns the position of a cell on the panel's colour scale: -1 to 1, or beyond.
func (p *Panel) shade(c Cell) float64 { return c.Value / p.Limit }

// Shade returns the position of a cell on the panel's colour scale, from -1 to 1. A cell that is set apart
// has the colour of zero.
func (p *Panel) Shade(c Cell) float64 {
	if c.Apart {
		return 0
	}
	return max(-1, min(1, p.shade(c)))
}

// Keys returns what to know about the colours of cells besides the colour bar, or about the marks of other
// charts besides the legend.
func (f *Figure) Keys() []string {
	keys := append(f.scaleKeys(), f.marks()...)
	if text := f.apartKey(); text != "" {
		keys = append([]string{text}, keys...)
	}
	return keys
}

// scaleKeys returns what to know about the colours besides the colour bar.
func (f *Figure) scaleKeys() []string {
	var keys []string
	s := f.Scale
	switch s.Rule {
	case queries.ScalePanel:
		keys = append(keys, "each panel has its own colour scale, which ends at the number beside its name")
	case queries.ScaleFrame:
		keys = append(keys, "each frame has its own colour scale, which ends at the number beside its name")
	}
	if s.Beyond > 0 {
		why := "the scale is fixed"
		if s.Rule == queries.ScaleQuantile {
			why = fmt.Sprintf("the scale holds %g %% of the cells of the strongest panel", 100*within)
		}
		noun := "cells are"
		if s.Beyond == 1 {
			noun = "cell is"
		}
		text := fmt.Sprintf("%s; %d %s beyond it, up to %s in size, in the colour of its end",
			why, s.Beyond, noun, short(s.Largest))
		keys = append(keys, text)
		if f.FewBeyond() {
			keys = append(keys, f.beyond()...)
		}
	}
	return keys
}

// fewBeyond is how many cells beyond the scale have their values listed.
const fewBeyond = 12

// FewBeyond reports whether some cells are beyond the scale, and so few that each shows its value.
func (f *Figure) FewBeyond() bool { return f.Scale.Beyond > 0 && f.Scale.Beyond <= fewBeyond }

// beyond lists the cells beyond the scale with their values for each panel that has any, the largest first.
func (f *Figure) beyond() []string {
	var texts []string
	for i := range f.Frames {
		for j := range f.Frames[i].Panels {
			p := &f.Frames[i].Panels[j]
			cells := slices.DeleteFunc(slices.Clone(p.Cells), func(c Cell) bool { return !p.Beyond(c) })
			if len(cells) > 0 {
				texts = append(texts, "beyond the scale"+p.naming()+": "+f.where(i, j)+strings.Join(p.values(cells), ", "))
			}
		}
	}
	return texts
}

// naming says how cells without labels are named in a list.
func (p *Panel) naming() string {
	if slices.ContainsFunc(p.Cells, func(c Cell) bool { return c.Label == "" }) {
		return " (row, column)"
	}
	return ""
}

// where returns the names of a frame and a panel before what is said about them, or "".
func (f *Figure) where(frame, panel int) string {
	where := strings.Trim(f.Frames[frame].Name+", "+f.Frames[frame].Panels[panel].Name, ", ")
	if where != "" {
		where += ": "
	}
	return where
}

// values returns cells with their names and values, the largest first.
func (p *Panel) values(cells []Cell) []string {
	slices.SortStableFunc(cells, func(a, b Cell) int {
		return cmp.Compare(math.Abs(b.Value), math.Abs(a.Value))
	})
	texts := make([]string, len(cells))
	for i, c := range cells {
		name := c.Label
		if name == "" { // not joined by a sign of arithmetic, because heads have names such as 2.0
			name = "(" + p.Y.Names[c.Row] + ", " + p.X.Names[c.Column] + ")"
		}
		texts[i] = name + " " + short(c.Value)
	}
	return texts
}

// apartKey names the cells that are outside of the colour scale, or is empty.
func (f *Figure) apartKey() string {
	const most = 6
	var texts []string
	for i := range f.Frames {
		for j := range f.Frames[i].Panels {
			p := &f.Frames[i].Panels[j]
			for _, c := range p.Cells {
				if c.Apart {
					texts = append(texts, c.Label+" "+short(c.Value))
				}
			}
		}
	}
	if len(texts) == 0 {
		return ""
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if n := len(texts); n > most {
		texts = append(texts[:most-1], fmt.Sprintf("and %d more", n-most+1))
	}
	return "outside the colour scale: " + strings.Join(texts, ", ")
}

// FrameNames returns the names of the frames, with the ends of their colour scales and the numbers of their
// examples if each has its own.
func (f *Figure) FrameNames() []string {
	names := make([]string, len(f.Frames))
	for i, frame := range f.Frames {
		names[i] = frame.Name
		panels := f.Scale.Rule == queries.ScalePanel && f.serial() // frames that are drawn like panels
		if len(f.Frames) > 1 && (panels || f.Scale.Rule == queries.ScaleFrame) {
			names[i] = limitName(frame.Name, frame.Panels[0].Limit)
		}
		names[i] = f.frameCount(i, names[i])
	}
	return names
}

// PanelNames returns the names of the panels of a frame, with the ends of their colour scales and the numbers
// of their examples if each has its own.
func (f *Figure) PanelNames(frame int) []string {
	panels := f.Frames[frame].Panels
	names := make([]string, len(panels))
	for i, panel := range panels {
		names[i] = panel.Name
		if f.Scale.Rule == queries.ScalePanel && !f.serial() {
			names[i] = limitName(panel.Name, panel.Limit)
		}
		names[i] = f.panelCount(frame, i, names[i])
	}
	return names
}

// limitName appends the limit of its own scale to the name of a panel or frame.
func limitName(name string, limit float64) string {
	end := "±" + digits(limit, 2)
	if name == "" {
		return end
	}
	return name + " (" + end + ")"
}

// short formats a number with three digits.
func short(x float64) string { return digits(x, 3) }

func digits(x float64, n int) string {
	size := math.Abs(x)
	if size == 0 {
		return "0"
	}
	if size >= 1e-4 && size < 1e6 {
		return axis.Plain(x, axis.Decimals(size, n))
	}
	return axis.Text(x, math.Pow(10, math.Floor(math.Log10(size))+1-float64(n)), size)
}
