package queries

import (
	"fmt"
	"slices"
	"strings"
)

// Manual explains how a saved query is written: its header, with every key and the marks that read it.
func Manual() string {
	var b strings.Builder
	b.WriteString(manualHead)
	for _, m := range drawnMarks() {
		fmt.Fprintf(&b, "  %-10s %s\n", m, markDocs[m])
	}
	b.WriteString("\nKeys of figures, with the marks that need (*) or read them:\n\n")
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

  name         as the file is called: lower case letters, digits and _ (needed)
  title        above the figure (needed)
  subtitle     below the title
  description  what the query answers, in sentences
  param        NAME TYPE = DEFAULT, meaning; TYPE is TEXT, INTEGER, DOUBLE or BOOLEAN, a text stands in single quotes;
               may come many times. $NAME in the SQL is its value
  say          NAME, TEXT or NAME = VALUE, TEXT: what a figure says of a parameter that is not at its default, with
               {value} in place of the value; NAME = VALUE unless there is one. May come many times
  chart        how the answer is drawn (table unless given)

In titles {name} is a fact of the run (run, model, prompts, source, convention, ...; head with the parameter head), or the
value that column has in all rows, or else the value of the parameter. {name?yes|no} is one text or the other, as that is
true or not. A parameter that is not at its default is said below the title, unless a title has it in braces.

Charts:

`

const manualFoot = `
A query that gives shares says in the columns denominator and denominator_is what they are shares of: where that is 0,
there is nothing to draw, and a figure says so. Columns are named in lower case; values that name something (labels, panels, series) come in the order of the rows.
The flags of ducklens plot change what a header says: --title, --x, --color and the like. Try a header with
ducklens queries check FILE.sql --file RUN.duckdb, then ducklens plot RUN.duckdb FILE.sql
`

// markDocs says what each mark shows.
var markDocs = map[Mark]string{
	Table:     "rows and columns, not drawn",
	Scalar:    "one number, not drawn",
	Heatmap:   "a row for each cell: a grid of components, coloured by a signed value",
	Histogram: "a row for each single value: overlaid distributions, with a box for each",
	Bar:       "a row for each bar: lying bars, the first row at the top",
	Matrix:    "a row for each cell of a grid too large to label: pairs of components",
	Line:      "a row for each point: lines over an axis, with bands of one standard error",
	Scatter:   "a row for each point: two numbers, with names of what stands out and lines of least squares",
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
		kind = "names, with commas between"
	case k.words != nil:
		kind = strings.Join(k.words, "|")
	}
	fmt.Fprintf(b, "  %-13s %s: %s\n", k.name, kind, k.doc)
	starred := func(s string) bool { return strings.HasSuffix(s, "*") }
	if all := len(drawnMarks()) - 2; len(readers) < all || slices.ContainsFunc(readers, starred) {
		fmt.Fprintf(b, "  %-13s (%s)\n", "", strings.Join(readers, ", "))
	}
}
