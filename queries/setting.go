package queries

import (
	"fmt"
	"slices"
	"strings"
)

// A Phrase says in words what a value of a parameter does.
type Phrase struct {
	Param string
	Value string // as a user types it; "" for any value
	Text  string // with {value} in place of the value
}

// parsePhrase reads "NAME, TEXT" or "NAME = VALUE, TEXT".
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

// String writes the phrase as the header has it.
func (p Phrase) String() string {
	if p.Value == "" {
		return p.Param + ", " + p.Text
	}
	return p.Param + " = " + p.Value + ", " + p.Text
}

// A Setting is a parameter that has another value than its default.
type Setting struct {
	Name, Value string
	Text        string // what to say of it: the header's phrase, or NAME = VALUE
}

// Settings lists the parameters of which values, those that were bound, are not the defaults, in the order of
// the header.
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

// shown is a value as a figure writes it: heads as figures name them.
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

// phrase is what to say of a value: the header's words for it, else for any value of the parameter, else NAME
// = VALUE.
func (q *Query) phrase(name, value, shown string) string {
	for _, exact := range []bool{true, false} {
		i := slices.IndexFunc(q.Phrases, func(p Phrase) bool {
			return p.Param == name && (exact && p.Value == value || !exact && p.Value == "")
		})
		if i >= 0 {
			return strings.ReplaceAll(q.Phrases[i].Text, "{value}", shown)
		}
	}
	return name + " = " + shown
}
