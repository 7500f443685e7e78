package transfer

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
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

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/draft"
)

// A folder of Parquet files has, for every table with rows, a folder of its name. A table of facts, which is one that has rows of runs and no key, is
// partitioned by run as Hive names it, table/run_id=1/data.parquet, without the column run_id in the file; any other is table/data.parquet. The
// manifest lists the files. Names of files follow from tables and runs: nothing ever lists the folder.
const (
	manifestName   = "ducklens.json"
	dataName       = "data.parquet"
	partitionName  = "run_id="
	manifestFormat = 1
	maxManifest    = 16 << 20 // bytes; a file has some 200 of them
)

// manifest is the file ducklens.json of an export.
type manifest struct {
	Format        int              `json:"ducklens_parquet"` // manifestFormat
	SchemaVersion int              `json:"schema_version"`
	About         string           `json:"about"`
	Tables        []exportedTable  `json:"tables"`
	byName        map[string][]int // places in Tables
}

// exportedTable is a table in a manifest. Comments and columns are for who reads the folder; an import has its own.
type exportedTable struct {
	Name    string           `json:"name"`
	Comment string           `json:"comment"`
	Columns []exportedColumn `json:"columns"`
	Files   []exportedFile   `json:"files"` // by run
}

type exportedColumn struct {
	Name    string `json:"name"`
	Type    string `json:"type"` // in DuckDB's words; an ENUM is text in Parquet
	Comment string `json:"comment"`
}

type exportedFile struct {
	Path   string `json:"path"` // from the folder, with slashes
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Exported says how much an export or import moved.
type Exported struct {
	Tables, Files int
	Rows, Bytes   int64 // bytes of the Parquet files
}

// count adds up what a manifest lists.
func (m *manifest) count() (e Exported) {
	for _, t := range m.Tables {
		e.Tables++
		for _, f := range t.Files {
			e.Files, e.Rows, e.Bytes = e.Files+1, e.Rows+f.Rows, e.Bytes+f.Bytes
		}
	}
	return e
}

// Export writes the tables of a file, all of whose runs must be complete, into a new folder of Parquet files, which appears when it is whole. With
// opts.Replace it takes the place of an earlier export; never of any other folder. Views and macros are not in it: [Import] has them.
func Export(ctx context.Context, from, into string, opts dbfile.Options) (_ Exported, err error) {
	const op = "export to"
	target, err := draft.Resolve(into)
	if err != nil {
		return Exported{}, dbfile.Wrap(op, into, err)
	}
	if err := checkFolder(target, opts.Replace); err != nil {
		return Exported{}, dbfile.Fail(op, into, err)
	}
	if err := dbfile.CheckParent(target); err != nil {
		return Exported{}, dbfile.Fail(op, into, err)
	}
	d, err := draft.New(target)
	if err != nil {
		return Exported{}, dbfile.Wrap(op, into, err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := os.Mkdir(d.Path(), 0o777); err != nil {
		return Exported{}, dbfile.Wrap(op, into, err)
	}
	opts.Reach = []string{d.Path()}
	db, err := dbfile.OpenData(ctx, from, opts)
	if err != nil {
		return Exported{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	e := exporter{db: db, folder: d.Path()}
	if err := e.export(ctx); err != nil {
		return Exported{}, failOnce(op, into, err)
	}
	if err := d.Publish(opts.Replace); err != nil {
		return Exported{}, dbfile.Wrap(op, into, err)
	}
	return e.manifest.count(), nil
}

// checkFolder tells whether a new export may be made at abs.
func checkFolder(abs string, replace bool) error {
	const hint = "choose another name, or remove the folder yourself; only folders that ducklens export made are replaced"
	info, err := os.Lstat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !replace:
		return &dbfile.Error{Kind: dbfile.ErrExists, Advice: "choose another name, or replace the export with --force"}
	case !info.IsDir():
		return &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: "not a folder, left alone", Advice: hint}
	}
	m, err := readManifest(abs)
	if err != nil {
		return &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: "left alone", Advice: hint, Err: err}
	}
	own := m.holds()
	return fs.WalkDir(os.DirFS(abs), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if folder, listed := own[name]; !listed || folder != e.IsDir() || !folder && !e.Type().IsRegular() {
			return &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: fmt.Sprintf("left alone: it also holds %q", name), Advice: hint}
		}
		return nil
	})
}

// holds lists what an export has, from its folder: files, and folders, for which it is true.
func (m *manifest) holds() map[string]bool {
	own := map[string]bool{".": true, manifestName: false}
	for _, t := range m.Tables {
		for _, f := range t.Files {
			own[f.Path] = false
			for folder := path.Dir(f.Path); folder != "." && folder != "/"; folder = path.Dir(folder) {
				own[folder] = true
			}
		}
	}
	return own
}

// exporter writes one export.
type exporter struct {
	db       *dbfile.Data
	conn     *sql.Conn
	folder   string // absolute
	manifest manifest
}

