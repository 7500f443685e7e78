package dbfile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ducklens/schema"
)

// A catalogue is a ducklens file whose large tables are stored in the Parquet files of a data set. The tables
// that describe runs (the manifest tables) are in the catalogue itself. The others are replaced by views over
// the files, for people who open the catalogue in DuckDB. This program binds no view of a file: it reads
// [CatalogueTables], which describe those files, and creates its own views.

// CatalogueTables are the tables that only a catalogue has.
var CatalogueTables = []string{
	`CREATE TABLE catalogue_run (
  -- The run.
  run_id        INTEGER NOT NULL,
  -- Shards that it was computed in; 0: it was whole.
  shards        INTEGER NOT NULL,
  -- What is added to example_id in the files of each shard; empty: nothing.
  example_shift INTEGER[] NOT NULL,
  -- The number in this file of each component_id in the Parquet files, from 0; empty: the same.
  component_id  INTEGER[] NOT NULL
)`,
	`CREATE TABLE catalogue_file (
  -- The run whose rows it has.
  run_id        INTEGER NOT NULL,
  -- The table.
  table_name    VARCHAR NOT NULL,
  -- Path from the folder of the data set, with slashes.
  path          VARCHAR NOT NULL,
  -- Rows in it.
  n_rows        BIGINT NOT NULL,
  -- Bytes of it.
  n_bytes       BIGINT NOT NULL,
  -- SHA-256 of those bytes, in hexadecimal.
  sha256        VARCHAR NOT NULL
)`,
}

// CatalogueFolder is the key in table meta of the name of the data set's folder. The folder is beside the
// catalogue unless [Options.Data] says otherwise.
const CatalogueFolder = "catalogue_folder"

// manifestTables describe runs. Their rows are in the catalogue itself.
var manifestTables = []string{"meta", "model", "run", "component", "run_component", "head", "basis", "mover",
	"saved_query"}

// MomentTable holds moments over the prompts of a run. A catalogue holds its rows, because SQL cannot compute
// the moments of a run from those of its shards to the same bits.
const MomentTable = "contribution_moment"

// InCatalogue reports whether the rows of a table are in the catalogue itself.
func InCatalogue(table string) bool { return IsManifest(table) || table == MomentTable }

// IsManifest reports whether a table describes runs and has no rows for prompts.
func IsManifest(table string) bool { return slices.Contains(manifestTables, table) }

// CatalogueRun describes the files of a run in a catalogue.
type CatalogueRun struct {
	RunID        int
	Shards       int
	ExampleShift []int // see CatalogueTables
	ComponentID  []int
	Files        []CatalogueFile
}

// CatalogueFile is a Parquet file in a catalogue.
type CatalogueFile struct {
	Table, Path string
	Rows, Bytes int64
	SHA256      string
}

// catalogued matches the paths of Parquet files that a catalogue may have. No such path leads out of the
// folder.
var catalogued = regexp.MustCompile(
	`^([a-z_]+)/run=[0-9a-f]{32}(?:/head=L[0-9]+H[0-9]+)?/[0-9a-f]{32}(?:\.[0-9]+of[0-9]+)?\.parquet$`)

// Check returns an error unless the files of a run are of the form that a data set has.
func (r *CatalogueRun) Check() error {
	if r.Shards < 0 || r.Shards > schema.MaxShards || len(r.ExampleShift) != 0 &&
		len(r.ExampleShift) != r.Shards {
		return fmt.Errorf("run %d has %d shards and %d shifts of examples", r.RunID, r.Shards,
			len(r.ExampleShift))
	}
	for _, f := range r.Files {
		if found := catalogued.FindStringSubmatch(f.Path); found == nil || found[1] != f.Table ||
			InCatalogue(f.Table) {
			return fmt.Errorf("table %q of run %d has a file %q, want such as %s/run=KEY/KEY.parquet",
				f.Table, r.RunID, f.Path, "prompt")
		}
	}
	return nil
}

// CatalogueVariable is the DuckDB variable that gives the stored views of a catalogue another folder of the
// data set.
const CatalogueVariable = "ducklens_data"

