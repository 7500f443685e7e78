package figure

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"ducklens/queries"
	"ducklens/queries/figure/internal/axis"
)

// Cloud is one series of a scatter chart.
type Cloud struct {
	Series int   // index into the legend's names; 0 without a legend
	Dots   []Dot // in the order of the rows
	Fit    *Fit  // nil if none was asked for or none exists
}

// Dot is one point.
type Dot struct {
	X, Y           float64
	XError, YError float64 // standard errors in the units of X and Y; NaN if unknown
	Count          int64   // number of examples behind the point; 0 where unknown
	Label          string  // "" for none
	Named          bool    // its label is shown, if there is room
	rank           int     // how many points stand out more
}

// Fit is a least-squares line, y = Slope x + Intercept, and how closely the points follow it.
type Fit struct {
	Slope, Intercept float64
	R                float64 // Pearson's correlation coefficient; 0 if all points have the same y
	N                int
}

// At returns the height of the line at x.
func (f Fit) At(x float64) float64 { return f.Slope*x + f.Intercept }

// Diagonal returns from where to where the line y = x lies within the axes, and whether it does.
func (p *Panel) Diagonal() (low, high float64, ok bool) {
	return diagonal(p.X.Low, p.X.High, p.Y.Low, p.Y.High)
}

func diagonal(left, right, bottom, top float64) (low, high float64, ok bool) {
	low, high = max(left, bottom), min(right, top)
	return low, high, low < high
}

// Reach returns where the fitted line of a series begins and ends: at its first and its last point, or where
// it leaves a range of y.
func (c Cloud) Reach(bottom, top float64) (low, high float64) {
	low, high = c.Dots[0].X, c.Dots[0].X
	for _, d := range c.Dots {
		low, high = min(low, d.X), max(high, d.X)
	}
	if s := c.Fit.Slope; s != 0 {
		a, b := (bottom-c.Fit.Intercept)/s, (top-c.Fit.Intercept)/s
		low, high = max(low, min(a, b)), min(high, max(a, b))
	}
	return low, high
}

// usualLabels is how many points are named if the header does not say. If there are at most this many, all
// are.
const usualLabels = 12

// points sets the frames and the legend of a scatter chart from the rows.
func (f *Figure) points(t *table, c queries.Chart) error {
	if t.hide(f, c.Hide, c.Series, c.Label); len(t.rows) == 0 {
		return t.nothingLeft()
	}
	xs, err := t.numbers(c.X)
	if err != nil {
		return err
	}
	ys, err := t.numbers(c.Y)
	if err != nil {
		return err
	}
	across, _, err := t.support(queries.Chart{Error: c.XError})
	if err != nil {
		return err
	}
	up, count, err := t.support(c)
	if err != nil {
		return err
	}
	series, err := t.entries(c.Series)
	if err != nil {
		return err
	}
	x := Axis{Title: orElse(c.XTitle, c.X), Low: xs[0], High: xs[0]}
	y := Axis{Title: orElse(c.YTitle, c.Y), Low: ys[0], High: ys[0]}
	for i := range xs {
		x.cover(xs[i], across[i])
		y.cover(ys[i], up[i])
	}
	f.Diagonal = c.Diagonal
	f.Legend = legend(c, c.Series, series, t.whole().categories(c.Series))
	g, err := f.grid(t, c, x, y)
	if err != nil {
		return err
	}
	type at struct {
		panel  *Panel
		series int
	}
	clouds := make(map[at][]Dot)
	for i := range xs {
		key := at{g.panel(i), series.of[i]}
		clouds[key] = append(clouds[key], Dot{X: xs[i], Y: ys[i], XError: across[i], YError: up[i],
			Count: count[i], Label: t.text(i, c.Label)})
	}
	for panel := range f.panels() {
		for s := range series.names {
			if dots := clouds[at{panel, s}]; dots != nil {
				cloud := Cloud{Series: s, Dots: dots}
				if c.Fit == queries.FitLine {
					cloud.Fit = leastSquares(dots)
				}
				panel.Clouds = append(panel.Clouds, cloud)
			}
		}
		panel.nameDots(c.Labels)
	}
	return nil
}

