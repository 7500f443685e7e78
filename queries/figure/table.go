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

// maxPlaces is the maximum number of places on an axis: more than any model has heads or layers, but so few
// that a stray number cannot ask for a huge grid.
const maxPlaces = 4096

// maxEntries is the maximum number of entries of a legend: eight colours in three line styles.
const maxEntries = 24

// table reads the rows of a result for a figure and phrases what is wrong with them.
type table struct {
	query   string
	chart   queries.Chart
	columns []queries.Column
	rows    [][]any
	lines   []int   // number of each row in the result, from 1
	all     [][]any // the rows before some were hidden
	result  *queries.Result
}

// newTable returns an error for a result without rows or without a column that the header names, and for a
// header that names no column for a key that its mark needs. It sorts the rows as the header asks.
func newTable(q queries.Query, r *queries.Result) (*table, error) {
	t := &table{query: q.Name, chart: q.Chart, columns: r.Columns, rows: slices.Clone(r.Rows), result: r}
	if len(t.rows) == 0 {
		return nil, t.fail(ErrEmpty, "the result has no rows", nil,
			"check the query's parameters: the run may not have the head, side or basis that was asked for")
	}
	t.lines = make([]int, len(t.rows))
	for i := range t.rows {
		t.lines[i] = i + 1
	}
	for _, key := range q.Chart.Columns() {
		if err := t.require(key.Key, key.Column, key.Needed); err != nil {
			return nil, err
		}
	}
	t.sort(q.Chart.Order)
	t.all = t.rows
	return t, nil
}

// fail returns an Error that shows rows.
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

