package queries

import (
	"fmt"
	"strings"
)

// Expand replaces the braces in a text of the header. {name} becomes the fact of that name; or the value of
// the column of that name, if it is the same in all rows, so that a title describes the rows and not the
// request; or the value of the parameter. {name?yes|no} becomes one of the two texts, depending on whether
// the value is true. Heads are named as in figures. {prompts} prompts becomes 1 prompt if there is one.
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
		if !p.choice {
			noun, length := one(value, text[end:])
			b.WriteString(noun)
			end += length
		}
	}
	return b.String() + text[end:], nil
}

// counted are the nouns that a text may count.
var counted = []string{"prompt", "example", "edge", "token", "head", "component", "pair"}

// one returns the singular for the plural that follows a count of 1, and the length of what it replaces. It
// returns "" and 0 for any other count or text.
func one(count, rest string) (noun string, length int) {
	if count != "1" {
		return "", 0
	}
	for _, n := range counted {
		after, found := strings.CutPrefix(rest, " "+n+"s")
		if found && (after == "" || !isName(after[:1])) {
			return " " + n, len(rest) - len(after)
		}
	}
	return "", 0
}

// value returns the replacement of {name}.
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

// placeholder is {name} or {name?yes|no} in a text.
type placeholder struct {
	from, to int // byte offsets in the text
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

// placeholders lists the braces in a text in order.
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
