package prompts

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"ducklens/schema"
)

// readTable reads CSV or TSV: a line of names, then one record a line. A quoted field may contain delimiters,
// line ends and doubled quotes. Lines may end with \n, \r\n or \r, even in the same file; line ends within
// quotes are kept as they are. Lines with only empty fields are skipped.
func readTable(file io.Reader, delimiter byte, each func(row) bool) error {
	text, err := decode(file)
	if err != nil {
		return err
	}
	t := &table{in: text, line: 1}
	t.delimiter = t.usedDelimiter(delimiter)
	names, err := t.header()
	if err != nil {
		return err
	}
	for {
		values, at, err := t.record()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if len(values) != len(names) {
			return badFile("%d fields, and the header line has %d", len(values), len(names)).where(at).
				advise("a text with delimiters in it needs quotes around it, right beside " +
					"the delimiters: \"one, two\"")
		}
		r := row{at: at, untyped: true}
		for i, value := range values {
			if names[i] == "" && value == "" {
				continue
			}
			name := columnName(names[i], i)
			if bad := notUTF8([]byte(value)); bad >= 0 {
				return badByte(value[bad]).where(fmt.Sprintf("%s, field %s", at, name))
			}
			r.fields = append(r.fields, schema.Field{Name: name, Value: tableValue(value)})
		}
		if !each(r) {
			return nil
		}
	}
}

// jsonNumber matches the numbers of JSON.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// tableValue converts a field of a file without types to JSON: a JSON number stays a number, and an empty
// field becomes null.
func tableValue(s string) string {
	switch {
	case s == "":
		return "null"
	case jsonNumber.MatchString(s):
		return s
	}
	return quote(s)
}

// table reads records of CSV or TSV.
type table struct {
	in        *bufio.Reader
	delimiter byte
	line      int // line of the next byte, from 1
	size      int // bytes of the current record so far
	buffer    []byte
	err       error // first error of reading
}

// usedDelimiter returns the delimiter of the header line: the usual one or, if the line has none, another one
// that it has. Spreadsheet programs write CSV with semicolons in languages with decimal commas.
func (t *table) usedDelimiter(usual byte) byte {
	start, _ := t.in.Peek(t.in.Size())
	if end := bytes.IndexAny(start, "\r\n"); end >= 0 {
		start = start[:end]
	}
	for _, d := range []byte{usual, ';', '\t', ','} {
		if bytes.IndexByte(start, d) >= 0 {
			return d
		}
	}
	return usual
}

// header reads the names of the columns.
func (t *table) header() ([]string, error) {
	names, at, err := t.record()
	if err == io.EOF {
		return nil, badFile("it is empty, want a header line with the names of the columns").
			advise("such as text,query,key,baseline")
	}
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		if bad := notUTF8([]byte(name)); bad >= 0 {
			return nil, badByte(name[bad]).where(at)
		}
		names[i] = strings.TrimSpace(name)
		if first := slices.Index(names[:i], names[i]); first >= 0 && names[i] != "" {
			return nil, twoColumns(names[i], first, i).where(at)
		}
	}
	if !identified(names) {
		return nil, noText(names).where(at)
	}
	return names, nil
}

// record reads the fields of the next record and returns the place where it begins. It returns io.EOF at the
// end of the file.
func (t *table) record() (fields []string, at string, err error) {
	for {
		at = fmt.Sprintf("line %d", t.line)
		if _, err := t.in.Peek(1); err != nil {
			return nil, at, placed(err, at)
		}
		t.size = 0
		fields = fields[:0]
		for last := false; !last; {
			var field string
			if field, last, err = t.field(); err != nil {
				return nil, at, err
			}
			if fields = append(fields, field); len(fields) > maxFields {
				return nil, at, badFile("more than %d fields", maxFields).where(at)
			}
		}
		if slices.ContainsFunc(fields, func(f string) bool { return strings.TrimSpace(f) != "" }) {
			return fields, at, nil
		}
	}
}

// field reads a field and its delimiter, and reports whether it is the last one of its record.
func (t *table) field() (field string, last bool, err error) {
	t.buffer = t.buffer[:0]
	b, ok := t.next()
	if ok && b == '"' {
		b, ok, err = t.quoted()
	} else {
		for ; ok && b != t.delimiter && b != '\n' && b != '\r'; b, ok = t.next() {
			t.buffer = append(t.buffer, b)
		}
	}
	if ok && b == '\r' {
		if after, _ := t.in.Peek(1); len(after) == 1 && after[0] == '\n' {
			t.next()
		}
	}
	if err == nil {
		err = t.err
	}
	return string(t.buffer), !ok || b != t.delimiter, err
}

// quoted reads a field after its opening quote, and returns the byte after the closing one.
func (t *table) quoted() (b byte, ok bool, err error) {
	at := fmt.Sprintf("line %d", t.line)
	for {
		if b, ok = t.next(); !ok {
			if t.err != nil {
				return b, ok, t.err
			}
			return b, ok, badFile("a quote opens a field, and nothing closes it up to the end of the file").
				where(at)
		}
		if b == '"' {
			if b, ok = t.next(); !ok || b != '"' {
				break
			}
		}
		t.buffer = append(t.buffer, b)
	}
	if ok && b != t.delimiter && b != '\n' && b != '\r' {
		return b, ok, badFile("after the closing quote of %s comes more text, want the end of the field",
			clipped(string(t.buffer))).
			where(fmt.Sprintf("line %d", t.line)).
			advise(`a quote within quotes is written twice: "he said ""no"""`)
	}
	return b, ok, nil
}

// next reads a byte and counts lines, which end with \r\n, \n or \r.
func (t *table) next() (byte, bool) {
	b, err := t.in.ReadByte()
	t.size++
	switch {
	case err == io.EOF:
		return 0, false
	case err != nil:
		t.err = placed(err, fmt.Sprintf("line %d", t.line))
	case b == 0:
		t.err = badFile("a zero byte, which no text has").where(fmt.Sprintf("line %d", t.line))
	case t.size > maxRecord:
		t.err = badFile("a record of more than %d MiB: is a quote left open before?", maxRecord>>20).
			where(fmt.Sprintf("line %d", t.line))
	}
	if b == '\n' {
		t.line++
	} else if b == '\r' {
		if after, _ := t.in.Peek(1); len(after) == 0 || after[0] != '\n' {
			t.line++
		}
	}
	return b, t.err == nil
}

func twoColumns(name string, first, second int) *fault {
	return badFile("columns %d and %d both have the name %s", first+1, second+1, clipped(name)).
		advise("give one of the two another name")
}

// identified reports whether the columns say which text a record is about. example_id is for labels only.
func identified(names []string) bool {
	return slices.Contains(names, "text") || slices.Contains(names, "example_id")
}

var errNoText = errors.New("no column text")

// noText returns the error for a file without the column that every record needs.
func noText(names []string) *fault {
	hint := reservedHint
	fields := make(schema.Fields, len(names))
	for i, name := range names {
		fields[i].Name = name
	}
	if other := misspelt("text", fields); other != "" {
		hint = fmt.Sprintf("write text instead of %s; %s", clip(other), reservedHint)
	}
	return badFile("no column text, found %s", listed(names)).advise(hint).because(errNoText)
}

// listed lists the names of columns, or the first ones of many.
func listed(names []string) string {
	const most = 10
	var found []string
	for i, name := range names[:min(len(names), most)] {
		found = append(found, clip(columnName(name, i)))
	}
	list := strings.Join(found, ", ")
	if rest := len(names) - len(found); rest > 0 {
		list += fmt.Sprintf(" and %d more", rest)
	}
	return cmp.Or(list, "none")
}
