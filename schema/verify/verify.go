// Package verify checks that the content of a database file is complete and adds up; see [File]. Its rules
// are in the folder rules.
package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// ProblemKind is the kind of a [Problem].
type ProblemKind string

// The kinds of problems.
const (
	Damaged     ProblemKind = "damaged"     // a table cannot be read from disk
	Altered     ProblemKind = "altered"     // tables, views or macros differ from the schema
	Unfinished  ProblemKind = "unfinished"  // a run is not complete
	Miscounted  ProblemKind = "miscounted"  // a number of rows that the file states is wrong
	Incomplete  ProblemKind = "incomplete"  // rows are missing or duplicated
	Orphan      ProblemKind = "orphan"      // a row refers to a missing row
	NotFinite   ProblemKind = "not finite"  // NaN, infinity, or NULL in place of a value
	Conflicting ProblemKind = "conflicting" // two tables disagree
	NotClosed   ProblemKind = "not closed"  // contributions do not add up to the score
)

// Problem is a fault of a file.
type Problem struct {
	Kind  ProblemKind
	RunID int    // 0 if it concerns no run
	Text  string // what is wrong, with the number of cases and the first case
}

// String returns the kind, the run and the text.
func (p Problem) String() string {
	if p.RunID != 0 {
		return fmt.Sprintf("%s: run %d: %s", p.Kind, p.RunID, p.Text)
	}
	return fmt.Sprintf("%s: %s", p.Kind, p.Text)
}

// RunReport describes a run and how well it adds up.
type RunReport struct {
	RunID         int
	Status        schema.RunStatus
	Convention    schema.Convention
	Prompts       int64
	Examples      int64 // edges of those prompts
	Heads         int64
	Pairs         int64 // pairs of bases, over both sides
	Contributions int64 // rows of contribution_wide

	// MeansOnly reports that the run stores moments instead of rows of contributions; Moments is their
	// number.
	MeansOnly bool
	Moments   int64

	// WorstResidual is the largest distance between a score and the sum of its stored contributions, in score
	// units. WorstRelative is the largest one after division by [schema.ClosureScale], and WorstAt names its
	// place. Pairs of bases in which a vector is replaced do not count.
	WorstResidual float64
	WorstRelative float64
	WorstAt       string

	// Judged reports whether WorstRelative must be within [schema.ClosureTolerance], which holds for exact
	// runs.
	Judged bool
}

// Report is the result of [File].
type Report struct {
	SchemaVersion int
	Rows          int64 // rows of all tables; every value was read
	Runs          []RunReport
	Problems      []Problem

	log bool // a write-ahead log is beside the file
}

// OK reports whether there are no problems.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// Hint returns advice about rows that an interrupted write can leave, or about views of another release, or
// "".
func (r Report) Hint() string {
	has := func(kind ProblemKind) bool {
		return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Kind == kind })
	}
	switch {
	case r.log && has(Orphan):
		return "the file has a write-ahead log: an interrupted write can leave rows that belong " +
			"to nothing; " +
			"ducklens ingest --resume or --append removes them"
	case has(Altered):
		return "ducklens does not use the views and macros in the file: it creates its own for every query. " +
			"They differ if another release made the file or somebody changed them; " +
			"ducklens export and import replace them"
	}
	return ""
}

// File checks a whole file. Every value must be readable and finite. Tables, views and macros must be those
// of the schema. Runs must be complete and have each of their rows once. References must have a target, and
// tables must agree with each other. The stored contributions of every example, head, side and pair of bases
// must add up to the score of the model, and so must those to every key. In exact runs, factors and pairs of
// components must add up to the contributions. The report lists the problems of the file; an error means that
// the check failed to run. Nothing in the file is run: see [dbfile.Data].
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
	v := verifier{ctx: ctx, db: db, conn: conn, files: files, rows: map[string]int64{},
		report: Report{SchemaVersion: db.SchemaVersion(), log: db.HasLog()}}
	steps := []func() error{v.catalogued, v.tables, v.definitions, v.values, v.runs, v.readNames, v.keys,
		v.rules, v.closure, v.margins, v.rowContributions, v.moments}
	for _, step := range steps {
		if err := step(); err != nil {
			return v.report, dbfile.Wrap("verify", path, err)
		}
		// If tables are missing or unreadable, the other checks cannot run.
		if v.blocked {
			break
		}
	}
	return v.report, nil
}

// verifier is a check in progress.
type verifier struct {
	ctx     context.Context
	db      *dbfile.Data
	conn    *sql.Conn
	files   map[string]ruleFile
	names   map[string]string // of heads, components and bases, by nameKey
	rows    map[string]int64  // of each table
	report  Report
	blocked bool
}

func (v *verifier) problem(kind ProblemKind, runID int, format string, args ...any) {
	v.report.Problems = append(v.report.Problems, Problem{kind, runID, fmt.Sprintf(format, args...)})
}

// tables reports tables that differ from this program's, and prepares the others.
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

// definitions compares the views and macros of the file with those of a new one. Additions are ignored,
// except macros that replace a DuckDB function.
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
			v.problem(Altered, 0, "%s is not that of this ducklens: it has %q, want %q", name, part(text, at),
				part(want[name], at))
		}
	}
	shadows, err := v.db.Shadows(v.ctx)
	for _, name := range shadows {
		v.problem(Altered, 0, "macro %s has the name of a DuckDB function and replaces it if the file is "+
			"opened with another program", name)
	}
	return err
}

