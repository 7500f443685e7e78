package page

import (
	"gonum.org/v1/plot/vg"
)

// Legend explains colours, line styles and hatchings.
type Legend struct {
	Title     string
	NoteTitle string // above the notes
	Entries   []Entry
	// Swatch draws the sample of entry i with its upper left corner at x, y.
	Swatch func(p Pen, i int, x, y, w, h vg.Length)
}

// Entry is a line of a legend.
type Entry struct {
	Name string
	Note string // at the right, such as a number; notes are right-aligned
}

var _ Aside = Legend{}

// Measures of a legend.
const (
	swatchW   = 15.0
	swatchGap = 4.0
	noteGap   = 6.0
	entryGap  = 13.0          // between columns of entries
	maxEntry  = 2.3 * vg.Inch // maximum width of a name
	nameLines = 3             // of an entry, at most
	entryLead = 1.35          // distance of two entries, by the size of their text
	titleLead = 1.45          // distance of the title from the entries
)

// sizes are the measures of a legend in some width.
type sizes struct {
	name      vg.Length // widest line of a name
	each      vg.Length // width of an entry
	entry     vg.Length // height of an entry
	columns   int
	perColumn int // entries in a column
}

// measure fits the legend into a width, in at most most columns.
func (l Legend) measure(s *Styles, width vg.Length, most int) sizes {
	var z sizes
	var notes vg.Length
	if l.NoteTitle != "" {
		notes = noteGap + s.Axis.Width(l.NoteTitle)
	}
	for _, e := range l.Entries {
		z.name = max(z.name, s.Name.Width(e.Name))
		if e.Note != "" {
			notes = max(notes, noteGap+s.Name.Width(e.Note))
		}
	}
	room := max(1, min(maxEntry, width-swatchW-swatchGap-notes))
	z.name = min(z.name, room)
	lines := 1
	for _, e := range l.Entries {
		lines = max(lines, len(s.Name.Wrap(e.Name, room, nameLines)))
	}
	z.entry = (entryLead + 1.2*vg.Length(lines-1)) * s.Name.Size
	z.each = swatchW + swatchGap + z.name + notes
	if l.NoteTitle != "" {
		z.each = max(z.each, min(width, s.Axis.Width(l.Title)+noteGap+s.Axis.Width(l.NoteTitle)))
	}
	z.columns = min(most, max(1, int((width+entryGap)/(z.each+entryGap))), len(l.Entries))
	z.perColumn = (len(l.Entries) + z.columns - 1) / z.columns
	z.columns = (len(l.Entries) + z.perColumn - 1) / z.perColumn
	return z
}

// height returns the height of the whole legend.
func (l Legend) height(s *Styles, z sizes) vg.Length {
	h := vg.Length(z.perColumn) * z.entry
	if l.Title != "" {
		h += s.Axis.Size * titleLead
	}
	return h
}

// upright measures the legend as one column of any width.
func (l Legend) upright(s *Styles) sizes { return l.measure(s, 10*maxEntry, 1) }

// Beside implements [Aside].
func (l Legend) Beside(s *Styles) vg.Length {
	return max(l.upright(s).each, min(s.Axis.Width(l.Title), maxEntry))
}

// Fits implements [Aside].
func (l Legend) Fits(s *Styles, height vg.Length) bool { return l.height(s, l.upright(s)) <= height }

// place returns where the legend is drawn below panels: directly under them if it needs no more lines there
// than in the whole width of the page.
func (l Legend) place(s *Styles, strip Strip) (x vg.Length, z sizes) {
	here, wide := l.measure(s, strip.PanelsW, len(l.Entries)), l.measure(s, strip.W, len(l.Entries))
	if l.height(s, wide) < l.height(s, here) {
		return strip.X, wide
	}
	return strip.PanelsX, here
}

// Below implements [Aside].
func (l Legend) Below(s *Styles, strip Strip) vg.Length {
	_, z := l.place(s, strip)
	return l.height(s, z)
}

// DrawBeside implements [Aside].
func (l Legend) DrawBeside(p Pen, s *Styles, x, y, height vg.Length) {
	z := l.upright(s)
	z.each = l.Beside(s)
	l.draw(p, s, z, x, y)
}

// DrawBelow implements [Aside].
func (l Legend) DrawBelow(p Pen, s *Styles, strip Strip, y vg.Length) {
	x, z := l.place(s, strip)
	l.draw(p, s, z, x, y)
}

// draw fills the columns one after the other, so that the order of the entries is visible.
func (l Legend) draw(p Pen, s *Styles, z sizes, x, y vg.Length) {
	if l.Title != "" {
		room := max(vg.Length(z.columns)*(z.each+entryGap)-entryGap, p.width-Edge-x)
		if l.NoteTitle != "" {
			room = z.each - noteGap - s.Axis.Width(l.NoteTitle)
			for i := range z.columns {
				p.Text(s.Axis, x+vg.Length(i)*(z.each+entryGap)+z.each, y+s.Axis.Size*0.9, 1, l.NoteTitle)
			}
		}
		p.Text(s.Axis, x, y+s.Axis.Size*0.9, 0, s.Axis.Truncate(l.Title, room))
		y += s.Axis.Size * titleLead
	}
	lead := s.Name.Size * entryLead
	for i, e := range l.Entries {
		left, top := x+vg.Length(i/z.perColumn)*(z.each+entryGap), y+vg.Length(i%z.perColumn)*z.entry
		h := s.Name.Cap() * 1.15
		l.Swatch(p, i, left, top+(lead-h)/2, swatchW, h)
		baseline := top + (lead+s.Name.Cap())/2
		for k, line := range s.Name.Wrap(e.Name, z.name, nameLines) {
			p.Text(s.Name, left+swatchW+swatchGap, baseline+vg.Length(k)*1.2*s.Name.Size, 0, line)
		}
		if e.Note != "" {
			p.Text(s.Name, left+z.each, baseline, 1, e.Note)
		}
	}
}
