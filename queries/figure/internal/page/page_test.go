package page_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/recorder"

	"ducklens/queries/figure/internal/page"
	"ducklens/queries/figure/internal/palette"
)

// block is a plot that notes where its panels are.
type block struct {
	natural, least vg.Length
	drawn          []string
}

func (b *block) Side(*page.Styles, vg.Length) vg.Length { return 20 }
func (b *block) Natural(int) vg.Length                  { return b.natural }
func (b *block) Readable(w vg.Length) bool              { return w >= b.least }
func (b *block) Gap() vg.Length                         { return page.PanelGap }
func (b *block) Fit(w, h vg.Length) (width, height vg.Length) {
	if h == 0 {
		h = 50
	}
	return min(w, b.natural), max(h, 10)
}
func (b *block) Middle() vg.Length { return 25 }
func (b *block) Below() vg.Length  { return 10 }
func (b *block) Notes() []string   { return []string{"a note"} }
func (b *block) Draw(_ page.Pen, frame, panel int, x, y vg.Length) {
	b.drawn = append(b.drawn, fmt.Sprintf("%d.%d", frame, panel))
}
func (b *block) DrawSide(page.Pen, vg.Length, vg.Length)  {}
func (b *block) DrawBelow(page.Pen, vg.Length, vg.Length) {}

func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("panel ", i)
	}
	return list
}

// text is what a page writes, in order.
func text(t *testing.T, l *page.Layout) []string {
	t.Helper()
	var c recorder.Canvas
	l.Draw(&c)
	var list []string
	for _, a := range c.Actions {
		if s, ok := a.(*recorder.FillString); ok {
			list = append(list, s.String)
		}
	}
	return list
}

func TestPanelsWrap(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		panels, frames, columns int
		width                   vg.Length
		want                    int
	}{
		{1, 1, 0, 0, 1}, {4, 1, 0, 0, 2}, {4, 2, 0, 0, 4}, {9, 1, 0, 0, 3}, {12, 1, 0, 0, 4}, // as wide as they like
		{4, 1, 1, 0, 1}, {4, 1, 3, 0, 3}, // as the query wants
		{4, 1, 0, 1000, 4}, {4, 1, 0, 440, 2}, {4, 1, 0, 230, 1}, // as they have room: three would leave one alone
		{4, 1, 3, 500, 3}, {4, 1, 3, 230, 1},
		{3, 1, 0, 60, 1}, // no room at all
	} {
		p := page.Page{Frames: make([]string, test.frames), Panels: names(test.panels), Columns: test.columns,
			Plot: &block{natural: 200, least: 100}, Colors: &palette.Light}
		l := p.Arrange(test.width)
		if l.PerRow() != test.want {
			t.Errorf("%+v: %d side by side", test, l.PerRow())
		}
		if w, _ := l.Size(); test.width > 0 && w != test.width {
			t.Errorf("%+v: %v wide", test, w)
		}
	}
}

// A page draws every panel of every frame, and says all that it was given.
func TestDraw(t *testing.T) {
	t.Parallel()
	b := &block{natural: 200, least: 100}
	p := page.Page{
		Title: "a title", Lead: []string{"a subtitle"}, Frames: []string{"first frame", "second frame"}, Panels: names(3), XTitle: "across", YTitle: "up",
		Source: "run_1", Plot: b, Colors: &palette.Light,
		Aside: page.Legend{Title: "kinds", NoteTitle: "mean", Swatch: func(page.Pen, int, vg.Length, vg.Length, vg.Length, vg.Length) {},
			Entries: []page.Entry{{"one", "1.0"}, {"two", "2.0"}, {"three", "3.0"}}},
	}
	for _, width := range []vg.Length{0, 234, 486} {
		b.drawn = nil
		all := text(t, p.Arrange(width))
		for _, want := range []string{"a title", "a subtitle", "first frame", "second frame", "panel 0", "panel 2", "across", "up", "kinds", "mean", "two", "2.0", "a note", "run_1"} {
			if !slices.Contains(all, want) {
				t.Errorf("%v wide: %q is not written: %q", width, want, all)
			}
		}
		if got := strings.Join(b.drawn, " "); got != "0.0 0.1 0.2 1.0 1.1 1.2" {
			t.Errorf("%v wide: panels %s", width, got)
		}
	}
}

// A legend that is higher than the panels lies below them, in columns that are read downwards.
func TestLegendBelow(t *testing.T) {
	t.Parallel()
	var entries []page.Entry
	for i := range 9 {
		entries = append(entries, page.Entry{Name: fmt.Sprint("entry ", i)})
	}
	var at []vg.Point
	p := page.Page{Frames: []string{""}, Panels: []string{""}, Plot: &block{natural: 200, least: 100}, Colors: &palette.Light,
		Aside: page.Legend{Entries: entries, Swatch: func(_ page.Pen, i int, x, y, w, h vg.Length) { at = append(at, vg.Point{X: x, Y: y}) }}}
	text(t, p.Arrange(0))
	columns := map[vg.Length]int{}
	for i, pt := range at {
		columns[pt.X]++
		if i > 0 && pt.X == at[i-1].X && pt.Y <= at[i-1].Y {
			t.Errorf("entry %d is not below the one before", i)
		}
		if i > 0 && pt.X < at[i-1].X {
			t.Errorf("entry %d is left of the one before", i)
		}
	}
	if len(columns) < 2 {
		t.Errorf("places %v, want columns", at)
	}
}

func TestColorBarSides(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		title string
		width vg.Length
		below bool
	}{
		{"score", 0, false}, {"score", 486, false}, {"score", 234, true},
		{strings.Repeat("a title that is longer than the bar ", 4), 0, true},
	} {
		p := page.Page{Frames: []string{""}, Panels: []string{""}, Plot: &block{natural: 100, least: 100}, Colors: &palette.Light,
			Aside: page.ColorBar{Title: test.title, Limit: 0.8}}
		l := p.Arrange(test.width)
		plain := p
		plain.Aside = nil
		_, h := l.Size()
		_, without := plain.Arrange(test.width).Size()
		if below := h > without; below != test.below {
			t.Errorf("%.20s at %v: below the panels %v, want %v", test.title, test.width, below, test.below)
		}
	}
}
