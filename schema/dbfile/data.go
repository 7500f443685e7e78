package dbfile

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ducklens/schema"
)

// Data is a file of anybody's, open for questions: rows are read from it, and nothing in it is run. DuckDB keeps views that hold
// addresses of memory, and binding one calls them; a macro of the file can take the place of a function in a generated column. So the
// file is attached read-only under a name that nobody can guess and that is in no search path, its tables must be those of this program
// to the letter, and the views and macros that questions use are made from this program's text, in a database in memory which is called
// [Catalog]. There, a table of the file is a view of its stored columns. The file's own views and macros are for DuckDB's shell.
//
// Reading duckdb_columns() binds views that were stored without their columns, and duckdb_constraints() binds the conditions of tables.
// Whatever opens a file refuses one that has such a view; nobody asks duckdb_constraints().
type Data struct {
	*DB
	source string // name of the file's database
	found  map[string]tableText
	own    []tableText
	parts  []part
	made   map[string]bool // names of parts
	left   []LeftOut
	faults []Fault
}

// A Fault is a table that is not as this program makes it. If it is Lost, its rows cannot be read: columns
// are missing, computed or of another type, or it has an index.
type Fault struct {
	Text string
	Lost bool
}

// A LeftOut is something of the file that questions cannot use.
type LeftOut struct{ Name, Why string }

// A part is a view or a macro that the database in memory can have.
type part struct {
	name     string
	create   string
	comments []string
	uses     []string     // names of other parts
	further  []columnText // of a table that a user has put into the file
}

// OpenData opens the file at path for questions. What they use of views and macros is to be made:
// [Data.Make].
func OpenData(ctx context.Context, path string, opts Options) (*Data, error) {
	d, err := OpenSuspect(ctx, path, opts)
	if err != nil {
		return nil, err
	}
	if len(d.faults) > 0 {
		err := &Error{Kind: ErrNotDucklens, Detail: d.faults[0].Text}
		return nil, errors.Join(Fail("open", path, err), d.Close())
	}
	return d, nil
}

// OpenReader opens the file at path for any SQL, with all views and macros of this program. Any number of
// readers share a file.
func OpenReader(ctx context.Context, path string, opts Options) (*DB, error) {
	d, err := OpenData(ctx, path, opts)
	if err != nil {
		return nil, err
	}
	conn, err := d.Conn(ctx)
	if err == nil {
		err = errors.Join(d.MakeAll(ctx, conn), conn.Close())
	}
	if err != nil {
		return nil, errors.Join(Fail("open", path, err), d.Close())
	}
	return d.DB, nil
}

// OpenSuspect opens the file at path like [OpenData], but lets tables that are not as this program makes them
// pass: [Data.Faults] has them.
func OpenSuspect(ctx context.Context, path string, opts Options) (*Data, error) {
	const op = "open"
	opts.source = newSourceName()
	db, err := attachExisting(ctx, op, path, modeData, opts)
	if err != nil {
		return nil, err
	}
	d := &Data{DB: db, source: opts.source, made: map[string]bool{}}
	if err := d.prepare(ctx); err != nil {
		return nil, errors.Join(Fail(op, path, err), db.Close())
	}
	return d, nil
}

// Faults lists tables that are not as this program makes them.
func (d *Data) Faults() []Fault { return d.faults }

// newSourceName makes up the name of a database that a file written before cannot have in its text.
func newSourceName() string {
	var bytes [8]byte
	rand.Read(bytes[:]) // it never fails
	return "file_" + hex.EncodeToString(bytes[:])
}

// prepare looks at what the file has, and makes the types of the database in memory.
func (d *Data) prepare(ctx context.Context) error {
	conn, err := d.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if d.own, err = ownTables(ctx, conn); err != nil {
		return err
	}
	if d.version, d.found, err = versionIn(ctx, conn, d.source, schema.Version); err != nil {
		return err
	}
	d.compare()
	statements, err := schema.Tables()
	if err != nil {
		return err
	}
	for _, s := range statements {
		if strings.HasPrefix(s, "CREATE TYPE ") {
			if _, err := conn.ExecContext(ctx, s); err != nil {
				return err
			}
		}
	}
	if d.parts, err = ownParts(d.source, d.own, statements); err != nil {
		return err
	}
	d.addFurther()
	return nil
}

// compare looks for faults.
func (d *Data) compare() {
	for _, t := range d.own {
		f := Fault{Text: difference(t, d.found)}
		if f.Text == "" {
			continue
		}
		for _, c := range t.columns {
			if c.expression == "" && stored(d.found, t.name, c.name, c.kind) != nil {
				f.Lost = true
			}
		}
		d.faults = append(d.faults, f)
	}
}

