package queries

import (
	"fmt"
	"strconv"
	"strings"
)

// Mark is the sort of figure that a query's answer is drawn as.
type Mark uint8

// The marks.
const (
	Table     Mark = iota // rows and columns, nothing drawn
	Scalar                // one number
	Heatmap               // a grid of signed cells with their labels, facets and frames
	Histogram             // overlaid distributions
	Bar                   // ranked, signed bars
	Matrix                // a large map of pairs
	Line                  // values along an axis
)

var marks = [...]string{"table", "scalar", "heatmap", "histogram", "bar", "matrix", "line"}

// String gives the word of the header's chart key.
func (m Mark) String() string { return marks[m] }

// ParseMark is the inverse of [Mark.String].
func ParseMark(s string) (Mark, error) {
	for i, w := range marks {
		if w == s {
			return Mark(i), nil
		}
	}
	return 0, fmt.Errorf("chart %q, want one of %s", s, strings.Join(marks[:], ", "))
}

// Chart says how an answer is drawn: the mark, and which columns it reads. Fields that are empty are
// not used. Categories (facets, frames, series, text on an axis) come in the order of the rows in which they
// first appear, unless Order names a column to sort them by.
//
// A heatmap has one row for each cell: X and Y place it, Fill is its signed value, Label its name. A matrix is
// the same for axes too long to label every place; XGroup and YGroup name runs of neighbours, such as layers,
// and lines are drawn between them.
//
// A histogram has one row for each single value, X; Series tells the distributions apart. The figure counts,
// with the same bins in every panel, and puts the series in descending order of their means.
//
// A bar chart has one row for each bar: X names it, Y is its signed length, Error the standard error of that,
// Category its kind, told by colour. Bars lie, the first row at the top: the query ranks them.
//
// A line chart has one row for each point: Y over X, a number or a text; points of one Series are joined, and
// Error makes a band. A table is not drawn, nor is a scalar, whose number is Y.
type Chart struct {
	Mark Mark

	// Names of columns of the result.
	X, Y     string // place on the axes; heatmap and matrix: cell column and cell row, numbers or text
	Fill     string // heatmap, matrix: the signed value of a cell
	Series   string // histogram, line: which distribution, which line
	Category string // bar: its kind
	Label    string // heatmap: text in the cell; bar: text at the bar
	Facet    string // panel
	Frame    string // small multiples in print, slider on a screen
	Error    string // standard error of the drawn value, same unit
	Count    string // how many examples are behind the drawn value
	Order    string // sorts categories, ascending
	XTick    string // name to print on the x axis in place of the value of X
	YTick    string // name to print on the y axis in place of the value of Y
	XGroup   string // matrix: run of neighbouring columns to which X belongs
	YGroup   string // matrix: run of neighbouring rows to which Y belongs

	// Texts of the axes, the colour bar and the legend, with their units.
	XTitle, YTitle, FillTitle, LegendTitle string

	FacetColumns int // panels side by side; 0 leaves it to the figure
	Bins         int // about how many a histogram has; 0 leaves it to the figure
}

// use says whether a mark reads a key of the header.
type use uint8

const (
	unused use = iota
	optional
	needed
)

// uses says which marks read a key.
type uses [len(marks)]use

// drawn is an optional key of every mark that is drawn.
var drawn = uses{Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional, Line: optional}

// chartKey is one key of the header that describes the figure. Exactly one of text, column and count gives its field.
type chartKey struct {
	name   string
	column func(*Chart) *string // a column name
	text   func(*Chart) *string
	count  func(*Chart) *int
	use    uses
}

