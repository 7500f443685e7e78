package session

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ducklens/queries"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// These are the queries of the session itself. They use only the tables of the file, never its views and
// macros, which may be anybody's.
const (
	runsSQL = `SELECT run_id, status::VARCHAR AS status FROM run ORDER BY run_id`
	headSQL = `SELECT label FROM head
		WHERE run_id = coalesce($run, (SELECT max(run_id) FROM run WHERE status = 'complete')) ORDER BY ordinal`
	basisSQL = `SELECT name FROM basis
		WHERE side = $side AND null_number IS NULL AND run_id = coalesce($run, (SELECT max(run_id) FROM run WHERE status = 'complete')) ORDER BY basis_id`
	componentSQL = `SELECT c.label FROM run_component AS o JOIN component AS c ON c.component_id = o.component_id
		WHERE o.run_id = coalesce($run, (SELECT max(run_id) FROM run WHERE status = 'complete')) ORDER BY o.ordinal`
	// The facts of a run, in the order of a figure.
	factSQL = `SELECT r.run_id AS run, (SELECT h.label FROM head AS h WHERE h.run_id = r.run_id ORDER BY h.ordinal LIMIT 1) AS head,
		m.name AS model, coalesce(r.n_prompts, r.n_examples) AS prompts, r.n_examples AS edges, r.prompt_source AS source, ` + queries.BaselineSQL + ` AS baseline,
		r.seed, r.bos, r.convention::VARCHAR AS convention, r.processing::VARCHAR AS processing, r.precision,
		r.created_at AS created, r.ducklens_version AS version, m.sha256, r.command_line AS command
		FROM run AS r JOIN model AS m ON m.model_id = r.model_id
		WHERE r.run_id = coalesce($run, (SELECT max(run_id) FROM run WHERE status = 'complete'))`
	savedSQL = `SELECT name, sql FROM saved_query ORDER BY name`
)

// lookup runs one of these queries, once, because nobody writes the file while it is open. The caller must
// not change the result.
func (s *Session) lookup(ctx context.Context, sql string, params map[string]any) (*queries.Result, error) {
	key := fmt.Sprint(sql, params) // a map prints with sorted keys
	if known := s.lookedUp[key]; known != nil {
		return known, nil
	}
	q := queries.Query{SQL: sql, Line: 1}
	for name := range params {
		q.Params = append(q.Params, queries.Param{Name: name})
	}
	result, err := s.ask(ctx, q, params)
	if err == nil {
		s.lookedUp[key] = result
	}
	return result, err
}

// Runs lists the run_ids of the file, in order.
type Runs struct {
	Complete   []int64 // saved queries use the last one
	Incomplete []int64 // ingest was stopped or is still running; saved queries skip them
}

// Runs lists the runs of the file.
func (s *Session) Runs(ctx context.Context) (Runs, error) {
	var runs Runs
	result, err := s.lookup(ctx, runsSQL, nil)
	if err != nil {
		return runs, fmt.Errorf("%s: %w", s.path, err)
	}
	for _, row := range result.Rows {
		id, ok := row[0].(int64)
		if !ok {
			return runs, fmt.Errorf("%s: run_id %v, want a number", s.path, row[0])
		}
		if row[1] == "complete" {
			runs.Complete = append(runs.Complete, id)
		} else {
			runs.Incomplete = append(runs.Incomplete, id)
		}
	}
	return runs, nil
}

// UnknownError is the error for a run, head or basis that the file does not have, or for an incomplete run.
// errors.Is finds [ErrUnknown] or [ErrIncomplete].
type UnknownError struct {
	Err    error
	What   string // such as head "10.8"
	Advice string
}

func (e *UnknownError) Error() string { return fmt.Sprintf("%s: %v", e.What, e.Err) }

// Unwrap returns the sentinel.
func (e *UnknownError) Unwrap() error { return e.Err }

// Hint says what the file has instead, or how to complete the run.
func (e *UnknownError) Hint() string { return e.Advice }

// canonical converts names of heads to the forms in the file: L10H7 for a target head, 9.9 for a component or
// a mover. People write both.
func canonical(values map[string]any) {
	for name, write := range map[string]func(schema.Head) string{
		"head": schema.Head.TLName, "mover": schema.Head.String, "component": schema.Head.String,
		"heads": schema.Head.String, "expected_heads": schema.Head.String,
	} {
		text, ok := values[name].(string)
		if !ok {
			continue
		}
		var list []string
		for _, item := range strings.Split(text, ",") {
			item = strings.TrimSpace(item)
			if h, err := schema.ParseHead(item); err == nil {
				item = write(h)
			}
			list = append(list, item)
		}
		values[name] = strings.Join(list, ",")
	}
}

// headName returns the label of a target head as in figures: 10.7.
func headName(label string) string {
	if h, err := schema.ParseHead(label); err == nil {
		return h.String()
	}
	return label
}

