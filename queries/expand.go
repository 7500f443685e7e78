package queries

import (
	"fmt"
	"strings"
)

// Expand replaces every {name} in a title by the fact of that name, or else by the value that the column of that name
// has in all rows, so that a title says what the rows are about and not what was asked for.
func (r *Result) Expand(title string) (string, error) {
	names, err := placeholders(title)
	if err != nil {
		return "", err
	}
	var pairs []string
	for _, name := range names {
		if value, ok := r.fact(name); ok {
			pairs = append(pairs, "{"+name+"}", value)
			continue
		}
		i := r.Index(name)
		if i < 0 {
			return "", fmt.Errorf("{%s} in %q: no such fact or column, want one of %s", name, title, strings.Join(r.Names(), ", "))
		}
		if len(r.Rows) == 0 {
			return "", fmt.Errorf("{%s} in %q: the result has no rows", name, title)
		}
		value := String(r.Rows[0][i])
		for _, row := range r.Rows {
			if String(row[i]) != value {
				return "", fmt.Errorf("{%s} in %q: values %q and %q, want the same in every row", name, title, value, String(row[i]))
			}
		}
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(title), nil // one pass: a value is not expanded again
}

func (r *Result) fact(name string) (string, bool) {
	for _, f := range r.Facts {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

// placeholders lists the columns named in a title, in the order of their appearance.
func placeholders(title string) ([]string, error) {
	var names []string
	rest := title
	for {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			return names, nil
		}
		end := strings.IndexByte(rest, '}')
		if rest[open] == '}' || end < 0 || !isName(rest[open+1:end]) {
			return nil, fmt.Errorf("title %q, want braces only as {column}", title)
		}
		names = append(names, rest[open+1:end])
		rest = rest[end+1:]
	}
}
