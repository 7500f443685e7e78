package figure

import (
	"fmt"
	"strings"

	"ducklens/queries"
)

// Figure is a drawing before it has a size or a format.
type Figure struct {
	Name     string // of the saved query
	Mark     queries.Mark
	Title    string
	Subtitle string
	Columns  int // panels side by side that the query asks for; 0: decided when drawing
	Frames   []Frame
	Scale    Scale           // heatmap, matrix
	Part     Part            // matrix: how much of the whole is shown
	Hidden   Hidden          // what the reader did not want to see
	Counts   Counts          // over how many examples the values are
	Wholes   []queries.Whole // what the drawn shares are shares of; nil if none are drawn
	Legend   Legend          // histogram, bar, line, scatter
	Bins     Bins            // histogram
	Diagonal string          // scatter: a line to compare the points with, one of queries.Diagonals; "": none
	// Settings are parameters of the query that are not at their defaults, without those that a title
	// mentions.
	Settings []queries.Setting
	Told     []queries.Setting // those that a title mentions
	Facts    []Fact
	// LegendOnly are series or categories that an interactive figure hides until they are clicked in its
	// legend.
	LegendOnly []string
	// Bare leaves out the title, the subtitle, the remarks and the foot, because the text around the figure
	// has them.
	Bare bool
}

// Frame is one picture of a series, such as the same panels with another baseline. On paper it is a block of
// its own. All frames of a figure have the same panels in the same order. A query without frames has one
// frame without a name.
type Frame struct {
	Name   string
	Panels []Panel
}

// Panel is one set of axes and what is drawn on them, which is in the list that belongs to the figure's mark.
// All panels of a figure share their axes, so that a place means the same everywhere. A panel of a frame for
// which the result has no rows is empty.
type Panel struct {
	Name string
	// As the keys x and y of the header. Those of bars are drawn turned: names down the page, values across.
	X, Y          Axis
	Cells         []Cell         // heatmap, matrix: by row, then column
	Limit         float64        // heatmap, matrix: the values at the ends of the colour scale
	Distributions []Distribution // histogram: in legend order
	Bars          []Bar          // bar: by place
	Lines         []Line         // line: in the order of the legend
	Clouds        []Cloud        // scatter: in the order of the legend
}

// Axis is an axis of names or of numbers.
type Axis struct {
	Title     string
	Names     []string // in order from the left or from the top; nil for an axis of numbers
	Groups    []Group  // runs of neighbouring names, all of them in order; nil where the header tells none
	Low, High float64  // of an axis of numbers: what it has to reach
}

// Numeric reports whether the axis is one of numbers.
func (a Axis) Numeric() bool { return a.Names == nil }

// Group is a run of adjacent places of an axis, such as the components of one layer.
type Group struct {
	Name     string
	First, N int // places First to First+N-1
}

// Cell is one cell of a heatmap. A place without a Cell has no component and stays empty, which is different
// from zero.
type Cell struct {
	Row, Column int // indices into the names of Y and X
	Value       float64
	Label       string
	Error       float64 // standard error in the unit of Value; NaN if unknown
	Count       int64   // number of examples behind the value; 0 where unknown
	Apart       bool    // outside of the colour scale, which it would turn white
}

// Distribution is one series of a histogram.
type Distribution struct {
	Series int       // index into the legend's names; 0 without a legend
	Values []float64 // in the order of the rows
	Counts []int     // of the values in each of the figure's bins
	Mean   float64
	Error  float64 // standard error of the mean; NaN for a single value
	Box    Box
}

// Box summarises a distribution: quartiles (linear between ranks), whiskers to the outermost values within
// 1.5 times the interquartile range beyond them (Tukey 1977), and the values outside.
type Box struct {
	Low, Q1, Median, Q3, High float64
	Outliers                  []float64 // ascending
}

// Bins are the bins of a histogram, the same for all series, panels and frames. Bin i holds values from Low +
// i Width up to, but not including, the next edge; the last bin includes its upper edge.
type Bins struct {
	Low, Width float64
	N          int
}

// Edge returns the lower edge of bin i, or for i = N the upper edge of the last.
func (b Bins) Edge(i int) float64 { return b.Low + float64(i)*b.Width }

