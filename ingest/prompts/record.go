package prompts

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"ducklens/schema"
)

// encoding says what the text of a field stands for.
type encoding uint8

const (
	untyped encoding = iota // CSV: digits are a number, anything else is a string
	inJSON                  // a JSON value
	aNumber                 // decimal digits
	aString                 // the string itself
)

// encodingOf gives the encoding of a column from its DuckDB type.
func encodingOf(columnType string) (encoding, bool) {
	switch columnType {
	case "JSON":
		return inJSON, true
	case "VARCHAR":
		return aString, true
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT":
		return aNumber, true
	}
	return 0, strings.HasPrefix(columnType, "ENUM(")
}

// value is one field of a record: absent, a string or a whole number.
type value struct {
	text     string
	isNumber bool
	absent   bool
}

// parseValue reads a field; a JSON value that is neither string nor number is refused.
func parseValue(raw sql.NullString, e encoding) (value, error) {
	if !raw.Valid {
		return value{absent: true}, nil
	}
	switch e {
	case aNumber:
		return value{text: raw.String, isNumber: true}, nil
	case aString:
		return value{text: raw.String}, nil
	case untyped:
		_, err := strconv.Atoi(raw.String)
		return value{text: raw.String, isNumber: err == nil}, nil
	}
	text := strings.TrimSpace(raw.String)
	switch {
	case text == "null":
		return value{absent: true}, nil
	case strings.HasPrefix(text, `"`):
		var s string
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return value{}, err
		}
		return value{text: s}, nil
	case text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9'):
		return value{text: text, isNumber: true}, nil
	}
	return value{}, fmt.Errorf("%s, want a string or a whole number", clip(text))
}

// parseRecord makes a prompt of the fields of one record.
func parseRecord(raw [len(fieldNames)]sql.NullString, encodings [len(fieldNames)]encoding) (schema.Prompt, error) {
	fields := make(map[string]value, len(fieldNames))
	for i, name := range fieldNames {
		v, err := parseValue(raw[i], encodings[i])
		if err != nil {
			return schema.Prompt{}, fmt.Errorf("%s is %w", name, err)
		}
		fields[name] = v
	}
	var p schema.Prompt
	var err error
	if p.Text, err = fields["text"].word("text", encodings[0]); err != nil {
		return p, err
	}
	if p.Text == "" {
		return p, fmt.Errorf("text is missing or empty")
	}
	io, s := fields["IO"], fields["S"]
	switch {
	case io.absent != s.absent:
		return p, fmt.Errorf("only one of IO and S is there, want both or neither")
	case !io.absent:
		for _, name := range []string{"key", "baseline"} {
			if !fields[name].absent {
				return p, fmt.Errorf("%s beside IO and S, want one or the other", name)
			}
		}
		if p, err = parseIOI(p.Text, io, s, encodings); err != nil {
			return p, err
		}
	}
	for _, position := range []struct {
		name string
		to   *schema.Position
	}{{"query", &p.Query}, {"key", &p.Key}, {"baseline", &p.Baseline}} {
		v := fields[position.name]
		if v.absent {
			if position.to.IsNone() && position.name != "baseline" {
				return p, fmt.Errorf("no %s, want a token index (-1 is the last token) or a word, or IO and S", position.name)
			}
			continue
		}
		if *position.to, err = v.position(); err != nil {
			return p, fmt.Errorf("%s is %w", position.name, err)
		}
	}
	p.Template, p.Order = fields["template"].text, fields["order"].text
	if p.Order != "" && p.Order != ABBA.String() && p.Order != BABA.String() {
		return p, fmt.Errorf("order is %s, want ABBA or BABA", clip(p.Order))
	}
	return p, nil
}

// parseIOI makes an IOI prompt of a text and its names.
func parseIOI(text string, io, s value, encodings [len(fieldNames)]encoding) (schema.Prompt, error) {
	names := [2]string{}
	for i, v := range []value{io, s} {
		name, err := v.word([]string{"IO", "S"}[i], encodings[4+i])
		if err != nil {
			return schema.Prompt{}, err
		}
		if strings.TrimSpace(name) == "" {
			return schema.Prompt{}, fmt.Errorf("%s is empty", []string{"IO", "S"}[i])
		}
		names[i] = strings.TrimSpace(name)
	}
	return ioiPrompt(text, names[0], names[1]), nil
}

// word gives the text of a field that must be a string. In an untyped file digits are one too.
func (v value) word(name string, e encoding) (string, error) {
	if v.isNumber && e != untyped {
		return "", fmt.Errorf("%s is the number %s, want a string", name, clip(v.text))
	}
	return v.text, nil
}

// position reads a token index or a word.
func (v value) position() (schema.Position, error) {
	if !v.isNumber {
		if strings.TrimSpace(v.text) == "" {
			return schema.Position{}, fmt.Errorf("%q, want a token index or a word", v.text)
		}
		return schema.AtWord(v.text), nil
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil || n > math.MaxInt32 || n < math.MinInt32 {
		return schema.Position{}, fmt.Errorf("the number %s, want a whole token index", clip(v.text))
	}
	return schema.AtIndex(int(n)), nil
}

// clip shortens what an error quotes.
func clip(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "..."
	}
	return strconv.Quote(s)
}
