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
// Error makes a band. A scatter chart has one row for each point, Y over X, both numbers, which Series tells
// apart and Label names. A table is not drawn, nor is a scalar, whose number is Y.
type Chart struct {
	Mark Mark

	// Names of columns of the result.
	X, Y     string // place on the axes; heatmap and matrix: cell column and cell row, numbers or text
	Fill     string // heatmap, matrix: the signed value of a cell
	Series   string // histogram, line, scatter: which distribution, which line, which kind of point
	Category string // bar: its kind
	Label    string // heatmap: text in the cell; bar: text at the bar; scatter: name of the point
	Facet    string // panel
	Frame    string // small multiples in print, slider on a screen
	Error    string // standard error of the drawn value, same unit
	Count    string // how many examples are behind the drawn value
	Order    string // sorts categories, ascending
	XTick    string // name to print on the x axis in place of the value of X
	YTick    string // name to print on the y axis in place of the value of Y
	XGroup   string // matrix: run of neighbouring columns to which X belongs
	YGroup   string // matrix: run of neighbouring rows to which Y belongs
	Whole    string // matrix: sum of the sizes of all values, where the query gives only some of them; the same in every row

	// Texts of the axes, the colour bar and the legend, with their units.
	XTitle, YTitle, FillTitle, LegendTitle string

	Scale string   // heatmap, matrix: what the colour scale fits, one of Scales; "" leaves it to the mark
	ZMax  float64  // heatmap, matrix: the colour scale goes from -ZMax to ZMax; 0 leaves it to Scale
	Hide  []string // components, series or names that are not drawn
	Fit   string   // scatter: what is fitted to the points of a series, one of Fits; "" for nothing

	FacetColumns int // panels side by side; 0 leaves it to the figure
	Bins         int // about how many a histogram has; 0 leaves it to the figure
	Largest      int // matrix: rows and columns shown at most, those that carry most; 0 leaves it to the figure
	Labels       int // scatter: points whose names are shown at most, those that stand out most; 0 leaves it to the figure
}

// What a colour scale fits.
const (
	ScaleFigure   = "figure"   // the largest value of all panels
	ScaleFrame    = "frame"    // the largest value of each frame
	ScalePanel    = "panel"    // the largest value of each panel
	ScaleQuantile = "quantile" // most values of the strongest panel: few large ones have the colour of the end
)

// Scales lists what a colour scale may fit.
func Scales() []string { return []string{ScaleFigure, ScaleFrame, ScalePanel, ScaleQuantile} }

// FitLine is a straight line of least squares.
const FitLine = "line"

// Fits lists what may be fitted to points.
func Fits() []string { return []string{FitLine} }

// use says whether a mark reads a key of the header.
type use uint8

const (
	unused use = iota
	optional
	needed
)

// uses says which marks read a key.
type uses [len(marks)]use

// A chartKey is one key of the header that describes the figure. Exactly one of its functions gives its
// field.
type chartKey struct {
	name   string
	use    uses
	doc    string                 // for the manual
	words  []string               // that a text may be; nil for any
	column func(*Chart) *string   // a column name
	text   func(*Chart) *string   // any text
	list   func(*Chart) *[]string // texts with commas between them
	count  func(*Chart) *int      // a whole number
	number func(*Chart) *float64  // a number above zero
}

// Marks that have keys in common.
var (
	drawn = uses{Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional, Line: optional,
		Scatter: optional}
	grids   = uses{Heatmap: optional, Matrix: optional}
	matrix  = uses{Matrix: optional}
	scatter = uses{Scatter: optional}
)

