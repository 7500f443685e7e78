package explorer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"ducklens/queries"
	"ducklens/queries/output"
	"ducklens/queries/session"
)

// question is a request of a page: a saved query or a statement of a view by name, or SQL.
type question struct {
	File   string         `json:"file"` // alias; optional if only one file is open
	Name   string         `json:"name"`
	SQL    string         `json:"sql"`
	Params map[string]any `json:"params"`
	Limit  int            `json:"limit"`  // largest number of rows; 0: all that fit into an answer
	Format string         `json:"format"` // "" is an answer for pages; others are files

	Chart map[string]string `json:"chart"` // for a figure
	Theme string            `json:"theme"`
}

// mostBody bounds the size of a question: the longest SQL and its parameters.
const mostBody = queries.MaxLength + 1<<20

// readQuestion reads the body of a request.
func readQuestion(w http.ResponseWriter, r *http.Request) (question, error) {
	var q question
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBody))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(&q); err != nil {
		return q, fmt.Errorf("body of the request: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return q, errors.New("body of the request: more than one value")
	}
	if q.Limit < 0 {
		return q, fmt.Errorf("limit %d, want 0 or more", q.Limit)
	}
	return q, nil
}

// values returns the parameters for [session.Session.Run], and the query with their types. A null parameter
// is not set.
func (q question) values(of queries.Query) (queries.Query, map[string]string, error) {
	of.Params = slices.Clone(of.Params)
	set := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(q.Params)) {
		i := slices.IndexFunc(of.Params, func(p queries.Param) bool { return p.Name == name })
		kind := queries.TextParam
		switch v := q.Params[name].(type) {
		case nil:
			if i >= 0 && of.Name == "" {
				of.Params[i].Needed = false
			}
			continue
		case string:
			set[name] = v
		case bool:
			set[name], kind = fmt.Sprint(v), queries.BooleanParam
		case json.Number:
			set[name], kind = v.String(), queries.DoubleParam
			if _, err := v.Int64(); err == nil {
				kind = queries.IntegerParam
			}
		default:
			return of, nil, fmt.Errorf("parameter %s is a list or an object, want a text, a number, true, "+
				"false or null", name)
		}
		if i >= 0 && of.Name == "" { // the header of a saved query has the types
			of.Params[i].Type = kind
		}
	}
	return of, set, nil
}

// find returns the query or statement of that name, or the SQL of the question.
func (q question) find(ctx context.Context, s *session.Session) (queries.Query, error) {
	if q.Name == "" {
		return queries.AdHoc(q.SQL)
	}
	list, err := statements()
	if err != nil {
		return queries.Query{}, err
	}
	list = append(queries.Embedded(), list...)
	if !slices.ContainsFunc(list, isNamed(q.Name)) {
		saved, _ := s.Saved(ctx) // the manifest reports invalid queries of the file
		list = append(list, saved...)
	}
	return queries.Find(list, q.Name)
}

// ask runs a saved query. If a parameter has several values, it runs the query for each, and the column
// asked_for tells the results apart.
func ask(ctx context.Context, s *session.Session, q queries.Query, set map[string]string,
	most int) (*queries.Result, error) {
	param, sets, err := q.Several(set)
	if err != nil {
		return nil, err
	}
	var results []*queries.Result
	for _, set := range sets {
		result, err := s.RunFirst(ctx, q, set, most)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	if param == "" {
		return results[0], nil
	}
	more := slices.ContainsFunc(results, func(r *queries.Result) bool { return r.More })
	_, all, err := q.SideBySide(param, results)
	if err == nil {
		all.More = more
	}
	return all, err
}

// fileTypes are the formats of answers that are files.
var fileTypes = map[string]struct {
	format output.Format
	mime   string
}{
	"csv":     {output.CSV, "text/csv; charset=utf-8"},
	"json":    {output.JSON, "application/json"},
	"parquet": {output.Parquet, "application/vnd.apache.parquet"},
	"md":      {output.Markdown, "text/markdown; charset=utf-8"},
}

// query answers /api/query and /api/saved.
func (s *Server) query(w http.ResponseWriter, r *http.Request, asked question) error {
	kind, isFile := fileTypes[asked.Format]
	if asked.Format != "" && !isFile {
		return fmt.Errorf("format %q, want csv, json, parquet or md", asked.Format)
	}
	return s.with(r.Context(), asked, func(ctx context.Context, one *session.Session, q queries.Query,
		set map[string]string) error {
		began := time.Now()
		var result *queries.Result
		var err error
		if asked.Name == "" || isStatement(asked.Name) { // a text may contain commas
			result, err = one.RunFirst(ctx, q, set, asked.Limit)
		} else {
			result, err = ask(ctx, one, q, set, asked.Limit)
		}
		if err != nil {
			return err
		}
		took := time.Since(began)
		if isFile {
			var b bytes.Buffer
			if err := output.Write(ctx, &b, kind.format, result, output.Options{}); err != nil {
				return err
			}
			return send(w, kind.mime, b.Bytes())
		}
		var notes []string
		if s.options.Empty != nil && len(result.Rows) == 0 {
			if why := s.options.Empty(ctx, one, q, set); why != "" {
				notes = append(notes, "no rows: "+why)
			}
		}
		if s.options.Notes != nil && asked.Name == "" {
			more, err := s.options.Notes(ctx, one, q)
			if err != nil {
				return err
			}
			notes = append(notes, more...)
		}
		a := newAnswer(result, took, notes)
		a.Query = asked.Name
		return sendJSON(w, a)
	})
}

// mimeTypes are the media types of figures, by file name ending.
var mimeTypes = map[string]string{
	"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf", "html": "text/html; charset=utf-8",
	"vl.json": "application/json", "json": "application/json",
}

// plot answers /api/plot.
func (s *Server) plot(w http.ResponseWriter, r *http.Request, asked question) error {
	if !slices.Contains(s.options.Formats, asked.Format) {
		return fmt.Errorf("format %q, want one of %s", asked.Format, s.options.Formats)
	}
	return s.with(r.Context(), asked, func(ctx context.Context, one *session.Session, q queries.Query,
		set map[string]string) error {
		var b bytes.Buffer
		if err := s.options.Draw(ctx, one, q,
			Figure{Set: set, Chart: asked.Chart, Format: asked.Format, Theme: asked.Theme}, &b); err != nil {
			return err
		}
		return send(w, mimeTypes[asked.Format], b.Bytes())
	})
}

// with finds the file and the query of a question, and runs f with a session of that file.
func (s *Server) with(ctx context.Context, asked question,
	f func(context.Context, *session.Session, queries.Query, map[string]string) error) error {
	of, err := s.find(asked.File)
	if err != nil {
		return err
	}
	return of.with(ctx, func(ctx context.Context, one *session.Session) error {
		q, err := asked.find(ctx, one)
		if err != nil {
			return err
		}
		q, set, err := asked.values(q)
		if err != nil {
			return err
		}
		err = f(ctx, one, q, set)
		if err != nil && s.options.Remedy != nil && ctx.Err() == nil {
			err = s.options.Remedy(ctx, one, q, set, err)
		}
		return err
	})
}