// Bar is one bar.
type Bar struct {
	Place    int // index into the names of X, from the top
	Category int // index into the legend's names; 0 without a legend
	Value    float64
	Error    float64 // standard error in the unit of Value; NaN if unknown
	Count    int64   // number of examples behind the value; 0 where unknown
	Label    string
}

// Line is one series of points, from left to right.
type Line struct {
	Series int // index into the legend's names; 0 without a legend
	Points []Point
}

// Point is a point of a line.
type Point struct {
	X, Y  float64 // on an axis of names, the index of the name
	Error float64 // standard error of Y; NaN if unknown
	Count int64   // number of examples behind Y; 0 where unknown
}

// Legend names what colour, line style and hatching distinguish: series or categories. It has no names if
// there is nothing to distinguish.
type Legend struct {
	Title  string
	Names  []string
	Styles []int // number of the colour, line style and hatching of each
}

// Style returns the number of the colour, line style and hatching of series or category i; 0 without a
// legend.
func (l Legend) Style(i int) int {
	if i < len(l.Styles) {
		return l.Styles[i]
	}
	return i
}

// Fact is one thing to know about where a figure comes from, such as the run's id or its convention.
type Fact struct {
	Name, Value string
	Quiet       bool // written to the file's metadata instead of below the figure
}

// New returns the figure that q.Chart describes for an answer to q. The facts are printed below the figure,
// in order, after the query's name. The query's SQL goes into the file's metadata.
//
// An answer that does not fit is an [*Error].
func New(q queries.Query, r *queries.Result, facts ...Fact) (*Figure, error) {
	f := &Figure{Name: q.Name, Mark: q.Chart.Mark, Columns: q.Chart.FacetColumns, Counts: newCounts(q.Chart, r),
		Wholes: r.Wholes(q.Chart.Y)}
	fill, ok := map[queries.Mark]func(*table, queries.Chart) error{
		queries.Heatmap:   f.cells,
		queries.Matrix:    f.cells,
		queries.Histogram: f.distributions,
		queries.Bar:       f.bars,
		queries.Line:      f.lines,
		queries.Scatter:   f.points,
	}[f.Mark]
	if !ok {
		return nil, &Error{
			Query: q.Name, Err: ErrMark,
			Detail: fmt.Sprintf("chart %s is not drawn, want heatmap, matrix, histogram, bar, line or scatter", f.Mark),
			hint:   "the query command shows its rows: ducklens query FILE " + q.Name,
		}
	}
	t, err := newTable(q, r)
	if err != nil {
		return nil, err
	}
	if q, err = f.expandTexts(q, r); err != nil {
		return nil, err
	}
	f.addFacts(q, facts)
	if err := fill(t, q.Chart); err != nil {
		return nil, err
	}
	return f, nil
}

// expandTexts expands the texts of the header, and returns the query with them. It keeps settings that no
// title mentions, to be listed elsewhere.
func (f *Figure) expandTexts(q queries.Query, r *queries.Result) (queries.Query, error) {
	for _, s := range q.Settings(r.Bound) {
		if strings.Contains(q.Title+q.Subtitle, "{"+s.Name+"}") {
			f.Told = append(f.Told, s)
		} else {
			f.Settings = append(f.Settings, s)
		}
	}
	c := &q.Chart
	texts := []*string{&q.Title, &q.Subtitle, &c.XTitle, &c.YTitle, &c.FillTitle, &c.LegendTitle}
	for _, text := range texts {
		expanded, err := r.Expand(*text)
		if err != nil {
			return q, &Error{Query: q.Name, Err: ErrTitle, Detail: err.Error()}
		}
		*text = expanded
	}
	f.Title, f.Subtitle = orElse(q.Title, q.Name), q.Subtitle
	return q, nil
}

// addFacts says where the figure comes from.
func (f *Figure) addFacts(q queries.Query, facts []Fact) {
	if q.Name != "" {
		f.Facts = append(f.Facts, Fact{Name: "query", Value: q.Name})
	}
	f.Facts = append(f.Facts, facts...)
	if q.SQL != "" {
		f.Facts = append(f.Facts, Fact{Name: "sql", Value: q.SQL, Quiet: true})
	}
}

// provenance returns the line below the figure.
func (f *Figure) provenance() string {
	var parts []string
	for _, fact := range f.Facts {
		if !fact.Quiet {
			parts = append(parts, fact.Name+" "+fact.Value)
		}
	}
	return strings.Join(parts, "  ·  ")
}
