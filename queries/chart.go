package queries

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Mark is the kind of figure that a query's result is drawn as.
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
	Scatter               // points of two numbers each
)

var marks = [...]string{"table", "scalar", "heatmap", "histogram", "bar", "matrix", "line", "scatter"}

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

// Chart says how a result is drawn: the mark, and the columns that it reads. Empty fields are not used.
// Categories (facets, frames, series, text on an axis) appear in the order of their first rows, unless Order
// names a column to sort them by.
//
// A heatmap has one row for each cell: X and Y are its place, Fill is its signed value, and Label its name. A
// matrix is the same for axes too long to label every place. XGroup and YGroup name runs of neighbours, such
// as layers, which are separated by lines; groups of rows of a heatmap have a gap between them.
//
// A histogram has one row for each value, X; Series tells the distributions apart. The figure counts the
// values, with the same bins in every panel, and sorts the series by descending mean.
//
// A bar chart has one row for each bar: X is its name, Y its signed length, Error the standard error of the
// length, and Category its kind, shown by colour. Bars are horizontal, in the order of the rows, the first
// one at the top.
//
// A line chart has one row for each point: Y over X, which is a number or a text. Points of one Series are
// connected, and Error makes a band. A scatter chart has one row for each point, Y over X, both numbers;
// Series tells kinds of points apart, and Label names them; XError and Error make error bars of X and Y. A
// table is not drawn. Neither is a scalar, whose number is Y.
type Chart struct {
	Mark Mark

	// Names of columns of the result.
	X, Y     string // place on the axes; heatmap and matrix: cell column and cell row, numbers or text
	Fill     string // heatmap, matrix: the signed value of a cell
	Series   string // histogram, line, scatter: the distribution, the line, or the kind of point
	Category string // bar: kind of the bar
	Label    string // heatmap: text in the cell; bar: text at the bar; scatter: name of the point
	Facet    string // panel
	Frame    string // small multiples in print, slider on a screen
	Error    string // standard error of the drawn value, same unit; scatter: of Y
	XError   string // scatter: standard error of X, same unit
	Count    string // number of examples behind the drawn value
	Order    string // sorts categories, ascending
	XTick    string // name to print on the x axis instead of the value of X
	YTick    string // name to print on the y axis instead of the value of Y
	XGroup   string // matrix: group of neighbouring columns that X belongs to
	YGroup   string // heatmap, matrix: group of neighbouring rows that Y belongs to
	// Whole (matrix) is the sum of the absolute values of all cells, if the query returns only some. It is
	// the same in every row.
	Whole string

	// Texts of the axes, the colour bar and the legend, with their units.
	XTitle, YTitle, FillTitle, LegendTitle string

	Scale string   // heatmap, matrix: what the colour scale fits, one of Scales; "": the mark's default
	ZMax  float64  // heatmap, matrix: the colour scale goes from -ZMax to ZMax; 0: see Scale
	Hide  []string // components, series or names that are not drawn
	// Colors lists series or categories in the order of the colours, so that each has the same colour in
	// every figure. A|B are two names of one.
	Colors []string
	Fit    string // scatter: the curve to fit to the points of a series, one of Fits; "": none
	// Diagonal (scatter) is a line on which the two numbers of a point have a known relation, one of
	// Diagonals; "": none.
	Diagonal string

	FacetColumns int // panels side by side; 0: the figure's default
	Bins         int // approximate number of bins of a histogram; 0: the figure's default
	// Largest (matrix) bounds the number of rows and columns, and keeps those with the largest values; 0: the
	// figure's default.
	Largest int
	// Labels (scatter) bounds the number of named points, and keeps the most extreme ones; 0: the figure's
	// default.
	Labels int
}

// The values that a colour scale can fit.
const (
	ScaleFigure = "figure" // the largest value of all panels
	ScaleFrame  = "frame"  // the largest value of each frame
	ScalePanel  = "panel"  // the largest value of each panel
	// ScaleQuantile fits most values of the strongest panel. The few larger ones get the colour at the end.
	ScaleQuantile = "quantile"
)

// Scales lists the values of Chart.Scale.
func Scales() []string { return []string{ScaleFigure, ScaleFrame, ScalePanel, ScaleQuantile} }

// FitLine fits a straight line by least squares.
const FitLine = "line"

