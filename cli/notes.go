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
// there once for each side, head and pair of bases. SQL of a user's that says nothing about it takes all, which its answer
// does not show: so a note does.

// createdPattern finds the name of a table or view in the statement that makes it.
var createdPattern = regexp.MustCompile(`^CREATE (?:TABLE|VIEW) (\w+)`)

// perRun matches SQL that reads a table or view with rows of runs. A row of run, closure or run_component
// names its run.
var perRun = sync.OnceValues(func() (*regexp.Regexp, error) {
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
	return regexp.MustCompile(`(?i)(?:\b(?:from|join)\s+|,\s*)(?:` + strings.Join(names, "|") + `)\b`), nil
})

// joinedRuns is where SQL names run_id only to say which rows belong together.
var joinedRuns = regexp.MustCompile(`(?i)\busing\s*\([^)]*\)|\b\w+\.run_id\s*=\s*\w+\.run_id\b`)

// aboutRuns is where SQL says which run it is about, or tells runs apart: by what the table run says of them, as well.
var aboutRuns = regexp.MustCompile(`(?i)\brun_id\b|\blatest_run\b|\b(?:from|join)\s+run\b`)

// mixesRuns tells whether the rows of SQL are of every run of a file.
func mixesRuns(sql string) (bool, error) {
	reads, err := perRun()
	if err != nil {
		return false, err
	}
	return reads.MatchString(sql) && !aboutRuns.MatchString(joinedRuns.ReplaceAllString(sql, "")), nil
}

// splitPattern matches SQL that reads contributions split along bases; basisWords is where it says along which.
var (
	splitPattern = regexp.MustCompile(`(?i)(?:\b(?:from|join)\s+|,\s*)(contribution|contribution_mean|pair|pair_mean|pair_contribution)\b`)
	basisWords   = regexp.MustCompile(`(?i)\b(?:query|key)_basis\b`)
)

// noteBases says that the answer has the same score several times, split along every pair of bases.
func noteBases(q queries.Query, out io.Writer) error {
	m := splitPattern.FindStringSubmatch(q.SQL)
	if m == nil || basisWords.MatchString(q.SQL) {
		return nil
	}
	unsplit := ""
	if whole, ok := map[string]string{"contribution": "contribution_unsplit", "contribution_mean": "component_mean"}[strings.ToLower(m[1])]; ok {
		unsplit = ", or ask " + whole + ", which is not split"
	}
	_, err := fmt.Fprintf(out, "note: %s has the same score split again along each pair of bases: say query_basis and key_basis%s\n", m[1], unsplit)
	return err
}

// Tables and views with a row for each side, or for each target head, that add up or average without a fault; and words that tell the
// rows apart.
var (
	sidedPattern  = regexp.MustCompile(`(?i)(?:\b(?:from|join)\s+|,\s*)(contribution(?:_unsplit|_wide|_mean)?|component_mean|substitution|head_substitution)\b`)
	headedPattern = regexp.MustCompile(`(?i)(?:\b(?:from|join)\s+|,\s*)(contribution(?:_unsplit|_wide|_mean)?|component_mean|score|head_score|substitution|head_substitution)\b`)
	aggregate     = regexp.MustCompile(`(?i)\b(?:sum|avg|mean|median|stddev\w*|list|bootstrap_ci)\s*\(`)
	sideWord      = regexp.MustCompile(`(?i)\bside\b`)
	headWord      = regexp.MustCompile(`(?i)\b(?:head|head_id|label|head_label|default_head)\b`)
)

// noteSides says that the answer adds up or averages both sides.
func noteSides(q queries.Query, out io.Writer) error {
	m := sidedPattern.FindStringSubmatch(q.SQL)
	if m == nil || sideWord.MatchString(q.SQL) || !aggregate.MatchString(q.SQL) {
		return nil
	}
	why := "the parts of each side add up to the whole score"
	if strings.HasSuffix(strings.ToLower(m[1]), "substitution") {
		why = "it replaces the query, or the key"
	}
	_, err := fmt.Fprintf(out, "note: %s has rows of both sides, and %s: say side = 'key' or 'query', or GROUP BY side\n", m[1], why)
	return err
}

// noteHeads says that the answer adds up or averages several target heads, where a run has several.
func noteHeads(ctx context.Context, s *session.Session, q queries.Query, out io.Writer) error {
	m := headedPattern.FindStringSubmatch(q.SQL)
	if m == nil || headWord.MatchString(q.SQL) || !aggregate.MatchString(q.SQL) {
		return nil
	}
	result, err := ask(ctx, s, "SELECT DISTINCT h.label, h.ordinal FROM head AS h WHERE h.run_id = latest_run() ORDER BY h.ordinal", nil)
	if err != nil || len(result.Rows) < 2 {
		return err
	}
	_, err = fmt.Fprintf(out, "note: %s has rows of %d heads, and the SQL names none: say head = '%s', or GROUP BY head\n",
		m[1], len(result.Rows), queries.Printable(queries.String(result.Rows[0][0])))
	return err
}

// notes says what is to be known about the answer to a query that does not ship.
func notes(ctx context.Context, s *session.Session, q queries.Query, out io.Writer) error {
	if _, err := queries.Find(queries.Embedded(), q.Name); err == nil {
		return nil
	}
	return errors.Join(noteBases(q, out), noteSides(q, out), noteHeads(ctx, s, q, out), noteRuns(ctx, s, q, out))
}

// noteRuns says that the answer to a query may mix runs, where the file has several.
func noteRuns(ctx context.Context, s *session.Session, q queries.Query, out io.Writer) error {
	mixed, err := mixesRuns(q.SQL)
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
