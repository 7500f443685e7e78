package queries

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Several tells which parameter of set has several values, with commas between them, and gives a set for
// each; where none has, it is set alone. A parameter whose name is plural, such as heads, takes a list
// itself.
func (q *Query) Several(set map[string]string) (param string, sets []map[string]string, err error) {
	for _, p := range q.Params {
		if strings.Contains(set[p.Name], ",") && !plural(p.Name) {
			if param != "" {
				return "", nil, fmt.Errorf("parameters %s and %s have several values each, want one that has", param, p.Name)
			}
			param = p.Name
		}
	}
	if param == "" {
		return "", []map[string]string{set}, nil
	}
	for value := range strings.SplitSeq(set[param], ",") {
		one := maps.Clone(set)
		if one[param] = strings.TrimSpace(value); one[param] == "" {
			return "", nil, fmt.Errorf("parameter %s has an empty value among several: %q", param, set[param])
		}
		sets = append(sets, one)
	}
	return param, sets, nil
}

// plural tells names such as heads from basis.
func plural(name string) bool {
	return strings.HasSuffix(name, "s") && !strings.HasSuffix(name, "is") && !strings.HasSuffix(name, "ss")
}

// sideColumn is the column that tells the answers apart that [Query.SideBySide] unites.
const sideColumn = "asked_for"

// SideBySide makes one answer of those for several values of a parameter, and the query that draws them
// together: as panels, or where panels have a meaning already, as frames.
func (q Query) SideBySide(param string, results []*Result) (Query, *Result, error) {
	first := results[0]
	all := &Result{Columns: append(slices.Clone(first.Columns), Column{Name: sideColumn, Type: Text}),
		Bound: maps.Clone(first.Bound)}
	frame := -1
	if q.Chart.Facet != "" && q.Chart.Frame != "" {
		frame = first.Index(q.Chart.Frame)
	}
	var values []string
	for _, r := range results {
		if !slices.Equal(r.Names(), first.Names()) {
			return q, nil, fmt.Errorf("query %s: answers for several values of %s have different columns, want the same", q.Name, param)
		}
		values = append(values, shown(r.Bound[param]))
		name := q.sideName(param, r.Bound[param])
		for _, row := range r.Rows {
			own := name
			if frame >= 0 {
				own += ": " + String(row[frame])
			}
			all.Rows = append(all.Rows, append(slices.Clone(row), own))
		}
	}
	all.Facts = unite(results)
	if _, told := all.fact(param); !told { // before a column of that name, whose values differ
		all.Facts = append(all.Facts, Fact{Name: param, Value: strings.Join(values, " and ")})
	}
	all.Bound[param] = strings.Join(values, ",")
	q.Params = slices.Clone(q.Params)
	for i := range q.Params {
		if q.Params[i].Name == param { // the panels say what it is: nothing else need be said of it
			q.Params[i].Default = all.Bound[param]
		}
	}
	switch {
	case frame >= 0, q.Chart.Facet != "":
		q.Chart.Frame = sideColumn
	default:
		q.Chart.Facet, q.Chart.FacetColumns = sideColumn, 0
	}
	return q, all, nil
}

// sideName names the panel of a value of a parameter.
func (q *Query) sideName(param string, value any) string {
	name := q.phrase(param, String(value), shown(value))
	if name == param+" = "+shown(value) && (param == "head" || param == "run" || param == "mover") {
		return param + " " + shown(value)
	}
	return name
}

// unite gives the facts of several answers; one that differs has all its values.
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

// BoundText says what the parameters of a query were bound to.
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
