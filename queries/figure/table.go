package figure

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"ducklens/queries"
)

// maxPlaces is the largest number of places on an axis: more than any model has heads or layers, and
// little enough that a stray number cannot ask for a huge grid.
const maxPlaces = 4096

// table reads the rows of a result for a figure and phrases what is wrong with them.
type table struct {
	query   string
	columns []queries.Column
	rows    [][]any
	lines   []int // number of each row in the result, from 1
	result  *queries.Result
}

// newTable refuses a result without rows.
func newTable(q queries.Query, r *queries.Result) (*table, error) {
	t := &table{query: q.Name, columns: r.Columns, rows: slices.Clone(r.Rows), result: r}
	if len(t.rows) == 0 {
		return nil, t.fail(ErrEmpty, "the result has no rows", nil,
			"check the query's parameters: the run may not have the head, side or basis that was asked for")
	}
	t.lines = make([]int, len(t.rows))
	for i := range t.rows {
		t.lines[i] = i + 1
	}
	return t, nil
}

// fail makes an Error that shows rows.
func (t *table) fail(kind error, detail string, rows []int, hint string) *Error {
	e := &Error{Query: t.query, Err: kind, Detail: detail, hint: hint}
	for i, row := range rows {
		if i == maxRows {
			e.Rows = append(e.Rows, fmt.Sprintf("and %d more", len(rows)-maxRows))
			break
		}
		fields := make([]string, len(t.columns))
		for j, c := range t.columns {
			value := queries.String(t.rows[row][j])
			if t.rows[row][j] == nil {
				value = "NULL"
			}
			fields[j] = c.Name + "=" + value
		}
		e.Rows = append(e.Rows, fmt.Sprintf("row %d: %s", t.lines[row], strings.Join(fields, ", ")))
	}
	return e
}

// require checks that the header names a column for key where one is wanted, and that the result has it.
func (t *table) require(key, name string, want bool) error {
	if name == "" {
		if !want {
			return nil
		}
		return t.fail(ErrColumn, fmt.Sprintf("the header names no column for %s", key), nil,
			fmt.Sprintf("add a line %q to the query", "-- "+key+": COLUMN"))
	}
	if t.result.Index(name) < 0 {
		return t.fail(ErrColumn, fmt.Sprintf("no column %q for %s, want one of %s", name, key,
			strings.Join(t.result.Names(), ", ")), nil, "")
	}
	return nil
}

// sort orders the rows by a column, ascending, NULL last; equal rows stay as they were.
func (t *table) sort(column string) {
	if column == "" {
		return
	}
	j := t.result.Index(column)
	order := make([]int, len(t.rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return compare(t.rows[a][j], t.rows[b][j]) })
	rows, numbers := make([][]any, len(order)), make([]int, len(order))
	for i, from := range order {
		rows[i], numbers[i] = t.rows[from], t.lines[from]
	}
	t.rows, t.lines = rows, numbers
}

