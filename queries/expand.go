package queries

import (
	"fmt"
	"strings"
)

// Expand fills in the braces of a text of the header. {name} is the fact of that name, or else the value that
// the column of that name has in all rows, so that a title says what the rows are about and not what was
// asked for; where there is neither, it is the value of the parameter. {name?yes|no} is one of two texts, as
// the value is true or not. Heads are written as figures name them.
func (r *Result) Expand(text string) (string, error) {
	list, err := placeholders(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	end := 0
	for _, p := range list {
		value, err := r.value(p.name)
		if err != nil {
			return "", fmt.Errorf("{%s} in %q: %w", p.name, text, err)
		}
		b.WriteString(text[end:p.from] + p.expand(value))
		end = p.to
	}
	return b.String() + text[end:], nil
}

// value is what stands for {name}.
func (r *Result) value(name string) (string, error) {
	if value, ok := r.fact(name); ok {
		return HeadName(value), nil
	}
	i := r.Index(name)
	if bound, ok := r.Bound[name]; ok && i < 0 {
		return shown(bound), nil
	}
	if i < 0 {
		known := strings.Join(r.Names(), ", ")
		return "", fmt.Errorf("no such fact, column or parameter, want one of %s", known)
	}
	if len(r.Rows) == 0 {
		return "", fmt.Errorf("the result has no rows")
	}
	value := String(r.Rows[0][i])
	for _, row := range r.Rows {
		if String(row[i]) != value {
			return "", fmt.Errorf("values %q and %q, want the same in every row", value, String(row[i]))
		}
	}
	return HeadName(value), nil
}

func (r *Result) fact(name string) (string, bool) {
	for _, f := range r.Facts {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

// A placeholder is {name} or {name?yes|no} in a text.
type placeholder struct {
	from, to int // bytes of the text
	name     string
	choice   bool
	yes, no  string
}

func (p placeholder) expand(value string) string {
	switch {
	case !p.choice:
		return value
	case value == "true":
		return p.yes
	case value == "false" || value == "" || value == "NULL":
		return p.no
	}
	return p.yes + " / " + p.no // it varies: the panels tell
}

// placeholders lists what stands in braces in a text, in the order of appearance.
func placeholders(text string) ([]placeholder, error) {
	var list []placeholder
	for at := 0; ; {
		open := strings.IndexAny(text[at:], "{}")
		if open < 0 {
			return list, nil
		}
		from := at + open
		end := strings.IndexByte(text[from:], '}')
		if text[from] == '}' || end < 0 {
			return nil, braces(text)
		}
		p := placeholder{from: from, to: from + end + 1}
		inner := text[from+1 : from+end]
		var texts string
		p.name, texts, p.choice = strings.Cut(inner, "?")
		if p.choice {
			var both bool
			if p.yes, p.no, both = strings.Cut(texts, "|"); !both {
				return nil, braces(text)
			}
		}
		if !isName(p.name) || strings.Contains(inner, "{") {
			return nil, braces(text)
		}
		list = append(list, p)
		at = p.to
	}
}

func braces(text string) error {
	return fmt.Errorf("text %q, want braces only as {column} or {column?text if true|text if not}", text)
}