// require checks that the header names a column for key, if want is set, and that the result has that column.
func (t *table) require(key, name string, want bool) error {
	if name == "" {
		if !want {
			return nil
		}
		if t.query == "" {
			column, kind := "column", "has a column of its own"
			if t.chart.Numbers(key) {
				column, kind = "column of numbers", "is a number"
			}
			return t.fail(ErrColumn, fmt.Sprintf("no %s is left for %s, the answer has %s", column, key,
				strings.Join(t.result.Names(), ", ")), nil,
				fmt.Sprintf("%s of a %s chart %s: select one more %s, or say which one is what", key,
					t.chart.Mark, kind, column))
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

// sort sorts the rows by a column, ascending, with NULL last; equal rows keep their order.
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

// noNulls returns an error for NULL in columns; an empty column name is ignored.
func (t *table) noNulls(columns ...string) error {
	for _, column := range columns {
		if column == "" {
			continue
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
	}
	return nil
}

// largest is the largest number that can be drawn: its square is still finite.
const largest = 1e150

// numbers reads a column of finite numbers.
func (t *table) numbers(column string) ([]float64, error) {
	j := t.result.Index(column)
	if typ := t.columns[j].Type; !typ.Numeric() {
		return nil, t.fail(ErrColumn, fmt.Sprintf("column %s holds %s, want numbers", column, typ), nil, "")
	}
	if why := t.result.Undefined(column); why != "" {
		return nil, t.fail(ErrUndefined, why, nil, "")
	}
	values := make([]float64, len(t.rows))
	var bad []int
	for i, row := range t.rows {
		x, ok := queries.Number(row[j])
		if !ok || !(math.Abs(x) <= largest) { // NaN is an error too
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

// optional reads a column of numbers that may be missing or contain NULL, NaN or infinities; all of these are
// returned as NaN.
func (t *table) optional(column string) ([]float64, error) {
	values := make([]float64, len(t.rows))
	if column == "" {
		for i := range values {
			values[i] = math.NaN()
		}
		return values, nil
	}
	j := t.result.Index(column)
	if typ := t.columns[j].Type; !typ.Numeric() {
		return nil, t.fail(ErrColumn, fmt.Sprintf("column %s holds %s, want numbers", column, typ), nil, "")
	}
	for i, row := range t.rows {
		x, ok := queries.Number(row[j])
		if !ok || math.Abs(x) > largest {
			x = math.NaN()
		}
		values[i] = x
	}
	return values, nil
}

// support reads the standard error and the number of examples behind each row; if unknown, they are NaN and
// 0.
func (t *table) support(c queries.Chart) (se []float64, n []int64, err error) {
	if se, err = t.optional(c.Error); err != nil {
		return nil, nil, err
	}
	counts, err := t.optional(c.Count)
	if err != nil {
		return nil, nil, err
	}
	n = make([]int64, len(counts))
	var negative []int
	for i := range se {
		if se[i] < 0 || counts[i] < 0 {
			negative = append(negative, i)
		}
		if counts[i] == counts[i] {
			n[i] = int64(counts[i])
		}
	}
	if len(negative) > 0 {
		return nil, nil, t.fail(ErrValue, "negative standard error or count", negative, "")
	}
	return se, n, nil
}

// text reads one value of a column as text; for an empty column name it returns "".
func (t *table) text(row int, column string) string {
	if column == "" {
		return ""
	}
	return queries.HeadName(queries.String(t.rows[row][t.result.Index(column)]))
}

// places are the categories of a column: their names and, for each row, the index of its own.
type places struct {
	names []string
	of    []int
}

// categories returns the values of a column in the order in which they first appear. A missing column is a
// single category without a name.
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

// entries returns the series or categories of a legend.
func (t *table) entries(column string) (places, error) {
	if err := t.noNulls(column); err != nil {
		return places{}, err
	}
	p := t.categories(column)
	if len(p.names) > maxEntries {
		return p, t.fail(ErrAxis, fmt.Sprintf("column %s has %d different values, more than colours and line styles can tell apart: want at most %d",
			column, len(p.names), maxEntries), nil, "let the query choose some, or name the column as facet or frame")
	}
	return p, nil
}

// whole returns the table as it was before rows were hidden.
func (t *table) whole() *table {
	all := *t
	all.rows = t.all
	return &all
}

// legend names series or categories; if the column is missing there is nothing to distinguish. The style of
// each is its place in the chart's list of colours. Those that are not listed follow, sorted by name, not by
// value, so that they look the same in figures of other prompts. All of the answer count, so that hiding some
// does not change the others.
func legend(c queries.Chart, column string, shown, all places) Legend {
	if column == "" {
		return Legend{}
	}
	order := slices.Clone(c.Colors)
	for _, name := range slices.Sorted(slices.Values(all.names)) {
		if listed(c.Colors, name) < 0 {
			order = append(order, name)
		}
	}
	// There are more of them than styles, so only those that are shown get one.
	if len(order) > maxEntries {
		order = slices.Sorted(slices.Values(shown.names))
	}
	l := Legend{Title: orElse(c.LegendTitle, column), Names: shown.names}
	for _, name := range shown.names {
		l.Styles = append(l.Styles, listed(order, name))
	}
	return l
}

// listed returns the place of a name in a list whose entries are a name, or two with a bar between them; or
// -1.
func listed(list []string, name string) int {
	return slices.IndexFunc(list, func(entry string) bool {
		return entry == name || slices.Contains(strings.Split(entry, "|"), name)
	})
}

// axis makes an axis of names, with the place of each row. Whole numbers keep their distances unless the axis
// is dense, so that a component that is not in the result leaves its place empty. Other numbers are in
// ascending order, and text is in order of appearance. If there is a tick column, the names come from it and
// need no title; otherwise the axis is titled with the column's name unless title is given.
func (t *table) axis(column, tick, group, title string, dense bool) (places, Axis, error) {
	p, err := t.positions(column, dense)
	if err != nil {
		return p, Axis{}, err
	}
	groups, err := t.groups(p, column, group)
	if err != nil {
		return p, Axis{}, err
	}
	p.names, err = t.ticks(p, column, tick)
	return p, Axis{Title: namesTitle(title, column, tick), Names: p.names, Groups: groups}, err
}

// namesTitle returns the title of an axis of names.
func namesTitle(title, column, tick string) string {
	if tick != "" { // the names are not those of the column
		return title
	}
	return orElse(title, column)
}

// ticks returns the names of places in a tick column, if there is one.
func (t *table) ticks(p places, column, tick string) ([]string, error) {
	if tick == "" {
		return p.names, nil
	}
	names := make([]string, len(p.names))
	first := make([]int, len(p.names))
	for i := range first {
		first[i] = -1
	}
	for i := range t.rows {
		k, name := p.of[i], t.text(i, tick)
		switch {
		case name == "":
		case first[k] < 0:
			first[k], names[k] = i, name
		case names[k] != name:
			return nil, t.fail(ErrAxis, fmt.Sprintf("column %s names one place of %s both %q and %q", tick, column, names[k], name),
				[]int{first[k], i}, "")
		}
	}
	return names, nil
}

// groups returns the runs of adjacent places that have the same value of a column. A place without rows
// belongs to the run before it.
func (t *table) groups(p places, axis, column string) ([]Group, error) {
	if column == "" {
		return nil, nil
	}
	if err := t.noNulls(column); err != nil {
		return nil, err
	}
	first := make([]int, len(p.names)) // row that shows the place, plus one
	for i, k := range p.of {
		switch {
		case first[k] == 0:
			first[k] = i + 1
		case t.text(first[k]-1, column) != t.text(i, column):
			return nil, t.fail(ErrAxis, fmt.Sprintf("column %s puts one place of %s in two groups, %q and %q", column, axis,
				t.text(first[k]-1, column), t.text(i, column)), []int{first[k] - 1, i}, "")
		}
	}
	var groups []Group
	for k, row := range first {
		last := len(groups) - 1
		switch {
		case row == 0 && last >= 0, row != 0 && last >= 0 && groups[last].Name == t.text(row-1, column):
			groups[last].N++
		case row != 0:
			groups = append(groups, Group{Name: t.text(row-1, column), First: k, N: 1})
		}
	}
	return groups, nil
}

func (t *table) positions(column string, dense bool) (places, error) {
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
	if whole && !dense {
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
