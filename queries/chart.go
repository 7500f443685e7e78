package queries

import (
	"fmt"
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
