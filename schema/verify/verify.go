// Package verify checks that what is in a database file is whole and adds up: see [File]. Its rules are in the folder rules.
package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// ProblemKind sorts what [File] finds.
type ProblemKind string

// The kinds of problems.
const (
	Damaged     ProblemKind = "damaged"     // a table cannot be read from disk
	Altered     ProblemKind = "altered"     // tables, views or macros are not those of the schema
	Unfinished  ProblemKind = "unfinished"  // a run is not complete
	Miscounted  ProblemKind = "miscounted"  // a number of rows that the file states is not the one it has
	Incomplete  ProblemKind = "incomplete"  // rows are missing, or there twice
	Orphan      ProblemKind = "orphan"      // a row refers to something that is not there
	NotFinite   ProblemKind = "not finite"  // NaN, infinity, or NULL where a value must be
	Conflicting ProblemKind = "conflicting" // two tables disagree
	NotClosed   ProblemKind = "not closed"  // contributions do not add up to the score
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	Kind  ProblemKind
	RunID int    // or 0 where it concerns no run
	Text  string // what is wrong, with the number of cases and the first
}

// String gives the problem in words.
func (p Problem) String() string {
	if p.RunID != 0 {
		return fmt.Sprintf("%s: run %d: %s", p.Kind, p.RunID, p.Text)
	}
	return fmt.Sprintf("%s: %s", p.Kind, p.Text)
}

// RunReport says what a run holds and how well it adds up.
type RunReport struct {
	RunID         int
	Status        schema.RunStatus
	Convention    schema.Convention
	Prompts       int64
	Examples      int64 // edges of those prompts
	Heads         int64
	Pairs         int64 // pairs of bases, over both sides
	Contributions int64 // rows of contribution_wide

	// WorstResidual is the largest distance between a score and the sum of its stored contributions, in
	// score units, and WorstRelative the largest after division by max(1, |score|, |baseline|); WorstAt says where
	// the latter is. Pairs in which a vector is replaced do not count.
	WorstResidual float64
	WorstRelative float64
	WorstAt       string

	// Judged tells whether WorstRelative must be within [schema.ClosureTolerance]: yes for exact runs.
	Judged bool
}

// Report is what [File] found.
type Report struct {
	SchemaVersion int
	Rows          int64 // rows of all tables, every value of which was read
	Runs          []RunReport
	Problems      []Problem

	log bool // a write-ahead log lies beside the file
}

// OK tells whether nothing is wrong.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// Hint says what to do about rows that a write which was cut off can leave for readers of the file, or about
// views of another release; or "".
func (r Report) Hint() string {
	has := func(kind ProblemKind) bool {
		return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Kind == kind })
	}
	switch {
	case r.log && has(Orphan):
		return "a write-ahead log lies beside the file: rows that belong to nothing can be left of a write that was cut off; " +
			"ducklens ingest with --resume or --append removes them"
	case has(Altered):
		return "ducklens itself makes views and macros anew for every question; a file of another release, or of somebody who has changed them, gets those of this one by ducklens export and import"
	}
	return ""
}

// File checks a whole file: that every value can be read and is finite, that tables, views and macros are
// those of the schema, that runs are complete and have all their rows once, that no row refers to nothing,
// that tables agree with each other, that the stored contributions of every example, head, side and pair of
// bases add up to the score of the model, as do those to every key, and, in exact runs, that factors and pairs
// of components add up to the contributions. What is wrong with the file is in the report; an error means that the check could not be
// made. Nothing of the file is run for it: see [dbfile.Data].
func File(ctx context.Context, path string, opts dbfile.Options) (report Report, err error) {
	db, err := dbfile.OpenSuspect(ctx, path, opts)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	files, err := readRules()
	if err != nil {
		return Report{}, err
	}
	v := verifier{ctx: ctx, db: db, conn: conn, files: files, report: Report{SchemaVersion: db.SchemaVersion(), log: db.HasLog()}}
	steps := []func() error{v.tables, v.definitions, v.values, v.runs, v.readHeads, v.keys, v.rules, v.closure, v.margins, v.rowContributions}
	for _, step := range steps {
		if err := step(); err != nil {
			return v.report, dbfile.Wrap("verify", path, err)
		}
		// Where tables are missing or cannot be read, the other questions have no answer.
		if v.blocked {
			break
		}
	}
	return v.report, nil
}

