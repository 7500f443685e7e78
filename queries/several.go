package queries

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Several finds the parameter in set with several values, separated by commas, and returns a set for each
// value. If there is none, it returns set alone. A value that contains a comma is in double quotes. A
// parameter with a plural name, such as heads, takes a list itself.
func (q *Query) Several(set map[string]string) (param string, sets []map[string]string, err error) {
	for _, p := range q.Params {
		if strings.Contains(set[p.Name], ",") && !plural(p.Name) {
			if param != "" {
				return "", nil, fmt.Errorf("parameters %s and %s have several values each, want one that has",
					param, p.Name)
			}
			param = p.Name
		}
	}
	if param == "" {
		return "", []map[string]string{set}, nil
	}
	values, err := splitList(set[param])
	if err != nil {
		return "", nil, fmt.Errorf("parameter %s, %q: %w", param, set[param], err)
	}
	for _, value := range values {
		one := maps.Clone(set)
		one[param] = value
		sets = append(sets, one)
	}
	return param, sets, nil
}

// plural reports plural names, such as heads, but not basis.
func plural(name string) bool {
	return strings.HasSuffix(name, "s") && !strings.HasSuffix(name, "is") && !strings.HasSuffix(name, "ss")
}

// sideColumn is the column that tells the results united by [Query.SideBySide] apart.
const sideColumn = "asked_for"

// SideBySide unites the results for several values of a parameter, and returns the query that draws them
// together: as panels, or as frames if panels are in use.
func (q Query) SideBySide(param string, results []*Result) (Query, *Result, error) {
	first := results[0]
	all := &Result{Columns: append([]Column{{Name: sideColumn, Type: Text}}, first.Columns...),
		Bound: maps.Clone(first.Bound)}
	if empty := slices.IndexFunc(results, noRows); empty >= 0 && !allEmpty(results) {
		return q, nil, fmt.Errorf("query %s: no rows for %s, though another value has some: leave it out",
			q.Name, q.sideName(param, results[empty].Bound[param]))
	}
	frame := -1
	if q.Chart.Facet != "" && q.Chart.Frame != "" {
		frame = first.Index(q.Chart.Frame)
	}
	var values []string
	for _, r := range results {
		if !slices.Equal(r.Names(), first.Names()) {
			return q, nil, fmt.Errorf("query %s: answers for several values of %s have different columns, "+
				"want the same", q.Name, param)
		}
		value := shown(r.Bound[param])
		if slices.Contains(values, value) {
			return q, nil, fmt.Errorf("query %s: parameter %s has the value %s twice, want it once",
				q.Name, param, value)
		}
		values = append(values, value)
		name := q.sideName(param, r.Bound[param])
		if about := r.unlike(results); param == "run" && about != "" {
			name += " (" + about + ")"
		}
		for _, row := range r.Rows {
			own := name
			if frame >= 0 {
				own += ": " + String(row[frame])
			}
			all.Rows = append(all.Rows, append([]any{own}, row...))
		}
	}
	all.Facts = unite(results)
	if _, told := all.fact(param); !told { // a fact comes before a column of that name, whose values differ
		all.Facts = append(all.Facts, Fact{Name: param, Value: strings.Join(values, " and ")})
	}
	all.Facts = append(all.Facts, q.told(results, all.Facts)...)
	all.Bound[param] = strings.Join(values, ",")
	q.Params = slices.Clone(q.Params)
	for i := range q.Params {
		if q.Params[i].Name == param { // the titles of the panels show it
			q.Params[i].Default = all.Bound[param]
		}
	}
	switch {
	case frame >= 0, q.Chart.Facet != "":
		q.Chart.Frame = sideColumn
	default:
		q.Chart.Facet, q.Chart.FacetColumns = sideColumn, 0
	}
	all.align(q.Chart.X, q.Chart.XTick)
	all.align(q.Chart.Y, q.Chart.YTick)
	all.addUp(q.Chart.Whole, results)
	return q, all, nil
}

func noRows(r *Result) bool { return len(r.Rows) == 0 }

func allEmpty(results []*Result) bool {
	return !slices.ContainsFunc(results, func(r *Result) bool { return !noRows(r) })
}

