package queries

import (
	"fmt"
	"strings"
)

// Query is a saved query: one SQL statement, with its parameters, texts and chart.
type Query struct {
	Name        string // lower case letters, digits and _
	Title       string // may contain {column}, like all texts of the figure; see [Result.Expand]
	Subtitle    string // likewise
	Description string
	Params      []Param
	Phrases     []Phrase // descriptions of values of the parameters
	Chart       Chart
	SQL         string // one statement; parameters as $name
	Line        int    // line of the parsed text where the SQL begins, from 1
}

// Param is a parameter of a [Query]. It is bound, never pasted into the SQL.
type Param struct {
	Name    string // lower case letters, digits and _; $name in the SQL
	Type    ParamType
	Default any  // nil (NULL), string, int64, float64 or bool, depending on Type
	Needed  bool // it has no default, so the user must give a value
	Doc     string
}

// AdHoc returns a query for SQL that a user has typed. SQL that begins with a header is parsed as a saved
// query; otherwise every $name is a TEXT parameter without a default.
func AdHoc(sql string) (Query, error) {
	if strings.HasPrefix(sql, "-- name:") {
		return Parse(sql)
	}
	q := Query{Description: "SQL given on the command line", SQL: sql, Line: 1}
	if len(sql) > MaxLength {
		return q, fmt.Errorf("SQL of %d bytes, want at most %d", len(sql), MaxLength)
	}
	tokens, fault := lex(sql)
	if fault != nil {
		return q, fmt.Errorf("SQL: %w", fault)
	}
	for _, t := range tokens {
		switch {
		case t.kind == questionToken:
			return q, &SyntaxError{t.line, "parameter ?, want $name"}
		case t.kind != paramToken || q.has(t.text):
		case !isName(t.text):
			return q, &SyntaxError{t.line,
				fmt.Sprintf("parameter $%s, want $name in lower case letters, digits and _", t.text)}
		default:
			q.Params = append(q.Params, Param{Name: t.text, Needed: true})
		}
	}
	return q, nil
}

// lineWidth is the width at which [Query.String] wraps long values.
const lineWidth = 110

// String returns the query in the syntax of [Parse].
func (q Query) String() string {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			writeWrapped(&b, "-- "+key+": "+value)
		}
	}
	line("name", q.Name)
	line("title", q.Title)
	line("subtitle", q.Subtitle)
	line("description", q.Description)
	for _, p := range q.Params {
		line("param", p.String())
	}
	for _, p := range q.Phrases {
		line("say", p.String())
	}
	line("chart", q.Chart.Mark.String())
	for _, key := range chartKeys {
		line(key.name, key.get(&q.Chart))
	}
	b.WriteString("\n" + q.SQL + "\n")
	return b.String()
}

// writeWrapped writes a header line, and continuation lines if it is long. It breaks only at single spaces,
// because a continuation stands for one.
func writeWrapped(b *strings.Builder, s string) {
	const more = "--   "
	prefix := ""
	for len(prefix)+len(s) > lineWidth {
		at := -1
		for i := len("-- key:"); i+1 < len(s); i++ {
			if s[i] != ' ' || blank(s[i-1]) || blank(s[i+1]) {
				continue
			}
			if at >= 0 && len(prefix)+i > lineWidth {
				break
			}
			at = i
		}
		if at < 0 {
			break
		}
		b.WriteString(prefix + s[:at] + "\n")
		prefix, s = more, s[at+1:]
	}
	b.WriteString(prefix + s + "\n")
}

func blank(c byte) bool { return c == ' ' || c == '\t' }