// verifier holds one check under way.
type verifier struct {
	ctx     context.Context
	db      *dbfile.Data
	conn    *sql.Conn
	files   map[string]ruleFile
	heads   map[string]string // labels by "RUN HEAD", the numbers
	report  Report
	blocked bool
}

func (v *verifier) problem(kind ProblemKind, runID int, format string, args ...any) {
	v.report.Problems = append(v.report.Problems, Problem{kind, runID, fmt.Sprintf(format, args...)})
}

// tables reports tables that are not those of this program, and makes ready those that are.
func (v *verifier) tables() error {
	for _, f := range v.db.Faults() {
		v.problem(Altered, 0, "%s", f.Text)
		v.blocked = v.blocked || f.Lost
	}
	if v.blocked {
		return nil
	}
	var names []string
	for _, t := range v.db.Stored() {
		names = append(names, t.Name)
	}
	return v.db.Make(v.ctx, v.conn, names...)
}

// definitions compares the views and macros of the file with those of a new one. What somebody added to the
// file is none of its business, but for what takes the place of a function of DuckDB's.
func (v *verifier) definitions() error {
	want, err := dbfile.Definitions()
	if err != nil {
		return err
	}
	got, err := v.db.Definitions(v.ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		switch text, ok := got[name]; {
		case !ok:
			v.problem(Altered, 0, "%s is missing", name)
		case text != want[name]:
			at := differFrom(text, want[name])
			v.problem(Altered, 0, "%s is not that of this ducklens: it has %q, want %q", name, part(text, at), part(want[name], at))
		}
	}
	shadows, err := v.db.Shadows(v.ctx)
	for _, name := range shadows {
		v.problem(Altered, 0, "macro %s has the name of a function of DuckDB's, and takes its place for whoever opens the file with another program", name)
	}
	return err
}

