package prompts

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"ducklens/schema"
)

// ErrTemplates is wrapped by every error about the content of a template file.
var ErrTemplates = errors.New("not a usable template file")

// maxTemplateBytes bounds a template file. Word lists are small; a larger file is something else.
const maxTemplateBytes = 16 << 20

// Templates holds the parts of prompts with two names. A template is a sentence with the slots [A] (the
// indirect object, IO, which is the expected answer), [B] (the subject, S), [PLACE] and [OBJECT]. In the
// order ABBA, [A] is mentioned before [B]; in BABA, after it.
type Templates struct {
	ABBA, BABA []string
	Mixed      []string // the templates of a mixed sample, before they are shuffled
	Names      []string
	Places     []string
	Objects    []string
}

// LeastNames is the smallest number of different names. Three names are drawn for each prompt until they
// differ, which never ends with fewer.
const LeastNames = 3

//go:embed ioi.json
var ioiFile []byte

// IOI returns ducklens's own templates and words. Every name, place and object is one token of GPT-2's
// vocabulary with a space before it, as in every template.
func IOI() *Templates {
	t, err := ParseTemplates(bytes.NewReader(ioiFile))
	if err != nil {
		panic("prompts: embedded ioi.json: " + err.Error())
	}
	return t
}

// templateFile is the content of a template file.
type templateFile struct {
	Templates, ABBA, BABA, Names, Places, Objects []string
}

// lists returns the lists of the file by name.
func (f *templateFile) lists() map[string]*[]string {
	return map[string]*[]string{
		"templates": &f.Templates, "abba_templates": &f.ABBA, "baba_templates": &f.BABA,
		"names": &f.Names, "places": &f.Places, "objects": &f.Objects,
	}
}

const listNames = "templates (or abba_templates and baba_templates), names, places, objects"

// ReadTemplates reads the template file at path; see [ParseTemplates].
func ReadTemplates(path string) (*Templates, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, aboutFile("template file", path, err)
	}
	defer f.Close()
	t, err := ParseTemplates(f)
	if err != nil {
		return nil, aboutFile("template file", path, err)
	}
	return t, nil
}

// parseLists reads the JSON of a template file.
func parseLists(r io.Reader) (file templateFile, err error) {
	text, err := decode(r)
	if err != nil {
		return file, ofTemplates(err)
	}
	data, err := io.ReadAll(io.LimitReader(text, maxTemplateBytes+1))
	if err != nil {
		return file, ofTemplates(err)
	}
	if len(data) > maxTemplateBytes {
		return file, ofTemplates(badFile("more than %d MiB, want a few lists of words", maxTemplateBytes>>20))
	}
	fields, offset, f := parseObject(data)
	if f != nil {
		if offset >= 0 {
			f.where(lineOf(data, offset))
		}
		return file, ofTemplates(f.advise("a template file is one JSON object with the lists " + listNames))
	}
	lists := file.lists()
	for _, field := range fields {
		list, ok := lists[field.Name]
		if !ok {
			return file, ofTemplates(badFile("unknown list %s, want %s", clipped(field.Name), listNames))
		}
		if *list, err = parseWords(field); err != nil {
			return file, ofTemplates(err)
		}
	}
	return file, nil
}

// parseWords reads a list of strings.
func parseWords(field schema.Field) ([]string, error) {
	var items []json.RawMessage // null gives an empty list
	if err := json.Unmarshal([]byte(field.Value), &items); err != nil {
		return nil, badFile("%s is %s, want a list of texts", field.Name, describe(field.Value)).because(err)
	}
	words := make([]string, len(items))
	for i, item := range items {
		if !strings.HasPrefix(string(item), `"`) {
			return nil, badFile("%s[%d] is %s, want a text", field.Name, i, describe(string(item)))
		}
		words[i] = unquote(string(item))
	}
	return words, nil
}

// lineOf returns the line and column of an offset in a text, both counted from 1.
func lineOf(text []byte, offset int) string {
	before := text[:offset]
	l := lines{number: 1 + bytes.Count(before, []byte("\n"))}
	return l.at(before[bytes.LastIndexByte(before, '\n')+1:])
}

// ofTemplates turns a fault of reading into an error about templates.
func ofTemplates(err error) error {
	var f *fault
	if errors.As(err, &f) {
		f.kind = ErrTemplates
	}
	return err
}