// Fits lists the values of Chart.Fit.
func Fits() []string { return []string{FitLine} }

// DiagonalEqual is the line on which the two numbers of a point are equal.
const DiagonalEqual = "y=x"

// Diagonals lists the values of Chart.Diagonal.
func Diagonals() []string { return []string{DiagonalEqual} }

// use says whether a mark reads a key of the header.
type use uint8

const (
	unused use = iota
	optional
	needed
)

// uses says which marks read a key.
type uses [len(marks)]use

// chartKey is a key of the header that describes the figure. Exactly one of its functions is set, and returns
// its field.
type chartKey struct {
	name   string
	use    uses
	doc    string                 // for the manual
	words  []string               // allowed texts; nil: any
	column func(*Chart) *string   // a column name
	text   func(*Chart) *string   // any text
	list   func(*Chart) *[]string // texts separated by commas
	count  func(*Chart) *int      // a whole number
	number func(*Chart) *float64  // a number above zero
}

// Uses that several keys share.
var (
	drawn = uses{Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional, Line: optional,
		Scatter: optional}
	grids   = uses{Heatmap: optional, Matrix: optional}
	matrix  = uses{Matrix: optional}
	scatter = uses{Scatter: optional}
)

// chartKeys lists the keys in the order of a header.
var chartKeys = []chartKey{
	{name: "x", column: func(c *Chart) *string { return &c.X },
		doc: "horizontal position: column of a cell, value to count, name of a bar, x of a point",
		use: uses{Heatmap: needed, Histogram: needed, Bar: needed, Matrix: needed, Line: needed,
			Scatter: needed}},
	{name: "y", column: func(c *Chart) *string { return &c.Y },
		doc: "vertical position: row of a cell, length of a bar, height of a point; value of a scalar",
		use: uses{Scalar: needed, Heatmap: needed, Bar: needed, Matrix: needed, Line: needed,
			Scatter: needed}},
	{name: "fill", column: func(c *Chart) *string { return &c.Fill },
		doc: "signed value of a cell, shown as its colour",
		use: uses{Heatmap: needed, Matrix: needed}},
	{name: "series", column: func(c *Chart) *string { return &c.Series },
		doc: "distribution, line or kind of point that the row belongs to, shown by colour",
		use: uses{Histogram: optional, Line: optional, Scatter: optional}},
	{name: "category", column: func(c *Chart) *string { return &c.Category },
		doc: "kind of a bar, shown by colour", use: uses{Bar: optional}},
	{name: "label", column: func(c *Chart) *string { return &c.Label },
		doc: "text in a cell, at a bar or at a point",
		use: uses{Heatmap: optional, Bar: optional, Scatter: optional}},
	{name: "facet", column: func(c *Chart) *string { return &c.Facet }, doc: "panel that the row belongs to",
		use: drawn},
	{name: "frame", column: func(c *Chart) *string { return &c.Frame },
		doc: "frame: a set of all panels; below each other in print, a slider on a screen", use: drawn},
	{name: "error", column: func(c *Chart) *string { return &c.Error },
		doc: "standard error of the drawn value, in its unit; of a point, that of y",
		use: uses{Scalar: optional, Heatmap: optional, Bar: optional, Matrix: optional, Line: optional,
			Scatter: optional}},
	{name: "x_error", column: func(c *Chart) *string { return &c.XError },
		doc: "standard error of x, in its unit", use: scatter},
	{name: "count", column: func(c *Chart) *string { return &c.Count },
		doc: "number of examples behind the drawn value",
		use: uses{Scalar: optional, Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional,
			Line: optional, Scatter: optional}},
	{name: "order", column: func(c *Chart) *string { return &c.Order },
		doc: "sorts the rows, ascending; panels, frames and names follow the order of rows", use: drawn},
	{name: "x_tick", column: func(c *Chart) *string { return &c.XTick },
		doc: "name to print on the x axis instead of the value of x",
		use: uses{Heatmap: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "y_tick", column: func(c *Chart) *string { return &c.YTick },
		doc: "name to print on the y axis instead of the value of y", use: grids},
	{name: "x_group", column: func(c *Chart) *string { return &c.XGroup },
		doc: "group of neighbouring columns, such as a layer", use: matrix},
	{name: "y_group", column: func(c *Chart) *string { return &c.YGroup },
		doc: "group of neighbouring rows, with a line or a gap between groups", use: grids},
	{name: "whole", column: func(c *Chart) *string { return &c.Whole },
		doc: "sum of the absolute values of all cells, in every row, if the query leaves out some",
		use: matrix},
	{name: "x_title", text: func(c *Chart) *string { return &c.XTitle },
		doc: "title of the x axis, with its unit", use: drawn},
	{name: "y_title", text: func(c *Chart) *string { return &c.YTitle },
		doc: "title of the y axis, or of the number of a scalar",
		use: uses{Scalar: optional, Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional,
			Line: optional, Scatter: optional}},
	{name: "fill_title", text: func(c *Chart) *string { return &c.FillTitle }, doc: "title of the colour bar",
		use: grids},
	{name: "legend_title", text: func(c *Chart) *string { return &c.LegendTitle }, doc: "title of the legend",
		use: uses{Histogram: optional, Bar: optional, Line: optional, Scatter: optional}},
	{name: "scale", text: func(c *Chart) *string { return &c.Scale }, words: Scales(),
		doc: "what the colour scale fits (default figure, or quantile for a matrix)", use: grids},
	{name: "zmax", number: func(c *Chart) *float64 { return &c.ZMax },
		doc: "end of the colour scale, instead of scale", use: grids},
	{name: "hide", list: func(c *Chart) *[]string { return &c.Hide },
		doc: "components, series or names to leave out", use: drawn},
	{name: "colors", list: func(c *Chart) *[]string { return &c.Colors },
		doc: "series or categories in the order of colours, a|b for two names of one; others follow by name",
		use: uses{Histogram: optional, Bar: optional, Line: optional, Scatter: optional}},
	{name: "fit", text: func(c *Chart) *string { return &c.Fit }, words: Fits(),
		doc: "line: a least-squares line for each series, with r", use: scatter},
	{name: "diagonal", text: func(c *Chart) *string { return &c.Diagonal }, words: Diagonals(),
		doc: "y=x: a thin line where both numbers of a point are equal", use: scatter},
	{name: "facet_columns", count: func(c *Chart) *int { return &c.FacetColumns },
		doc: "number of panels side by side", use: drawn},
	{name: "bins", count: func(c *Chart) *int { return &c.Bins }, doc: "approximate number of bins",
		use: uses{Histogram: optional}},
	{name: "largest", count: func(c *Chart) *int { return &c.Largest },
		doc: "maximum rows and columns, those that carry most (default 28 if more than 48)",
		use: matrix},
	{name: "labels", count: func(c *Chart) *int { return &c.Labels },
		doc: "maximum number of labelled points; those that stand out most are labelled", use: scatter},
}

// ColumnKey is a key of the header that names a column of the result.
type ColumnKey struct {
	Key    string // such as x_tick
	Column string // the name, or ""
	Needed bool   // the mark cannot be drawn without it
}

// Columns lists the keys with which the chart's mark names columns, in the order of a header. It leaves out
// keys that the mark does not read.
func (c Chart) Columns() []ColumnKey {
	var list []ColumnKey
	for _, k := range chartKeys {
		if use := k.use[c.Mark]; k.column != nil && use != unused {
			list = append(list, ColumnKey{Key: k.name, Column: *k.column(&c), Needed: use == needed})
		}
	}
	return list
}

// Keys lists the keys of the header that describe figures.
func Keys() []string {
	names := make([]string, len(chartKeys))
	for i, k := range chartKeys {
		names[i] = k.name
	}
	return names
}

// keyOf returns the index of a key in the list, or -1.
func keyOf(name string) int {
	return slices.IndexFunc(chartKeys, func(k chartKey) bool { return k.name == name })
}

// Reads reports whether a mark reads a key of the header.
func (m Mark) Reads(key string) bool {
	i := keyOf(key)
	return i >= 0 && chartKeys[i].use[m] != unused
}

// Infer sets the required keys that name no column: each gets the first column that fits and is not used yet.
func (c *Chart) Infer(r *Result) {
	used := make(map[string]bool)
	for _, k := range c.Columns() {
		used[k.Column] = true
	}
	for _, k := range chartKeys {
		if k.use[c.Mark] != needed || k.column == nil || *k.column(c) != "" {
			continue
		}
		wanted, either := c.Numbers(k.name), c.Mark == Line && k.name == "x"
		i := slices.IndexFunc(r.Columns, func(column Column) bool {
			return !used[column.Name] && (either || wanted == column.Type.Numeric())
		})
		if i < 0 && !wanted { // a number may serve as a name
			i = slices.IndexFunc(r.Columns, func(column Column) bool { return !used[column.Name] })
		}
		if i >= 0 {
			*k.column(c) = r.Columns[i].Name
			used[r.Columns[i].Name] = true
		}
	}
	// Bars are horizontal: a user who gives x as the length and y as the names describes what is seen.
	if x, y := r.Index(c.X), r.Index(c.Y); c.Mark == Bar && x >= 0 && y >= 0 && r.Columns[x].Type.Numeric() &&
		!r.Columns[y].Type.Numeric() {
		c.X, c.Y, c.XTitle, c.YTitle = c.Y, c.X, c.YTitle, c.XTitle
	}
}

// Numbers reports whether the mark requires numbers in the column of a key.
func (c *Chart) Numbers(key string) bool {
	switch {
	case key == "error" || key == "x_error" || key == "count" || key == "whole" || key == "fill":
		return true
	case c.Mark == Histogram || c.Mark == Scatter:
		return key == "x" || key == "y"
	}
	return key == "y" && (c.Mark == Bar || c.Mark == Line)
}

// Set sets the field of a header key, such as x_title, from text.
func (c *Chart) Set(key, value string) error {
	i := keyOf(key)
	if i < 0 {
		known := append(slices.Clone(headerKeys), Keys()...)
		if near := Nearest(key, known); len(near) > 0 {
			return fmt.Errorf("unknown key %q, want %s", key, strings.Join(near, " or "))
		}
		return fmt.Errorf("unknown key %q, want one of %s", key, strings.Join(known, ", "))
	}
	return chartKeys[i].set(c, value)
}

func (k chartKey) set(c *Chart, value string) error {
	switch {
	case k.count != nil:
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > mostCount {
			return fmt.Errorf("%s %q, want a whole number from 1 to %d", k.name, value, mostCount)
		}
		*k.count(c) = n
	case k.number != nil:
		x, err := strconv.ParseFloat(value, 64)
		if err != nil || !(x > 0) || math.IsInf(x, 0) {
			return fmt.Errorf("%s %q, want a number above 0", k.name, value)
		}
		*k.number(c) = x
	case k.list != nil:
		list, err := splitList(value)
		if err != nil {
			return fmt.Errorf("%s %q: %w", k.name, value, err)
		}
		*k.list(c) = list
	case k.column != nil:
		*k.column(c) = value
	default:
		if k.words != nil && !slices.Contains(k.words, value) {
			return fmt.Errorf("%s %q, want one of %s", k.name, value, strings.Join(k.words, ", "))
		}
		*k.text(c) = value
		_, err := placeholders(value)
		return err
	}
	return nil
}

// mostCount is the largest value of a number key: the largest number of rows or columns of an axis.
const mostCount = 4096

// splitList parses names separated by commas. A name with a comma, such as "a, b", is in double quotes.
func splitList(s string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(s))
	r.TrimLeadingSpace = true
	fields, err := r.Read()
	if err != nil {
		return nil,
			errors.New("want names with commas between them, in double quotes where they have a comma")
	}
	for i, f := range fields {
		if fields[i] = strings.TrimSpace(f); fields[i] == "" {
			return nil, errors.New("an empty name, want names with commas between them")
		}
	}
	return fields, nil
}

// joinList is the inverse of splitList.
func joinList(names []string) string {
	quoted := make([]string, len(names))
	for i, s := range names {
		if quoted[i] = s; strings.ContainsAny(s, `,"`) {
			quoted[i] = `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
		}
	}
	return strings.Join(quoted, ",")
}

// get returns the value of a key as in the header, or "".
func (k chartKey) get(c *Chart) string {
	switch {
	case k.column != nil:
		return *k.column(c)
	case k.text != nil:
		return *k.text(c)
	case k.list != nil:
		return joinList(*k.list(c))
	case k.number != nil:
		if x := *k.number(c); x != 0 {
			return strconv.FormatFloat(x, 'g', -1, 64)
		}
		return ""
	}
	if n := *k.count(c); n != 0 {
		return strconv.Itoa(n)
	}
	return ""
}