// differFrom returns the index of the first byte in which two texts differ.
func differFrom(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// part returns some words of a text around the byte at, with … where it is cut.
func part(text string, at int) string {
	const before, most = 20, 80
	start, end := max(0, at-before), min(len(text), at-before+most)
	front, back := "", ""
	if start > 0 {
		front = "…"
		if blank := strings.IndexAny(text[start:at], " \n"); blank >= 0 {
			start += blank + 1
		}
		for start < at && !utf8.RuneStart(text[start]) {
			start++
		}
	}
	if end < len(text) {
		back = "…"
		if blank := strings.LastIndexAny(text[at:end], " \n"); blank > 0 {
			end = at + blank
		}
		for !utf8.RuneStart(text[end]) {
			end--
		}
	}
	return front + text[start:end] + back
}

// wrong returns the condition for a value that is not a finite number; it is false for columns without
// numbers.
func wrong(c dbfile.Column) string {
	name := dbfile.QuoteName(c.Name)
	switch c.Type {
	case "FLOAT", "DOUBLE":
		return "NOT isfinite(" + name + ")"
	case "FLOAT[]":
		// A sum is not finite if any number in it is not. It skips NULL, on which a product of lists would
		// fail.
		return "list_count(" + name + ") <> len(" + name + ") OR NOT isfinite(list_sum(" + name + "))"
	}
	return "false"
}

// values reads every value of every table, including those that a user has added, because damage inside a
// block shows only when the block is read.
func (v *verifier) values() error {
	for _, t := range v.db.Stored() {
		if err := v.valuesOf(t); err != nil {
			return err
		}
	}
	return nil
}

// valuesOf reads one table in one pass and counts invalid values.
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
	v.rows[t.Name] = counts[0]
	for i, c := range t.Columns {
		if n := counts[i+1]; n > 0 {
			v.problem(NotFinite, 0, "%s.%s: %s", t.Name, c.Name,
				plural(n, "value is NaN, infinite or missing", "values are NaN, infinite or missing"))
		}
	}
	return nil
}

// plural returns the number followed by the matching text.
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
		(SELECT count(*) FROM contribution_wide AS w WHERE w.run_id = r.run_id), coalesce(json_extract_string(r.options, '$.keep') = 'means', false),
		(SELECT count(*) FROM contribution_moment AS m WHERE m.run_id = r.run_id)
		FROM run AS r ORDER BY r.run_id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r RunReport
		var status, convention string
		if err := rows.Scan(&r.RunID, &status, &convention, &r.Prompts, &r.Examples, &r.Heads,
			&r.Contributions, &r.MeansOnly, &r.Moments); err != nil {
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
			v.problem(Unfinished, r.RunID, "its status is %s, want complete: "+
				"the ingest is under way or was stopped after %s", status,
				plural(r.Prompts, "prompt", "prompts"))
		}
		v.report.Runs = append(v.report.Runs, r)
	}
	return rows.Err()
}

// rules asks the rules that need no temporary table: those in files whose names begin with a digit.
func (v *verifier) rules() error {
	list := orphans()
	for _, name := range slices.Sorted(maps.Keys(v.files)) {
		if name[0] >= '0' && name[0] <= '9' {
			list = append(list, v.files[name].rules...)
		}
	}
	for _, r := range list {
		// To plan a query takes longer than to run it on a small file, and most runs leave most tables
		// empty.
		if r.of != "" && v.rows[r.of] == 0 {
			continue
		}
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

// found is the number of cases of a rule in a run.
type found struct {
	run   int
	n     int64
	first string
}

// cases reports the cases of a rule.
func (v *verifier) cases(r rule, c found) {
	v.problem(r.kind, c.run, "%s; first: %s", plural(c.n, r.one, r.many), v.named(c.run, c.first))
}

// numbered matches heads, components and bases for which a rule has only ids.
var numbered = regexp.MustCompile(`\b(head|components?|basis|bases) #\d+( and #\d+)?`)

// number matches an id in such a text.
var number = regexp.MustCompile(`#\d+`)

// named replaces ids of heads, components and bases in a text by their names in a run, if they have names.
func (v *verifier) named(run int, text string) string {
	return numbered.ReplaceAllStringFunc(text, func(words string) string {
		return number.ReplaceAllStringFunc(words, func(n string) string {
			if name, ok := v.names[nameKey(words[0], run, n[1:])]; ok {
				return name
			}
			return n[1:]
		})
	})
}

// nameKey returns the key of a name in verifier.names. kind is the first letter of head, component or basis.
func nameKey(kind byte, run int, number string) string {
	return fmt.Sprintf("%c %d %s", kind, run, number)
}

// readNames reads the names of heads, components and bases.
func (v *verifier) readNames() error {
	rows, err := v.conn.QueryContext(v.ctx, `SELECT 'h', run_id, head_id::VARCHAR, label FROM head
		UNION ALL SELECT 'b', run_id, basis_id::VARCHAR, name FROM basis
		UNION ALL SELECT 'c', o.run_id, o.component_id::VARCHAR, c.label FROM run_component AS o JOIN component AS c ON c.component_id = o.component_id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	v.names = map[string]string{}
	for rows.Next() {
		var kind, number, name string
		var run int
		if err := rows.Scan(&kind, &run, &number, &name); err != nil {
			return err
		}
		v.names[nameKey(kind[0], run, number)] = name
	}
	return rows.Err()
}

// ask returns the cases of a rule.
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
