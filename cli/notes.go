package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema"
)

// Tables and views have the rows of every run of a file, saved queries are about one; and contributions are
// there once for each side, head and pair of bases. SQL of a user's that says nothing about it takes all, which
// its answer does not show: so a note does.

// createdPattern finds the name of a table or view in the statement that makes it.
var createdPattern = regexp.MustCompile(`^CREATE (?:TABLE|VIEW) (\w+)`)

// perRun lists the tables and views with rows of runs. A row of run, closure or run_component names its run.
var perRun = sync.OnceValues(func() ([]string, error) {
	tables, err := schema.Tables()
	if err != nil {
		return nil, err
	}
	views, err := schema.Views()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, statement := range append(tables, views...) {
		m := createdPattern.FindStringSubmatch(statement)
		if m != nil && strings.Contains(statement, "run_id") && !slices.Contains([]string{"run", "closure", "run_component"}, m[1]) {
			names = append(names, m[1])
		}
	}
	return names, nil
})

// Tables and views of which some rows say the same of a score again: split along other bases, of the other
// side, of another head.
var (
	split  = []string{"contribution", "contribution_mean", "pair", "pair_mean", "pair_contribution"}
	sided  = []string{"contribution", "contribution_unsplit", "contribution_wide", "contribution_mean", "component_mean", "substitution", "head_substitution"}
	headed = append([]string{"score", "head_score"}, sided...)
)

// unsplit are the views of the same contributions that are not split along bases.
var unsplit = map[string]string{"contribution": "contribution_unsplit", "contribution_mean": "component_mean"}

// aggregates lose which rows they were made of.
var aggregates = []string{"sum", "avg", "mean", "median", "stddev", "stddev_samp", "stddev_pop", "list", "bootstrap_ci"}

// reading is what a query reads, as notes ask for it.
type reading struct{ session.Reading }

// first is the first of the tables that the query reads; "" none.
func (r reading) first(tables []string) string {
	i := slices.IndexFunc(tables, func(name string) bool { return slices.Contains(r.Tables, name) })
	if i < 0 {
		return ""
	}
	return tables[i]
}

// says tells whether the query names one of the columns.
func (r reading) says(columns ...string) bool {
	return slices.ContainsFunc(columns, func(name string) bool { return r.Columns[name] })
}

// aggregated tells whether the query adds up or averages something.
func (r reading) aggregated() bool {
	return slices.ContainsFunc(aggregates, func(name string) bool { return r.Functions[name] })
}

// mixesRuns tells whether the rows of the query's answer are of every run of a file.
func (r reading) mixesRuns() (bool, error) {
	tables, err := perRun()
	about := r.says("run_id") || r.Functions["latest_run"] || slices.Contains(r.Tables, "run")
	return err == nil && r.first(tables) != "" && !about, err
}

// noteBases says that the answer has the same score several times, split along every pair of bases.
func noteBases(r reading, out io.Writer) error {
	table := r.first(split)
	var missing []string
	for _, side := range []string{"query", "key"} {
		if !r.says(side+"_basis", side+"_basis_id") {
			missing = append(missing, side+"_basis")
		}
	}
	if table == "" || len(missing) == 0 {
		return nil
	}
	advice := ""
	if whole, ok := unsplit[table]; ok {
		advice = ", or ask " + whole + ", which is not split"
	}
	_, err := fmt.Fprintf(out, "note: %s has the same score split again along each pair of bases: say %s%s\n", table, strings.Join(missing, " and "), advice)
	return err
}

// noteSides says that the answer adds up or averages both sides.
func noteSides(r reading, out io.Writer) error {
	table := r.first(sided)
	if table == "" || r.says("side") || !r.aggregated() {
		return nil
	}
	why := "the parts of each side add up to the whole score"
	if strings.HasSuffix(table, "substitution") {
		why = "it replaces the query, or the key"
	}
	_, err := fmt.Fprintf(out, "note: %s has rows of both sides, and %s: say side = 'key' or 'query', or GROUP BY side\n", table, why)
	return err
}

// noteHeads says that the answer adds up or averages several target heads, where a run has several.
func noteHeads(ctx context.Context, s *session.Session, r reading, out io.Writer) error {
	table := r.first(headed)
	named := r.says("head", "head_id", "label") || r.Functions["head_label"] || r.Functions["default_head"]
	if table == "" || named || !r.aggregated() {
		return nil
	}
	result, err := ask(ctx, s, "SELECT DISTINCT h.label, h.ordinal FROM head AS h WHERE h.run_id = latest_run() ORDER BY h.ordinal", nil)
	if err != nil || len(result.Rows) < 2 {
		return err
	}
	_, err = fmt.Fprintf(out, "note: %s has rows of %d heads, and the SQL names none: say head = '%s', or GROUP BY head\n",
		table, len(result.Rows), queries.Printable(queries.String(result.Rows[0][0])))
	return err
}

// notes says what is to be known about the answer to a query that does not ship.
func notes(ctx context.Context, s *session.Session, q queries.Query, out io.Writer) error {
	if _, err := queries.Find(queries.Embedded(), q.Name); err == nil {
		return nil
	}
	reads, err := s.Reads(ctx, q.SQL)
	if err != nil {
		return err
	}
	r := reading{reads}
	return errors.Join(noteBases(r, out), noteSides(r, out), noteHeads(ctx, s, r, out), noteRuns(ctx, s, r, out))
}

// noteRuns says that the answer to a query may mix runs, where the file has several.
func noteRuns(ctx context.Context, s *session.Session, r reading, out io.Writer) error {
	mixed, err := r.mixesRuns()
	if err != nil || !mixed {
		return err
	}
	runs, err := s.Runs(ctx)
	if err != nil {
		return err
	}
	ids := append(runs.Complete, runs.Incomplete...)
	if len(ids) < 2 {
		return nil
	}
	slices.Sort(ids)
	_, err = fmt.Fprintf(out, "note: rows of runs %s together, as the SQL names none: add run_id = latest_run() for what saved queries show, or GROUP BY run_id\n",
		strings.Join(strings.Fields(strings.Trim(fmt.Sprint(ids), "[]")), ", "))
	return err
}
