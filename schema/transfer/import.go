package transfer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"ducklens/internal/regular"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// maxRowsPerByte bounds the rows of a Parquet file by its size. Encodings of repeated values make it possible to claim any number of rows in a
// hundred bytes; rows of ours have numbers that do not repeat, and take several bytes each.
const maxRowsPerByte = 8

// Import makes a new file from a folder that [Export] made; opts are those of [Create]. The folder may be a stranger's: no file is read but those that follow from
// the names of our tables, each must be what the manifest says, with the columns of its table, and the rules of the tables hold as ever.
// The file appears when it has all of it.
func Import(ctx context.Context, from, into string, opts dbfile.Options) (_ Exported, err error) {
	const op = "import into"
	folder, err := filepath.Abs(from)
	if err != nil {
		return Exported{}, dbfile.Wrap("import", from, err)
	}
	m, err := readManifest(folder)
	if err != nil {
		return Exported{}, dbfile.Fail("import", from, err)
	}
	folder, done, err := regular.Plain(folder)
	if errors.Is(err, regular.ErrPattern) {
		return Exported{}, &dbfile.Error{Op: "import", Path: from, Kind: dbfile.ErrPath, Detail: err.Error(), Err: err}
	} else if err != nil {
		return Exported{}, dbfile.Wrap("import", from, err)
	}
	defer func() { err = errors.Join(err, done()) }()
	if opts.Memory == "" {
		opts.Memory = dbfile.DefaultMemory // readers of Parquet hold row groups, and do not spill
	}
	opts.Reach = []string{folder}
	db, err := dbfile.Create(ctx, into, opts)
	if err != nil {
		return Exported{}, failOnce(op, into, err)
	}
	i := importer{db: db, path: from, folder: folder, manifest: m}
	if err := i.importAll(ctx); err != nil {
		return Exported{}, errors.Join(failOnce(op, into, err), db.Close())
	}
	if err := db.Finalize(ctx); err != nil {
		return Exported{}, dbfile.Fail(op, into, err)
	}
	return m.count(), nil
}

// failOnce is [fail] for an error that may say already which file or folder it is about.
func failOnce(op, path string, err error) error {
	var e *dbfile.Error
	if errors.As(err, &e) && e.Path != "" {
		return err
	}
	return dbfile.Fail(op, path, err)
}

// readManifest reads and checks the manifest of a folder, but for its tables.
func readManifest(folder string) (*manifest, error) {
	info, err := os.Stat(folder)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: "it is not a folder"}
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, size, err := openRegular(root, manifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: "it has no file " + manifestName}
	}
	if err != nil {
		return nil, &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: manifestName + ": " + err.Error()}
	}
	defer f.Close()
	if size > maxManifest {
		return nil, &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: fmt.Sprintf("its %s has %d bytes, want at most %d", manifestName, size, maxManifest)}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return nil, err
	}
	m := &manifest{byName: map[string][]int{}}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: manifestName + ": " + err.Error()}
	}
	if m.Format != manifestFormat {
		return nil, &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: fmt.Sprintf("%s: ducklens_parquet is %d, want %d", manifestName, m.Format, manifestFormat)}
	}
	for i, t := range m.Tables {
		m.byName[t.Name] = append(m.byName[t.Name], i)
	}
	return m, nil
}

// openRegular opens a regular file below root; not one that a link leads out to.
func openRegular(root *os.Root, name string) (_ *os.File, size int64, err error) {
	info, err := root.Stat(name) // opening a pipe would wait for its other end
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	f, err := root.Open(name)
	return f, info.Size(), err
}

// importer reads one export.
type importer struct {
	db       *dbfile.DB
	conn     *sql.Conn
	path     string // the folder, as it was given
	folder   string // absolute
	manifest *manifest
}

// wrong makes an error about the folder.
func (i *importer) wrong(format string, args ...any) error {
	return &dbfile.Error{Op: "import", Path: i.path, Kind: dbfile.ErrNotExport, Detail: fmt.Sprintf(format, args...)}
}

