package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ducklens/internal/regular"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// maxRowsPerByte bounds the rows of a Parquet file by its size. A file of a hundred bytes can claim any
// number of rows by encoding repeated values. The rows of our files hold numbers that do not repeat, and take
// several bytes each.
const maxRowsPerByte = 8

// Import creates a file from a data set, or from one of its exports, whose key begins with export. opts are
// those of [Create]. The folder may be untrusted: Import reads only files whose paths follow from the names
// of our tables and the keys of runs, checks each file against the manifest and its columns against those of
// the table, and the conditions of the tables apply to all rows. The file appears when it is whole.
func Import(ctx context.Context, from, export, into string, opts dbfile.Options) (_ Exported, err error) {
	const op = "import into"
	folder, err := filepath.Abs(from)
	if err != nil {
		return Exported{}, dbfile.Wrap("import", from, err)
	}
	list, err := ReadManifests(folder)
	if err != nil {
		return Exported{}, dbfile.Fail("import", from, err)
	}
	m, err := chosen(list, export)
	if err != nil {
		return Exported{}, dbfile.Fail("import", from, err)
	}
	folder, done, err := regular.Plain(folder)
	if errors.Is(err, regular.ErrPattern) {
		return Exported{}, &dbfile.Error{Op: "import", Path: from, Kind: dbfile.ErrPath,
			Detail: err.Error(), Err: err}
	} else if err != nil {
		return Exported{}, dbfile.Wrap("import", from, err)
	}
	defer func() { err = errors.Join(err, done()) }()
	if opts.Memory == "" {
		// Readers of Parquet hold row groups in memory and cannot spill them.
		opts.Memory = dbfile.DefaultMemory
	}
	opts.Reach = []string{folder}
	db, err := dbfile.Create(ctx, into, opts)
	if err != nil {
		return Exported{}, failOnce(op, into, err)
	}
	i := importer{op: "import", db: db, path: from, folder: folder, manifest: m}
	if err := i.importAll(ctx); err != nil {
		return Exported{}, errors.Join(failOnce(op, into, err), db.Close())
	}
	if err := db.Finalize(ctx); err != nil {
		return Exported{}, dbfile.Fail(op, into, err)
	}
	return m.Count(), nil
}

// failOnce is [fail] for an error that may already name its file or folder.
func failOnce(op, path string, err error) error {
	var e *dbfile.Error
	if errors.As(err, &e) && e.Path != "" {
		return err
	}
	return dbfile.Fail(op, path, err)
}

// importer reads one export.
type importer struct {
	op       string // what the command does, in errors
	db       *dbfile.DB
	conn     *sql.Conn
	path     string // the folder, as given by the caller
	folder   string // absolute
	manifest *Manifest
}

// wrong returns an error about the folder.
func (i *importer) wrong(format string, args ...any) error {
	return &dbfile.Error{Op: i.op, Path: i.path, Kind: dbfile.ErrNotExport,
		Detail: fmt.Sprintf(format, args...)}
}

// unreadable turns DuckDB's error about a file of the folder into one of ours.
func (i *importer) unreadable(t layout, f ExportedFile, err error) error {
	e := &dbfile.Error{Op: i.op + " " + f.Path + " of", Path: i.path, Err: err}
	errors.As(dbfile.Wrap(e.Op, i.path, err), &e)
	if e.Kind == dbfile.ErrSQL || e.Kind == nil { // the error is about the content of the file
		text, _, _ := strings.Cut(err.Error(), "\n")
		return i.wrong("table %s: %s: %s", t.Name, f.Path, text)
	}
	return e
}

func (i *importer) importAll(ctx context.Context) (err error) {
	if i.conn, err = i.db.Conn(ctx); err != nil {
		return err
	}
	defer i.conn.Close()
	tables, err := layouts()
	if err != nil {
		return err
	}
	if err := i.check(tables); err != nil {
		return err
	}
	parts := make([][]part, len(tables))
	for n, t := range tables {
		if parts[n], err = i.parts(t); err != nil {
			return err
		}
	}
	if err := i.compareAll(ctx, tables); err != nil {
		return err
	}
	for n, t := range tables {
		for _, p := range parts[n] {
			if err := i.insert(ctx, t, p); err != nil {
				return err
			}
		}
	}
	return dbfile.SameTables(ctx, i.conn, dbfile.Catalog) // because table meta was replaced
}

