package dbfile

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"ducklens/schema"
)

// Data is an untrusted file, opened for queries: its rows are read, and nothing in it is run. DuckDB stores
// views with memory addresses, and calls them when it binds a view; and a macro of the file can replace a
// function in a generated column. So the file is attached read-only, under a random name that is in no search
// path, and its tables must be exactly those of this program. The views and macros that queries use are
// created from this program's text in an in-memory database called [Catalog], in which each table of the file
// is a view of its stored columns. The file's own views and macros are only for people who open it in DuckDB.
//
// Reading duckdb_columns() binds views that were stored without their columns, and duckdb_constraints() binds
// the conditions of tables. A file with such a view is refused when it is opened, and nothing reads
// duckdb_constraints().
type Data struct {
	*DB
	source string // name of the file's database
	found  map[string]tableText
	own    []tableText
	parts  []part
	made   map[string]bool // names of the parts that exist
	left   []LeftOut
	faults []Fault

	catalogue *catalogue // nil if the rows are in the file
}

// Fault is a table that differs from this program's. If Lost is set, its rows cannot be read, because columns
// are missing, generated or of another type, or because it has an index.
type Fault struct {
	Text string
	Lost bool
}

// LeftOut is a part of the file that queries cannot use.
type LeftOut struct{ Name, Why string }

// OpenData opens the file at path for queries. The views and macros that they use must be created with
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
// readers may share a file.
func OpenReader(ctx context.Context, path string, opts Options) (*DB, error) {
	return openMade(ctx, path, opts, (*Data).MakeAll)
}

// OpenFor is OpenReader for SQL that uses only the tables, views and macros that are named: to make all of
// them takes five times as long as to open the file.
func OpenFor(ctx context.Context, path string, opts Options, names ...string) (*DB, error) {
	return openMade(ctx, path, opts, func(d *Data, ctx context.Context, conn *sql.Conn) error {
		return d.Make(ctx, conn, names...)
	})
}

// openMade opens the file at path and has views and macros made.
func openMade(ctx context.Context, path string, opts Options, make func(*Data, context.Context, *sql.Conn) error) (*DB, error) {
	d, err := OpenData(ctx, path, opts)
	if err != nil {
		return nil, err
	}
	conn, err := d.Conn(ctx)
	if err == nil {
		err = errors.Join(make(d, ctx, conn), conn.Close())
	}
	if err != nil {
		return nil, errors.Join(Fail("open", path, err), d.Close())
	}
	return d.DB, nil
}

// OpenSuspect opens the file at path like [OpenData], but accepts tables that differ from this program's;
// [Data.Faults] lists them.
func OpenSuspect(ctx context.Context, path string, opts Options) (*Data, error) {
	const op = "open"
	d, err := openUnprepared(ctx, path, opts)
	if err != nil {
		return nil, err
	}
	var folder string
	if isCatalogue(d.found) {
		// A DuckDB that reads a file can be given no further folder.
		folder, err = d.catalogueFolder(ctx)
		if err := cmp.Or(err, d.Close()); err != nil {
			return nil, Fail(op, path, err)
		}
		opts.Reach = append(slices.Clone(opts.Reach), folder)
		opts.Threads = cmp.Or(opts.Threads, runtime.GOMAXPROCS(0)) // the rows may be many
		if d, err = openUnprepared(ctx, path, opts); err != nil {
			return nil, err
		}
	}
	if err := d.prepare(ctx, folder); err != nil {
		return nil, errors.Join(Fail(op, path, err), d.Close())
	}
	return d, nil
}

// openUnprepared opens the file at path and reads its version and its tables.
func openUnprepared(ctx context.Context, path string, opts Options) (*Data, error) {
	const op = "open"
	opts.source = newSourceName()
	db, err := attachExisting(ctx, op, path, modeData, opts)
	if err != nil {
		return nil, err
	}
	d := &Data{DB: db, source: opts.source, made: map[string]bool{}}
	if d.version, d.found, err = versionIn(ctx, d.pool, d.source, schema.Version); err != nil {
		return nil, errors.Join(Fail(op, path, err), db.Close())
	}
	return d, nil
}