// CatalogueView returns the query for the rows of runs in a table, without generated columns. files returns a
// SQL list of the paths of Parquet files; see [StoredFiles].
func CatalogueView(t *Table, runs []CatalogueRun, files func(paths []string) string) string {
	var each []string
	for i := range runs {
		if query := runs[i].rows(t, files); query != "" {
			each = append(each, query)
		}
	}
	if len(each) == 0 {
		var none []string
		for _, c := range t.Columns {
			none = append(none, "CAST(NULL AS "+c.Type+") AS "+QuoteName(c.Name))
		}
		return "SELECT " + strings.Join(none, ", ") + " WHERE false"
	}
	return strings.Join(each, "\nUNION ALL ")
}

// StoredFiles returns the list of files for a view that is stored in a catalogue: below the folder in the
// variable, if it is set, or below prefix.
func StoredFiles(prefix string) func(paths []string) string {
	return func(paths []string) string {
		return "[coalesce(getvariable(" + QuoteText(CatalogueVariable) + "), " +
			QuoteText(strings.TrimSuffix(prefix, "/")) + ") || '/' || f FOR f IN " +
			filesBelow("")(paths) + "]"
	}
}

// filesBelow returns the list of files below a folder, which is "" or ends with a slash.
func filesBelow(folder string) func(paths []string) string {
	return func(paths []string) string {
		quoted := make([]string, len(paths))
		for i, path := range paths {
			quoted[i] = QuoteText(folder + path)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
}

// rows returns the query for the rows of one run, or "" if it has none.
func (r *CatalogueRun) rows(t *Table, list func(paths []string) string) string {
	var files []string
	for _, f := range r.Files {
		if f.Table == t.Name && f.Rows > 0 {
			files = append(files, f.Path)
		}
	}
	if len(files) == 0 {
		return ""
	}
	var columns []string
	for _, c := range t.Columns {
		columns = append(columns, "CAST("+r.value(c.Name)+" AS "+c.Type+") AS "+QuoteName(c.Name))
	}
	query := "SELECT " + strings.Join(columns, ", ") + " FROM read_parquet(" + list(files) +
		", hive_partitioning = false, filename = false, union_by_name = false) AS p"
	if r.Shards > 1 && t.Name == "pair_mean_wide" {
		return UniteMeans("(" + query + ")")
	}
	return query
}

// value returns the SQL expression for a column of the files.
func (r *CatalogueRun) value(column string) string {
	name := "p." + QuoteName(column)
	switch {
	case column == "run_id":
		return strconv.Itoa(r.RunID)
	case column == "example_id" && len(r.ExampleShift) > 0:
		return fmt.Sprintf("%s + (%s)[%[1]s // %[3]d + 1]", name, numbers(r.ExampleShift),
			schema.Shard{Of: r.Shards}.Room())
	case strings.HasSuffix(column, "component_id") && len(r.ComponentID) > 0:
		return fmt.Sprintf("(%s)[%s + 1]", numbers(r.ComponentID), name)
	}
	return name
}

// numbers formats a SQL list.
func numbers(list []int) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = strconv.Itoa(n)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// catalogue is the content of an open catalogue.
type catalogue struct {
	runs   []CatalogueRun
	folder string // absolute, with a slash at its end
	source string // name of the in-memory database with the views over the files
}

// catalogueFolder returns the folder of the data set of a catalogue: that of the options, or the folder
// beside the catalogue that it names.
func (d *Data) catalogueFolder(ctx context.Context) (folder string, err error) {
	if d.opts.OwnRows {
		return "", withoutRows()
	}
	if folder = d.opts.Data; folder == "" {
		var name sql.NullString
		if err := d.pool.QueryRowContext(ctx, "SELECT max(m.value::VARCHAR) FROM "+QuoteName(d.source)+
			".main.meta AS m WHERE m.key = "+QuoteText(CatalogueFolder)).Scan(&name); err != nil {
			return "", err
		}
		const advice = "name the folder of its Parquet files with --data DIR"
		if name.String == "" || name.String != filepath.Base(name.String) || name.String == "." ||
			name.String == ".." {
			return "", &Error{Kind: ErrCatalogue,
				Detail: "it does not say which folder beside it has the Parquet files", Advice: advice}
		}
		folder = filepath.Join(filepath.Dir(d.path), name.String)
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			return "", &Error{Kind: ErrCatalogue,
				Detail: fmt.Sprintf("the folder of its Parquet files, %s, is not there", folder),
				Advice: advice}
		}
	}
	folder, err = filepath.Abs(folder)
	if err == nil && strings.ContainsAny(folder, "*?[") {
		err = &Error{Kind: ErrPath, Detail: "DuckDB reads *, ? and [ in a path as a pattern: " + folder,
			Advice: "rename the folder"}
	}
	return folder, err
}

// IsCatalogue reports whether the file at path, of any schema version, is a catalogue. Another file than one
// of ducklens is an error.
func IsCatalogue(ctx context.Context, path string) (bool, error) {
	_, found, err := versionOf(ctx, path, Options{})
	return isCatalogue(found), err
}

// withoutRows is the error for a catalogue in place of a file with rows.
func withoutRows() error {
	return &Error{Kind: ErrCatalogue, Detail: "its rows are in Parquet files, and a file with rows is needed",
		Advice: "ducklens import makes a file of a whole run in the data set; " +
			"ducklens merge makes one of shards that are files (ingest --shard with -o)"}
}

// isCatalogue reports whether a file has the tables of a catalogue.
func isCatalogue(found map[string]tableText) bool {
	_, files := found["catalogue_file"]
	_, runs := found["catalogue_run"]
	return files && runs
}

// readCatalogue reads the tables of a catalogue, and creates an in-memory database for views over its files.
func (d *Data) readCatalogue(ctx context.Context, conn *sql.Conn, folder string) error {
	for column, kind := range map[string]string{
		"catalogue_run.run_id": "INTEGER", "catalogue_run.shards": "INTEGER",
		"catalogue_run.example_shift": "INTEGER[]", "catalogue_run.component_id": "INTEGER[]",
		"catalogue_file.run_id": "INTEGER", "catalogue_file.table_name": "VARCHAR",
		"catalogue_file.path": "VARCHAR", "catalogue_file.n_rows": "BIGINT",
		"catalogue_file.n_bytes": "BIGINT", "catalogue_file.sha256": "VARCHAR",
	} {
		table, name, _ := strings.Cut(column, ".")
		if err := stored(d.found, table, name, kind); err != nil {
			return err
		}
	}
	c := &catalogue{folder: filepath.ToSlash(folder) + "/", source: newSourceName()}
	if err := c.read(ctx, conn, d.source); err != nil {
		return err
	}
	if err := c.look(folder); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "ATTACH ':memory:' AS "+QuoteName(c.source)); err != nil {
		return err
	}
	d.catalogue = c
	return nil
}

