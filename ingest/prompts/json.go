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

// maxDepth bounds how deep lists and objects lie within each other.
const maxDepth = 100

// readLines reads JSONL: one object a line. Blank lines are passed over.
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

// parseObject reads a JSON object, its members in their order and their values on one line. Where it finds a
// fault it gives the offset of it, or -1. What Python's json and pandas write beyond JSON is read as well:
// NaN, their word for a missing value, as null, and Infinity as a string, which SQL can make a number again.
func parseObject(data []byte) (fields schema.Fields, offset int, f *fault) {
	if at := notUTF8(data); at >= 0 {
		return nil, at, badByte(data[at])
	}
	text := data
	if !json.Valid(data) {
		text = standard(data)
	}
	if at, f := checkJSON(text); f != nil {
		// standard moves what comes after a word of Python's.
		return nil, sort.Search(len(data), func(n int) bool { return len(standard(data[:n])) >= at }), f
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, -1, badFile("%s, want a JSON object", describe(strings.TrimSpace(string(text)))).advise(adviceJSONL)
	}
	for d.More() {
		field, err := member(d)
		if err != nil {
			return nil, -1, badFile("not JSON").because(err) // cannot be: it has been checked
		}
		field.Name = columnName(field.Name, len(fields))
		if slices.ContainsFunc(fields, func(f schema.Field) bool { return f.Name == field.Name }) {
			return nil, -1, badFile("%s is there twice", clipped(field.Name)).advise("give one of the two another name")
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
	return schema.Field{Name: name.(string), Value: flat.String()}, err // a name is a string in all that Token takes
}

const adviceJSONL = "a .jsonl file has one JSON object a line; pandas writes it with to_json(path, orient='records', lines=True)"

// checkJSON finds what is not JSON, or is more than a reader should be given.
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
		return at, badFile("not JSON: %s does not belong here", clipped(firstWord(rest))).advise(adviceJSONL).because(err)
	case err != nil:
		return 0, badFile("not JSON").advise(adviceJSONL).because(err)
	}
	if at := loneSurrogate(text); at >= 0 {
		return at, badFile("%s is half of a surrogate pair without the other half, which is no character", text[at:at+6])
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

// firstWord is what an error quotes of text that does not belong where it is.
func firstWord(text []byte) string {
	word := string(text)
	if end := strings.IndexAny(word, " \t,:{}[]\""); end > 0 {
		return word[:end]
	}
	return string([]rune(word)[:1])
}

// outside gives the bytes of JSON that are not within strings, with their offsets.
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

// Words of Python's json module that are not JSON, and JSON for them.
var pythonWords = []struct{ word, json string }{{"NaN", "null"}, {"-Infinity", `"-Infinity"`}, {"Infinity", `"Infinity"`}}

// standard replaces them.
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

// loneSurrogate gives the offset of an escape of half a surrogate pair without the other half, or -1. Go
// would read it as another character.
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
			i++ // another escape: what follows the backslash is no backslash of its own
		case u >= 0xd800 && u < 0xdc00 && paired && low >= 0xdc00 && low < 0xe000:
			i += 11
		case u >= 0xd800 && u < 0xe000:
			return i
		}
	}
	return -1
}

// quote writes a JSON string.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string has no error
	return strings.TrimSuffix(b.String(), "\n")
}

// unquote reads a JSON string that has been checked.
func unquote(text string) string {
	var s string
	_ = json.Unmarshal([]byte(text), &s)
	return s
}

// describe names a JSON value in an error.
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

// columnName gives a column without a name, such as the index that pandas writes, the name of its place,
// counted from 1.
func columnName(name string, i int) string {
	if name == "" {
		return fmt.Sprintf("column %d", i+1)
	}
	return name
}
