package figure

import (
	"fmt"
	"math"

	"ducklens/queries"
)

// Counts says how many examples the drawn values are based on. The subtitle says how many prompts the run
// has; a mean may be over fewer, such as those with a baseline.
type Counts struct {
	Known   bool  // the query names a column with them
	Prompts int64 // of the run; 0 if unknown
	Edges   int64 // of the run, if it has more edges than prompts; else 0
}

// newCounts reads what the answer says about the run.
func newCounts(c queries.Chart, r *queries.Result) Counts {
	counts := Counts{Known: c.Count != ""}
	counts.Prompts, counts.Edges = r.Size()
	if counts.Edges <= counts.Prompts {
		counts.Edges = 0
	}
	return counts
}

// dependent reports whether the values are over several edges of a prompt. Their standard errors take edges
// as independent.
func (f *Figure) dependent() bool { return f.Counts.Known && f.Counts.Edges > 0 }

// counting is the smallest and the largest number of examples behind a value.
type counting struct{ low, high int64 }

func (s counting) String() string {
	if s.low == s.high {
		return fmt.Sprintf("n = %d", s.low)
	}
	return fmt.Sprintf("n = %d to %d", s.low, s.high)
}

// counted returns the range over some panels; for none it is empty, that is, low is above high.
func counted(panels ...*Panel) counting {
	s := counting{low: math.MaxInt64}
	see := func(n int64) { s.low, s.high = min(s.low, n), max(s.high, n) }
	for _, p := range panels {
		for _, c := range p.Cells {
			see(c.Count)
		}
		for _, d := range p.Distributions {
			see(int64(len(d.Values)))
		}
		for _, b := range p.Bars {
			see(b.Count)
		}
		for _, l := range p.Lines {
			for _, pt := range l.Points {
				see(pt.Count)
			}
		}
		for _, c := range p.Clouds {
			for _, d := range c.Dots {
				see(d.Count)
			}
		}
	}
	return s
}

// seriesName returns the name of a distribution's series, with the number of its values if others have a
// different number.
func (f *Figure) seriesName(d Distribution) string {
	name := f.Legend.Names[d.Series]
	if f.sameCount() == 0 {
		name += fmt.Sprintf(" (n = %d)", len(d.Values))
	}
	return name
}

// counted returns the range over all panels.
func (f *Figure) counted() counting {
	var all []*Panel
	for p := range f.panels() {
		all = append(all, p)
	}
	return counted(all...)
}

// countRemark says that the values are over fewer examples than the run has prompts, or over more, if that is
// so in every panel alike.
func (f *Figure) countRemark() string {
	all := f.counted()
	if !f.Counts.Known || !f.dependent() && all.high >= f.Counts.Prompts || all.high == 0 {
		return ""
	}
	for p := range f.panels() {
		if s := counted(p); s != all && s.low <= s.high {
			return "" // their names say it
		}
	}
	if f.dependent() {
		return fmt.Sprintf("%v edges of %d prompts", all, f.Counts.Prompts)
	}
	return fmt.Sprintf("%v of %d prompts", all, f.Counts.Prompts)
}

// frameCount and panelCount append the number of examples to the name of a frame or panel if it differs from
// the others': to a frame's name if its panels agree, and otherwise to a panel's.
func (f *Figure) frameCount(frame int, name string) string {
	if f.Counts.Known && len(f.Frames) > 1 && f.countedByFrame() {
		return f.countName(name, f.Frames[frame].counted())
	}
	return name
}

func (f *Figure) panelCount(frame, panel int, name string) string {
	if !f.Counts.Known || f.countedByFrame() {
		return name
	}
	return f.countName(name, counted(&f.Frames[frame].Panels[panel]))
}

// countedByFrame reports whether all panels of each frame have the same range.
func (f *Figure) countedByFrame() bool {
	for i := range f.Frames {
		all := f.Frames[i].counted()
		for j := range f.Frames[i].Panels {
			if s := counted(&f.Frames[i].Panels[j]); s != all && s.low <= s.high {
				return false
			}
		}
	}
	return true
}

func (f *Frame) counted() counting {
	var all []*Panel
	for j := range f.Panels {
		all = append(all, &f.Panels[j])
	}
	return counted(all...)
}

func (f *Figure) countName(name string, s counting) string {
	if s.low > s.high || s.high == 0 || s == f.counted() {
		return name
	}
	if name == "" {
		return s.String()
	}
	return name + " (" + s.String() + ")"
}