// differFrom gives the first byte in which two texts differ.
func differFrom(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// part shows a text from a little before the byte at.
func part(text string, at int) string {
	const before, most = 20, 80
	text = text[max(0, at-before):]
	return text[:min(len(text), most)]
}

// wrong gives a condition for a value that is no finite number; false for a column of anything but numbers.
func wrong(c dbfile.Column) string {
	name := dbfile.QuoteName(c.Name)
	switch c.Type {
	case "FLOAT", "DOUBLE":
		return "NOT isfinite(" + name + ")"
	case "FLOAT[]":
		// A sum is not finite if a number in it is not. It leaves out what is NULL, where a product of lists
		// fails.
		return "list_count(" + name + ") <> len(" + name + ") OR NOT isfinite(list_sum(" + name + "))"
	}
	return "false"
}

// values reads every value of every table, also of those that a user has added: damage inside a block shows
// only when the block is read.
func (v *verifier) values() error {
	for _, t := range v.db.Stored() {
		if err := v.valuesOf(t); err != nil {
			return err
		}
	}
	return nil
}

// valuesOf reads one table in one pass and counts the values that may not be.
func (v *verifier) valuesOf(t dbfile.Table) error {
	fields := []string{"count(*)"}
	var hashed []string
	for _, c := range t.Columns {
		name := dbfile.QuoteName(c.Name)
		hashed = append(hashed, name)
		wrong := wrong(c)
		if c.Required {
			wrong += " OR " + name + " IS NULL"
		}
		fields = append(fields, "count(*) FILTER ("+wrong+")")
	}
	fields = append(fields, "coalesce(bit_xor(hash("+strings.Join(hashed, ", ")+")), 0)")
	counts := make([]int64, len(t.Columns)+1)
	var hash uint64
	var targets []any
	for i := range counts {
		targets = append(targets, &counts[i])
	}
	query := "SELECT " + strings.Join(fields, ", ") + " FROM " + v.db.Source(t.Name)
	if err := v.conn.QueryRowContext(v.ctx, query).Scan(append(targets, &hash)...); err != nil {
		if v.ctx.Err() != nil || !errors.Is(dbfile.Wrap("read", t.Name, err), dbfile.ErrDamaged) {
			return err
		}
		v.problem(Damaged, 0, "table %s cannot be read: %v", t.Name, err)
		v.blocked = true
		return nil
	}
	v.report.Rows += counts[0]
	for i, c := range t.Columns {
		if n := counts[i+1]; n > 0 {
			v.problem(NotFinite, 0, "%s.%s: %s", t.Name, c.Name, plural(n, "value is NaN, infinite or missing", "values are NaN, infinite or missing"))
		}
	}
	return nil
}

// plural puts the number before the fitting words.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// runs reads the manifests.
func (v *verifier) runs() error {
	rows, err := v.conn.QueryContext(v.ctx, `SELECT r.run_id, r.status::VARCHAR, r.convention::VARCHAR,
		(SELECT count(*) FROM prompt AS p WHERE p.run_id = r.run_id), (SELECT count(*) FROM edge AS e WHERE e.run_id = r.run_id), (SELECT count(*) FROM head AS h WHERE h.run_id = r.run_id),
		(SELECT count(*) FROM contribution_wide AS w WHERE w.run_id = r.run_id)
		FROM run AS r ORDER BY r.run_id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r RunReport
		var status, convention string
		if err := rows.Scan(&r.RunID, &status, &convention, &r.Prompts, &r.Examples, &r.Heads, &r.Contributions); err != nil {
			return err
		}
		if r.Status, err = schema.ParseRunStatus(status); err != nil {
			return err
		}
		if r.Convention, err = schema.ParseConvention(convention); err != nil {
			return err
		}
		r.Judged = r.Convention == schema.Exact
		if r.Status != schema.Complete {
			v.problem(Unfinished, r.RunID, "its status is %s, want complete: the ingest is under way or was stopped after %s", status,
				plural(r.Prompts, "prompt", "prompts"))
		}
		v.report.Runs = append(v.report.Runs, r)
	}
	return rows.Err()
}

// rules asks what does not need a table of its own: the files of rules whose names begin with a number.
func (v *verifier) rules() error {
	list := orphans()
	for _, name := range slices.Sorted(maps.Keys(v.files)) {
		if name[0] >= '0' && name[0] <= '9' {
			list = append(list, v.files[name].rules...)
		}
	}
	for _, r := range list {
		found, err := v.ask(r)
		if err != nil {
			return err
		}
		for _, c := range found {
			v.cases(r, c)
		}
	}
	return nil
}

// found is how often a rule was broken in a run.
type found struct {
	run   int
	n     int64
	first string
}

// cases reports what a rule found.
func (v *verifier) cases(r rule, c found) {
	v.problem(r.kind, c.run, "%s; first: %s", plural(c.n, r.one, r.many), v.labelled(c.run, c.first))
}

// numberedHead is a head as rules write one of which they have the number.
var numberedHead = regexp.MustCompile(`\bhead #(\d+)`)

// labelled gives the heads of a text their labels, as far as the run has them.
func (v *verifier) labelled(run int, text string) string {
	return numberedHead.ReplaceAllStringFunc(text, func(head string) string {
		number := strings.TrimPrefix(head, "head #")
		if label, ok := v.heads[strconv.Itoa(run)+" "+number]; ok {
			return "head " + label
		}
		return "head " + number
	})
}

// readHeads reads the labels of the heads.
func (v *verifier) readHeads() error {
	rows, err := v.conn.QueryContext(v.ctx, "SELECT run_id || ' ' || head_id, label FROM head")
	if err != nil {
		return err
	}
	defer rows.Close()
	v.heads = map[string]string{}
	for rows.Next() {
		var of, label string
		if err := rows.Scan(&of, &label); err != nil {
			return err
		}
		v.heads[of] = label
	}
	return rows.Err()
}

// ask gives what a rule finds.
func (v *verifier) ask(r rule, args ...any) ([]found, error) {
	rows, err := v.conn.QueryContext(v.ctx, r.counted(), args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.one, err)
	}
	defer rows.Close()
	var list []found
	for rows.Next() {
		var c found
		var first sql.NullString
		if err := rows.Scan(&c.run, &c.n, &first); err != nil {
			return nil, err
		}
		c.first = first.String
		list = append(list, c)
	}
	return list, rows.Err()
}
