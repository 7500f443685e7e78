package queries

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrUnknownParam is wrapped by the error for a parameter that a query does not have.
var ErrUnknownParam = errors.New("unknown parameter")

// Bind returns the value of every parameter of the query: the one in set, parsed as the parameter's type, or
// the default. Nothing is pasted into the SQL. All faults are reported at once.
func (q *Query) Bind(set map[string]string) (map[string]any, error) {
	values := make(map[string]any, len(q.Params))
	var names []string
	for _, p := range q.Params {
		values[p.Name] = p.Default
		names = append(names, p.Name)
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(set)) {
		i := slices.Index(names, name)
		if i < 0 {
			faults = append(faults, &NameError{Err: ErrUnknownParam, Name: name, Known: names})
			continue
		}
		value, err := q.Params[i].Type.Value(set[name])
		if err != nil {
			faults = append(faults, fmt.Errorf("parameter %s %s: %w", name, q.Params[i].Type, err))
			continue
		}
		values[name] = value
	}
	for _, p := range q.Params {
		if _, given := set[p.Name]; p.Needed && !given {
			faults = append(faults, &UnsetError{p.Name})
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return values, nil
}

// UnsetError is the error for a parameter without a default that has no value.
type UnsetError struct{ Name string }

func (e *UnsetError) Error() string { return fmt.Sprintf("parameter $%s has no value", e.Name) }

// Hint says how to set the parameter.
func (e *UnsetError) Hint() string { return fmt.Sprintf("give it one with --set %s=...", e.Name) }

// NameError is the error for an unknown name.
type NameError struct {
	Err   error  // [ErrUnknownQuery] or [ErrUnknownParam]
	Name  string // as it was given
	Known []string
}

func (e *NameError) Error() string {
	return fmt.Sprintf("%v %q", e.Err, e.Name)
}

// Unwrap returns the sentinel.
func (e *NameError) Unwrap() error { return e.Err }

// Hint suggests similar names, or lists all known ones.
func (e *NameError) Hint() string {
	if len(e.Known) == 0 {
		return "there are none"
	}
	if close := Nearest(e.Name, e.Known); len(close) > 0 {
		return "did you mean " + strings.Join(close, " or ") + "?"
	}
	return "there is " + strings.Join(e.Known, ", ")
}

// Nearest returns up to three of the known names that are similar to name, the most similar first.
func Nearest(name string, known []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var list []candidate
	name = strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	for _, k := range known {
		d := distance(name, k)
		if d <= max(1, len(name)/2) {
			list = append(list, candidate{k, d})
		} else if len(name) >= 3 && (strings.Contains(k, name) || strings.HasPrefix(name, k)) {
			list = append(list, candidate{k, max(1, len(name)/2) + 1})
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return a.distance - b.distance })
	var nearest []string
	for _, c := range list[:min(len(list), 3)] {
		nearest = append(nearest, c.name)
	}
	return nearest
}

// distance counts the letters to insert, delete or replace to make a into b (Levenshtein 1966).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