// unreadable makes an error of what DuckDB says about a file of the folder.
func (i *importer) unreadable(t layout, f exportedFile, err error) error {
	e := &dbfile.Error{Op: "import " + f.Path + " of", Path: i.path, Err: err}
	errors.As(dbfile.Wrap(e.Op, i.path, err), &e)
	if e.Kind == dbfile.ErrSQL || e.Kind == nil { // of the bytes that it is about
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
	if v := i.manifest.SchemaVersion; v != schema.Version {
		hint := "export again from a file that ducklens migrate has brought to the new version"
		if v > schema.Version {
			hint = fmt.Sprintf("update ducklens to a release with schema version %d", v)
		}
		return &dbfile.Error{Op: "import", Path: i.path, Kind: dbfile.ErrSchemaVersion, Detail: fmt.Sprintf("schema version %d, want %d", v, schema.Version), Advice: hint}
	}
	tables, err := layouts()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, t := range tables {
		known[t.Name] = true
		if n := len(i.manifest.byName[t.Name]); n != 1 {
			return i.wrong("%s lists table %s %d times, want once", manifestName, t.Name, n)
		}
	}
	for _, t := range i.manifest.Tables {
		if !known[t.Name] {
			return i.wrong("%s lists a table %q, which ducklens does not have", manifestName, t.Name)
		}
	}
	if err := i.files(ctx, tables); err != nil {
		return err
	}
	for _, t := range tables {
		for _, f := range i.manifest.Tables[i.manifest.byName[t.Name][0]].Files {
			if err := i.file(ctx, t, f); err != nil {
				return err
			}
		}
	}
	return dbfile.SameTables(ctx, i.conn, dbfile.Catalog) // meta was written anew
}

// files checks that the files of the manifest have the names that they must have, are there and are what they were.
func (i *importer) files(ctx context.Context, tables []layout) error {
	root, err := os.OpenRoot(i.folder)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, t := range tables {
		seen := map[string]bool{}
		for _, f := range i.manifest.Tables[i.manifest.byName[t.Name][0]].Files {
			if want, ok := t.fileName(f.Path); !ok || seen[f.Path] {
				return i.wrong("table %s: a file %q, want %s, once", t.Name, f.Path, want)
			}
			seen[f.Path] = true
			if f.Bytes < 0 || f.Rows < 0 || f.Rows > maxRowsPerByte*f.Bytes {
				return i.wrong("table %s: %s has %d rows in %d bytes, want at most %d rows a byte", t.Name, f.Path, f.Rows, f.Bytes, maxRowsPerByte)
			}
			if err := i.compare(ctx, root, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// fileName tells whether a path is that of a file of the table, and what such a path looks like.
func (t *layout) fileName(name string) (want string, ok bool) {
	if !t.partitioned {
		want = path.Join(t.Name, dataName)
		return want, name == want
	}
	run, _ := strings.CutPrefix(path.Base(path.Dir(name)), partitionName)
	n, err := strconv.ParseInt(run, 10, 32)
	want = path.Join(t.Name, partitionName+"NUMBER", dataName)
	return want, err == nil && n >= 0 && name == path.Join(t.Name, partitionName+strconv.FormatInt(n, 10), dataName)
}

// compare compares a file with what the manifest says about it.
func (i *importer) compare(ctx context.Context, root *os.Root, f exportedFile) error {
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
		return dbfile.Wrap("import", i.path, err)
	}
	if sum != f.SHA256 {
		return i.wrong("%s is not the file that was exported: its SHA-256 is %s, want %s", f.Path, sum, f.SHA256)
	}
	return nil
}

// file copies the rows of one file into its table.
func (i *importer) file(ctx context.Context, t layout, f exportedFile) error {
	source := dbfile.QuoteText(filepath.Join(i.folder, filepath.FromSlash(f.Path)))
	var rows int64
	if err := i.conn.QueryRowContext(ctx, "SELECT num_rows FROM parquet_file_metadata("+source+")").Scan(&rows); err != nil {
		return i.unreadable(t, f, err)
	}
	if rows != f.Rows {
		return i.wrong("table %s: %s has %d rows, want %d", t.Name, f.Path, rows, f.Rows)
	}
	source = "read_parquet(" + source + ", hive_partitioning = false, filename = false, union_by_name = false)"
	if err := i.columns(ctx, t, f, source); err != nil {
		return err
	}
	insert := "INSERT INTO "
	if t.Name == "meta" {
		insert = "INSERT OR REPLACE INTO " // a new file has rows in it
	}
	into, values := t.names(), t.names()
	if t.partitioned {
		run := strings.TrimPrefix(path.Base(path.Dir(f.Path)), partitionName)
		into, values = append(into, "run_id"), append(values, run)
	}
	result, err := i.conn.ExecContext(ctx, insert+dbfile.Catalog+".main."+dbfile.QuoteName(t.Name)+" ("+strings.Join(into, ", ")+") SELECT "+strings.Join(values, ", ")+" FROM "+source)
	if err != nil {
		return i.unreadable(t, f, err)
	}
	if rows, err = result.RowsAffected(); err != nil || rows != f.Rows {
		return errors.Join(err, i.wrong("table %s: %s gave %d rows, want %d", t.Name, f.Path, rows, f.Rows))
	}
	return nil
}

// columns compares the columns of a file with those of its table.
func (i *importer) columns(ctx context.Context, t layout, f exportedFile, source string) error {
	rows, err := i.conn.QueryContext(ctx, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+source+")")
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
	for _, c := range t.Columns {
		if t.partitioned && c.Name == "run_id" {
			continue
		}
		kind, ok := got[c.Name]
		switch {
		case !ok:
			return i.wrong("table %s: %s has no column %s, want one of type %s", t.Name, f.Path, c.Name, parquetType(c))
		case kind != parquetType(c):
			return i.wrong("table %s: column %s of %s has the type %s, want %s", t.Name, c.Name, f.Path, kind, parquetType(c))
		}
		delete(got, c.Name)
	}
	for name := range got {
		return i.wrong("table %s: %s has a column %q, which the table does not have", t.Name, f.Path, name)
	}
	return nil
}
