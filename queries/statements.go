package queries

import "strings"

// Statement is one of several statements in a text.
type Statement struct {
	SQL  string // without the final semicolon, and without blanks and comments before it
	Line int    // line of the text where the SQL begins, from 1
}

// Statements splits a text at the semicolons that end statements, not at those in quotes, comments and $tag$
// strings. rest is the text after the last one, which is blank or an unfinished statement; restLine is the
// line where it begins. If a quote or a comment has no end, everything from its statement on is rest. Blanks
// and comments alone are not a statement.
func Statements(text string) (list []Statement, rest string, restLine int) {
	start, first, line, begin := 0, -1, 1, 1
	for i := 0; i < len(text); {
		kind, n, _ := next(text[i:])
		if n < 0 {
			break
		}
		if kind != skipped && kind != semicolonToken && first < 0 {
			first, begin = i, line
		}
		i += n
		line += strings.Count(text[i-n:i], "\n")
		if kind == semicolonToken {
			if first >= 0 {
				list = append(list,
					Statement{SQL: strings.TrimRight(text[first:i-1], " \t\r\n"), Line: begin})
			}
			start, first = i, -1
		}
	}
	rest = text[start:]
	return list, rest, 1 + strings.Count(text[:start], "\n")
}