// chartKeys lists the keys in the order in which a header is written.
var chartKeys = []chartKey{
	{name: "x", column: func(c *Chart) *string { return &c.X },
		doc: "place across: cell column, value to count, name of a bar, number of a point",
		use: uses{Heatmap: needed, Histogram: needed, Bar: needed, Matrix: needed, Line: needed,
			Scatter: needed}},
	{name: "y", column: func(c *Chart) *string { return &c.Y },
		doc: "place up or down: cell row, length of a bar, height of a point; the number of a scalar",
		use: uses{Scalar: needed, Heatmap: needed, Bar: needed, Matrix: needed, Line: needed,
			Scatter: needed}},
	{name: "fill", column: func(c *Chart) *string { return &c.Fill },
		doc: "signed value of a cell, shown as its colour",
		use: uses{Heatmap: needed, Matrix: needed}},
	{name: "series", column: func(c *Chart) *string { return &c.Series },
		doc: "distribution, line or kind of point to which the row belongs, told apart by colour",
		use: uses{Histogram: optional, Line: optional, Scatter: optional}},
	{name: "category", column: func(c *Chart) *string { return &c.Category }, doc: "kind of a bar, told apart by colour", use: uses{Bar: optional}},
	{name: "label", column: func(c *Chart) *string { return &c.Label },
		doc: "text in a cell, at a bar or at a point",
		use: uses{Heatmap: optional, Bar: optional, Scatter: optional}},
	{name: "facet", column: func(c *Chart) *string { return &c.Facet }, doc: "panel to which the row belongs", use: drawn},
	{name: "frame", column: func(c *Chart) *string { return &c.Frame }, doc: "frame: a set of all panels; below each other in print, a slider on a screen", use: drawn},
	{name: "error", column: func(c *Chart) *string { return &c.Error },
		doc: "standard error of the drawn value, in its unit",
		use: uses{Scalar: optional, Heatmap: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "count", column: func(c *Chart) *string { return &c.Count },
		doc: "how many examples are behind the drawn value",
		use: uses{Scalar: optional, Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional,
			Line: optional}},
	{name: "order", column: func(c *Chart) *string { return &c.Order }, doc: "sorts the rows first, ascending; panels, frames and names come in the order of rows", use: drawn},
	{name: "x_tick", column: func(c *Chart) *string { return &c.XTick },
		doc: "name to print on the x axis in place of the value of x",
		use: uses{Heatmap: optional, Bar: optional, Matrix: optional, Line: optional}},
	{name: "y_tick", column: func(c *Chart) *string { return &c.YTick }, doc: "name to print on the y axis in place of the value of y", use: grids},
	{name: "x_group", column: func(c *Chart) *string { return &c.XGroup }, doc: "run of neighbouring columns, such as a layer", use: matrix},
	{name: "y_group", column: func(c *Chart) *string { return &c.YGroup }, doc: "run of neighbouring rows", use: matrix},
	{name: "whole", column: func(c *Chart) *string { return &c.Whole }, doc: "sum of the sizes of all values, the same in every row, where the query leaves some out", use: matrix},
	{name: "x_title", text: func(c *Chart) *string { return &c.XTitle }, doc: "title of the x axis, with its unit", use: drawn},
	{name: "y_title", text: func(c *Chart) *string { return &c.YTitle },
		doc: "title of the y axis, or of the number of a scalar",
		use: uses{Scalar: optional, Heatmap: optional, Histogram: optional, Bar: optional, Matrix: optional,
			Line: optional, Scatter: optional}},
	{name: "fill_title", text: func(c *Chart) *string { return &c.FillTitle }, doc: "title of the colour bar", use: grids},
	{name: "legend_title", text: func(c *Chart) *string { return &c.LegendTitle }, doc: "title of the legend",
		use: uses{Histogram: optional, Bar: optional, Line: optional, Scatter: optional}},
	{name: "scale", text: func(c *Chart) *string { return &c.Scale }, words: Scales(), doc: "what the colour scale fits (figure; quantile for a matrix)", use: grids},
	{name: "zmax", number: func(c *Chart) *float64 { return &c.ZMax }, doc: "end of the colour scale, in place of scale", use: grids},
	{name: "hide", list: func(c *Chart) *[]string { return &c.Hide }, doc: "components, series or names that are not drawn", use: drawn},
	{name: "fit", text: func(c *Chart) *string { return &c.Fit }, words: Fits(), doc: "line: a straight line of least squares for each series, with r", use: scatter},
	{name: "facet_columns", count: func(c *Chart) *int { return &c.FacetColumns }, doc: "panels side by side", use: drawn},
	{name: "bins", count: func(c *Chart) *int { return &c.Bins }, doc: "about how many bins there are", use: uses{Histogram: optional}},
	{name: "largest", count: func(c *Chart) *int { return &c.Largest }, doc: "rows and columns shown at most: those that carry most (28 of more than 48)", use: matrix},
	{name: "labels", count: func(c *Chart) *int { return &c.Labels }, doc: "points whose labels are shown at most: those that stand out most", use: scatter},
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

// Keys lists the keys of the header that describe figures.
func Keys() []string {
	names := make([]string, len(chartKeys))
	for i, k := range chartKeys {
		names[i] = k.name
	}
	return names
}

// keyOf gives the place of a key in the list, or -1.
func keyOf(name string) int {
	return slices.IndexFunc(chartKeys, func(k chartKey) bool { return k.name == name })
}

// Reads tells whether a mark reads a key of the header.
func (m Mark) Reads(key string) bool {
	i := keyOf(key)
	return i >= 0 && chartKeys[i].use[m] != unused
}

// Infer names columns of an answer for the keys that the mark needs and that name none: the first columns
// that fit and are not used yet.
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
		if i < 0 && !wanted { // a number may be a name too
			i = slices.IndexFunc(r.Columns, func(column Column) bool { return !used[column.Name] })
		}
		if i >= 0 {
			*k.column(c) = r.Columns[i].Name
			used[r.Columns[i].Name] = true
		}
	}
	// Bars lie: who says x of their length and y of their names means what is seen.
	if x, y := r.Index(c.X), r.Index(c.Y); c.Mark == Bar && x >= 0 && y >= 0 && r.Columns[x].Type.Numeric() && !r.Columns[y].Type.Numeric() {
		c.X, c.Y, c.XTitle, c.YTitle = c.Y, c.X, c.YTitle, c.XTitle
	}
}

// Numbers tells whether the mark wants numbers in the column of a key.
func (c *Chart) Numbers(key string) bool {
	switch {
	case key == "error" || key == "count" || key == "whole" || key == "fill":
		return true
	case c.Mark == Histogram || c.Mark == Scatter:
		return key == "x" || key == "y"
	}
	return key == "y" && (c.Mark == Bar || c.Mark == Line)
}

// Set puts the text of a header key, such as x_title, into its field.
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

// mostCount is the largest number of a key: as many rows and columns as an axis has at most.
const mostCount = 4096

// splitList reads names with commas between them; one with a comma in it, such as "a, b", stands in double
// quotes.
func splitList(s string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(s))
	r.TrimLeadingSpace = true
	fields, err := r.Read()
	if err != nil {
		return nil, errors.New("want names with commas between them, in double quotes where they have a comma")
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

// get gives the value of a key as the header writes it, or "".
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
