package queries

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLength is the size of the largest saved query that [Parse] reads, in bytes. It is many times the longest
// one that ships, and small enough that a hostile file costs nothing.
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
// Every header line is "-- key: value", or "--" with at least three spaces and the continuation of the value
// above. name and title are required. param and say may occur several times, other keys once. A parameter is
// "NAME TYPE = DEFAULT, meaning", where TYPE is TEXT, INTEGER, DOUBLE or BOOLEAN, and a text default is in
// single quotes; without a default it is NULL. Further keys depend on chart; see [Chart], and [Manual] for
// all of them. Each $name in the SQL must be a declared parameter, and each parameter must be used. Errors
// are [SyntaxError]s, joined. A byte order mark of UTF-8 is passed over.
func Parse(text string) (Query, error) {
	if len(text) > MaxLength {
		return Query{}, fmt.Errorf("saved query of %d bytes, want at most %d", len(text), MaxLength)
	}
	if encoding := Encoding(text); encoding != "" {
		return Query{}, &SyntaxError{1, "a text of " + encoding + ", want UTF-8"}
	}
	text = strings.TrimPrefix(text, "\ufeff") // the mark of UTF-8
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if at := strings.IndexFunc(text, forbidden); at >= 0 {
		r, size := utf8.DecodeRuneInString(text[at:])
		what := fmt.Sprintf("control character %U, want text without", r)
		switch {
		case r == utf8.RuneError && size == 1:
			what = "bytes that are not UTF-8, want UTF-8 text"
		case unicode.Is(unicode.Cf, r):
			what = fmt.Sprintf("character %U, which is not to be seen, want chr(%d) in its place", r, r)
		}
		return Query{}, &SyntaxError{1 + strings.Count(text[:at], "\n"), what}
	}
	p := parser{seen: map[string]int{}}
	body := p.header(text)
	p.query.SQL = strings.TrimSpace(body)
	before := text[:len(text)-len(strings.TrimLeftFunc(body, unicode.IsSpace))]
	p.query.Line = 1 + strings.Count(before, "\n")
	p.required()
	p.statement()
	p.texts()
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

// forbidden reports characters that a query does not need: control characters except newline and tab, bytes
// that are not UTF-8, and marks that reorder or hide text.
func forbidden(r rune) bool {
	switch r {
	case '\n', '\t':
		return false
	case utf8.RuneError:
		return true
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

// headerKeys are the keys that do not describe the figure.
var headerKeys = []string{"name", "title", "subtitle", "description", "param", "say", "chart"}

type parser struct {
	query  Query
	seen   map[string]int  // line of each header key
	params []int           // lines of the parameters
	says   []int           // lines of the phrases
	words  map[string]bool // words of the SQL, in lower case; nil if its columns may have other names
	faults []*SyntaxError
}

func (p *parser) fault(line int, format string, args ...any) {
	p.faults = append(p.faults, &SyntaxError{line, fmt.Sprintf(format, args...)})
}

// header reads the comment lines at the start of text, and returns the rest.
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
		if more, ok := strings.CutPrefix(content, "   "); ok && len(entries) > 0 &&
			strings.TrimSpace(more) != "" {
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
		if first, repeated := p.seen[e.key]; repeated && e.key != "param" && e.key != "say" {
			p.fault(e.line, "key %q again, it is on line %d already", e.key, first)
			continue
		}
		if p.seen[e.key] == 0 {
			p.seen[e.key] = e.line
		}
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
			return fmt.Errorf("name %q, want lower case letters, digits and _, a letter first, at most %d",
				value, maxName)
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
	case "say":
		var phrase Phrase
		if phrase, err = parsePhrase(value); err == nil {
			q.Phrases = append(q.Phrases, phrase)
			p.says = append(p.says, line)
		}
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
		if i := keyOf(key); i >= 0 && chartKeys[i].column != nil && !isName(value) {
			return fmt.Errorf("%s %q, want the name of a column in lower case", key, value)
		}
		err = q.Chart.Set(key, value)
	}
	return err
}

// required checks that the header has all keys that it and its mark need, and no others.
func (p *parser) required() {
	for _, key := range []string{"name", "title"} {
		if p.seen[key] == 0 {
			p.fault(1, "no %q in the header", key)
		}
	}
	mark := p.query.Chart.Mark
	if p.seen["zmax"] != 0 && p.seen["scale"] != 0 {
		p.fault(p.seen["zmax"], "zmax fixes the colour scale and scale fits it to the values: "+
			"want one of them")
	}
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

// statement checks that the SQL is one statement with exactly the declared parameters.
func (p *parser) statement() {
	q := &p.query
	tokens, fault := lex(q.SQL)
	if fault != nil {
		p.fault(q.Line+fault.Line-1, "%s", fault.Problem)
		return
	}
	p.words = named(tokens)
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
				p.fault(line, "parameter $%s is not in the header, want \"-- param: %s TYPE = DEFAULT\"",
					t.text, t.text)
			}
		}
		empty = false
	}
	if empty {
		p.fault(q.Line, "no SQL after the header")
	}
	for i, param := range q.Params {
		if !used[param.Name] {
			p.fault(p.params[i], "parameter %q is not used in the SQL, want $%s there",
				param.Name, param.Name)
		}
	}
	for i, phrase := range q.Phrases {
		if !q.has(phrase.Param) {
			p.fault(p.says[i], "no parameter %q, want one of the header's", phrase.Param)
		}
	}
}

