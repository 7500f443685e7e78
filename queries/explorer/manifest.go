package explorer

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"ducklens/queries"
	"ducklens/queries/session"
)

// manifestText lists runs. {baseline} stands for [queries.BaselineSQL].
//
//go:embed manifest.sql
var manifestText string

//go:embed fields.sql
var fieldsText string

//go:embed schema.sql
var schemaText string

// manifest describes what can be explored.
type manifest struct {
	Mode    string       `json:"mode"` // server or export
	Version string       `json:"version"`
	DuckDB  string       `json:"duckdb"`
	Files   []fileFacts  `json:"files"`
	Saved   []savedQuery `json:"saved"` // shipped with the program
	// Statements are those of views that no saved query stands for.
	Statements []savedQuery `json:"statements"`
	Formats    []string     `json:"formats"`
}

// fileFacts describes a file.
type fileFacts struct {
	Alias   string       `json:"alias"`
	Name    string       `json:"name"`
	Latest  *int64       `json:"latest"` // default run of saved queries
	Runs    []fields     `json:"runs"`
	Saved   []savedQuery `json:"saved"` // stored in the file
	LeftOut []leftOut    `json:"left_out"`

	// In an export: the place of the file beside the pages, the name under which to attach it, and the
	// statements to run then.
	Path     string   `json:"path,omitempty"`
	Database string   `json:"database,omitempty"`
	Setup    []string `json:"setup,omitempty"`
}

type leftOut struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// fields are a row by column name, with values of a [queries.Result].
type fields map[string]any

// MarshalJSON writes the values like those of answers.
func (f fields) MarshalJSON() ([]byte, error) {
	known := make(map[string]json.RawMessage, len(f))
	for name, value := range f {
		switch value.(type) {
		case []Lack, fault, fields, []fields, map[string][]any:
			text, err := json.Marshal(value)
			if err != nil {
				return nil, err
			}
			known[name] = text
			continue
		}
		text, err := appendValue(nil, value)
		if err != nil {
			return nil, err
		}
		known[name] = text
	}
	return json.Marshal(known)
}

// savedQuery is a saved query as pages read it.
type savedQuery struct {
	Name        string      `json:"name"`
	Title       string      `json:"title"`
	Subtitle    string      `json:"subtitle"`
	Description string      `json:"description"`
	Chart       string      `json:"chart"`
	Parameters  []parameter `json:"parameters"`
	SQL         string      `json:"sql"`
	Shipped     bool        `json:"shipped"`
}

type parameter struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Default any    `json:"default"` // null if there is none
	Needed  bool   `json:"needed"`
	About   string `json:"about"`
}

// describe converts queries for pages.
func describe(list []queries.Query, shipped bool) []savedQuery {
	out := make([]savedQuery, len(list))
	for i, q := range list {
		out[i] = savedQuery{q.Name, q.Title, q.Subtitle, q.Description, q.Chart.Mark.String(), []parameter{},
			q.SQL, shipped}
		for _, p := range q.Params {
			out[i].Parameters = append(out[i].Parameters,
				parameter{p.Name, p.Type.String(), p.Default, p.Needed, p.Doc})
		}
	}
	return out
}

// manifest describes the program, without files.
func (o Options) manifest(mode string, formats []string) (manifest, error) {
	list, err := statements()
	return manifest{Mode: mode, Version: o.Version, Saved: describe(queries.Embedded(), true),
		Statements: describe(list, true), Formats: formats}, err
}

// manifest describes the open files.
func (s *Server) manifest(ctx context.Context) (m manifest, err error) {
	m, err = s.options.manifest("server", append([]string{}, s.options.Formats...))
	if err != nil {
		return m, err
	}
	for _, f := range s.files {
		err := f.with(ctx, func(ctx context.Context, one *session.Session) error {
			facts, err := s.options.facts(ctx, one, f.File)
			if err != nil {
				return err
			}
			m.Files = append(m.Files, facts)
			version, err := own(ctx, one, "SELECT version()", nil)
			if err == nil {
				m.DuckDB = queries.String(version.Rows[0][0])
			}
			return err
		})
		if err != nil {
			return m, err
		}
	}
	return m, nil
}

