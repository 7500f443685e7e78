package queries

import (
	"fmt"
	"strings"
)

// Query is a saved question: one SQL statement, what it asks, which parameters it takes and how its
// answer is drawn.
type Query struct {
	Name        string // lower case letters, digits and _
	Title       string // may hold {column}, as all texts of the figure; see [Result.Expand]
	Subtitle    string // likewise
	Description string
	Params      []Param
	Phrases     []Phrase // what to say of values of the parameters
	Chart       Chart
	SQL         string // one statement; parameters as $name
	Line        int    // of the text that was parsed, where SQL begins, from 1
}

// Param is a parameter of a [Query]. It is bound, never pasted into the SQL.
type Param struct {
	Name    string // lower case letters, digits and _; $name in the SQL
	Type    ParamType
	Default any  // nil (NULL), string, int64, float64 or bool, as Type says
	Needed  bool // it has no default: whoever asks must give a value
	Doc     string
}

// AdHoc makes a query of SQL that a user typed. SQL that begins with a header is parsed as a saved query; else every
// $name in it is a TEXT parameter without a default.
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
			return q, &SyntaxError{t.line, fmt.Sprintf("parameter $%s, want $name in lower case letters, digits and _", t.text)}
		default:
			q.Params = append(q.Params, Param{Name: t.text, Needed: true})
		}
	}
	return q, nil
}

// lineWidth is where [Query.String] breaks long values.
const lineWidth = 110

// String writes the query as [Parse] reads it.
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

// writeWrapped writes a header line, continued on further lines where it is long. It breaks only at
// single spaces, which is what a continuation stands for.
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