// named lists the words of SQL that may be columns of its result. It returns nil if the result may have
// unnamed columns, from SELECT * or FROM alone.
func named(tokens []token) map[string]bool {
	words := map[string]bool{}
	selects, froms, before := 0, 0, ""
	for _, t := range tokens {
		text := strings.ToLower(strings.Trim(t.text, `"`))
		switch {
		case text == "*" && slices.Contains([]string{"select", "distinct", "all", ",", "."}, before),
			slices.Contains([]string{"columns", "pivot", "unpivot", "describe", "summarize", "show"}, text):
			return nil
		case text == "select":
			selects++
		case text == "from":
			froms++
		}
		words[text], before = true, text
	}
	if froms > selects {
		return nil
	}
	return words
}

// texts checks that the names in braces in titles can be replaced: each must be a fact of the run, a
// parameter, or a word of the SQL.
func (p *parser) texts() {
	q := &p.query
	for _, t := range q.texts() {
		list, err := placeholders(t.text)
		if err != nil || p.words == nil {
			continue // reported when the key is read
		}
		for _, h := range list {
			if p.words[h.name] || slices.Contains(q.Known(), h.name) {
				continue
			}
			advice := "want the name of a column or of a parameter"
			if slices.Contains(runFacts, h.name) {
				advice = "a query with the parameter run has it: -- param: run INTEGER = NULL"
			}
			p.fault(p.seen[t.key], "{%s} in the %s: neither the SQL nor the header has that name; %s",
				h.name, t.key, advice)
		}
	}
}

// headerText is a text of the header that may contain names in braces.
type headerText struct{ key, text string }

func (q *Query) texts() []headerText {
	c := &q.Chart
	return []headerText{
		{"title", q.Title}, {"subtitle", q.Subtitle}, {"x_title", c.XTitle}, {"y_title", c.YTitle},
		{"fill_title", c.FillTitle}, {"legend_title", c.LegendTitle},
	}
}

// Placeholders lists the names in braces in all texts of the header.
func (q *Query) Placeholders() []string {
	var names []string
	for _, t := range q.texts() {
		list, err := placeholders(t.text)
		if err != nil {
			continue // the query was not parsed
		}
		for _, p := range list {
			if !slices.Contains(names, p.name) {
				names = append(names, p.name)
			}
		}
	}
	return names
}

// Known lists the names that braces may contain besides the columns of the result: parameters, and the facts
// of the run.
func (q *Query) Known() []string {
	var names []string
	for _, p := range q.Params {
		names = append(names, p.Name)
	}
	if q.has("run") {
		names = append(names, runFacts...)
	}
	return names
}

// runFacts are the facts of a query with the parameter run. A query with the parameter head also has the fact
// head.
var runFacts = []string{
	"run", "model", "prompts", "edges", "source", "baseline", "seed", "bos", "convention", "processing",
	"precision", "created", "version", "sha256", "command",
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

// isName reports whether s is a valid name of a query, key or parameter.
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
