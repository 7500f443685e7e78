package queries

import (
	"fmt"
	"slices"
	"strings"
)

// Manual returns a description of saved queries: the header, with every key and the marks that read it.
func Manual() string {
	var b strings.Builder
	b.WriteString(manualHead)
	for _, m := range drawnMarks() {
		fmt.Fprintf(&b, "  %-10s %s\n", m, markDocs[m])
	}
	b.WriteString("\nKeys of figures, with the charts that use them (* if the key is required):\n\n")
	for _, k := range chartKeys {
		writeKey(&b, k)
	}
	b.WriteString(manualFoot)
	return b.String()
}

const manualHead = `A saved query is a .sql file: a header of comment lines, then one SQL statement that only reads.

  -- name: score_by_template
  -- title: Head {head}: the score of every prompt
  -- param: run INTEGER = NULL, number of the run; NULL is the last complete one
  -- param: head TEXT = NULL, target head such as 10.7; NULL is the first of the run
  -- param: subtract BOOLEAN = false, whether the score at the baseline is subtracted
  -- say: subtract = true, score at the baseline subtracted
  -- chart: histogram
  -- x: score
  -- x_title: attention score{subtract?, less that at the baseline|}

  SELECT CASE WHEN $subtract THEN diff ELSE score END AS score FROM head_score
  WHERE run_id = coalesce($run, latest_run()) AND head = coalesce($head, default_head(latest_run()))

Every header line is "-- key: value"; "--" and three spaces continue the value above.

  name         the name of the file without .sql: lower case letters, digits and _ (required)
  title        text above the figure (required)
  subtitle     text below the title
  description  what the query answers, in sentences
  param        NAME TYPE = DEFAULT, meaning. TYPE is TEXT, INTEGER, DOUBLE or BOOLEAN; a text is in single
               quotes. $NAME in the SQL is the value. May be repeated
  say          NAME, TEXT or NAME = VALUE, TEXT: the text that a figure shows if a parameter differs from its
               default, with {value} for the value (default NAME = VALUE). May be repeated
  chart        how to draw the answer (default table)

In titles, {name} is a fact about the run (run, model, prompts, source, baseline, convention, ...; head if
there is a parameter head), the value of a column that is the same in all rows, or the value of a parameter,
in this order; after a 1, a word such as prompts loses its s. {name?yes|no} is the first text if that value is true and the second if not. A parameter that
differs from its default is shown below the title, unless a title contains it in braces.

Charts:

`

const manualFoot = `
A query of shares, in a column whose name begins with pct, names their whole in the columns denominator and
denominator_is, and its standard error in denominator_se. Figures show the whole, and say if it is negative or
within two standard errors of 0. If it is 0, there is nothing to draw, and the error says so. Write names of columns in lower case. Labels, panels and
series are drawn in the order of the rows. Flags of ducklens plot such as --title, --x and --color override
the header. To try a header, run ducklens queries check FILE.sql --file RUN.duckdb, then
ducklens plot RUN.duckdb FILE.sql
`

// markDocs describes the marks.
var markDocs = map[Mark]string{
	Table:     "rows and columns, not drawn",
	Scalar:    "one number, not drawn",
	Heatmap:   "one row per cell: a grid of components, coloured by a signed value",
	Histogram: "one row per value: overlaid distributions, with a box for each",
	Bar:       "one row per bar: horizontal bars, the first row at the top",
	Matrix:    "one row per cell of a grid too large to label: pairs of components",
	Line:      "one row per point: lines over an axis, with bands of one standard error",
	Scatter:   "one row per point: two numbers, with error bars, names of outliers and lines of least squares",
}

func drawnMarks() []Mark {
	return []Mark{Table, Scalar, Heatmap, Histogram, Bar, Matrix, Line, Scatter}
}

// writeKey writes the entry of a key.
func writeKey(b *strings.Builder, k chartKey) {
	var readers []string
	for m, use := range k.use {
		switch use {
		case needed:
			readers = append(readers, Mark(m).String()+"*")
		case optional:
			readers = append(readers, Mark(m).String())
		}
	}
	kind := "text"
	switch {
	case k.column != nil:
		kind = "column"
	case k.count != nil:
		kind = "whole number"
	case k.number != nil:
		kind = "number"
	case k.list != nil:
		kind = "names separated by commas"
	case k.words != nil:
		kind = strings.Join(k.words, "|")
	}
	fmt.Fprintf(b, "  %-13s %s: %s\n", k.name, kind, k.doc)
	starred := func(s string) bool { return strings.HasSuffix(s, "*") }
	if all := len(drawnMarks()) - 2; len(readers) < all || slices.ContainsFunc(readers, starred) {
		fmt.Fprintf(b, "  %-13s (%s)\n", "", strings.Join(readers, ", "))
	}
}
