package figure

import (
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/plot/vg"

	"ducklens/queries/figure/internal/canvas"
)

// seam is how far a cell's fill reaches below its right and lower neighbours: without it the white of
// the page shows through where two smoothed edges meet.
const seam = 0.4

// at is a point of the page: x from the left, y from the top.
func (l *layout) at(x, y vg.Length) vg.Point { return vg.Point{X: x, Y: l.h - y} }

// fill fills an upright rectangle given by its upper left corner.
func (l *layout) fill(c vg.Canvas, x, y, w, h vg.Length) {
	var p vg.Path
	p.Move(l.at(x, y))
	p.Line(l.at(x+w, y))
	p.Line(l.at(x+w, y+h))
	p.Line(l.at(x, y+h))
	p.Close()
	c.Fill(p)
}

// draw draws the whole figure.
func (l *layout) draw(c vg.Canvas) {
	c.SetColor(ink(dark))
	l.fill(c, 0, 0, l.w, l.h)
	y := l.edge
	for _, text := range []struct {
		style textStyle
		lines []string
	}{{l.title, l.titleLines}, {l.subtitle, l.subtitleLines}} {
		for _, line := range text.lines {
			text.style.draw(c, l.at(l.edge, y+text.style.size), 0, line)
			y += text.style.line()
		}
	}
	for _, b := range l.blocks {
		l.drawBlock(c, b)
	}
	panel := l.f.Frames[0].Panels[0]
	if panel.X.Title != "" {
		l.axisTitle.draw(c, l.at(l.left+l.gridsW()/2, l.xTitle), 0.5, panel.X.Title)
	}
	l.drawBar(c)
	for i, line := range l.footLines {
		l.foot.draw(c, l.at(l.edge, l.footY+vg.Length(i)*l.foot.line()), 0, line)
	}
}

// drawBlock draws one frame.
func (l *layout) drawBlock(c vg.Canvas, b block) {
	if b.frame.Name != "" {
		name := l.frameName.truncate(b.frame.Name, l.w-2*l.edge)
		l.frameName.draw(c, l.at(l.edge, b.nameY), 0, name)
	}
	for _, r := range b.rows {
		if title := b.frame.Panels[r.first].Y.Title; title != "" {
			x := l.left - l.rowNamesW - 3 - 0.45*l.axisTitle.size
			l.axisTitle.drawUp(c, l.at(x, r.top+l.gridH()/2), 0.5, title)
		}
		for i, name := range l.rowNames {
			y := r.top + (vg.Length(i)+0.5)*l.cellH + l.name.cap()/2
			l.name.draw(c, l.at(l.left-3, y), 1, name)
		}
		for j := range r.n {
			x := l.left + vg.Length(j)*(l.gridW()+panelGap)
			for k, line := range r.titles[j] {
				l.panelTitle.draw(c, l.at(x, r.titleY+vg.Length(k)*l.panelTitle.line()), 0, line)
			}
			for k, name := range l.columnNames {
				mid := x + (vg.Length(k)+0.5)*l.cellW
				if l.turned {
					l.name.drawUp(c, l.at(mid+l.name.cap()/2, r.top+l.gridH()+3), 1, name)
				} else {
					l.name.draw(c, l.at(mid, r.top+l.gridH()+2+l.name.size*0.85), 0.5, name)
				}
			}
			l.drawCells(c, &b.frame.Panels[r.first+j], x, r.top)
		}
	}
}

// drawCells draws a panel's grid with its upper left corner at x, y.
func (l *layout) drawCells(c vg.Canvas, p *Panel, x, y vg.Length) {
	if len(p.Cells) == 0 {
		none := l.name
		none.color = grey
		none.draw(c, l.at(x+l.gridW()/2, y+l.gridH()/2), 0.5, "no rows")
		return
	}
	has := make(map[[2]int]bool, len(p.Cells))
	for _, cell := range p.Cells {
		has[[2]int{cell.Row, cell.Column}] = true
	}
	place := func(cell Cell) (x0, y0 vg.Length) {
		return x + vg.Length(cell.Column)*l.cellW, y + vg.Length(cell.Row)*l.cellH
	}
	for _, cell := range p.Cells {
		x0, y0 := place(cell)
		w, h := l.cellW, l.cellH
		if has[[2]int{cell.Row, cell.Column + 1}] {
			w += seam
		}
		if has[[2]int{cell.Row + 1, cell.Column}] {
			h += seam
		}
		if g, ok := c.(canvas.Grouper); ok {
			g.Group(p.describe(cell))
		}
		c.SetColor(l.f.Scale.Color(cell.Value))
		l.fill(c, x0, y0, w, h)
		if g, ok := c.(canvas.Grouper); ok {
			g.EndGroup()
		}
	}
	l.drawOutline(c, p.Cells, has, place)
	for _, cell := range p.Cells {
		x0, y0 := place(cell)
		l.drawCellText(c, cell, x0, y0)
	}
}