// leastFitted is the smallest number of points through which a line is fitted. Fewer follow one by chance.
const leastFitted = 5

// leastSquares fits a line. It returns nil if all points have the same x or there are too few.
func leastSquares(dots []Dot) *Fit {
	if len(dots) < leastFitted {
		return nil
	}
	n := float64(len(dots))
	var sumX, sumY, xx, xy, yy float64
	for _, d := range dots { // differences from the first point, so that those of equal numbers are exactly 0
		sumX += d.X - dots[0].X
		sumY += d.Y - dots[0].Y
	}
	meanX, meanY := dots[0].X+sumX/n, dots[0].Y+sumY/n
	for _, d := range dots {
		dx, dy := d.X-meanX, d.Y-meanY
		xx, xy, yy = xx+dx*dx, xy+dx*dy, yy+dy*dy
	}
	if !(xx > 0) {
		return nil
	}
	fit := &Fit{Slope: xy / xx, N: len(dots)}
	fit.Intercept = meanY - fit.Slope*meanX
	if yy > 0 {
		fit.R = xy / math.Sqrt(xx*yy)
	}
	return fit
}

// nameDots chooses the points whose labels are shown: those that stand out most. most = 0 means all labels if
// there are few, and otherwise the usual number.
func (p *Panel) nameDots(most int) {
	type candidate struct {
		dot  *Dot
		away float64
	}
	var list []candidate
	for i := range p.Clouds {
		away := p.Clouds[i].outlying()
		for j := range p.Clouds[i].Dots {
			if d := &p.Clouds[i].Dots[j]; d.Label != "" {
				list = append(list, candidate{d, away(*d)})
			}
		}
	}
	if most == 0 {
		most = usualLabels
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(b.away, a.away) })
	for i, c := range list[:min(most, len(list))] {
		c.dot.Named, c.dot.rank = true, i
	}
}

// HaveRoom says which points of each series have their names to the upper right in a panel of width by height
// px, with letters of size px. A name that would cover that of a point that stands out more is left out.
func (p *Panel) HaveRoom(width, height, size float64) [][]bool {
	type name struct {
		*Dot
		cloud, dot int
	}
	var list []name
	room := make([][]bool, len(p.Clouds))
	for i, c := range p.Clouds {
		room[i] = make([]bool, len(c.Dots))
		for j := range c.Dots {
			if c.Dots[j].Named {
				list = append(list, name{&c.Dots[j], i, j})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b name) int { return cmp.Compare(a.rank, b.rank) })
	right, up := width/(p.X.High-p.X.Low), height/(p.Y.High-p.Y.Low) // px a unit
	var written []name
	for _, n := range list {
		if !slices.ContainsFunc(written, func(o name) bool {
			away := (o.X - n.X) * right
			letters := utf8.RuneCountInString(n.Label)
			if away < 0 {
				away, letters = -away, utf8.RuneCountInString(o.Label)
			}
			return away < 0.6*size*float64(letters) && math.Abs(o.Y-n.Y)*up < 1.2*size
		}) {
			written = append(written, n)
			room[n.cloud][n.dot] = true
		}
	}
	return room
}

// outlying returns how far a point stands out from its series: from the line if there is one, and otherwise
// from the centre, with both axes in standard deviations.
func (c Cloud) outlying() func(Dot) float64 {
	if c.Fit != nil {
		return func(d Dot) float64 { return math.Abs(d.Y - c.Fit.At(d.X)) }
	}
	n := float64(len(c.Dots))
	var meanX, meanY, xx, yy float64
	for _, d := range c.Dots {
		meanX += d.X / n
		meanY += d.Y / n
	}
	for _, d := range c.Dots {
		xx += (d.X - meanX) * (d.X - meanX) / n
		yy += (d.Y - meanY) * (d.Y - meanY) / n
	}
	return func(d Dot) float64 {
		return math.Hypot((d.X-meanX)/max(math.Sqrt(xx), minLimit), (d.Y-meanY)/max(math.Sqrt(yy), minLimit))
	}
}

// String says how closely the points follow the line, with a true minus sign.
func (f Fit) String() string { return fmt.Sprintf("r = %s, %d points", axis.Plain(f.R, 2), f.N) }