// ParseTemplates reads a JSON object with the lists names, places and objects, and the templates in one of
// two forms. The list templates has each template once, in either order; the other order is made by
// exchanging the first mentions of [A] and [B], and a mixed sample draws from both. The lists abba_templates
// and baba_templates give both orders; a mixed sample then draws from the first half of each
// (len(baba_templates)/2, rounded down; BABA first), like the public IOI data sets.
func ParseTemplates(r io.Reader) (*Templates, error) {
	file, err := parseLists(r)
	if err != nil {
		return nil, err
	}
	t := &Templates{Names: file.Names, Places: file.Places, Objects: file.Objects}
	split := len(file.ABBA) > 0 || len(file.BABA) > 0
	switch {
	case split && len(file.Templates) > 0:
		return nil, ofTemplates(badFile("both templates and abba_templates or baba_templates, want one form"))
	case split:
		t.ABBA, t.BABA = file.ABBA, file.BABA
		half := len(t.BABA) / 2
		t.Mixed = append(slices.Clone(t.BABA[:half]), t.ABBA[:min(half, len(t.ABBA))]...)
	default:
		for _, text := range file.Templates {
			abba, baba := text, exchangeFirst(text)
			if templateOrder(text) == BABA {
				abba, baba = baba, abba
			}
			if !slices.Contains(t.ABBA, abba) {
				t.ABBA, t.BABA = append(t.ABBA, abba), append(t.BABA, baba)
			}
		}
		t.Mixed = append(slices.Clone(t.BABA), t.ABBA...)
	}
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemplates, err)
	}
	return t, nil
}

var slot = regexp.MustCompile(`\[[^\[\]]*\]`)

// validate reports all faults of the lists at once.
func (t *Templates) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(t.ABBA)+len(t.BABA) == 0 {
		fault("no templates")
	}
	for _, list := range []struct {
		order     Order
		templates []string
	}{{ABBA, t.ABBA}, {BABA, t.BABA}} {
		for i, text := range list.templates {
			for _, s := range slot.FindAllString(text, -1) {
				switch {
				case s == "[PLACE]" && len(t.Places) == 0:
					fault("template %q has [PLACE], and places is empty", text)
				case s == "[OBJECT]" && len(t.Objects) == 0:
					fault("template %q has [OBJECT], and objects is empty", text)
				case s != "[A]" && s != "[B]" && s != "[PLACE]" && s != "[OBJECT]":
					fault("template %q has the slot %s, want [A], [B], [PLACE] or [OBJECT]", text, s)
				}
			}
			if !strings.Contains(text, "[A]") || !strings.Contains(text, "[B]") {
				fault("%s template %d %q lacks [A] or [B]", list.order, i, text)
			} else if got := templateOrder(text); got != list.order {
				fault("%s template %d %q is in the order %s", list.order, i, text, got)
			}
		}
	}
	distinct := map[string]bool{}
	for _, list := range []struct {
		name  string
		words []string
	}{{"names", t.Names}, {"places", t.Places}, {"objects", t.Objects}} {
		for i, w := range list.words {
			if strings.TrimSpace(w) != w || w == "" {
				fault("%s[%d] is %q, want a word with no space around it", list.name, i, w)
			}
			if list.name == "names" {
				distinct[w] = true
			}
		}
	}
	if len(distinct) < LeastNames {
		fault("%d different names, want at least %d", len(distinct), LeastNames)
	}
	return errors.Join(faults...)
}

// Without returns the templates without some names; the others keep their order. Fewer than [LeastNames]
// names cannot be drawn from.
func (t *Templates) Without(names []string) *Templates {
	fewer := *t
	fewer.Names = slices.DeleteFunc(slices.Clone(t.Names),
		func(name string) bool { return slices.Contains(names, name) })
	return &fewer
}

// BeginWithName reports whether a name may be the first word of a prompt, with no space before it.
func (t *Templates) BeginWithName() bool {
	return slices.ContainsFunc(slices.Concat(t.ABBA, t.BABA), func(text string) bool {
		return strings.HasPrefix(text, "[A]") || strings.HasPrefix(text, "[B]")
	})
}

// templateOrder returns the order in which a template first mentions [A] and [B].
func templateOrder(text string) Order {
	if a, b := strings.Index(text, "[A]"), strings.Index(text, "[B]"); b >= 0 && b < a {
		return BABA
	}
	return ABBA
}

// exchangeFirst exchanges the first mention of [A] with the first mention of [B].
func exchangeFirst(text string) string {
	a, b := strings.Index(text, "[A]"), strings.Index(text, "[B]")
	if a < 0 || b < 0 {
		return text
	}
	out := []byte(text)
	out[a+1], out[b+1] = 'B', 'A'
	return string(out)
}
