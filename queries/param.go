package queries

import (
	"fmt"
	"strings"
)

// parseParam parses "NAME TYPE" or "NAME TYPE = DEFAULT", optionally followed by ", meaning".
func parseParam(s string) (Param, error) {
	const want = `want "NAME TYPE = DEFAULT, meaning"`
	name, rest, _ := strings.Cut(s, " ")
	if !isName(name) {
		return Param{}, fmt.Errorf("parameter name %q, %s", name, want)
	}
	rest = strings.TrimLeft(rest, " \t")
	end := strings.IndexAny(rest, " ,=\t")
	if end < 0 {
		end = len(rest)
	}
	p := Param{Name: name}
	var err error
	if p.Type, err = ParseParamType(rest[:end]); err != nil {
		return Param{}, fmt.Errorf("parameter %q: %w", name, err)
	}
	rest = strings.TrimLeft(rest[end:], " \t")
	if after, ok := strings.CutPrefix(rest, "="); ok {
		rest = strings.TrimLeft(after, " \t")
		var literal string
		literal, rest = cutLiteral(rest)
		if p.Default, err = p.Type.literal(literal); err != nil {
			return Param{}, fmt.Errorf("default of parameter %q: %w", name, err)
		}
		rest = strings.TrimLeft(rest, " \t")
	}
	if rest != "" {
		doc, ok := strings.CutPrefix(rest, ",")
		if p.Doc = strings.TrimSpace(doc); !ok || p.Doc == "" {
			return Param{}, fmt.Errorf("parameter %q: %q after it, %s", name, rest, want)
		}
	}
	return p, nil
}

// cutLiteral cuts a default off the start of s: a text in single quotes, or everything up to a comma.
func cutLiteral(s string) (literal, rest string) {
	n := strings.IndexByte(s, ',')
	if strings.HasPrefix(s, "'") {
		n = quotedLength(s, '\'', false)
	}
	if n < 0 {
		n = len(s)
	}
	return strings.TrimSpace(s[:n]), s[n:]
}

// literal parses a default of the header: NULL, a text in single quotes, a number, true or false.
func (t ParamType) literal(s string) (any, error) {
	if s == "NULL" {
		return nil, nil
	}
	if t != TextParam {
		return t.Value(s)
	}
	if len(s) < 2 || s[0] != '\'' || quotedLength(s, '\'', false) != len(s) {
		return nil, fmt.Errorf("%s, want NULL or a text in single quotes", s)
	}
	return strings.ReplaceAll(s[1:len(s)-1], "''", "'"), nil
}

// String returns the parameter as in the header.
func (p Param) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s = ", p.Name, p.Type)
	switch v := p.Default.(type) {
	case nil:
		b.WriteString("NULL")
	case string:
		b.WriteString("'" + strings.ReplaceAll(v, "'", "''") + "'")
	default:
		b.WriteString(String(v))
	}
	if p.Doc != "" {
		b.WriteString(", " + p.Doc)
	}
	return b.String()
}
