package page

import (
	"gonum.org/v1/plot/vg"
)

// Legend names what colours, line styles and hatches mean.
type Legend struct {
	Title     string
	NoteTitle string // above the notes
	Entries   []Entry
	Swatch    func(p Pen, i int, x, y, w, h vg.Length) // draws the sample of entry i with its upper left corner at x, y
}

// Entry is a line of a legend.
type Entry struct {
	Name string
	Note string // at the right, such as a number; all notes end below each other
}

var _ Aside = Legend{}

// Measures of a legend.
const (
	swatchW   = 15.0
	swatchGap = 4.0
	noteGap   = 6.0
	entryGap  = 13.0          // between columns of entries
	maxEntry  = 2.3 * vg.Inch // widest name
	entryLead = 1.35          // distance of two entries, by the size of their text
	titleLead = 1.45          // distance of the title from the entries
)

// sized are the widths of the swatch with its gap, the names and the notes.
func (l Legend) sized(s *Styles, width vg.Length) (names, notes vg.Length) {
	if l.NoteTitle != "" {
		notes = noteGap + s.Axis.Width(l.NoteTitle)
	}
	for _, e := range l.Entries {
		names = max(names, s.Name.Width(e.Name))
		if e.Note != "" {
			notes = max(notes, noteGap+s.Name.Width(e.Note))
		}
	}
	most := min(maxEntry, width-swatchW-swatchGap-notes)
	return min(names, max(most, 0)), notes
}

// height is that of a number of lines, with the title.
func (l Legend) height(s *Styles, lines int) vg.Length {
	h := vg.Length(lines) * s.Name.Size * entryLead
	if l.Title != "" {
		h += s.Axis.Size * titleLead
	}
	return h
}

// Beside implements [Aside].
func (l Legend) Beside(s *Styles) vg.Length {
	names, notes := l.sized(s, 10*maxEntry)
	return max(swatchW+swatchGap+names+notes, min(s.Axis.Width(l.Title)+noteGap+s.Axis.Width(l.NoteTitle), maxEntry))
}

// Fits implements [Aside].
func (l Legend) Fits(s *Styles, height vg.Length) bool { return l.height(s, len(l.Entries)) <= height }

// columns is how many entries have room side by side, and how many lines that makes.
func (l Legend) columns(s *Styles, width vg.Length) (columns, lines int) {
	names, notes := l.sized(s, width)
	each := swatchW + swatchGap + names + notes
	columns = min(max(1, int((width+entryGap)/(each+entryGap))), len(l.Entries))
	lines = (len(l.Entries) + columns - 1) / columns
	return (len(l.Entries) + lines - 1) / lines, lines
}

// place is where it stands below panels: under them, where it takes no more lines there than in the whole width of the page.
func (l Legend) place(s *Styles, strip Strip) (x, width vg.Length) {
	_, here := l.columns(s, strip.PanelsW)
	if _, wide := l.columns(s, strip.W); wide < here {
		return strip.X, strip.W
	}
	return strip.PanelsX, strip.PanelsW
}

// Below implements [Aside].
func (l Legend) Below(s *Styles, strip Strip) vg.Length {
	_, width := l.place(s, strip)
	_, lines := l.columns(s, width)
	return l.height(s, lines)
}

// DrawBeside implements [Aside].
func (l Legend) DrawBeside(p Pen, s *Styles, x, y, height vg.Length) {
	l.draw(p, s, x, y, l.Beside(s), 1, len(l.Entries))
}

// DrawBelow implements [Aside].
func (l Legend) DrawBelow(p Pen, s *Styles, strip Strip, y vg.Length) {
	x, width := l.place(s, strip)
	columns, lines := l.columns(s, width)
	l.draw(p, s, x, y, width, columns, lines)
}

// draw goes down the columns, so that the order of the entries is seen.
func (l Legend) draw(p Pen, s *Styles, x, y, width vg.Length, columns, lines int) {
	names, notes := l.sized(s, width)
	each := swatchW + swatchGap + names + notes
	if columns == 1 {
		each = max(each, min(width, l.Beside(s)))
	}
	if l.Title != "" {
		room := max(width, each)
		if l.NoteTitle != "" {
			room = each - noteGap - s.Axis.Width(l.NoteTitle)
			for i := range columns {
				p.Text(s.Axis, x+vg.Length(i)*(each+entryGap)+each, y+s.Axis.Size*0.9, 1, l.NoteTitle)
			}
		}
		p.Text(s.Axis, x, y+s.Axis.Size*0.9, 0, s.Axis.Truncate(l.Title, room))
		y += s.Axis.Size * titleLead
	}
	lead := s.Name.Size * entryLead
	for i, e := range l.Entries {
		left, top := x+vg.Length(i/lines)*(each+entryGap), y+vg.Length(i%lines)*lead
		h := s.Name.Cap() * 1.15
		l.Swatch(p, i, left, top+(lead-h)/2, swatchW, h)
		baseline := top + (lead+s.Name.Cap())/2
		p.Text(s.Name, left+swatchW+swatchGap, baseline, 0, s.Name.Truncate(e.Name, names))
		if e.Note != "" {
			p.Text(s.Name, left+each, baseline, 1, e.Note)
		}
	}
}
