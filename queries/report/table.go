package report

import (
	"strconv"
	"strings"

	"ducklens/queries"
)

// mostRows is the maximum number of rows of a table that a report shows.
const mostRows = 60

// tableRows is a table as the page shows it.
type tableRows struct {
	Table
	Columns []string
	Right   []bool // columns of numbers are right-aligned
	Rows    [][]string
	More    int // number of rows left out
}

func newTableRows(t Table) tableRows {
	rows := tableRows{Table: t}
	for _, c := range t.Result.Columns {
		rows.Columns = append(rows.Columns, c.Name)
		rows.Right = append(rows.Right, c.Type.Numeric())
	}
	for i, row := range t.Result.Rows {
		if i == mostRows {
			rows.More = len(t.Result.Rows) - mostRows
			break
		}
		fields := make([]string, len(row))
		for j, v := range row {
			fields[j] = field(v)
		}
		rows.Rows = append(rows.Rows, fields)
	}
	return rows
}

// field formats a value: five digits of a FLOAT or DOUBLE, all of the others.
func field(v any) string {
	switch v := v.(type) {
	case float64:
		return strings.Replace(strconv.FormatFloat(v, 'g', 5, 64), "-", "−", 1)
	case float32:
		return strings.Replace(strconv.FormatFloat(float64(v), 'g', 5, 64), "-", "−", 1)
	}
	return queries.Printable(queries.String(v))
}
