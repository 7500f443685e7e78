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

// Tables and views have the rows of every run of a file, and contributions once for each side, head and pair
// of bases. SQL that does not choose among them mixes them, and the answer does not show it. So notes point
// it out.

// createdPattern finds the name of a table or view in the statement that creates it.
var createdPattern = regexp.MustCompile(`^CREATE (?:TABLE|VIEW) (\w+)`)

// perRun lists the tables and views that have rows of several runs. run, closure and run_component are left
// out, because their rows are about runs.
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
		if m != nil && strings.Contains(statement, "run_id") &&
			!slices.Contains([]string{"run", "closure", "run_component"}, m[1]) {
			names = append(names, m[1])
		}
	}
	return names, nil
})

// Tables and views in which several rows are about the same score: split along different bases, for both
// sides, for several heads.
var (
	split = []string{"contribution", "contribution_mean", "pair", "pair_mean", "pair_contribution"}
	sided = []string{"contribution", "contribution_unsplit", "contribution_wide", "contribution_mean",
		"component_mean", "substitution", "head_substitution"}
	headed = append([]string{"score", "head_score"}, sided...)
)

// unsplit maps a view to the one with the same contributions that are not split along bases.
var unsplit = map[string]string{"contribution": "contribution_unsplit", "contribution_mean": "component_mean"}

// aggregates are functions whose result does not show which rows went in.
var aggregates = []string{"sum", "avg", "mean", "median", "stddev", "stddev_samp", "stddev_pop", "list",
	"bootstrap_ci"}

// reading is what a query reads.
type reading struct{ session.Reading }

// first returns the first of the tables that the query reads, or "".
func (r reading) first(tables []string) string {
	i := slices.IndexFunc(tables, func(name string) bool { return slices.Contains(r.Tables, name) })
	if i < 0 {
		return ""
	}
	return tables[i]
}

// says reports whether the query names one of the columns.
func (r reading) says(columns ...string) bool {
	return slices.ContainsFunc(columns, func(name string) bool { return r.Columns[name] })
}

// aggregated reports whether the query adds up or averages something.
func (r reading) aggregated() bool {
	return slices.ContainsFunc(aggregates, func(name string) bool { return r.Functions[name] })
}

// mixesRuns reports whether the query's answer may have rows of every run of a file.
func (r reading) mixesRuns() (bool, error) {
	tables, err := perRun()
	about := r.says("run_id") || r.Functions["latest_run"] || slices.Contains(r.Tables, "run")
	return err == nil && r.first(tables) != "" && !about, err
}

// noteBases notes that the answer has the same score several times, split along every pair of bases.
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
		advice = ", or use " + whole + ", which is not split"
	}
	_, err := fmt.Fprintf(out, "note: %s has the same score once for each pair of bases: set %s%s\n", table,
		strings.Join(missing, " and "), advice)
	return err
}

// noteSides notes that the answer adds up or averages both sides.
func noteSides(r reading, out io.Writer) error {
	table := r.first(sided)
	if table == "" || r.says("side") || !r.aggregated() {
		return nil
	}
	why := "the parts of each side add up to the whole score"
	if strings.HasSuffix(table, "substitution") {
		why = "a substitution replaces either the query or the key"
	}
	_, err := fmt.Fprintf(out,
		"note: %s has rows of both sides, and %s: set side = 'key' or 'query', or GROUP BY side\n",
		table, why)
	return err
}

// noteHeads notes that the answer adds up or averages several target heads, if the run has several.
func noteHeads(ctx context.Context, s *session.Session, r reading, out io.Writer) error {
	table := r.first(headed)
	named := r.says("head", "head_id", "label") || r.Functions["head_label"] || r.Functions["default_head"]
	if table == "" || named || !r.aggregated() {
		return nil
	}
	result, err := ask(ctx, s, `SELECT DISTINCT h.label, h.ordinal FROM head AS h
WHERE h.run_id = latest_run() ORDER BY h.ordinal`, nil)
	if err != nil || len(result.Rows) < 2 {
		return err
	}
	_, err = fmt.Fprintf(out, "note: %s has rows of %d heads: set head = '%s', or GROUP BY head\n",
		table, len(result.Rows), queries.Printable(queries.String(result.Rows[0][0])))
	return err
}

// asksFirstHead reports whether a query has a parameter for the head that is left at its default, the first
// head of the run.
func asksFirstHead(q queries.Query, set map[string]string) bool {
	return set["head"] == "" && slices.ContainsFunc(q.Params, func(p queries.Param) bool {
		return p.Name == "head" && p.Default == nil
	})
}

// noteFirstHead notes that an answer is about the first head of a run, if the run has several. The run is the
// last complete one if it is empty; of several, the first counts.
func noteFirstHead(ctx context.Context, s *session.Session, run string, out io.Writer) error {
	var set map[string]string
	if run != "" {
		first, _, _ := strings.Cut(run, ",")
		set = map[string]string{"run": first}
	}
	result, err := ask(ctx, s, firstHeadSQL, set)
	if err != nil || len(result.Rows) < 2 {
		return err
	}
	var heads []string
	for _, row := range result.Rows {
		heads = append(heads, queries.Printable(queries.HeadName(queries.String(row[0]))))
	}
	list := strings.Join(heads[:min(len(heads), mostHeadsNoted)], ", ")
	if len(heads) > mostHeadsNoted {
		list += fmt.Sprintf(" and %d more", len(heads)-mostHeadsNoted)
	}
	_, err = fmt.Fprintf(out, "note: head %s, the first of %s (--set head=...)\n", heads[0], list)
	return err
}

// mostHeadsNoted is how many heads a note names.
const mostHeadsNoted = 8

// firstHeadSQL lists the heads of a run, or of the last complete one.
const firstHeadSQL = `SELECT h.label FROM head AS h
WHERE h.run_id = coalesce($run::INTEGER, latest_run()) ORDER BY h.ordinal`

// noteDoubts notes that shares are of a whole that may be 0.
func noteDoubts(doubts []string, out io.Writer) {
	for _, text := range doubts {
		fmt.Fprintf(out, "note: %s\n", queries.Printable(text))
	}
}

// noteDependent notes that standard errors take edges as independent, if the run has several of a prompt.
func noteDependent(r *queries.Result, out io.Writer) {
	if prompts, edges := r.Size(); 0 < prompts && prompts < edges {
		fmt.Fprintf(out, "note: %d edges of %s: standard errors take edges as independent, "+
			"which those of one prompt are not\n", edges, plural(int(prompts), "prompt"))
	}
}

// notes writes what a reader must know about the answer to a query that does not ship with ducklens.
func notes(ctx context.Context, s *session.Session, q queries.Query, out io.Writer) error {
	if _, err := queries.Find(queries.Embedded(), q.Name); err == nil {
		return nil
	}
	reads, err := s.Reads(ctx, q.SQL)
	if err != nil {
		return err
	}
	r := reading{reads}
	return errors.Join(noteBases(r, out), noteSides(r, out), noteHeads(ctx, s, r, out),
		noteRuns(ctx, s, r, out))
}

// noteRuns notes that the answer to a query may mix runs, if the file has several.
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
	_, err = fmt.Fprintf(out,
		"note: the answer mixes rows of runs %s: set run_id = latest_run(), as saved queries do, "+
			"or GROUP BY run_id\n",
		strings.Join(strings.Fields(strings.Trim(fmt.Sprint(ids), "[]")), ", "))
	return err
}