// compare orders numbers by size and other values by their text.
func compare(a, b any) int {
	if a == nil || b == nil {
		switch {
		case a != nil:
			return -1
		case b != nil:
			return 1
		}
		return 0
	}
	x, xok := queries.Number(a)
	y, yok := queries.Number(b)
	if xok && yok {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(queries.String(a), queries.String(b))
}

// noNulls refuses NULL in a column; an empty name is no column.
func (t *table) noNulls(column string) error {
	if column == "" {
		return nil
	}
	j := t.result.Index(column)
	var bad []int
	for i, row := range t.rows {
		if row[j] == nil {
			bad = append(bad, i)
		}
	}
	if len(bad) > 0 {
		return t.fail(ErrValue, fmt.Sprintf("NULL in column %s", column), bad, "")
	}
	return nil
}

// numbers reads a whole column of finite numbers.
func (t *table) numbers(column string) ([]float64, error) {
	j := t.result.Index(column)
	if typ := t.columns[j].Type; !typ.Numeric() {
		return nil, t.fail(ErrColumn, fmt.Sprintf("column %s holds %s, want numbers", column, typ), nil, "")
	}
	values := make([]float64, len(t.rows))
	var bad []int
	for i, row := range t.rows {
		x, ok := queries.Number(row[j])
		if !ok || math.IsNaN(x) || math.IsInf(x, 0) {
			bad = append(bad, i)
		}
		values[i] = x
	}
	if len(bad) > 0 {
		return nil, t.fail(ErrValue, fmt.Sprintf("NULL, NaN or infinite value in column %s", column), bad,
			"a baseline that an example lacks is NULL: filter those rows in the query, or ask for the score without baseline")
	}
	return values, nil
}

// number reads one value of a column that may be missing or hold NULL.
func (t *table) number(row int, column string) (float64, bool) {
	if column == "" {
		return 0, false
	}
	x, ok := queries.Number(t.rows[row][t.result.Index(column)])
	return x, ok && !math.IsNaN(x) && !math.IsInf(x, 0)
}

// text reads one value of a column as text; an empty name gives none.
func (t *table) text(row int, column string) string {
	if column == "" {
		return ""
	}
	return queries.String(t.rows[row][t.result.Index(column)])
}

// places are the categories of a column: their names, and for each row the index of its own.
type places struct {
	names []string
	of    []int
}

// categories are the values of a column in the order in which they first appear; a missing column is
// one category without a name.
func (t *table) categories(column string) places {
	p := places{of: make([]int, len(t.rows))}
	index := make(map[string]int)
	for i := range t.rows {
		name := t.text(i, column)
		k, ok := index[name]
		if !ok {
			k = len(p.names)
			index[name] = k
			p.names = append(p.names, name)
		}
		p.of[i] = k
	}
	return p
}

// axis makes the places of an axis. Whole numbers keep their distances, so that a component that is not in
// the result leaves its place empty; other numbers are in ascending order, text in order of appearance. The
// names are those of the tick column, where there is one.
func (t *table) axis(column, tick string) (places, error) {
	p, err := t.positions(column)
	if err != nil || tick == "" {
		return p, err
	}
	first := make([]int, len(p.names))
	for i := range first {
		first[i] = -1
	}
	for k := range p.names {
		p.names[k] = ""
	}
	for i := range t.rows {
		k, name := p.of[i], t.text(i, tick)
		switch {
		case name == "":
		case first[k] < 0:
			first[k], p.names[k] = i, name
		case p.names[k] != name:
			return p, t.fail(ErrAxis, fmt.Sprintf("column %s names one place of %s both %q and %q", tick, column, p.names[k], name),
				[]int{first[k], i}, "")
		}
	}
	return p, nil
}

func (t *table) positions(column string) (places, error) {
	j := t.result.Index(column)
	if !t.columns[j].Type.Numeric() {
		p := t.categories(column)
		if len(p.names) > maxPlaces {
			return p, t.tooMany(column, float64(len(p.names)))
		}
		return p, nil
	}
	values, err := t.numbers(column)
	if err != nil {
		return places{}, err
	}
	low, high, whole := values[0], values[0], true
	for _, x := range values {
		low, high, whole = min(low, x), max(high, x), whole && x == math.Trunc(x)
	}
	p := places{of: make([]int, len(values))}
	if whole {
		if high-low >= maxPlaces {
			return p, t.tooMany(column, high-low+1)
		}
		for i, x := range values {
			p.of[i] = int(x - low)
		}
		for x := low; x <= high; x++ {
			p.names = append(p.names, strconv.FormatFloat(x, 'f', -1, 64))
		}
		return p, nil
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	if len(sorted) > maxPlaces {
		return p, t.tooMany(column, float64(len(sorted)))
	}
	for i, x := range values {
		p.of[i], _ = slices.BinarySearch(sorted, x)
	}
	for _, x := range sorted {
		p.names = append(p.names, strconv.FormatFloat(x, 'g', 6, 64))
	}
	return p, nil
}

func (t *table) tooMany(column string, n float64) error {
	return t.fail(ErrAxis, fmt.Sprintf("column %s spans %.0f places, want at most %d", column, n, maxPlaces), nil, "")
}
