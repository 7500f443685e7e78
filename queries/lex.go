package queries

import (
	"fmt"
	"strings"
)

// token is a relevant piece of SQL: a $parameter, a semicolon, or any other visible text. Comments and blanks
// are not tokens.
type token struct {
	kind tokenKind
	text string // the name of a parameter without $, or a word
	line int    // from 1
	end  int    // byte offset after the token
}

type tokenKind uint8

const (
	wordToken      tokenKind = iota // identifier, keyword or number
	otherToken                      // operator, literal, quoted name
	paramToken                      // $name or $1
	questionToken                   // ?
	semicolonToken                  // ;
)

// lex splits SQL into tokens like DuckDB's lexer, as far as is needed to find parameters and the ends of
// statements: quoted names and strings with doubled quotes, e'...' strings with backslashes, $tag$ strings,
// nested comments.
func lex(sql string) ([]token, *SyntaxError) {
	var tokens []token
	line := 1
	for i := 0; i < len(sql); {
		start, startLine := i, line
		kind, n, what := next(sql[i:])
		if n < 0 {
			return nil, &SyntaxError{startLine, what + " without an end"}
		}
		i += n
		line += strings.Count(sql[start:i], "\n")
		if kind == skipped {
			continue
		}
		text := sql[start:i]
		if kind == paramToken {
			text = text[1:]
		}
		tokens = append(tokens, token{kind, text, startLine, i})
	}
	return tokens, nil
}

// skipped is the kind of blanks and comments.
const skipped = tokenKind(255)

// AfterBlanks removes blanks and comments from the start of SQL.
func AfterBlanks(sql string) string {
	for sql != "" {
		kind, n, _ := next(sql)
		if kind != skipped || n < 0 {
			break
		}
		sql = sql[n:]
	}
	return sql
}

// next returns the kind and the length n of the token at the start of s, which is not empty. n is -1 if the
// token has no end.
func next(s string) (kind tokenKind, n int, what string) {
	switch c := s[0]; {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
		return skipped, 1, ""
	case strings.HasPrefix(s, "--"):
		if n := strings.IndexAny(s, "\r\n"); n >= 0 {
			return skipped, n, ""
		}
		return skipped, len(s), ""
	case strings.HasPrefix(s, "/*"):
		return skipped, commentLength(s), "comment /*"
	case c == ';':
		return semicolonToken, 1, ""
	case c == '?':
		return questionToken, 1, ""
	case c == '\'' || c == '"':
		return otherToken, quotedLength(s, c, false), fmt.Sprintf("quote %c", c)
	case (c == 'e' || c == 'E') && len(s) > 1 && s[1] == '\'':
		n := quotedLength(s[1:], '\'', true)
		if n >= 0 {
			n++
		}
		return otherToken, n, "quote e'"
	case c == '$':
		n := 1
		for n < len(s) && isWord(s[n]) {
			n++
		}
		if n < len(s) && s[n] == '$' && (n == 1 || !isDigit(s[1])) {
			tag := s[:n+1]
			end := strings.Index(s[len(tag):], tag)
			if end < 0 {
				return otherToken, -1, "quote " + tag
			}
			return otherToken, 2*len(tag) + end, ""
		}
		if n == 1 {
			return otherToken, 1, ""
		}
		return paramToken, n, ""
	case isWord(c):
		n := 1
		for n < len(s) && (isWord(s[n]) || s[n] == '$') {
			n++
		}
		return wordToken, n, ""
	}
	return otherToken, 1, ""
}

// quotedLength returns the length of a quoted text at the start of s. A doubled quote does not end it.
func quotedLength(s string, quote byte, backslash bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case backslash && s[i] == '\\':
			i++
		case s[i] != quote:
		case i+1 < len(s) && s[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return -1
}

// commentLength returns the length of a /* comment */ at the start of s. Such comments nest.
func commentLength(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); {
		switch s[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return -1
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool {
	return c == '_' || isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}