// maxCatalogued bounds the number of files in a catalogue.
const maxCatalogued = 1 << 20

// read reads the runs and files of a catalogue.
func (c *catalogue) read(ctx context.Context, conn *sql.Conn, source string) error {
	main := QuoteName(source) + ".main."
	place := map[int]int{}
	runs := "SELECT run_id, shards, example_shift::VARCHAR, component_id::VARCHAR FROM " + main +
		"catalogue_run ORDER BY run_id"
	if err := eachRow(ctx, conn, runs, func(rows *sql.Rows) error {
		var r CatalogueRun
		var shift, component string
		if err := rows.Scan(&r.RunID, &r.Shards, &shift, &component); err != nil {
			return err
		}
		var err error
		if r.ExampleShift, err = parseNumbers(shift); err == nil {
			r.ComponentID, err = parseNumbers(component)
		}
		if _, twice := place[r.RunID]; twice || err != nil {
			return &Error{Kind: ErrNotDucklens,
				Detail: fmt.Sprintf("its table catalogue_run is not one that ducklens gather "+
					"makes, at run %d", r.RunID), Err: err}
		}
		place[r.RunID] = len(c.runs)
		c.runs = append(c.runs, r)
		return nil
	}); err != nil {
		return err
	}
	n := 0
	files := "SELECT run_id, table_name, path, n_rows, n_bytes, sha256 FROM " + main +
		"catalogue_file ORDER BY ALL"
	if err := eachRow(ctx, conn, files, func(rows *sql.Rows) error {
		var run int
		var f CatalogueFile
		if err := rows.Scan(&run, &f.Table, &f.Path, &f.Rows, &f.Bytes, &f.SHA256); err != nil {
			return err
		}
		i, ok := place[run]
		if n++; !ok || n > maxCatalogued {
			return &Error{Kind: ErrNotDucklens,
				Detail: fmt.Sprintf("its table catalogue_file has files of run %d, "+
					"which catalogue_run does not have, or too many", run)}
		}
		c.runs[i].Files = append(c.runs[i].Files, f)
		return nil
	}); err != nil {
		return err
	}
	for i := range c.runs {
		if err := c.runs[i].Check(); err != nil {
			return &Error{Kind: ErrNotDucklens, Detail: "it is no catalogue that ducklens gather makes: " +
				err.Error()}
		}
		c.runs[i].inOrder()
	}
	return nil
}

