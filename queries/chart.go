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
type Chart struct {
	Mark Mark

	// Names of columns of the result.
	X, Y  string // place on the axes; heatmap and matrix: cell column and cell row, numbers or text
	Fill  string // heatmap, matrix: the signed value of a cell; histogram, bar, line: the series or category
	Label string // heatmap: text in the cell; bar: text at the bar
	Facet string // panel
	Frame string // small multiples in print, slider on a screen
	Error string // standard error of the drawn value, same unit
	Count string // how many examples are behind the drawn value
	Order string // sorts categories, ascending
	XTick string // name to print on the x axis in place of the value of X
	YTick string // name to print on the y axis in place of the value of Y

	// Texts of the axes and the colour bar, with their units.
	XTitle, YTitle, FillTitle string

	FacetColumns int // panels side by side; 0 leaves it to the figure
	Bins         int // of a histogram; 0 leaves it to the figure
}

// use says whether a mark reads a key of the header.
type use uint8

const (
	unused use = iota
	optional
	needed
)

// chartKey is one key of the header that describes the figure. Exactly one of text, column and count gives its field.
type chartKey struct {
	name   string
	use    [len(marks)]use
	column func(*Chart) *string // a column name
	text   func(*Chart) *string
	count  func(*Chart) *int
}

// chartKeys lists the keys in the order in which a header is written.
var chartKeys = []chartKey{
	{name: "x", column: func(c *Chart) *string { return &c.X },
		use: [...]use{Heatmap: needed, Histogram: needed, Bar: needed, Matrix: needed, Line: needed}},
	{name: "y", column: func(c *Chart) *string { return &c.Y },
		use: [...]use{Scalar: needed, Heatmap: needed, Bar: needed, Matrix: needed, Line: needed}},
	{name: "fill", column: func(c *Chart) *string { return &c.Fill },
		use: [...]use{Heatmap: needed, Histogram: optional, Bar: optional, Matrix: needed, Line: optional}},
	{name: "label", column: func(c *Chart) *string { return &c.Label },
		use: [...]use{Heatmap: optional, Bar: optional, Line: unused}},
	{name: "facet", column: func(c *Chart) *string { return &c.Facet },
		use: [...]use{Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "frame", column: func(c *Chart) *string { return &c.Frame },
		use: [...]use{Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "error", column: func(c *Chart) *string { return &c.Error },
		use: [...]use{Scalar: optional, Heatmap: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "count", column: func(c *Chart) *string { return &c.Count },
		use: [...]use{Scalar: optional, Heatmap: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "order", column: func(c *Chart) *string { return &c.Order },
		use: [...]use{Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "x_tick", column: func(c *Chart) *string { return &c.XTick },
		use: [...]use{Heatmap: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "y_tick", column: func(c *Chart) *string { return &c.YTick },
		use: [...]use{Heatmap: optional, Matrix: optional, Line: unused}},
	{name: "x_title", text: func(c *Chart) *string { return &c.XTitle },
		use: [...]use{Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "y_title", text: func(c *Chart) *string { return &c.YTitle },
		use: [...]use{Scalar: optional, Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "fill_title", text: func(c *Chart) *string { return &c.FillTitle },
		use: [...]use{Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "facet_columns", count: func(c *Chart) *int { return &c.FacetColumns },
		use: [...]use{Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "bins", count: func(c *Chart) *int { return &c.Bins },
		use: [...]use{Histogram: optional, Line: unused}},
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