// loadInto creates a table in another database, with the rows that the export has for it.
func (i *importer) loadInto(ctx context.Context, t layout, database string) error {
	parts, err := i.parts(t)
	if err != nil {
		return err
	}
	var sources, values []string
	for _, p := range parts {
		for _, f := range p.files {
			source := dbfile.QuoteText(joined(i.folder, f.Path))
			if err := i.columns(ctx, t, f, readParquet(source)); err != nil {
				return err
			}
			sources = append(sources, source)
		}
	}
	if len(sources) == 0 {
		return i.wrong("%s lists no files of table %s", i.manifest.path(), t.Name)
	}
	for _, c := range t.Columns {
		values = append(values, "CAST("+importExpression(c)+" AS "+c.Type+") AS "+dbfile.QuoteName(c.Name))
	}
	_, err = i.conn.ExecContext(ctx, "CREATE TABLE "+database+".main."+dbfile.QuoteName(t.Name)+
		" AS SELECT DISTINCT "+strings.Join(values, ", ")+" FROM "+
		readParquet("["+strings.Join(sources, ", ")+"]"))
	if err != nil {
		return i.unreadable(t, ExportedFile{Path: t.Name}, err)
	}
	return nil
}

// check returns an error unless the export has the schema version and the tables of this program.
func (i *importer) check(tables []layout) error {
	if v := i.manifest.SchemaVersion; v != schema.Version {
		hint := "migrate the file with ducklens migrate, and export it again"
		if v > schema.Version {
			hint = fmt.Sprintf("update ducklens to a release with schema version %d", v)
		}
		return &dbfile.Error{Op: i.op, Path: i.path, Kind: dbfile.ErrSchemaVersion,
			Detail: fmt.Sprintf("schema version %d, want %d", v, schema.Version), Advice: hint}
	}
	known := map[string]bool{}
	for _, t := range tables {
		known[t.Name] = true
		if n := len(i.manifest.byName[t.Name]); n != 1 {
			return i.wrong("%s lists table %s %d times, want once", i.manifest.path(), t.Name, n)
		}
	}
	for _, t := range i.manifest.Tables {
		if !known[t.Name] {
			return i.wrong("%s lists a table %q, which ducklens does not have", i.manifest.path(), t.Name)
		}
	}
	return nil
}

// part holds the files of a table for one run, or all files of a table that is not divided by run.
type part struct {
	run   *ExportedRun
	files []ExportedFile
}

// parts groups the files of a table by run. The name of each file must follow from table and run.
func (i *importer) parts(t layout) (list []part, err error) {
	runs := []*ExportedRun{nil}
	if t.division != byFile {
		runs = runs[:0]
		for n := range i.manifest.Runs {
			runs = append(runs, &i.manifest.Runs[n])
		}
	}
	place := map[string]int{}
	want := t.Name + " without files"
	for n, run := range runs {
		list = append(list, part{run: run})
		for _, name := range t.paths(i.manifest.Key, run) {
			place[name], want = n, name
		}
	}
	for _, f := range i.manifest.Tables[i.manifest.byName[t.Name][0]].Files {
		n, ok := place[f.Path]
		if !ok {
			return nil, i.wrong("table %s: a file %q, want such as %s, once", t.Name, f.Path, want)
		}
		delete(place, f.Path)
		list[n].files = append(list[n].files, f)
	}
	return list, nil
}

