package prompts

import (
	"context"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ducklens/schema"
)

// Documents reads texts without positions from files, in order. The name of a file says whether it is JSONL,
// CSV, TSV or Parquet, which must have a column text; any other file is plain text, with one document a line.
type Documents struct {
	Paths []string
	Whole bool // each file of plain text is one document

	skipped int // in the last pass
}

// recordEndings are the endings of files of records.
var recordEndings = []string{".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"}

// holdsRecords reports whether a file holds records, by its name.
func holdsRecords(path string) bool {
	return slices.Contains(recordEndings, strings.ToLower(filepath.Ext(path)))
}

// Prompts yields the documents. A document is named by the column id or, without one, by its number in the
// file, counted from 1 and preceded by the file's name if there are several files. All other columns are kept
// with the document ([schema.Prompt.Fields]). Empty documents are skipped, but counted. Errors are those of
// [File].
func (d *Documents) Prompts(ctx context.Context) iter.Seq2[schema.Prompt, error] {
	return func(yield func(schema.Prompt, error) bool) {
		d.skipped = 0
		for _, path := range d.Paths {
			prefix := ""
			if len(d.Paths) > 1 {
				prefix = filepath.Base(path) + ":"
			}
			var fault error
			stopped, number := false, 0
			err := d.read(ctx, path, func(r row) bool {
				number++
				p, f := r.document(prefix + strconv.Itoa(number))
				switch {
				case f != nil:
					fault = f.where(r.at)
					return false
				case strings.TrimSpace(p.Text) == "":
					d.skipped++
					return true
				}
				if d.Whole {
					p.Document = filepath.Base(path)
				}
				stopped = !yield(p, nil)
				return !stopped
			})
			if fault != nil {
				err = fault
			}
			if stopped {
				return
			}
			if err != nil {
				yield(schema.Prompt{}, aboutFile("text file", path,
					missing(err, "plain text has one document a line; .jsonl, .csv, .tsv and .parquet have a column text")))
				return
			}
		}
	}
}

// Notices lists what the last pass has left out, one sentence each.
func (d *Documents) Notices() []string {
	if d.skipped == 0 {
		return nil
	}
	what := "documents are"
	if d.skipped == 1 {
		what = "document is"
	}
	return []string{fmt.Sprintf("%d empty %s left out", d.skipped, what)}
}

// read passes the records or lines of a file to each.
func (d *Documents) read(ctx context.Context, path string, each func(row) bool) error {
	if holdsRecords(path) {
		if d.Whole {
			return badFile("it holds records by its name, and a whole file is one document of plain text").
				advise("give it without --whole")
		}
		return readFile(ctx, path, each)
	}
	f, err := openFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := decode(f)
	if err != nil {
		return err
	}
	if d.Whole {
		whole, err := io.ReadAll(io.LimitReader(text, maxRecord+1))
		if err != nil {
			return bare(err)
		}
		if len(whole) > maxRecord {
			return badFile("more than %d MiB, want at most so much in one document", maxRecord>>20).
				advise("cut it into several files, or give it without --whole: then a line is a document")
		}
		r, fault := plainText(whole)
		if fault != nil {
			return fault
		}
		each(r)
		return ctx.Err()
	}
	for l := (lines{in: text, of: "document"}); ; {
		line, err := l.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		r, fault := plainText(line)
		if fault != nil {
			return fault.where(l.at(nil))
		}
		if r.at = l.at(nil); !each(r) {
			return nil
		}
	}
}

// plainText returns a record with one text.
func plainText(text []byte) (row, *fault) {
	if at := notUTF8(text); at >= 0 {
		return row{}, badByte(text[at])
	}
	if slices.Contains(text, 0) {
		return row{}, badFile("a zero byte, which no text has")
	}
	return row{fields: schema.Fields{{Name: "text", Value: quote(string(text))}}}, nil
}

// document turns a record into a document. name is used if the record has none.
func (r row) document(name string) (p schema.Prompt, f *fault) {
	var text, id value
	for _, field := range r.fields {
		switch field.Name {
		case "text":
			// In a file without types, a document may look like a number.
			if text = parseValue(field.Value, false); r.untyped && !text.absent() && !text.isText {
				text = value{json: quote(field.Value), text: field.Value, isText: true}
			}
		case "id":
			id = parseValue(field.Value, r.untyped)
		default:
			p.Fields = append(p.Fields, field)
		}
	}
	if text.json == "" {
		return p, r.withoutText(p.Fields)
	}
	if f := checkOwn(map[string]value{"text": text, "query": {json: "null"}, "key": {json: "null"},
		"baseline": {json: "null"}}, p.Fields); f != nil {
		return p, f
	}
	if p.Text, f = text.word("text"); f != nil {
		return p, f
	}
	if p.Document, f = id.label("id"); f != nil {
		return p, f.advise("an id is a text or a number")
	}
	if p.Document == "" {
		p.Document = name
	}
	return p, nil
}

// withoutText returns the error for a record without text.
func (r row) withoutText(own schema.Fields) *fault {
	if other := lookalike("text", own); other != "" {
		return badRecord("%s is not text: upper and lower case count", clipped(other)).advise("write text")
	}
	return r.no("text", "the text of the document").
		advise(`a record of texts has text and, if you like, id: {"id": "a1", "text": "The cat sat on the mat."}`)
}