// Faults lists the tables that differ from this program's.
func (d *Data) Faults() []Fault { return d.faults }

// newSourceName returns a random database name, which the text of an existing file cannot mention.
func newSourceName() string {
	var bytes [8]byte
	rand.Read(bytes[:]) // never fails
	return "file_" + hex.EncodeToString(bytes[:])
}

// prepare compares the tables of the file, and creates the types of the in-memory database. folder is that of
// a catalogue.
func (d *Data) prepare(ctx context.Context, folder string) error {
	conn, err := d.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if d.own, err = ownTables(ctx, conn); err != nil {
		return err
	}
	if isCatalogue(d.found) {
		if err := d.readCatalogue(ctx, conn, folder); err != nil {
			return err
		}
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
	if d.parts, err = ownParts(d.databaseOf, d.own, statements); err != nil {
		return err
	}
	if err := d.overFiles(); err != nil {
		return err
	}
	d.addFurther()
	return nil
}

// compare collects the faults.
func (d *Data) compare() {
	for _, t := range d.own {
		if d.elsewhere(t.name) {
			continue
		}
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

// addFurther adds the tables of the file that are not this program's.
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
		case ours[key], d.catalogue != nil && strings.HasPrefix(key, "catalogue_"):
			continue
		case taken[key]:
			d.left = append(d.left,
				LeftOut{t.name, "it is a table, and ducklens has a view or macro with this name"})
			continue
		case t.indexes > 0:
			d.left = append(d.left,
				LeftOut{t.name, "it has an index, and ducklens does not read such tables; " +
					"remove it with DROP INDEX"})
			continue
		}
		if i := slices.IndexFunc(t.columns, func(c columnText) bool { return unreadable(c.kind) }); i >= 0 {
			d.left = append(d.left,
				LeftOut{t.name, fmt.Sprintf("its column %q has the type %s, which ducklens does not read",
					t.columns[i].name, t.columns[i].kind)})
			continue
		}
		var plain []columnText
		for _, c := range t.columns {
			// The catalog shows a default like the expression of a generated column. Defaults are not needed
			// to read.
			if c.expression == "" || !strings.Contains(t.text, " GENERATED ALWAYS AS") {
				plain = append(plain, columnText{name: c.name, kind: c.kind, required: c.required})
			} else {
				d.left = append(d.left, LeftOut{t.name + "." + c.name, "it is computed by the file"})
			}
		}
		if len(plain) > 0 {
			d.parts = append(d.parts,
				part{name: t.name, create: viewOf(d.source, t.name, plain), further: plain})
		}
	}
}

// unreadable reports whether a type is, or contains, one whose values are not data: the state of an aggregate
// holds memory addresses that DuckDB dereferences.
func unreadable(kind string) bool {
	return strings.Contains(kind, "AGGREGATE_STATE<") || kind == "INVALID"
}

// Stored lists the tables of the file, including those that a user has added, with the columns that are
// stored in it.
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

// Database returns the name of the file's database.
func (d *Data) Database() string { return d.source }

// Source returns the qualified name of a table of the file, for SQL of this program. Such SQL must not name
// generated columns.
func (d *Data) Source(table string) string {
	return QuoteName(d.databaseOf(table)) + ".main." + QuoteName(table)
}

// elsewhere reports whether the rows of a table are in the Parquet files of a catalogue.
func (d *Data) elsewhere(table string) bool { return d.catalogue != nil && !InCatalogue(table) }

// databaseOf returns the name of the database that holds a table of the file.
func (d *Data) databaseOf(table string) string {
	if d.elsewhere(table) {
		return d.catalogue.source
	}
	return d.source
}

// overFiles sets up views over the files of a catalogue, which must be created before the views of its
// tables.
func (d *Data) overFiles() error {
	if d.catalogue == nil {
		return nil
	}
	tables, err := Tables()
	if err != nil {
		return err
	}
	for i := range tables {
		if t := &tables[i]; d.elsewhere(t.Name) {
			at := slices.IndexFunc(d.parts, func(p part) bool { return p.name == t.Name })
			d.parts[at].before = d.catalogue.view(t)
		}
	}
	return nil
}