// unlike describes how the run of r differs from those of the other results: its model, and how its numbers
// were computed.
func (r *Result) unlike(results []*Result) string {
	var about []string
	for _, name := range []string{"model", "processing", "convention", "precision"} {
		own, _ := r.fact(name)
		if slices.ContainsFunc(results,
			func(other *Result) bool { value, _ := other.fact(name); return value != own }) {
			about = append(about, own)
		}
	}
	return strings.Join(about, ", ")
}

// told returns facts for the columns named in titles that have one value in each result, but not the same in
// all.
func (q *Query) told(results []*Result, facts []Fact) (list []Fact) {
	for _, name := range q.Placeholders() {
		i := results[0].Index(name)
		if i < 0 || slices.ContainsFunc(facts, func(f Fact) bool { return f.Name == name }) {
			continue
		}
		var values []string
		for _, r := range results {
			for _, row := range r.Rows {
				if value := HeadName(String(row[i])); !slices.Contains(values, value) {
					values = append(values, value)
				}
			}
		}
		if len(values) > 1 && len(values) <= len(results) {
			list = append(list, Fact{Name: name, Value: strings.Join(values, " and ")})
		}
	}
	return list
}

// align makes a number the same for the same name in all results. Models with more heads have their MLPs in a
// later column. The order of the names is that of every result, as far as they agree.
func (r *Result) align(number, name string) {
	at, of := r.Index(number), r.Index(name)
	if number == "" || name == "" || at < 0 || of < 0 {
		return
	}
	type place struct {
		side, name string
		number     float64
	}
	var places []place
	names, conflict := map[float64]string{}, false
	for _, row := range r.Rows {
		x, ok := Number(row[at])
		if !ok {
			return
		}
		p := place{String(row[0]), String(row[of]), x}
		if p.name == "" { // without a name it cannot be found in another result
			return
		}
		if known, ok := names[x]; ok && known != p.name {
			conflict = true
		}
		if names[x] = p.name; !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	if !conflict {
		return
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.number, b.number) })
	to := map[string]float64{}
	for range places { // a name moves at most this often
		last := map[string]float64{}
		for _, p := range places {
			x := max(to[p.name], p.number)
			if before, ok := last[p.side]; ok {
				x = max(x, before+1)
			}
			to[p.name], last[p.side] = x, x
		}
	}
	order := slices.SortedStableFunc(maps.Keys(to),
		func(a, b string) int { return cmp.Or(cmp.Compare(to[a], to[b]), cmp.Compare(a, b)) })
	for _, row := range r.Rows {
		row[at] = int64(slices.Index(order, String(row[of])))
	}
}

// addUp adds up the wholes of the results.
func (r *Result) addUp(column string, results []*Result) {
	i := r.Index(column)
	if column == "" || i < 0 {
		return
	}
	sum := 0.0
	for _, one := range results {
		if len(one.Rows) > 0 {
			x, _ := Number(one.Rows[0][i-1]) // one.Rows lack the column that tells the results apart
			sum += x
		}
	}
	for _, row := range r.Rows {
		row[i] = sum
	}
}

// sideName returns the name of the panel for a value of a parameter.
func (q *Query) sideName(param string, value any) string {
	name := q.phrase(param, String(value), shown(value))
	if name == param+" = "+shown(value) && (param == "head" || param == "run" || param == "mover") {
		return param + " " + shown(value)
	}
	return name
}

// unite returns the facts of several results. A fact that differs lists all its values.
func unite(results []*Result) []Fact {
	facts := slices.Clone(results[0].Facts)
	for i := range facts {
		values := []string{}
		for _, r := range results {
			if value, ok := r.fact(facts[i].Name); ok && !slices.Contains(values, HeadName(value)) {
				values = append(values, HeadName(value))
			}
		}
		facts[i].Value = strings.Join(values, " and ")
	}
	return facts
}

// BoundText lists the values of the query's parameters.
func (q *Query) BoundText(bound map[string]any) string {
	var list []string
	for _, p := range q.Params {
		value := "NULL"
		if bound[p.Name] != nil {
			value = Printable(String(bound[p.Name]))
		}
		list = append(list, p.Name+" = "+value)
	}
	return strings.Join(list, ", ")
}
