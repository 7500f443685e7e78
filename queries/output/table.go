package output

import (
	"bufio"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"ducklens/queries"
)

// writeTable writes aligned columns under a line. A single row that is too wide for the screen is written
// with one column to a line. If there are more rows, long texts are cut.
func writeTable(b *bufio.Writer, r *queries.Result, o Options) error {
	cells := rounded(r)
	header := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		header[i] = queries.Printable(c.Name)
		for _, row := range cells {
			row[i] = queries.Printable(row[i])
		}
	}
	t := table.NewWriter()
	style := table.StyleLight
	style.Format.Header, style.Format.Row = text.FormatDefault, text.FormatDefault
	style.Options = table.Options{SeparateHeader: true}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	if len(cells) == 1 && o.Width > 0 && total(widths(header, cells)) > o.Width {
		style.Options.SeparateHeader = false
		t.SetStyle(style)
		for i, name := range header {
			t.AppendRow(table.Row{name, cells[0][i]})
		}
		return writeTrimmed(b, t.Render())
	}
	fit(r, header, cells, o.Width)
	var configs []table.ColumnConfig
	for i, c := range r.Columns {
		config := table.ColumnConfig{Number: i + 1, Align: text.AlignLeft, AlignHeader: text.AlignLeft}
		if c.Type.Numeric() {
			config.Align, config.AlignHeader = text.AlignRight, text.AlignRight
		}
		configs = append(configs, config)
	}
	t.SetColumnConfigs(configs)
	t.AppendHeader(tableRow(header))
	for _, row := range cells {
		t.AppendRow(tableRow(row))
	}
	return writeTrimmed(b, t.Render())
}

// writeTrimmed writes lines without trailing blanks.
func writeTrimmed(b *bufio.Writer, s string) error {
	for line := range strings.Lines(s) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return nil
}

func tableRow(cells []string) table.Row {
	row := make(table.Row, len(cells))
	for i, c := range cells {
		row[i] = c
	}
	return row
}

// widths returns the width of every column on the screen.
func widths(header []string, cells [][]string) []int {
	list := make([]int, len(header))
	for i, name := range header {
		list[i] = text.StringWidthWithoutEscSequences(name)
		for _, row := range cells {
			list[i] = max(list[i], text.StringWidthWithoutEscSequences(row[i]))
		}
	}
	return list
}

// total returns the width of a table: its columns and the blanks between them.
func total(widths []int) int {
	sum := 0
	for _, w := range widths {
		sum += w + 2
	}
	return max(sum-2, 0)
}

// least is the width that a text keeps, however narrow the screen is.
const least = 16

// fit cuts texts so that the table fits into width, the longest columns first.
func fit(r *queries.Result, header []string, cells [][]string, width int) {
	if width <= 0 {
		return
	}
	w := widths(header, cells)
	limit := append([]int(nil), w...)
	for total(limit) > width {
		widest := -1
		for i, c := range r.Columns {
			if !c.Type.Numeric() && limit[i] > max(least, len(header[i])) &&
				(widest < 0 || limit[i] > limit[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		limit[widest]--
	}
	for i := range header {
		if limit[i] == w[i] {
			continue
		}
		for _, row := range cells {
			row[i] = text.Snip(row[i], limit[i], "…")
		}
	}
}

// rounded writes every value for a reader: the floats of a column have the same number of decimals, with five
// digits for the largest of them.
func rounded(r *queries.Result) [][]string {
	cells := make([][]string, len(r.Rows))
	for i := range cells {
		cells[i] = make([]string, len(r.Columns))
	}
	for j, c := range r.Columns {
		write := plain
		switch {
		case c.Type == queries.Float:
			write = floats(r, j)
		case strings.HasPrefix(c.DBType, "STRUCT("):
			write = func(v any) string { return structure(v, c.DBType) }
		}
		for i, row := range r.Rows {
			cells[i][j] = write(row[j])
		}
	}
	return cells
}

// structure writes a struct of DOUBLE fields, such as an interval, with rounded numbers in the order of its
// type.
func structure(v any, dbType string) string {
	fields, _ := v.(map[string]any)
	names := slices.SortedFunc(maps.Keys(fields), func(a, b string) int {
		return strings.Index(dbType, strconv.Quote(a)) - strings.Index(dbType, strconv.Quote(b))
	})
	var parts []string
	for _, name := range names {
		x, isFloat := fields[name].(float64)
		if !isFloat {
			return plain(v)
		}
		parts = append(parts, strconv.Quote(name)+":"+strconv.FormatFloat(x, 'g', digits, 64))
	}
	if parts == nil {
		return plain(v)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func plain(v any) string {
	if v == nil {
		return "NULL"
	}
	return queries.String(v)
}

// digits is the number of digits shown for the largest number of a column.
const digits = 5

// floats returns a formatter for a column of floats. Ordinary numbers have fixed decimals, others are
// scientific. A number that the decimals would turn into zero is scientific too.
func floats(r *queries.Result, column int) func(any) string {
	largest := 0.0
	for _, row := range r.Rows {
		if x, ok := queries.Number(row[column]); ok && x-x == 0 {
			largest = max(largest, math.Abs(x))
		}
	}
	scientific := largest != 0 && (largest < 1e-3 || largest >= 1e9)
	decimals := 0
	if largest > 0 {
		decimals = min(max(digits-1-int(math.Floor(math.Log10(largest))), 0), digits+2)
	}
	return func(v any) string {
		x, ok := queries.Number(v)
		switch {
		case !ok:
			return plain(v)
		case x == 0:
			return "0"
		case x-x != 0:
			return queries.String(v)
		case scientific:
			return strconv.FormatFloat(x, 'e', digits-2, 64)
		}
		if s := strconv.FormatFloat(x, 'f', decimals, 64); strings.Trim(s, "-0.") != "" {
			return s
		}
		return strconv.FormatFloat(x, 'e', 0, 64)
	}
}
