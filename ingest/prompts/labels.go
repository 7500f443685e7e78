package prompts

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"

	"ducklens/schema"
)

// Bounds of a file of labels, which is read into memory.
const (
	maxLabels      = 1 << 20
	maxLabelsBytes = 256 << 20
)

const labelHint = "want the column text or example_id, and one for each label, such as example_id,kind"

// ReadLabels reads labels for the prompts of a finished run from a file of the formats of [File]. Each record
// has text, or example_id and optionally run_id; all other columns are labels. Columns without a name, such
// as the index that pandas writes, are left out.
func ReadLabels(ctx context.Context, path string) ([]schema.Label, error) {
	var labels []schema.Label
	var bad error
	size := 0
	err := readFile(ctx, path, func(r row) bool {
		var l schema.Label
		if l, bad = r.label(); bad != nil {
			return false
		}
		size += len(l.Text) + len(l.Fields.JSON())
		if labels = append(labels, l); len(labels) > maxLabels || size > maxLabelsBytes {
			bad = badFile("more than %d rows or %d MiB, want labels of examples", maxLabels,
				maxLabelsBytes>>20)
			return false
		}
		return true
	})
	if bad != nil {
		err = bad
	}
	if f := (*fault)(nil); errors.Is(err, errNoText) && errors.As(err, &f) {
		f.words = strings.Replace(f.words, "no column text", "no column text or example_id", 1)
		f.hint = labelHint
	}
	if err == nil && len(labels) == 0 {
		err = badFile("it has no rows, want one for each example or text")
	}
	if err != nil {
		return nil, aboutFile("file of labels", path, err)
	}
	return labels, nil
}

// label turns the record into a label.
func (r row) label() (l schema.Label, err error) {
	l.Example = -1
	for i, field := range r.fields {
		v := parseValue(field.Value, r.untyped)
		var f *fault
		switch {
		case field.Name == columnName("", i) || strings.HasPrefix(field.Name, "Unnamed: "):
		case field.Name == "text":
			l.Text, f = v.word("text")
		case field.Name == "example_id":
			l.Example, f = v.whole("example_id")
		case field.Name == "run_id":
			l.Run, f = v.whole("run_id")
		default:
			l.Fields = append(l.Fields, field)
		}
		if f != nil {
			return l, f.where(r.at)
		}
	}
	switch {
	case l.Example < 0 && l.Text == "":
		return l, badRecord("neither text nor example_id says whose labels these are; found %s", r.listed()).
			where(r.at).advise(labelHint)
	case len(l.Fields) == 0:
		return l, badRecord("no labels beside text, example_id and run_id").where(r.at)
	}
	return l, nil
}

// whole returns a whole number of at least 0, which may be written 2.0.
func (v value) whole(name string) (int, *fault) {
	n, err := strconv.ParseFloat(v.number, 64)
	if err != nil || n != math.Trunc(n) || n < 0 || n > math.MaxInt32 {
		return 0, badRecord("%s is %s, want a whole number from 0", name, v)
	}
	return int(n), nil
}