// ownParts lists views of the tables' stored columns, and then the views and macros of this program.
func ownParts(source string, own []tableText, statements []string) (list []part, err error) {
	place := map[string]int{}
	for _, t := range own {
		place[t.name] = len(list)
		list = append(list, part{name: t.name, create: viewOf(source, t.name, t.columns)})
	}
	for _, s := range statements {
		object, rest, _ := strings.Cut(strings.TrimPrefix(s, "COMMENT ON "), " ")
		name, _, _ := strings.Cut(rest, " ")
		table, _, _ := strings.Cut(name, ".")
		if i, ok := place[table]; ok && strings.HasPrefix(s, "COMMENT ON ") && object != "TYPE" {
			list[i].comments = append(list[i].comments, strings.Replace(s, "COMMENT ON TABLE ", "COMMENT ON VIEW ", 1))
		}
	}
	views, err := schema.Views()
	if err != nil {
		return nil, err
	}
	for _, s := range views {
		if words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '(' || r == '\n' }); words[0] == "CREATE" {
			list = append(list, part{name: words[2], create: s})
		} else {
			last := &list[len(list)-1]
			last.comments = append(last.comments, s)
		}
	}
	for i := range list {
		list[i].uses = usedIn(list[i].create, list[:i])
	}
	return list, nil
}

// viewOf makes the view of a table of the file.
func viewOf(source, name string, columns []columnText) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE VIEW %s AS SELECT ", QuoteName(name))
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		if c.expression == "" {
			b.WriteString("t." + QuoteName(c.name))
		} else {
			b.WriteString(c.expression + " AS " + QuoteName(c.name))
		}
	}
	fmt.Fprintf(&b, " FROM %s.main.%s AS t", QuoteName(source), QuoteName(name))
	return b.String()
}

// usedIn finds names of parts among the words of a statement. A word too many does no harm.
func usedIn(statement string, parts []part) (names []string) {
	words := map[string]bool{}
	for _, w := range strings.FieldsFunc(statement, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		words[w] = true
	}
	for _, p := range parts {
		if words[p.name] {
			names = append(names, p.name)
		}
	}
	return names
}

// addFurther adds the tables that a user has put into the file beside those of this program.
func (d *Data) addFurther() {
	taken, ours := map[string]bool{}, map[string]bool{}
	for _, p := range d.parts {
		taken[strings.ToLower(p.name)] = true
	}
	for _, t := range d.own {
		ours[t.name] = true
	}
	for _, key := range slices.Sorted(maps.Keys(d.found)) {
		t := d.found[key]
		switch {
		case ours[key]:
			continue
		case taken[key]:
			d.left = append(d.left, LeftOut{t.name, "it is a table, and ducklens has a view or macro of this name"})
			continue
		case t.indexes > 0:
			d.left = append(d.left, LeftOut{t.name, "it has an index, which ducklens does not use; DROP INDEX removes it"})
			continue
		}
		if i := slices.IndexFunc(t.columns, func(c columnText) bool { return unreadable(c.kind) }); i >= 0 {
			d.left = append(d.left, LeftOut{t.name, fmt.Sprintf("its column %q is %s, which is no data", t.columns[i].name, t.columns[i].kind)})
			continue
		}
		var plain []columnText
		for _, c := range t.columns {
			// A default looks like a generated column here, and nothing of either is used.
			if c.expression == "" || !strings.Contains(t.text, " GENERATED ALWAYS AS") {
				plain = append(plain, columnText{name: c.name, kind: c.kind, required: c.required})
			} else {
				d.left = append(d.left, LeftOut{t.name + "." + c.name, "it is computed by the file"})
			}
		}
		if len(plain) > 0 {
			d.parts = append(d.parts, part{name: t.name, create: viewOf(d.source, t.name, plain), further: plain})
		}
	}
}

// unreadable says that a type is, or has in it, one whose values are no data: the state of an aggregate holds
// addresses of memory, which DuckDB follows.
func unreadable(kind string) bool {
	return strings.Contains(kind, "AGGREGATE_STATE<") || kind == "INVALID"
}

// Stored lists the tables of the file with the columns whose values are in it: those of this program, and
// those that a user has put beside them.
func (d *Data) Stored() (list []Table) {
	add := func(name string, columns []columnText) {
		t := Table{Name: name}
		for _, c := range columns {
			if c.expression == "" {
				t.Columns = append(t.Columns, Column{Name: c.name, Type: c.kind, Required: c.required})
			}
		}
		list = append(list, t)
	}
	for _, t := range d.own {
		add(t.name, t.columns)
	}
	for _, p := range d.parts {
		if p.further != nil {
			add(p.name, p.further)
		}
	}
	return list
}

// Database is the name of the file's database.
func (d *Data) Database() string { return d.source }

