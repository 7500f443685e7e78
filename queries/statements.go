package queries

import "strings"

// A Statement is one of several in a text.
type Statement struct {
	SQL  string // without the semicolon at its end, and without blanks and comments in front of it
	Line int    // of the text, where SQL begins, from 1
}

// Statements cuts a text at the semicolons that end statements: not at those in quotes, comments and $tag$ strings. rest is what
// is behind the last of them, not a statement yet, or blank; restLine is the line on which it begins. Where a quote or a
// comment has no end, all of it is rest. Nothing is a statement that has only blanks and comments.
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
				list = append(list, Statement{SQL: strings.TrimRight(text[first:i-1], " \t\r\n"), Line: begin})
			}
			start, first = i, -1
		}
	}
	rest = text[start:]
	return list, rest, 1 + strings.Count(text[:start], "\n")
}
