package plotly

import (
	"html"
	"html/template"
	"strings"

	"ducklens/queries/figure/internal/typeset"
)

// literal escapes text so that plotly.js shows it literally: no tags, no entities, no %{placeholders}, and no
// $mathematics$, which a notebook may have enabled. plotly.js decodes entities last.
func literal(s string) string {
	return escaper.Replace(s)
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "$", "&#36;", "%{", "&#37;{", "\n", " ", "\r", " ")

// label is literal, but sets the subscripts of mathematical names: W_U[IO] becomes W<sub>U</sub>[IO].
func label(s string) string {
	return subscripts(s, literal)
}

// Label returns a label as HTML, with the subscripts of mathematical names.
func Label(s string) template.HTML {
	return template.HTML(subscripts(s, html.EscapeString))
}

func subscripts(s string, escape func(string) string) string {
	var b strings.Builder
	for _, span := range typeset.Spans(s) {
		if span.Sub {
			b.WriteString("<sub>" + escape(span.Text) + "</sub>")
		} else {
			b.WriteString(escape(span.Text))
		}
	}
	return b.String()
}

func labels(list []string) []string {
	escaped := make([]string, len(list))
	for i, s := range list {
		escaped[i] = label(s)
	}
	return escaped
}
