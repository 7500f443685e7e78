package prompts

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ducklens/schema"
)

// reserved are the names with a meaning in a record. All others belong to the file's author.
var reserved = []string{"text", "query", "key", "baseline", "IO", "S", "template", "order"}

const reservedHint = "text, query, key, baseline, IO, S, template and order are reserved, " +
	"in just these letters, upper and lower case; " +
	"a column of your own needs another name"

// row is a record of a prompt file as read.
type row struct {
	at      string // place in the file
	fields  schema.Fields
	untyped bool // the file has no types, so a number may be text
}

// prompt turns the record into a prompt.
func (r row) prompt() (schema.Prompt, error) {
	p, f := r.parse()
	if f != nil {
		return p, f.where(r.at)
	}
	return p, nil
}

func (r row) parse() (p schema.Prompt, f *fault) {
	known, own := map[string]value{}, schema.Fields(nil)
	for _, field := range r.fields {
		if slices.Contains(reserved, field.Name) {
			known[field.Name] = parseValue(field.Value, r.untyped)
		} else {
			own = append(own, field)
		}
	}
	if f := checkOwn(known, own); f != nil {
		return p, f
	}
	if p.Text, f = known["text"].word("text"); f != nil {
		return p, f
	}
	if p.Text == "" {
		return p, r.no("text", "the text of the prompt").advise("such as " + exampleRecord)
	}
	if f := r.findPositions(&p, known); f != nil {
		return p, f
	}
	if p.Template, f = known["template"].label("template"); f != nil {
		return p, f
	}
	if p.Order, f = known["order"].label("order"); f != nil {
		return p, f
	}
	if p.Order != "" && p.Order != ABBA.String() && p.Order != BABA.String() {
		return p, badRecord("order is %s, want ABBA or BABA", clipped(p.Order)).advise(reservedHint)
	}
	p.Fields = own
	return p, nil
}

// checkOwn bounds the author's fields. It also refuses names that differ from the missing name of a text or a
// position only in case or in a letter: a prompt with Baseline or baselin would otherwise silently have no
// baseline. With IO and S, which say what key and baseline are, only query may be missing by mistake.
func checkOwn(known map[string]value, own schema.Fields) *fault {
	size, largest := 0, 0
	for i, field := range own {
		size += len(field.Name) + len(field.Value)
		if len(field.Value) > len(own[largest].Value) {
			largest = i
		}
	}
	if size > maxFieldsBytes {
		return badRecord("its own columns hold %d bytes, want at most %d; the largest is %s with %d",
			size, maxFieldsBytes, clipped(own[largest].Name), len(own[largest].Value)).
			advise("columns of your own are stored with each prompt: keep what labels it, " +
				"and leave the rest out of the file")
	}
	for _, name := range []string{"text", "query", "key", "baseline"} {
		if _, there := known[name]; there {
			continue
		}
		if other := lookalike(name, own); other != "" {
			return badRecord("%s is not %s: upper and lower case count", clipped(other), name).
				advise("write " + name + "; " + reservedHint)
		}
		if !known["IO"].absent() && name != "query" {
			continue
		}
		if other := misspelt(name, own); other != "" {
			return badRecord("%s is there, and %s is not", clipped(other), name).
				advise(fmt.Sprintf("write %s if you mean that; a column of your own needs a name less like it", name))
		}
	}
	return nil
}

// no returns the error for a record in which a field that it needs is missing or empty. wanted says what may
// be in the field.
func (r row) no(name, wanted string) *fault {
	if slices.ContainsFunc(r.fields, func(f schema.Field) bool { return f.Name == name }) {
		return badRecord("%s is empty, want %s", name, wanted)
	}
	return badRecord("no %s, want %s; found %s", name, wanted, r.listed())
}

// listed lists the names of the record's fields.
func (r row) listed() string {
	names := make([]string, len(r.fields))
	for i, field := range r.fields {
		names[i] = field.Name
	}
	return listed(names)
}

// Misspelt returns a sentence about the first of a prompt's own fields that is probably a misspelt template
// or order, or "". Such a field is kept under its own name. Misspelt positions are errors.
func Misspelt(p schema.Prompt) string {
	for _, label := range []struct{ name, value string }{{"template", p.Template}, {"order", p.Order}} {
		if other := misspelt(label.name, p.Fields); label.value == "" && other != "" {
			return fmt.Sprintf("column %s is kept as one of your own; did you mean %s?", clipped(other),
				label.name)
		}
	}
	return ""
}

// misspelt returns the author's field whose name is name but for a letter that is wrong, missing or too many,
// two that are swapped, case, blanks, hyphens or underscores; or "".
func misspelt(name string, own schema.Fields) string {
	for _, field := range own {
		a, b := name, strings.ToLower(strings.NewReplacer(" ", "", "-", "", "_", "").Replace(field.Name))
		for a != "" && b != "" && a[0] == b[0] {
			a, b = a[1:], b[1:]
		}
		for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
			a, b = a[:len(a)-1], b[:len(b)-1]
		}
		swapped := len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
		if len(a) <= 1 && len(b) <= 1 || swapped {
			return field.Name
		}
	}
	return ""
}

