package output

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math/big"
	"strings"

	"ducklens/queries"
)

// writeCSV writes RFC 4180 with line feeds. NULL is an empty field, so an empty text is quoted.
func writeCSV(b *bufio.Writer, r *queries.Result, o Options) error {
	for i, c := range r.Columns {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(csvField(o.text(c.Name)))
	}
	b.WriteByte('\n')
	for _, row := range r.Rows {
		for i, v := range row {
			if i > 0 {
				b.WriteByte(',')
			}
			if v != nil {
				b.WriteString(csvField(o.text(v)))
			}
		}
		b.WriteByte('\n')
	}
	return nil
}

func csvField(s string) string {
	if s != "" && !strings.ContainsAny(s, ",\"\r\n") && s[0] != ' ' && s[len(s)-1] != ' ' {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// writeJSON writes an array with one object per line. Numbers that JSON does not have (NaN, infinities)
// become strings.
func writeJSON(b *bufio.Writer, r *queries.Result, o Options) error {
	b.WriteByte('[')
	for i, row := range r.Rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n  {")
		for j, v := range row {
			if j > 0 {
				b.WriteString(", ")
			}
			name, err := jsonText(r.Columns[j].Name, o)
			if err != nil {
				return err
			}
			value, err := jsonText(v, o)
			if err != nil {
				return err
			}
			b.WriteString(name + ": " + value)
		}
		b.WriteByte('}')
	}
	if len(r.Rows) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString("]\n")
	return nil
}

// jsonText writes one value.
func jsonText(v any, o Options) (string, error) {
	switch x := v.(type) {
	case nil, bool:
	case int64, *big.Int, queries.Decimal, float32, float64:
		if f, ok := queries.Number(x); ok && f-f != 0 {
			return `"` + queries.String(v) + `"`, nil
		}
		return queries.String(v), nil
	case []any, map[string]any:
		if o.Terminal {
			return queries.Printable(queries.String(v)), nil
		}
		return queries.String(v), nil
	default:
		v = o.text(v)
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(buffer.String(), "\n"), nil
}

// writeMarkdown writes a table of GitHub-flavored Markdown.
func writeMarkdown(b *bufio.Writer, r *queries.Result) error {
	cells := rounded(r)
	line := func(cells []string) {
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	header, rule := make([]string, len(r.Columns)), make([]string, len(r.Columns))
	for i, c := range r.Columns {
		header[i], rule[i] = markdownText(c.Name), "---"
		if c.Type.Numeric() {
			rule[i] = "--:"
		}
	}
	line(header)
	line(rule)
	for _, row := range cells {
		for i := range row {
			row[i] = markdownText(row[i])
		}
		line(row)
	}
	return nil
}

// markdown escapes what Markdown would treat as markup.
var markdown = strings.NewReplacer(`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "[", `\[`, "<",
	"&lt;", "&", "&amp;")

func markdownText(s string) string { return markdown.Replace(queries.Printable(s)) }
