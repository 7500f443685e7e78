package queries

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLength is the largest saved query that [Parse] reads, in bytes: many times the longest one that
// ships, and small enough that a hostile file costs nothing.
const MaxLength = 256 << 10

// SyntaxError is a fault in the text of a saved query.
type SyntaxError struct {
	Line    int // from 1
	Problem string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Problem) }

// Parse reads a saved query: a header of comment lines, then one SQL statement.
//
//	-- name: score_by_prompt
//	-- title: Head {head}: the score of every prompt
//	-- description: The pre-softmax score of each prompt,
//	--   highest first.
//	-- param: head TEXT = NULL, target head such as 10.7; NULL is the first of the run
//	-- chart: bar
//	-- x: example_id
//	-- y: score
//
//	SELECT ... WHERE head = coalesce($head, ...) ORDER BY ...
//
// Every header line is "-- key: value", or "--" and at least three spaces and more of the value above. name, title and description
// must be there; param may come many times, other keys once. A parameter is "NAME TYPE = DEFAULT, meaning", where TYPE is
// TEXT, INTEGER, DOUBLE or BOOLEAN and a text default stands in single quotes; without default it is NULL. Which further
// keys there are depends on chart; see [Chart]. Each $name in the SQL must be a declared parameter and each parameter used.
// Errors are [SyntaxError], all of them joined.
func Parse(text string) (Query, error) {
	if len(text) > MaxLength {
		return Query{}, fmt.Errorf("saved query of %d bytes, want at most %d", len(text), MaxLength)
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if at := strings.IndexFunc(text, forbidden); at >= 0 {
		r, _ := utf8.DecodeRuneInString(text[at:])
		return Query{}, &SyntaxError{1 + strings.Count(text[:at], "\n"), fmt.Sprintf("character %U, want UTF-8 text without control characters", r)}
	}
	p := parser{seen: map[string]int{}}
	body := p.header(text)
	p.query.SQL = strings.TrimSpace(body)
	before := text[:len(text)-len(strings.TrimLeftFunc(body, unicode.IsSpace))]
	p.query.Line = 1 + strings.Count(before, "\n")
	p.required()
	p.statement()
	slices.SortStableFunc(p.faults, func(a, b *SyntaxError) int { return a.Line - b.Line })
	var faults []error
	for _, fault := range p.faults {
		faults = append(faults, fault)
	}
	if len(faults) > 0 {
		return Query{}, errors.Join(faults...)
	}
	return p.query, nil
}

// forbidden tells characters that a query has no use for: control characters but newline and
// tab, bytes that are not UTF-8, and marks that reorder or hide text.
func forbidden(r rune) bool {
	switch r {
	case '\n', '\t':
		return false
	case utf8.RuneError:
		return true
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

type parser struct {
	query  Query
	seen   map[string]int // header key to its line
	params []int          // lines of the parameters
	faults []*SyntaxError
}

func (p *parser) fault(line int, format string, args ...any) {
	p.faults = append(p.faults, &SyntaxError{line, fmt.Sprintf(format, args...)})
}

// header reads the comment lines at the start of text and returns what follows them.
func (p *parser) header(text string) string {
	type entry struct {
		key, value string
		line       int
	}
	var entries []entry
	rest := text
	for line := 1; strings.HasPrefix(rest, "--"); line++ {
		content, after, _ := strings.Cut(rest, "\n")
		rest = after
		content = strings.TrimRight(content[2:], " \t\r")
		if more, ok := strings.CutPrefix(content, "   "); ok && len(entries) > 0 && strings.TrimSpace(more) != "" {
			last := &entries[len(entries)-1]
			last.value = strings.TrimSpace(last.value + " " + strings.TrimSpace(more))
			continue
		}
		key, value, ok := strings.Cut(content, ":")
		if !ok || !strings.HasPrefix(key, " ") || !isName(key[1:]) {
			p.fault(line, "header line %q, want \"-- key: value\"", "--"+content)
			continue
		}
		entries = append(entries, entry{key[1:], strings.TrimSpace(value), line})
	}
	for _, e := range entries {
		if first, repeated := p.seen[e.key]; repeated && e.key != "param" {
			p.fault(e.line, "key %q again, it is on line %d already", e.key, first)
			continue
		}
		p.seen[e.key] = e.line
		if e.value == "" {
			p.fault(e.line, "key %q has no value", e.key)
			continue
		}
		p.entry(e.key, e.value, e.line)
	}
	return rest
}

func (p *parser) entry(key, value string, line int) {
	if err := p.set(key, value, line); err != nil {
		p.fault(line, "%v", err)
	}
}

func (p *parser) set(key, value string, line int) (err error) {
	q := &p.query
	switch key {
	case "name":
		if !isName(value) {
			return fmt.Errorf("name %q, want lower case letters, digits and _, a letter first, at most %d", value, maxName)
		}
		q.Name = value
	case "title":
		q.Title = value
		_, err = placeholders(value)
	case "subtitle":
		q.Subtitle = value
		_, err = placeholders(value)
	case "description":
		q.Description = value
	case "param":
		var param Param
		if param, err = parseParam(value); err == nil {
			for i, other := range q.Params {
				if other.Name == param.Name {
					return fmt.Errorf("parameter %q again, it is on line %d already", param.Name, p.params[i])
				}
			}
			q.Params = append(q.Params, param)
			p.params = append(p.params, line)
		}
	case "chart":
		q.Chart.Mark, err = ParseMark(value)
	default:
		err = q.Chart.set(key, value)
	}
	return err
}

// required checks that the keys which the header and its mark need are there, and no others.
func (p *parser) required() {
	for _, key := range []string{"name", "title", "description"} {
		if p.seen[key] == 0 {
			p.fault(1, "no %q in the header", key)
		}
	}
	mark := p.query.Chart.Mark
	for _, key := range chartKeys {
		line := p.seen[key.name]
		switch use := key.use[mark]; {
		case line == 0 && use == needed:
			p.fault(max(p.seen["chart"], 1), "chart %s needs the key %q", mark, key.name)
		case line != 0 && use == unused:
			p.fault(line, "chart %s has no key %q", mark, key.name)
		}
	}
}

// statement checks that the SQL is one statement and that its parameters are the declared ones.
func (p *parser) statement() {
	q := &p.query
	tokens, fault := lex(q.SQL)
	if fault != nil {
		p.fault(q.Line+fault.Line-1, "%s", fault.Problem)
		return
	}
	used := map[string]bool{}
	ended, empty := false, true
	for _, t := range tokens {
		line := q.Line + t.line - 1
		if ended && t.kind != semicolonToken {
			p.fault(line, "a second statement, want one")
			break
		}
		switch t.kind {
		case semicolonToken:
			ended = true
			continue
		case questionToken:
			p.fault(line, "parameter ?, want $name")
		case paramToken:
			if used[t.text] {
				break
			}
			used[t.text] = true
			if !q.has(t.text) {
				p.fault(line, "parameter $%s is not in the header, want \"-- param: %s TYPE = DEFAULT\"", t.text, t.text)
			}
		}
		empty = false
	}
	if empty {
		p.fault(q.Line, "no SQL after the header")
	}
	for i, param := range q.Params {
		if !used[param.Name] {
			p.fault(p.params[i], "parameter %q is not used in the SQL, want $%s there", param.Name, param.Name)
		}
	}
}

func (q *Query) has(param string) bool {
	for _, p := range q.Params {
		if p.Name == param {
			return true
		}
	}
	return false
}

// maxName is DuckDB's and PostgreSQL's usual limit of an identifier.
const maxName = 63

// isName tells whether s is a name of a query, key or parameter.
func isName(s string) bool {
	if s == "" || len(s) > maxName || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && !isDigit(c) && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