// drawOutline frames the cells that are there, which sets them off from places without a component: a cell of
// value zero is as white as the page.
func (l *layout) drawOutline(c vg.Canvas, cells []Cell, has map[[2]int]bool, place func(Cell) (x, y vg.Length)) {
	var path vg.Path
	for _, cell := range cells {
		x, y := place(cell)
		for _, side := range []struct {
			row, column    int
			x0, y0, x1, y1 vg.Length
		}{
			{-1, 0, 0, 0, 1, 0}, {1, 0, 0, 1, 1, 1}, {0, -1, 0, 0, 0, 1}, {0, 1, 1, 0, 1, 1},
		} {
			if has[[2]int{cell.Row + side.row, cell.Column + side.column}] {
				continue
			}
			path.Move(l.at(x+side.x0*l.cellW, y+side.y0*l.cellH))
			path.Line(l.at(x+side.x1*l.cellW, y+side.y1*l.cellH))
		}
	}
	c.SetColor(edge)
	c.SetLineWidth(0.5)
	c.Stroke(path)
}

// drawCellText writes a cell's label, and its sign where that is strong.
func (l *layout) drawCellText(c vg.Canvas, cell Cell, x, y vg.Length) {
	label, value := l.label, l.value
	label.color = ink(l.f.Scale.Color(cell.Value))
	value.color = label.color
	mid, baseline := x+l.cellW/2, y+(l.cellH+label.cap())/2
	if l.values && math.Abs(cell.Value) >= strong*l.f.Scale.Limit {
		space := (l.cellH - label.cap() - value.cap()) / 3
		baseline = y + 0.9*space + label.cap()
		value.draw(c, l.at(mid, y+l.cellH-0.9*space), 0.5, plain(cell.Value, l.decimals))
	}
	if l.labels && cell.Label != "" {
		label.draw(c, l.at(mid, baseline), 0.5, cell.Label)
	}
	if l.marked(cell) {
		c.SetColor(label.color)
		inset := min(1.2, 0.1*l.cellH)
		l.fill(c, x+inset, y+inset, min(3.2, 0.25*l.cellW), 0.55)
	}
}

// describe says what a cell shows, for a viewer's pointer.
func (p *Panel) describe(cell Cell) string {
	text := cell.Label
	if text == "" {
		text = p.Y.Names[cell.Row] + ", " + p.X.Names[cell.Column]
	}
	text += ": " + strconv.FormatFloat(cell.Value, 'g', 5, 64)
	if !math.IsNaN(cell.Error) {
		text += " ± " + strconv.FormatFloat(cell.Error, 'g', 2, 64)
	}
	if cell.Count > 0 {
		text += fmt.Sprintf(" (n = %d)", cell.Count)
	}
	return text
}

// barSteps is the number of colours in the bar.
const barSteps = 100

// drawBar draws the colour bar: plus at the top, or at the right.
func (l *layout) drawBar(c vg.Canvas) {
	b, s := l.bar, l.f.Scale
	step := b.length / barSteps
	for i := range barSteps {
		c.SetColor(s.Color(s.Limit * (2*(float64(i)+0.5)/barSteps - 1)))
		reach := step + seam
		if i == barSteps-1 {
			reach = step
		}
		if b.upright { // from the bottom; a colour reaches up below the next
			l.fill(c, b.x, b.y+b.length-vg.Length(i)*step-reach, barWidth, reach)
		} else {
			l.fill(c, b.x+vg.Length(i)*step, b.y, reach, barWidth)
		}
	}
	w, h := vg.Length(barWidth), b.length
	if !b.upright {
		w, h = h, w
	}
	var path vg.Path
	path.Move(l.at(b.x, b.y))
	path.Line(l.at(b.x+w, b.y))
	path.Line(l.at(b.x+w, b.y+h))
	path.Line(l.at(b.x, b.y+h))
	path.Close()
	for _, t := range b.ticks {
		along := b.length * vg.Length((t/s.Limit+1)/2)
		if b.upright {
			path.Move(l.at(b.x+w, b.y+h-along))
			path.Line(l.at(b.x+w+2, b.y+h-along))
		} else {
			path.Move(l.at(b.x+along, b.y+h))
			path.Line(l.at(b.x+along, b.y+h+2))
		}
	}
	c.SetColor(edge)
	c.SetLineWidth(0.5)
	c.Stroke(path)
	for i, t := range b.ticks {
		along := b.length * vg.Length((t/s.Limit+1)/2)
		if b.upright { // minus signs hang to the left, digits stand below each other
			l.tick.draw(c, l.at(b.x+w+3.5+b.tickW, b.y+h-along+l.tick.cap()/2), 1, b.texts[i])
		} else {
			half := l.tick.width(b.texts[i])/2 + 2
			mid := max(half, min(b.x+along, l.w-half))
			l.tick.draw(c, l.at(mid, b.y+h+3+l.tick.size*0.85), 0.5, b.texts[i])
		}
	}
	if b.upright {
		x := b.x + w + 3.5 + b.tickW + 4 + l.axisTitle.size*0.85
		l.axisTitle.drawUp(c, l.at(x, b.y+h/2), 0.5, s.Title)
	} else {
		title := l.axisTitle.truncate(s.Title, l.w-2*l.edge)
		l.axisTitle.draw(c, l.at(b.x+w/2, b.y+h+3+l.tick.line()+l.axisTitle.size*0.85), 0.5, title)
	}
}