// shardOf matches the number of a shard in a path.
var shardOf = regexp.MustCompile(`\.([0-9]+)of[0-9]+\.parquet$`)

// inOrder sorts files by table, shard and path, so that rows come in the order of prompts.
func (r *CatalogueRun) inOrder() {
	number := func(path string) int {
		found := shardOf.FindStringSubmatch(path)
		if found == nil {
			return 0
		}
		n, _ := strconv.Atoi(found[1])
		return n
	}
	slices.SortFunc(r.Files, func(a, b CatalogueFile) int {
		if x := strings.Compare(a.Table, b.Table); x != 0 {
			return x
		}
		if x := number(a.Path) - number(b.Path); x != 0 {
			return x
		}
		return strings.Compare(a.Path, b.Path)
	})
}

// look checks that each file exists, is a regular file inside the folder, and has its recorded size.
func (c *catalogue) look(folder string) (err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	const advice = "ducklens gather makes the catalogue of the data set anew; --data names another folder"
	for _, r := range c.runs {
		for _, f := range r.Files {
			info, err := root.Lstat(filepath.FromSlash(f.Path))
			if err == nil && !info.Mode().IsRegular() {
				return &Error{Kind: ErrNotExport,
					Detail: fmt.Sprintf("%s in %s is not a regular file", f.Path, folder), Advice: advice}
			}
			if err == nil {
				// A link in the path must not lead out of the folder.
				info, err = root.Stat(filepath.FromSlash(f.Path))
			}
			switch {
			case err != nil:
				return &Error{Kind: ErrNotFound, Detail: fmt.Sprintf("a file of the catalogue: %v", err),
					Advice: advice}
			case info.Size() != f.Bytes:
				return &Error{Kind: ErrNotExport,
					Detail: fmt.Sprintf("%s in %s has %d bytes, want %d", f.Path, folder, info.Size(),
						f.Bytes), Advice: advice}
			}
		}
	}
	return nil
}

// view returns the statement that creates the view over the files of a table.
func (c *catalogue) view(t *Table) string {
	return "CREATE VIEW " + QuoteName(c.source) + ".main." + QuoteName(t.Name) + " AS " +
		CatalogueView(t, c.runs, filesBelow(c.folder))
}

// parseNumbers parses a list in DuckDB's text form.
func parseNumbers(text string) (list []int, err error) {
	text = strings.Trim(text, "[]")
	if text == "" {
		return nil, nil
	}
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// eachRow calls f for every row of a query.
func eachRow(ctx context.Context, q Queryer, query string, f func(*sql.Rows) error,
	args ...any) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Catalogued lists the runs of a catalogue with their files, and returns the folder of the files. The list is
// empty if the file is not a catalogue.
func (d *Data) Catalogued() (runs []CatalogueRun, folder string) {
	if d.catalogue == nil {
		return nil, ""
	}
	return d.catalogue.runs, filepath.FromSlash(strings.TrimSuffix(d.catalogue.folder, "/"))
}