// facts describes a file.
func (o Options) facts(ctx context.Context, s *session.Session, f File) (facts fileFacts, err error) {
	facts = fileFacts{Alias: f.Alias, Name: filepath.Base(f.Path), Runs: []fields{}, LeftOut: []leftOut{}}
	result, err := own(ctx, s, strings.Replace(manifestText, "{baseline}", queries.BaselineSQL, 1), nil)
	if err != nil {
		return facts, err
	}
	for _, row := range result.Rows {
		run := record(result, row)
		id, ok := run["run"].(int64)
		if !ok {
			return facts, fmt.Errorf("%s: run %v, want a number", f.Path, run["run"])
		}
		if run["status"] == "complete" {
			facts.Latest = &id
		}
		run["bases"] = fields{"query": orEmpty(run["query_bases"]), "key": orEmpty(run["key_bases"])}
		delete(run, "query_bases")
		delete(run, "key_bases")
		for _, name := range []string{"heads", "components", "movers"} {
			run[name] = orEmpty(run[name])
		}
		// An incomplete run cannot be queried; the other runs and files can be explored.
		if run["status"] != "complete" {
			_, why := fieldsOf(ctx, s, id)
			if why == nil {
				return facts, fmt.Errorf("%s: run %d is %v, and can be asked about", f.Path, id,
					run["status"])
			}
			run["fields"], run["lacks"], run["fault"] = []fields{}, []Lack{}, faultOf(why)
			facts.Runs = append(facts.Runs, run)
			continue
		}
		if run["fields"], err = fieldsOf(ctx, s, id); err != nil {
			return facts, err
		}
		// If the file is damaged, the rest can be explored.
		if run["lacks"], err = o.lacks(ctx, s, id); err != nil {
			facts.LeftOut = append(facts.LeftOut,
				leftOut{fmt.Sprintf("what run %d lacks", id), printable(err.Error())})
		}
		facts.Runs = append(facts.Runs, run)
	}
	saved, faults := s.Saved(ctx)
	facts.Saved = describe(saved, false)
	for _, fault := range faults {
		facts.LeftOut = append(facts.LeftOut, leftOut{"a saved query", printable(fault.Error())})
	}
	list, err := s.LeftOut(ctx)
	for _, l := range list {
		facts.LeftOut = append(facts.LeftOut, leftOut{l.Name, l.Why})
	}
	return facts, err
}

// lacks lists what a run does not hold; the list is empty if that is unknown.
func (o Options) lacks(ctx context.Context, s *session.Session, run int64) ([]Lack, error) {
	if o.Lacks == nil {
		return []Lack{}, nil
	}
	list, err := o.Lacks(ctx, s, run)
	return append([]Lack{}, list...), err
}

// fieldsOf lists the fields by which examples of a run can be grouped.
func fieldsOf(ctx context.Context, s *session.Session, run int64) ([]fields, error) {
	list := []fields{}
	result, err := own(ctx, s, fieldsText, map[string]string{"run": strconv.FormatInt(run, 10)})
	if err != nil {
		return nil, err
	}
	for _, row := range result.Rows {
		list = append(list, record(result, row))
	}
	return list, nil
}

// own runs a query of the explorer itself. Its parameters are integers.
func own(ctx context.Context, s *session.Session, sql string,
	set map[string]string) (*queries.Result, error) {
	q, err := queries.AdHoc(sql)
	if err != nil {
		return nil, err
	}
	for i := range q.Params {
		q.Params[i].Type = queries.IntegerParam
	}
	return s.Run(ctx, q, set)
}

// record returns a row by column name.
func record(r *queries.Result, row []any) fields {
	f := make(fields, len(row))
	for i, c := range r.Columns {
		f[c.Name] = row[i]
	}
	return f
}

// orEmpty returns an empty list for NULL.
func orEmpty(v any) any {
	if v == nil {
		return []any{}
	}
	return v
}

// schema answers /api/schema: tables, views and macros with their comments.
func (s *Server) schema(w http.ResponseWriter, r *http.Request, asked question) error {
	of, err := s.find(asked.File)
	if err != nil {
		return err
	}
	if known := of.schema.Load(); known != nil { // cached, because nobody writes the file while it is open
		return sendJSON(w, known)
	}
	return of.with(r.Context(), func(ctx context.Context, one *session.Session) error {
		objects, err := objectsOf(ctx, one)
		if err != nil {
			return err
		}
		of.schema.Store(&objects)
		return sendJSON(w, objects)
	})
}

// objects are the names that SQL may use.
type objects struct {
	Tables []fields `json:"tables"` // and views
	Macros []fields `json:"macros"`
}

func objectsOf(ctx context.Context, s *session.Session) (o objects, err error) {
	o = objects{Tables: []fields{}, Macros: []fields{}}
	result, err := own(ctx, s, schemaText, nil)
	if err != nil {
		return o, err
	}
	for _, row := range result.Rows {
		f := record(result, row)
		if kind := queries.String(f["kind"]); kind == "table" || kind == "view" {
			delete(f, "parameters")
			f["columns"] = orEmpty(f["columns"])
			o.Tables = append(o.Tables, f)
		} else {
			delete(f, "columns")
			f["table"] = kind == "table_macro"
			f["parameters"] = orEmpty(f["parameters"])
			o.Macros = append(o.Macros, f)
		}
	}
	return o, nil
}