func (e *exporter) export(ctx context.Context) (err error) {
	if e.conn, err = e.db.Conn(ctx); err != nil {
		return err
	}
	defer e.conn.Close()
	tables, err := layouts()
	if err != nil {
		return err
	}
	if err := e.check(ctx); err != nil {
		return err
	}
	e.manifest = manifest{Format: manifestFormat, SchemaVersion: schema.Version, About: "Tables of a ducklens file; ducklens import reads them back. " +
		"In DuckDB: FROM read_parquet('contribution_wide/*/*.parquet', hive_partitioning = true). A table without files has no rows."}
	for _, t := range tables {
		if err := e.table(ctx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	text, err := json.MarshalIndent(e.manifest, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(e.folder, manifestName), append(text, '\n'), 0o666)
}

// check demands complete runs.
func (e *exporter) check(ctx context.Context) error {
	var run int
	err := e.conn.QueryRowContext(ctx, "SELECT run_id FROM "+e.db.Source("run")+" WHERE status <> 'complete' ORDER BY run_id LIMIT 1").Scan(&run)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return &dbfile.Error{Op: "export", Path: e.db.Path(), Kind: dbfile.ErrUnfinished, Detail: fmt.Sprintf("run %d is running", run), Advice: "complete it with ducklens ingest --resume"}
}

// table writes one table. Rows keep their order.
func (e *exporter) table(ctx context.Context, t layout) error {
	about := exportedTable{Name: t.Name, Comment: t.Comment, Columns: []exportedColumn{}, Files: []exportedFile{}}
	for _, c := range t.Columns {
		about.Columns = append(about.Columns, exportedColumn{c.Name, c.Type, c.Comment})
	}
	if !t.partitioned {
		f, err := e.file(ctx, path.Join(t.Name, dataName), t.names(), "", t.Name)
		if err != nil {
			return err
		}
		if f.Rows > 0 {
			about.Files = append(about.Files, f)
		}
	} else {
		runs, err := e.runs(ctx, t.Name)
		if err != nil {
			return err
		}
		for _, run := range runs {
			f, err := e.file(ctx, path.Join(t.Name, partitionName+strconv.Itoa(run), dataName), t.names(), " WHERE run_id = "+strconv.Itoa(run), t.Name)
			if err != nil {
				return err
			}
			about.Files = append(about.Files, f)
		}
	}
	e.manifest.Tables = append(e.manifest.Tables, about)
	return nil
}

// runs lists the runs of the file that have rows in a table. Rows without a run, which a torn log can leave (see mend), stay behind.
func (e *exporter) runs(ctx context.Context, table string) (list []int, err error) {
	rows, err := e.conn.QueryContext(ctx, "SELECT DISTINCT run_id FROM "+e.db.Source(table)+
		" WHERE run_id IN (SELECT run_id FROM "+e.db.Source("run")+") ORDER BY run_id")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var run int
		if err := rows.Scan(&run); err != nil {
			return nil, err
		}
		list = append(list, run)
	}
	return list, rows.Err()
}

// file writes one Parquet file and describes it; there is none where there are no rows.
func (e *exporter) file(ctx context.Context, name string, columns []string, where, table string) (exportedFile, error) {
	full := filepath.Join(e.folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
		return exportedFile{}, err
	}
	result, err := e.conn.ExecContext(ctx, "COPY (SELECT "+strings.Join(columns, ", ")+" FROM "+e.db.Source(table)+where+") TO "+dbfile.QuoteText(full)+
		" (FORMAT parquet, COMPRESSION zstd)")
	if err != nil {
		return exportedFile{}, err
	}
	f := exportedFile{Path: name}
	if f.Rows, err = result.RowsAffected(); err != nil {
		return exportedFile{}, err
	}
	if f.Rows == 0 {
		return f, os.RemoveAll(filepath.Dir(full))
	}
	file, err := os.Open(full)
	if err != nil {
		return exportedFile{}, err
	}
	f.Bytes, f.SHA256, err = digest(ctx, file)
	return f, errors.Join(err, file.Close())
}

// digest gives the length and the SHA-256 of what r has.
func digest(ctx context.Context, r io.Reader) (n int64, sum string, err error) {
	const step = 16 << 20
	h := sha256.New()
	for {
		k, err := io.CopyN(h, r, step)
		n += k
		if errors.Is(err, io.EOF) {
			return n, hex.EncodeToString(h.Sum(nil)), nil
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return 0, "", err
		}
	}
}

// layout is a table, and whether it is partitioned by run: a table of facts.
type layout struct {
	dbfile.Table
	partitioned bool
}

// layouts lists the tables of a file.
func layouts() (list []layout, err error) {
	tables, err := dbfile.Tables()
	for _, t := range tables {
		list = append(list, layout{t, t.ByRun() && !t.Keyed})
	}
	return list, err
}

// names lists the quoted columns that are in the table's files.
func (t *layout) names() (list []string) {
	for _, c := range t.Columns {
		if !t.partitioned || c.Name != "run_id" {
			list = append(list, dbfile.QuoteName(c.Name))
		}
	}
	return list
}

// parquetType is the type that DuckDB reads from a Parquet file which it wrote from a column of this type.
func parquetType(c dbfile.Column) string {
	if strings.HasPrefix(c.Type, "ENUM(") {
		return "VARCHAR"
	}
	if i := strings.LastIndex(c.Type, "["); i > 0 {
		return c.Type[:i] + "[]" // FLOAT[64] is a list
	}
	return c.Type
}