// chartKeys lists the keys in the order in which a header is written.
var chartKeys = []chartKey{
	{name: "x", column: func(c *Chart) *string { return &c.X },
		use: uses{Heatmap: needed, Histogram: needed, Bar: needed, Matrix: needed, Line: needed}},
	{name: "y", column: func(c *Chart) *string { return &c.Y },
		use: uses{Scalar: needed, Heatmap: needed, Bar: needed, Matrix: needed, Line: needed}},
	{name: "fill", column: func(c *Chart) *string { return &c.Fill }, use: uses{Heatmap: needed, Matrix: needed}},
	{name: "series", column: func(c *Chart) *string { return &c.Series }, use: uses{Histogram: optional, Line: optional}},
	{name: "category", column: func(c *Chart) *string { return &c.Category }, use: uses{Bar: optional}},
	{name: "label", column: func(c *Chart) *string { return &c.Label }, use: uses{Heatmap: optional, Bar: optional}},
	{name: "facet", column: func(c *Chart) *string { return &c.Facet }, use: drawn},
	{name: "frame", column: func(c *Chart) *string { return &c.Frame }, use: drawn},
	{name: "error", column: func(c *Chart) *string { return &c.Error },
		use: uses{Scalar: optional, Heatmap: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "count", column: func(c *Chart) *string { return &c.Count },
		use: uses{Scalar: optional, Heatmap: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "order", column: func(c *Chart) *string { return &c.Order }, use: drawn},
	{name: "x_tick", column: func(c *Chart) *string { return &c.XTick },
		use: uses{Heatmap: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "y_tick", column: func(c *Chart) *string { return &c.YTick }, use: uses{Heatmap: optional, Matrix: optional}},
	{name: "x_group", column: func(c *Chart) *string { return &c.XGroup }, use: uses{Matrix: optional}},
	{name: "y_group", column: func(c *Chart) *string { return &c.YGroup }, use: uses{Matrix: optional}},
	{name: "x_title", text: func(c *Chart) *string { return &c.XTitle }, use: drawn},
	{name: "y_title", text: func(c *Chart) *string { return &c.YTitle },
		use: uses{Scalar: optional, Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "fill_title", text: func(c *Chart) *string { return &c.FillTitle }, use: uses{Heatmap: optional, Matrix: optional}},
	{name: "legend_title", text: func(c *Chart) *string { return &c.LegendTitle },
		use: uses{Histogram: optional, Bar: optional, Line: optional}},
	{name: "facet_columns", count: func(c *Chart) *int { return &c.FacetColumns }, use: drawn},
	{name: "bins", count: func(c *Chart) *int { return &c.Bins }, use: uses{Histogram: optional}},
}

// ColumnKey is a key of the header that names a column of the result.
type ColumnKey struct {
	Key    string // such as x_tick
	Column string // the name given, or ""
	Needed bool   // the mark cannot be drawn without it
}

// Columns lists the keys with which the chart's mark names columns, in the order of a header. Keys that the mark
// does not read are left out.
func (c Chart) Columns() []ColumnKey {
	var list []ColumnKey
	for _, k := range chartKeys {
		if use := k.use[c.Mark]; k.column != nil && use != unused {
			list = append(list, ColumnKey{Key: k.name, Column: *k.column(&c), Needed: use == needed})
		}
	}
	return list
}

// set puts the value of a header key into its field.
func (c *Chart) set(key, value string) error {
	for _, k := range chartKeys {
		switch {
		case k.name != key:
		case k.count != nil:
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > 1000 {
				return fmt.Errorf("%s %q, want a whole number from 1 to 1000", key, value)
			}
			*k.count(c) = n
			return nil
		case k.column != nil:
			if !isName(value) {
				return fmt.Errorf("%s %q, want the name of a column in lower case", key, value)
			}
			*k.column(c) = value
			return nil
		default:
			*k.text(c) = value
			return nil
		}
	}
	known := []string{"name", "title", "subtitle", "description", "param", "chart"}
	for _, k := range chartKeys {
		known = append(known, k.name)
	}
	return fmt.Errorf("unknown key %q, want one of %s", key, strings.Join(known, ", "))
}

// get gives the value of a key as the header writes it, or "".
func (k chartKey) get(c *Chart) string {
	switch {
	case k.column != nil:
		return *k.column(c)
	case k.text != nil:
		return *k.text(c)
	}
	if n := *k.count(c); n != 0 {
		return strconv.Itoa(n)
	}
	return ""
}
