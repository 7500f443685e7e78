package prompts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sort"
	"strconv"
	"strings"

	"ducklens/schema"
)

// maxDepth bounds the nesting of lists and objects.
const maxDepth = 100

// readLines reads JSONL: one object a line. It skips blank lines.
func readLines(file io.Reader, each func(row) bool) error {
	text, err := decode(file)
	if err != nil {
		return err
	}
	for l := (lines{in: text}); ; {
		line, err := l.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		fields, offset, f := parseObject(line)
		if f != nil {
			if offset < 0 {
				return f.where(l.at(nil))
			}
			return f.where(l.at(line[:offset]))
		}
		if !each(row{at: l.at(nil), fields: fields}) {
			return nil
		}
	}
}

// parseObject reads a JSON object. It returns the members in order, with their values on one line; or a fault
// and its offset, or -1. It accepts what Python's json and pandas write beyond JSON: NaN, their missing
// value, becomes null, and Infinity becomes a string, which SQL can cast to a number.
func parseObject(data []byte) (fields schema.Fields, offset int, f *fault) {
	if at := notUTF8(data); at >= 0 {
		return nil, at, badByte(data[at])
	}
	text := data
	if !json.Valid(data) {
		text = standard(data)
	}
	if at, f := checkJSON(text); f != nil {
		// standard moves everything after a replaced word: map the offset back.
		return nil, sort.Search(len(data), func(n int) bool { return len(standard(data[:n])) >= at }), f
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, -1, badFile("%s, want a JSON object", describe(strings.TrimSpace(string(text)))).
			advise(adviceJSONL)
	}
	for d.More() {
		field, err := member(d)
		if err != nil {
			return nil, -1, badFile("not JSON").because(err) // impossible after checkJSON
		}
		field.Name = columnName(field.Name, len(fields))
		if slices.ContainsFunc(fields, func(f schema.Field) bool { return f.Name == field.Name }) {
			return nil, -1, badFile("%s is there twice", clipped(field.Name)).
				advise("give one of the two another name")
		}
		if fields = append(fields, field); len(fields) > maxFields {
			return nil, -1, badFile("more than %d fields", maxFields)
		}
	}
	return fields, 0, nil
}

// member reads the next member of an object.
func member(d *json.Decoder) (schema.Field, error) {
	name, err := d.Token()
	if err != nil {
		return schema.Field{}, err
	}
	var value json.RawMessage
	if err := d.Decode(&value); err != nil {
		return schema.Field{}, err
	}
	var flat bytes.Buffer
	err = json.Compact(&flat, value)
	// Token returns the name of a member as a string.
	return schema.Field{Name: name.(string), Value: flat.String()}, err
}

const adviceJSONL = "a .jsonl file has one JSON object a line; pandas writes it with to_json(path, " +
	"orient='records', lines=True)"

// checkJSON finds syntax errors and values beyond the bounds.
func checkJSON(text []byte) (offset int, f *fault) {
	var value json.RawMessage
	err := json.Unmarshal(text, &value)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		if len(bytes.TrimSpace(text)) == 0 {
			return len(text), badFile("there is nothing in it")
		}
		at := int(syntax.Offset) - 1
		rest := bytes.TrimSpace(text[min(max(0, at), len(text)):])
		if len(rest) == 0 || strings.Contains(err.Error(), "unexpected end") {
			return len(text), badFile("the JSON ends too early").advise(adviceJSONL).because(err)
		}
		return at, badFile("not JSON: %s does not belong here", clipped(firstWord(rest))).advise(adviceJSONL).
			because(err)
	case err != nil:
		return 0, badFile("not JSON").advise(adviceJSONL).because(err)
	}
	if at := loneSurrogate(text); at >= 0 {
		return at, badFile("%s is half of a surrogate pair without the other half, which is no character",
			text[at:at+6])
	}
	depth := 0
	for i, b := range outside(text) {
		switch b {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth > maxDepth {
			return i, badFile("more than %d lists and objects within each other", maxDepth)
		}
	}
	return 0, nil
}

// firstWord returns the start of misplaced text, to quote in an error.
func firstWord(text []byte) string {
	word := string(text)
	if end := strings.IndexAny(word, " \t,:{}[]\""); end > 0 {
		return word[:end]
	}
	return string([]rune(word)[:1])
}

// outside yields the bytes of JSON that are outside strings, with their offsets.
func outside(data []byte) iter.Seq2[int, byte] {
	return func(yield func(int, byte) bool) {
		within := false
		for i := 0; i < len(data); i++ {
			switch b := data[i]; {
			case b == '"':
				within = !within
			case within && b == '\\':
				i++
			case !within && !yield(i, b):
				return
			}
		}
	}
}

// pythonWords are words of Python's json module that are not JSON, and their replacements.
var pythonWords = []struct{ word, json string }{{"NaN", "null"}, {"-Infinity", `"-Infinity"`},
	{"Infinity", `"Infinity"`}}

// standard replaces Python's words with JSON.
func standard(data []byte) []byte {
	var out []byte
	done := 0
	for i, b := range outside(data) {
		if i < done || b != 'N' && b != '-' && b != 'I' {
			continue
		}
		for _, w := range pythonWords {
			if bytes.HasPrefix(data[i:], []byte(w.word)) {
				out = append(append(out, data[done:i]...), w.json...)
				done = i + len(w.word)
				break
			}
		}
	}
	return append(out, data[done:]...)
}

// loneSurrogate returns the offset of an escape of half a surrogate pair without the other half, or -1. Go
// would read it as a different character.
func loneSurrogate(text []byte) int {
	unit := func(i int) (uint64, bool) {
		if i+6 > len(text) || text[i] != '\\' || text[i+1] != 'u' {
			return 0, false
		}
		u, err := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
		return u, err == nil
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		u, ok := unit(i)
		low, paired := unit(i + 6)
		switch {
		case !ok:
			i++ // skip the escaped character, which may be a backslash
		case u >= 0xd800 && u < 0xdc00 && paired && low >= 0xdc00 && low < 0xe000:
			i += 11
		case u >= 0xd800 && u < 0xe000:
			return i
		}
	}
	return -1
}

// quote returns s as a JSON string.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // strings always encode
	return strings.TrimSuffix(b.String(), "\n")
}

// unquote decodes a valid JSON string.
func unquote(text string) string {
	var s string
	_ = json.Unmarshal([]byte(text), &s)
	return s
}

// describe describes a JSON value for an error.
func describe(value string) string {
	switch value[:min(1, len(value))] {
	case "[":
		return "the list " + clip(value)
	case "{":
		return "the object " + clip(value)
	case `"`:
		return "the text " + clipped(unquote(value))
	}
	return clip(value)
}

// columnName names a column without a name, such as the index that pandas writes, by its place counted from
// 1.
func columnName(name string, i int) string {
	if name == "" {
		return fmt.Sprintf("column %d", i+1)
	}
	return name
}