// known looks up the values of the parameters run, head, query_basis, key_basis and component in the file.
func (s *Session) known(ctx context.Context, q queries.Query, values map[string]any) error {
	if _, ok := values["run"]; ok {
		if err := s.knownRun(ctx, values["run"]); err != nil {
			return err
		}
	}
	for _, p := range []struct {
		param, what, sql string
		side             string
	}{
		{"head", "head", headSQL, ""},
		{"query_basis", "query basis", basisSQL, "query"},
		{"key_basis", "key basis", basisSQL, "key"},
		{"component", "component", componentSQL, ""},
	} {
		name, ok := values[p.param].(string)
		if !ok {
			continue
		}
		params := map[string]any{"run": values["run"]}
		if p.side != "" {
			params["side"] = p.side
		}
		result, err := s.lookup(ctx, p.sql, params)
		if err != nil {
			return err
		}
		var labels []string
		for _, row := range result.Rows {
			label := queries.Printable(queries.String(row[0]))
			if p.param == "head" {
				label = headName(label)
			}
			labels = append(labels, label)
		}
		if p.param == "head" {
			name = headName(name)
		}
		found := slices.Contains(labels, name)
		if i := slices.IndexFunc(labels,
			func(label string) bool { return strings.EqualFold(label, name) }); !found && i >= 0 &&
			p.param != "head" {
			values[p.param], found = labels[i], true // users write MLP0 or mlp0
		}
		if !found {
			advice := "the run has " + strings.Join(labels, ", ")
			if strings.Contains(name, ",") {
				advice = "a table is about one at a time, and a figure may have several; " + advice
			}
			if near := queries.Nearest(name, labels); len(labels) > 30 && len(near) > 0 {
				advice = "did you mean " + strings.Join(near, " or ") + "?"
			} else if len(labels) > 30 {
				advice = "the run has " + strings.Join(labels[:30], ", ") + ", ..."
			}
			return &UnknownError{ErrUnknown, fmt.Sprintf("%s %q", p.what, name), advice}
		}
	}
	return nil
}

// knownRun looks up a run: by run_id, or the last complete one if run is nil.
func (s *Session) knownRun(ctx context.Context, run any) error {
	runs, err := s.Runs(ctx)
	if err != nil {
		return err
	}
	const resume = "complete it with ducklens ingest --resume, or look at its rows with your own SQL (-e)"
	id, given := run.(int64)
	if !given && len(runs.Complete) > 0 {
		return nil
	}
	for _, complete := range runs.Complete {
		if complete == id {
			return nil
		}
	}
	for _, incomplete := range runs.Incomplete {
		if !given || incomplete == id {
			return &UnknownError{ErrIncomplete, fmt.Sprintf("run %d", incomplete), resume}
		}
	}
	if !given {
		return &UnknownError{ErrUnknown, "any run", "fill the file with ducklens ingest"}
	}
	return &UnknownError{ErrUnknown, fmt.Sprintf("run %d", id),
		"complete runs: " + strings.Trim(fmt.Sprint(runs.Complete), "[]")}
}

// facts returns the facts of the run and its model that a query with the parameter run is about, and of the
// head if it has that parameter too.
func (s *Session) facts(ctx context.Context, values map[string]any) ([]queries.Fact, error) {
	if _, ok := values["run"]; !ok {
		return nil, nil
	}
	result, err := s.lookup(ctx, factSQL, map[string]any{"run": values["run"]})
	if err != nil || len(result.Rows) != 1 {
		return nil, err
	}
	var facts []queries.Fact
	for i, column := range result.Columns {
		fact := queries.Fact{Name: column.Name, Value: queries.String(result.Rows[0][i])}
		if fact.Name == "head" {
			head, ok := values["head"]
			if !ok {
				continue
			}
			if name, given := head.(string); given {
				fact.Value = name
			}
			fact.Value = headName(fact.Value)
		}
		facts = append(facts, fact)
	}
	return facts, nil
}

// Saved returns the saved queries of the file, by name, and an error for each invalid one. The file may be
// untrusted, and an invalid query must not hide the others.
func (s *Session) Saved(ctx context.Context) ([]queries.Query, []error) {
	result, err := s.lookup(ctx, savedSQL, nil)
	if err != nil {
		return nil, []error{fmt.Errorf("%s: saved queries: %w", s.path, err)}
	}
	var list []queries.Query
	var faults []error
	for _, row := range result.Rows {
		name, text := queries.String(row[0]), queries.String(row[1])
		q, err := queries.Parse(text)
		if err == nil && q.Name != name {
			err = fmt.Errorf("name %q in the header, want %q", q.Name, name)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: saved query %q: %w", s.path, name, err))
			continue
		}
		list = append(list, q)
	}
	return list, faults
}

// Costs returns the sizes of the tables of the file and the number of unused bytes; see [dbfile.Data.Costs].
func (s *Session) Costs(ctx context.Context) ([]dbfile.Cost, int64, error) {
	return s.db.Costs(ctx, s.conn)
}