// compareAll checks that the files of the manifest exist and are unchanged.
func (i *importer) compareAll(ctx context.Context, tables []layout) error {
	root, err := os.OpenRoot(i.folder)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, t := range tables {
		for _, f := range i.manifest.Tables[i.manifest.byName[t.Name][0]].Files {
			if f.Bytes < 0 || f.Rows < 0 || f.Rows > maxRowsPerByte*f.Bytes {
				return i.wrong("table %s: %s has %d rows in %d bytes, want at most %d rows a byte", t.Name,
					f.Path, f.Rows, f.Bytes, maxRowsPerByte)
			}
			if err := i.compare(ctx, root, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare checks a file against the manifest.
func (i *importer) compare(ctx context.Context, root *os.Root, f ExportedFile) error {
	file, size, err := openRegular(root, filepath.FromSlash(f.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return i.wrong("%s is missing", f.Path)
	}
	if err != nil {
		return i.wrong("%s: %v", f.Path, err)
	}
	defer file.Close()
	if size != f.Bytes {
		return i.wrong("%s has %d bytes, want %d", f.Path, size, f.Bytes)
	}
	_, sum, err := digest(ctx, file)
	if err != nil {
		return dbfile.Wrap(i.op, i.path, err)
	}
	if sum != f.SHA256 {
		return i.wrong("%s is not the file that was exported: its SHA-256 is %s, want %s", f.Path,
			sum, f.SHA256)
	}
	return nil
}

// insert copies the rows of a part into its table, in the order of prompts.
func (i *importer) insert(ctx context.Context, t layout, p part) error {
	var sources, values []string
	for _, c := range t.Columns {
		values = append(values, importExpression(c))
	}
	var want int64
	for _, f := range p.files {
		want += f.Rows
		source := dbfile.QuoteText(joined(i.folder, f.Path))
		var rows int64
		if err := i.conn.QueryRowContext(ctx, "SELECT num_rows FROM parquet_file_metadata("+source+")").
			Scan(&rows); err != nil {
			return i.unreadable(t, f, err)
		}
		if rows != f.Rows {
			return i.wrong("table %s: %s has %d rows, want %d", t.Name, f.Path, rows, f.Rows)
		}
		if err := i.columns(ctx, t, f, readParquet(source)); err != nil {
			return err
		}
		sources = append(sources, source)
	}
	if len(sources) == 0 {
		return nil
	}
	first, source := p.files[0], readParquet("["+strings.Join(sources, ", ")+"]")
	rows := "SELECT " + strings.Join(values, ", ") + " FROM " + source
	table := dbfile.Catalog + ".main." + dbfile.QuoteName(t.Name)
	insert := "INSERT INTO "
	if t.Name == "meta" {
		insert = "INSERT OR REPLACE INTO " // a new file already has rows in it
	}
	var shared int64
	if t.shared() { // an earlier run may have added some of the rows
		if err := i.conn.QueryRowContext(ctx,
			"SELECT count(*) FROM (("+rows+") INTERSECT (SELECT "+strings.Join(t.names(), ", ")+" FROM "+
				table+"))").Scan(&shared); err != nil {
			return i.unreadable(t, first, err)
		}
		rows = "(" + rows + ") EXCEPT (SELECT " + strings.Join(t.names(), ", ") + " FROM " + table + ")"
	}
	result, err := i.conn.ExecContext(ctx, insert+table+" ("+strings.Join(t.names(), ", ")+") "+
		rows+t.sortedBy(fileOrder))
	if err != nil {
		return i.unreadable(t, first, err)
	}
	if rows, err := result.RowsAffected(); err != nil || rows+shared != want {
		return errors.Join(err, i.wrong("table %s: %s and what belongs to it gave %d rows, want %d", t.Name,
			first.Path, rows+shared, want))
	}
	return nil
}

// readParquet returns the expression that reads Parquet files as they are.
func readParquet(source string) string {
	return "read_parquet(" + source + ", hive_partitioning = false, filename = false, union_by_name = false)"
}

// columns checks the columns of a file against those of its table.
func (i *importer) columns(ctx context.Context, t layout, f ExportedFile, source string) error {
	rows, err := i.conn.QueryContext(ctx, "SELECT column_name, column_type FROM (DESCRIBE "+
		"SELECT * FROM "+source+")")
	if err != nil {
		return i.unreadable(t, f, err)
	}
	defer rows.Close()
	got := map[string]string{}
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return err
		}
		got[name] = kind
	}
	if err := rows.Err(); err != nil {
		return i.unreadable(t, f, err)
	}
	for _, c := range t.stored() {
		kind, ok := got[c.Name]
		switch {
		case !ok:
			return i.wrong("table %s: %s has no column %s, want one of type %s", t.Name, f.Path, c.Name,
				parquetType(c))
		case kind != parquetType(c):
			return i.wrong("table %s: column %s of %s has the type %s, want %s", t.Name, c.Name, f.Path, kind,
				parquetType(c))
		}
		delete(got, c.Name)
	}
	for name := range got {
		return i.wrong("table %s: %s has a column %q, which the table does not have", t.Name, f.Path, name)
	}
	return nil
}
