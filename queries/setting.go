package queries

import (
	"fmt"
	"slices"
	"strings"
)

// Phrase describes the effect of a value of a parameter.
type Phrase struct {
	Param string
	Value string // as a user types it; "": any value
	Text  string // with {value} for the value
}

// parsePhrase parses "NAME, TEXT" or "NAME = VALUE, TEXT".
func parsePhrase(s string) (Phrase, error) {
	head, text, ok := strings.Cut(s, ",")
	name, value, given := strings.Cut(head, "=")
	p := Phrase{Param: strings.TrimSpace(name), Value: strings.TrimSpace(value),
		Text: strings.TrimSpace(text)}
	if !ok || p.Text == "" || !isName(p.Param) || given && p.Value == "" {
		return p, fmt.Errorf("say %q, want \"NAME, TEXT\" or \"NAME = VALUE, TEXT\"", s)
	}
	return p, nil
}

// String returns the phrase as in the header.
func (p Phrase) String() string {
	if p.Value == "" {
		return p.Param + ", " + p.Text
	}
	return p.Param + " = " + p.Value + ", " + p.Text
}

// Setting is a parameter whose value is not the default.
type Setting struct {
	Name, Value string
	Text        string // the header's phrase, or NAME = VALUE
}

// Settings lists the parameters whose bound values differ from the defaults, in the order of the header.
func (q *Query) Settings(values map[string]any) []Setting {
	var list []Setting
	for _, p := range q.Params {
		value, bound := values[p.Name]
		if !bound || value == p.Default {
			continue
		}
		s := Setting{Name: p.Name, Value: shown(value)}
		s.Text = q.phrase(p.Name, String(value), s.Value)
		list = append(list, s)
	}
	return list
}

// shown returns a value as in a figure. Heads are named as in figures.
func shown(value any) string {
	if value == nil {
		return "NULL"
	}
	heads := strings.Split(String(value), ",")
	for i, h := range heads {
		heads[i] = HeadName(h)
	}
	return strings.Join(heads, ",")
}

// phrase returns the description of a value: the header's phrase for it, else that for any value of the
// parameter, else NAME = VALUE.
func (q *Query) phrase(name, value, shown string) string {
	for _, exact := range []bool{true, false} {
		i := slices.IndexFunc(q.Phrases, func(p Phrase) bool {
			return p.Param == name && (exact && p.Value == value || !exact && p.Value == "")
		})
		if i >= 0 {
			before, after, found := strings.Cut(q.Phrases[i].Text, "{value}")
			if !found {
				return before
			}
			noun, length := one(shown, after)
			return before + shown + noun + strings.ReplaceAll(after[length:], "{value}", shown)
		}
	}
	return name + " = " + shown
}