// lookalike returns the author's field whose name differs from name only in case, or "".
func lookalike(name string, own schema.Fields) string {
	for _, field := range own {
		if strings.EqualFold(field.Name, name) {
			return field.Name
		}
	}
	return ""
}

// findPositions sets the positions of a prompt from IO and S, if it has them, and from query, key and
// baseline.
func (r row) findPositions(p *schema.Prompt, known map[string]value) (f *fault) {
	io, s := known["IO"], known["S"]
	switch {
	case io.absent() != s.absent():
		return badRecord("only one of IO and S is there, want both or neither").advise(reservedHint)
	case !io.absent():
		for _, name := range []string{"key", "baseline"} {
			if !known[name].absent() {
				return badRecord("%s beside IO and S, want one or the other: the key is IO, "+
					"and the baseline is S", name).
					advise(reservedHint)
			}
		}
		if p.Key, f = io.name("IO"); f != nil {
			return f
		}
		if p.Baseline, f = s.name("S"); f != nil {
			return f
		}
		p.Query = beforeAnswer(p.Text, p.Key)
		p.Key, p.Baseline = p.Key.First(), p.Baseline.First() // such a text names S twice
	}
	for _, position := range []struct {
		name string
		to   *schema.Position
	}{{"query", &p.Query}, {"key", &p.Key}, {"baseline", &p.Baseline}} {
		v := known[position.name]
		if v.absent() {
			if position.to.IsNone() && position.name != "baseline" {
				return r.no(position.name, "a token index (-1 is the last token) or a word, or IO and S").
					advise("such as " + exampleRecord)
			}
			continue
		}
		if *position.to, f = v.position(position.name); f != nil {
			return f
		}
	}
	return nil
}

// value is one field of a record, as JSON and decoded.
type value struct {
	json   string // "" if the field is missing
	text   string
	number string // decimal; "" if it is not a number
	isText bool
}

// anyNumber matches the numbers that people and programs write.
var anyNumber = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

func parseValue(json string, untyped bool) value {
	v := value{json: json, text: json}
	if strings.HasPrefix(json, `"`) {
		v.text, v.isText = unquote(json), true
	}
	if trimmed := strings.TrimSpace(v.text); anyNumber.MatchString(trimmed) && (untyped || !v.isText) {
		v.number, v.isText = trimmed, untyped
	}
	return v
}

func (v value) absent() bool { return v.json == "" || v.json == "null" }

// String describes the value for an error.
func (v value) String() string {
	if v.number != "" {
		return clip(v.number)
	}
	return describe(v.json)
}

// word returns the text of a field that must be text.
func (v value) word(name string) (string, *fault) {
	if v.absent() {
		return "", nil
	}
	switch {
	case v.isText:
		return v.text, nil
	case v.number != "":
		return "", badRecord("%s is the number %s, want text", name, v)
	}
	return "", badRecord("%s is %s, want text", name, v).advise(adviceJSONL)
}

// label returns the text of a field that may also be a number.
func (v value) label(name string) (string, *fault) {
	if v.number != "" {
		return v.number, nil
	}
	text, f := v.word(name)
	if f != nil {
		f.advise(reservedHint)
	}
	return text, f
}

// name returns IO or S as a position.
func (v value) name(field string) (schema.Position, *fault) {
	text, f := v.word(field)
	if f != nil {
		return schema.Position{}, f.advise(reservedHint)
	}
	if text = strings.TrimSpace(text); text == "" {
		return schema.Position{}, badRecord("%s is empty", field)
	}
	return schema.ParseWord(text), nil
}

// position returns a token index or a word.
func (v value) position(name string) (schema.Position, *fault) {
	switch {
	case v.number != "":
		return v.index(name)
	case !v.isText:
		return schema.Position{}, badRecord("%s is %s, want a token index or a word", name, v)
	case strings.TrimSpace(v.text) == "":
		return schema.Position{}, badRecord("%s is blank, want a token index or a word", name)
	}
	return schema.ParseWord(v.text), nil
}

// index returns a whole number in any notation: programs with missing values among their numbers write 3 as
// 3.0.
func (v value) index(name string) (schema.Position, *fault) {
	n, err := strconv.ParseFloat(v.number, 64)
	switch {
	case n > math.MaxInt32 || n < math.MinInt32:
		return schema.Position{}, badRecord("%s is %s, and no text has so many tokens", name, v)
	case err != nil || n != math.Trunc(n):
		f := badRecord("%s is %s, which is no whole number: want a token index or a word", name, v)
		return schema.Position{}, f.advise("token indices count from 0, or from -1 backwards")
	}
	return schema.AtIndex(int(n)), nil
}