// Names lists the available views and macros in an order in which they can be created.
func (d *Data) Names() (names []string) {
	for _, p := range d.parts {
		names = append(names, p.name)
	}
	return names
}

// Further lists the tables that a user has added to the file.
func (d *Data) Further() (names []string) {
	for _, p := range d.parts {
		if p.further != nil {
			names = append(names, p.name)
		}
	}
	return names
}

// LeftOut lists the parts of the file that queries cannot use: views and macros that are not this program's,
// and columns that are not stored.
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
			list = append(list,
				LeftOut{name, "it is a " + kind + " of the file, and ducklens runs only its own"})
		}
	}
	return list, Wrap("read", d.path, rows.Err())
}

// Setup returns the statements that create everything that [Data.MakeAll] creates, except comments, for a
// DuckDB run by another program, in which the file is attached as database. That DuckDB need not support
// JSON: the JSON expressions of views are looked up in a table of precomputed results.
func (d *Data) Setup(ctx context.Context, database string) ([]string, error) {
	types, err := schema.Tables()
	if err != nil {
		return nil, err
	}
	list, err := d.jsonAnswers(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range types {
		if strings.HasPrefix(s, "CREATE TYPE ") {
			list = append(list, s)
		}
	}
	for _, p := range d.parts {
		list = append(list, strings.ReplaceAll(p.create, QuoteName(d.source), QuoteName(database)))
	}
	return list, nil
}

// jsonAnswers returns statements that create a table of the fields of prompts, and macros that replace
// DuckDB's JSON functions and read it.
func (d *Data) jsonAnswers(ctx context.Context) ([]string, error) {
	const find = `SELECT p.fields, '/' || replace(replace(p.name, '~', '~0'), '/', '~1'), p.name,
		system.main.json_extract_string(p.fields, '/' || replace(replace(p.name, '~', '~0'), '/', '~1'))
		FROM (SELECT f.fields, unnest(system.main.json_keys(f.fields)) AS name FROM (SELECT DISTINCT fields FROM %s WHERE fields IS NOT NULL) AS f) AS p ORDER BY ALL`
	rows, err := d.pool.QueryContext(ctx, fmt.Sprintf(find, d.Source("prompt")))
	if err != nil {
		return nil, Wrap("read", d.path, err)
	}
	defer rows.Close()
	var answers []string
	for rows.Next() {
		var texts [4]sql.NullString
		if err := rows.Scan(&texts[0], &texts[1], &texts[2], &texts[3]); err != nil {
			return nil, Wrap("read", d.path, err)
		}
		var values []string
		for _, text := range texts {
			if text.Valid {
				values = append(values, QuoteText(text.String))
			} else {
				values = append(values, "NULL")
			}
		}
		answers = append(answers, "("+strings.Join(values, ", ")+")")
	}
	if err := rows.Err(); err != nil {
		return nil, Wrap("read", d.path, err)
	}
	if len(answers) == 0 { // the macros below would cost each question that uses them a few milliseconds
		return []string{"CREATE MACRO json_keys(asked) AS (NULL::VARCHAR[])",
			"CREATE MACRO json_extract_string(asked, field) AS (NULL::VARCHAR)"}, nil
	}
	list := []string{
		"CREATE TABLE json_answer (document VARCHAR, path VARCHAR, name VARCHAR, value VARCHAR)",
		"CREATE MACRO json_keys(asked) AS " +
			"(SELECT list(a.name) FROM json_answer AS a WHERE a.document = asked)",
		"CREATE MACRO json_extract_string(asked, field) AS " +
			"(SELECT any_value(a.value) FROM json_answer AS a WHERE a.document = asked AND a.path = field)",
	}
	for some := range slices.Chunk(answers, 1000) {
		list = append(list, "INSERT INTO json_answer VALUES "+strings.Join(some, ", "))
	}
	return list, nil
}
