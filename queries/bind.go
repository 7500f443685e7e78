package queries

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrUnknownParam is found by errors.Is in the error for a parameter that a query does not have.
var ErrUnknownParam = errors.New("unknown parameter")

// Bind gives every parameter of the query its value: what set has for it, read as the parameter's
// type, else the default. Nothing is pasted into the SQL. All faults are reported at once.
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
			faults = append(faults, &NameError{Err: ErrUnknownParam, Name: name, Known: names, Of: q.Name})
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

// UnsetError says that a parameter without a default has no value.
type UnsetError struct{ Name string }

func (e *UnsetError) Error() string { return fmt.Sprintf("parameter $%s has no value", e.Name) }

// Hint says how to give one.
func (e *UnsetError) Hint() string { return fmt.Sprintf("give it one with --set %s=...", e.Name) }

// NameError says that a name is not among the known ones.
type NameError struct {
	Err   error  // [ErrUnknownQuery] or [ErrUnknownParam]
	Name  string // as it was given
	Known []string
	Of    string // what the known names belong to, or ""
}

func (e *NameError) Error() string {
	text := fmt.Sprintf("%v %q", e.Err, e.Name)
	if e.Of != "" {
		text += " of " + e.Of
	}
	return text
}

// Unwrap makes errors.Is find the sentinel.
func (e *NameError) Unwrap() error { return e.Err }

// Hint names what was probably meant, or everything there is.
func (e *NameError) Hint() string {
	if len(e.Known) == 0 {
		return "there are none"
	}
	if close := Nearest(e.Name, e.Known); len(close) > 0 {
		return "did you mean " + strings.Join(close, " or ") + "?"
	}
	return "there is " + strings.Join(e.Known, ", ")
}

// Nearest gives the known names most like name, best first: at most three, and none that is quite
// another word.
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