// Source gives the full name of a table of the file, for SQL of this program. Its generated columns must not be named.
func (d *Data) Source(table string) string { return QuoteName(d.source) + ".main." + QuoteName(table) }

// Names lists the views and macros that there can be in the order in which they can be made.
func (d *Data) Names() (names []string) {
	for _, p := range d.parts {
		names = append(names, p.name)
	}
	return names
}

// Further lists the tables that the user has put into the file.
func (d *Data) Further() (names []string) {
	for _, p := range d.parts {
		if p.further != nil {
			names = append(names, p.name)
		}
	}
	return names
}

// LeftOut lists what the file has and questions cannot use: views and macros that are not of this program, and what of tables
// is not stored.
func (d *Data) LeftOut(ctx context.Context) ([]LeftOut, error) {
	list := slices.Clone(d.left)
	known := map[string]bool{}
	for _, p := range d.parts {
		known[strings.ToLower(p.name)] = true
	}
	const find = `SELECT DISTINCT 'view', view_name FROM system.main.duckdb_views() WHERE database_name = $source AND NOT internal
		UNION SELECT DISTINCT 'macro', function_name FROM system.main.duckdb_functions() WHERE database_name = $source AND NOT internal ORDER BY ALL`
	rows, err := d.pool.QueryContext(ctx, find, sql.Named("source", d.source))
	if err != nil {
		return nil, Wrap("read", d.path, err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind, name string
		if err := rows.Scan(&kind, &name); err != nil {
			return nil, Wrap("read", d.path, err)
		}
		if !known[strings.ToLower(name)] {
			list = append(list, LeftOut{name, "it is a " + kind + " of the file, and ducklens runs none but its own"})
		}
	}
	return list, Wrap("read", d.path, rows.Err())
}

// Make makes views and macros by their names, and what they use. Names that there are not are left to the statement that has them.
func (d *Data) Make(ctx context.Context, conn *sql.Conn, names ...string) error {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[strings.ToLower(name)] = true
	}
	for i := len(d.parts) - 1; i >= 0; i-- { // what is used stands before what uses it
		if p := d.parts[i]; wanted[strings.ToLower(p.name)] {
			for _, name := range p.uses {
				wanted[strings.ToLower(name)] = true
			}
		}
	}
	for _, p := range d.parts {
		if !wanted[strings.ToLower(p.name)] || d.made[p.name] {
			continue
		}
		if _, err := conn.ExecContext(ctx, p.create); err != nil {
			return fmt.Errorf("make %s: %w", p.name, Wrap("read", d.path, err))
		}
		d.made[p.name] = true
	}
	return nil
}

// MakeAll makes all views and macros, with their comments.
func (d *Data) MakeAll(ctx context.Context, conn *sql.Conn) error {
	if d.made["*"] {
		return nil
	}
	if err := d.Make(ctx, conn, d.Names()...); err != nil {
		return err
	}
	for _, p := range d.parts {
		if err := runAll(ctx, conn, p.comments); err != nil {
			return Wrap("describe", d.path, err)
		}
	}
	if err := runAll(ctx, conn, d.lists()); err != nil {
		return Wrap("describe", d.path, err)
	}
	comments, err := viewComments(ctx, conn, func(view string) bool {
		return slices.ContainsFunc(d.parts, func(p part) bool { return p.name == view && strings.Contains(p.create, d.source) })
	})
	if err == nil {
		err = runAll(ctx, conn, comments)
	}
	d.made["*"] = err == nil
	return Wrap("describe", d.path, err)
}

// lists makes macros that say what there is, in place of DuckDB's functions of the same names: a table stands there once, as a
// table of this database, and a view is one of this program.
func (d *Data) lists() (list []string) {
	source, own := QuoteText(d.source), QuoteText(Catalog)
	for name, from := range map[string]string{
		"duckdb_tables": "SELECT " + own + " AS database_name, * EXCLUDE (database_name) FROM system.main.duckdb_tables() WHERE database_name = " + source,
		"duckdb_views": "SELECT * FROM system.main.duckdb_views() WHERE database_name <> " + source +
			" AND NOT (database_name = " + own + " AND contains(sql, " + source + "))",
		"duckdb_columns":   "SELECT * FROM system.main.duckdb_columns() WHERE database_name <> " + source,
		"duckdb_functions": "SELECT * FROM system.main.duckdb_functions() WHERE database_name <> " + source,
		"duckdb_types":     "SELECT * FROM system.main.duckdb_types() WHERE database_name <> " + source,
		"duckdb_databases": "SELECT * FROM system.main.duckdb_databases() WHERE database_name <> " + source,
	} {
		list = append(list, "CREATE MACRO "+name+"() AS TABLE "+from)
	}
	return list
}
