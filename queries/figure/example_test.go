package figure_test

import (
	"bytes"
	"fmt"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// An answer with one cell for each component becomes a figure, and the figure an SVG document.
func ExampleNew() {
	q := queries.Query{
		Name:  "key_components",
		Title: "Head {head}: key side",
		Chart: queries.Chart{
			Mark: queries.Heatmap, X: "grid_column", Y: "grid_row", Fill: "score", Label: "component",
		},
	}
	r := &queries.Result{
		Columns: []queries.Column{
			{Name: "head", Type: queries.Text}, {Name: "grid_row", Type: queries.Integer},
			{Name: "grid_column", Type: queries.Integer}, {Name: "component", Type: queries.Text},
			{Name: "score", Type: queries.Float},
		},
		Rows: [][]any{
			{"10.7", int64(0), int64(0), "W_E", 0.02},
			{"10.7", int64(1), int64(0), "0.0", -0.11},
			{"10.7", int64(1), int64(2), "MLP0", 0.81},
		},
	}
	f, err := figure.New(q, r, figure.Fact{Name: "run", Value: "1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Title)
	fmt.Println("scale: ±", f.Scale.Limit)
	for _, c := range f.Frames[0].Panels[0].Cells {
		fmt.Printf("row %d column %d %-4s %+.2f\n", c.Row, c.Column, c.Label, c.Value)
	}
	var svg bytes.Buffer
	if err := f.WriteSVG(&svg, figure.Options{Width: figure.ColumnWidth}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(svg.String()[:40])
	// Output:
	// Head 10.7: key side
	// scale: ± 0.81
	// row 0 column 0 W_E  +0.02
	// row 1 column 0 0.0  -0.11
	// row 1 column 2 MLP0 +0.81
	// <svg xmlns="http://www.w3.org/2000/svg"
}

// A result that does not fit is refused with the rows that do not.
func ExampleError() {
	q := queries.Query{Name: "mine", Chart: queries.Chart{Mark: queries.Heatmap, X: "col", Y: "row", Fill: "score"}}
	r := &queries.Result{
		Columns: []queries.Column{{Name: "row", Type: queries.Integer}, {Name: "col", Type: queries.Integer}, {Name: "score", Type: queries.Float}},
		Rows:    [][]any{{int64(0), int64(0), 0.5}, {int64(0), int64(1), nil}},
	}
	_, err := figure.New(q, r)
	fmt.Println(err)
	// Output:
	// figure of mine: NULL, NaN or infinite value in column score:
	//   row 2: row=0, col=1, score=NULL
}
