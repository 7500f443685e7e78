package transfer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/draft"
)

// ExportOptions are the options of [Export].
type ExportOptions struct {
	dbfile.Options
	// Add adds the export to those in the folder. Its files appear one by one, the manifest last.
	Add bool
	// Texts are further files to write, by path.
	Texts map[string]string
}

// Export writes the tables of a file into a new data set. All runs must be complete. The data set appears
// when it is whole. With opts.Replace it replaces an earlier export, but never another folder. Views and
// macros are not exported, because [Import] creates them.
func Export(ctx context.Context, from, into string, opts ExportOptions) (_ Exported, err error) {
	const op = "export to"
	target, err := draft.Resolve(into)
	if err != nil {
		return Exported{}, dbfile.Wrap(op, into, err)
	}
	if err := checkFolder(target, opts); err != nil {
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
	opts.Reach, opts.Spill, opts.OwnRows = []string{d.Path()}, d.Spill(), true
	db, err := dbfile.OpenData(ctx, from, opts.Options)
	if err != nil {
		return Exported{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	e := exporter{db: db, folder: d.Path()}
	if err := e.export(ctx, opts.Texts); err != nil {
		return Exported{}, failOnce(op, into, err)
	}
	if opts.Add {
		if err = os.MkdirAll(joined(target, ManifestFolder), 0o777); err == nil {
			if err = e.mayAdd(target); err == nil {
				err = d.Spread(e.order())
			}
		}
	} else {
		err = d.Publish(opts.Replace)
	}
	if err != nil {
		return Exported{}, failOnce(op, into, err)
	}
	return e.manifest.Count(), nil
}

// checkFolder returns an error unless a new export may be made at abs.
func checkFolder(abs string, opts ExportOptions) error {
	const hint = "choose another name, or remove the folder first; only folders that ducklens export made " +
		"are replaced"
	info, err := os.Lstat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !opts.Replace && !opts.Add:
		return &dbfile.Error{Kind: dbfile.ErrExists,
			Advice: "choose another name, replace the export with --force, or add to it with --add"}
	case !info.IsDir():
		return &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: "not a folder, left alone", Advice: hint}
	}
	if opts.Add {
		entries, err := os.ReadDir(abs)
		if err != nil {
			return err
		}
		if len(entries) > 0 &&
			!slices.ContainsFunc(entries,
				func(e fs.DirEntry) bool { return e.Name() == ManifestFolder && e.IsDir() }) {
			return &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: "it has files but no folder " +
				ManifestFolder, Advice: "choose a data set, or a new name"}
		}
		return nil
	}
	list, err := ReadManifests(abs)
	if err != nil {
		return &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: "left alone", Advice: hint, Err: err}
	}
	if len(list) > 1 {
		return &dbfile.Error{Kind: dbfile.ErrNotExport,
			Detail: fmt.Sprintf("left alone: it holds %d exports", len(list)), Advice: hint}
	}
	own := list[0].holds()
	return fs.WalkDir(os.DirFS(abs), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if folder, listed := own[name]; !listed || folder != e.IsDir() || !folder && !e.Type().IsRegular() {
			return &dbfile.Error{Kind: dbfile.ErrNotExport,
				Detail: fmt.Sprintf("left alone: it also holds %q", name), Advice: hint}
		}
		return nil
	})
}

// exporter writes one export.
type exporter struct {
	db       *dbfile.Data
	conn     *sql.Conn
	folder   string // absolute
	manifest Manifest
}

func (e *exporter) export(ctx context.Context, texts map[string]string) (err error) {
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
	e.manifest = Manifest{Format: manifestFormat, SchemaVersion: schema.Version,
		About: "Tables of a ducklens file; ducklens import reads them back. " +
			"In DuckDB: FROM read_parquet('contribution_wide/*/*/*.parquet', hive_partitioning = true). Numbers " +
			"such as run_id and component_id hold within a run: join on run as well."}
	if err := e.runs(ctx); err != nil {
		return err
	}
	e.manifest.Key = exportKey(e.manifest.Runs)
	for _, t := range tables {
		if err := e.table(ctx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	for name, text := range texts {
		if err := e.text(name, []byte(text)); err != nil {
			return err
		}
		e.manifest.Texts = append(e.manifest.Texts, name)
	}
	slices.Sort(e.manifest.Texts)
	text, err := json.MarshalIndent(e.manifest, "", " ")
	if err != nil {
		return err
	}
	return e.text(e.manifest.path(), append(text, '\n'))
}

// text writes a text file.
func (e *exporter) text(name string, content []byte) error {
	full := joined(e.folder, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
		return err
	}
	return os.WriteFile(full, content, 0o666)
}

// check returns an error unless all runs are complete.
func (e *exporter) check(ctx context.Context) error {
	var run int
	err := e.conn.QueryRowContext(ctx, "SELECT run_id FROM "+e.db.Source("run")+
		" WHERE status <> 'complete' ORDER BY run_id LIMIT 1").Scan(&run)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return &dbfile.Error{Op: "export", Path: e.db.Path(), Kind: dbfile.ErrUnfinished,
		Detail: fmt.Sprintf("run %d is running", run), Advice: "complete it with ducklens ingest --resume"}
}

// runs adds the runs of the file and their heads to the manifest.
func (e *exporter) runs(ctx context.Context) (err error) {
	rows, err := e.conn.QueryContext(ctx,
		"SELECT r.run_id, r.key, m.key, coalesce(r.n_examples, 0), h.head_id, h.label FROM "+
			e.db.Source("run")+" AS r JOIN "+e.db.Source("model")+
			" AS m ON m.model_id = r.model_id LEFT JOIN "+e.db.Source("head")+
			" AS h ON h.run_id = r.run_id ORDER BY r.run_id, h.ordinal")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r ExportedRun
		var head sql.NullInt64
		var label sql.NullString
		if err := rows.Scan(&r.RunID, &r.Key, &r.ModelKey, &r.Examples, &head, &label); err != nil {
			return err
		}
		if n := len(e.manifest.Runs); n == 0 || e.manifest.Runs[n-1].RunID != r.RunID {
			e.manifest.Runs = append(e.manifest.Runs, r)
		}
		if last := &e.manifest.Runs[len(e.manifest.Runs)-1]; head.Valid {
			last.Heads, last.heads = append(last.Heads, label.String), append(last.heads, int(head.Int64))
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for i := range e.manifest.Runs {
		r := &e.manifest.Runs[i]
		if err := e.shard(ctx, r); err != nil {
			return err
		}
		if err := r.check(); err != nil {
			return e.damaged("%v", err)
		}
	}
	return nil
}

// shard describes the shard in r, if the run is one.
func (e *exporter) shard(ctx context.Context, r *ExportedRun) error {
	var options string
	var created time.Time
	if err := e.conn.QueryRowContext(ctx,
		"SELECT coalesce(options, ''), coalesce(n_prompts, 0), created_at, "+
			"coalesce(max_closure_residual, 0) FROM "+e.db.Source("run")+
			" WHERE run_id = $1", r.RunID).Scan(&options, &r.Prompts, &created, &r.Closure); err != nil {
		return err
	}
	s, rest, err := schema.CutShard(options)
	if err != nil {
		return e.damaged("%v", err)
	}
	if s.Whole() {
		r.Prompts, r.Closure = 0, 0
		return nil
	}
	r.Shard, r.Created = s.String(), created.UTC().Format(time.RFC3339Nano)
	r.Settings, err = settings(ctx, e.conn, e.db.Source, r.RunID, rest)
	return err
}

// damaged returns an error about the content of the file.
func (e *exporter) damaged(format string, args ...any) error {
	return &dbfile.Error{Op: "export", Path: e.db.Path(), Kind: dbfile.ErrDamaged,
		Detail: fmt.Sprintf(format, args...), Advice: "ducklens verify says what is wrong with the file"}
}

// table writes one table: a file for each run and head with rows, and for a run without rows an empty file,
// so that readers of the folder find its columns. Rows without a run, which a torn log can leave (see
// dbfile's mend), are left out.
func (e *exporter) table(ctx context.Context, t layout) error {
	about := ExportedTable{Name: t.Name, Comment: t.Comment, Columns: []ExportedColumn{},
		Files: []ExportedFile{}}
	for _, c := range t.stored() {
		about.Columns = append(about.Columns, ExportedColumn{c.Name, c.Type, c.Comment})
	}
	write := func(name, where string) error {
		f, err := e.file(ctx, t, name, where)
		about.Files = append(about.Files, f)
		return err
	}
	if t.division == byFile {
		if err := write(t.paths(e.manifest.Key, nil)[0], "true"); err != nil {
			return err
		}
	} else {
		for _, run := range e.manifest.Runs {
			where, names := t.rowsOf(e.db.Source("run"), run.RunID), t.paths(e.manifest.Key, &run)
			if run.part() && dbfile.IsManifest(t.Name) {
				where = "false"
			}
			if t.division == byRun {
				if err := write(names[0], where); err != nil {
					return err
				}
				continue
			}
			places, err := e.headsOf(ctx, t, run, where)
			if err != nil {
				return err
			}
			for _, i := range places {
				if err := write(names[i], where+" AND t.head_id = "+strconv.Itoa(run.heads[i])); err != nil {
					return err
				}
			}
		}
	}
	e.manifest.Tables = append(e.manifest.Tables, about)
	return nil
}

// headsOf lists the indices of a run's heads that have rows in a table, or index 0 if none has.
func (e *exporter) headsOf(ctx context.Context, t layout, run ExportedRun,
	where string) (places []int, err error) {
	rows, err := e.conn.QueryContext(ctx, "SELECT DISTINCT t.head_id FROM "+e.db.Source(t.Name)+
		" AS t WHERE "+where)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var head int
		if err := rows.Scan(&head); err != nil {
			return nil, err
		}
		i := slices.Index(run.heads, head)
		if i < 0 {
			return nil, e.damaged("table %s has rows of head %d of run %d, "+
				"which is not a target head of the run", t.Name, head, run.RunID)
		}
		places = append(places, i)
	}
	if len(places) == 0 && len(run.heads) > 0 {
		places = []int{0}
	}
	slices.Sort(places)
	return places, rows.Err()
}

// file writes one sorted Parquet file and describes it.
func (e *exporter) file(ctx context.Context, t layout,
	name, where string) (exported ExportedFile, err error) {
	full := joined(e.folder, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
		return exported, err
	}
	var columns []string
	for _, c := range t.stored() {
		columns = append(columns, exportExpression(c))
	}
	metadata, err := t.metadata()
	if err != nil {
		return exported, err
	}
	result, err := e.conn.ExecContext(ctx, "COPY (SELECT "+strings.Join(columns, ", ")+" FROM "+
		e.db.Source(t.Name)+" AS t WHERE "+where+t.sortedBy(parquetOrder)+") TO "+dbfile.QuoteText(full)+
		" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE "+strconv.Itoa(RowGroupRows)+
		", KV_METADATA "+metadata+")")
	if err != nil {
		return exported, err
	}
	exported.Path = name
	if exported.Rows, err = result.RowsAffected(); err != nil {
		return exported, err
	}
	file, err := os.Open(full)
	if err != nil {
		return exported, err
	}
	exported.Bytes, exported.SHA256, err = digest(ctx, file)
	return exported, errors.Join(err, file.Close())
}

// metadata returns the metadata of a Parquet file as a DuckDB struct: comments under keys of our own, and the
// schema that Spark reads, whose comments its DESCRIBE shows.
func (t *layout) metadata() (string, error) {
	comments := map[string]string{}
	type field struct {
		Name     string            `json:"name"`
		Type     any               `json:"type"`
		Nullable bool              `json:"nullable"`
		Metadata map[string]string `json:"metadata"`
	}
	var fields []field
	for _, c := range t.stored() {
		comments[c.Name] = c.Comment
		kind, err := sparkType(c)
		if err != nil {
			return "", err
		}
		fields = append(fields, field{c.Name, kind, true, map[string]string{"comment": c.Comment}})
	}
	columns, err := json.Marshal(comments)
	if err != nil {
		return "", err
	}
	spark, err := json.Marshal(map[string]any{"type": "struct", "fields": fields})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(
		`{"ducklens.table": %s, "ducklens.comment": %s, "ducklens.columns": %s, "org.apache.spark.sql.parquet.row.metadata": %s}`,
		dbfile.QuoteText(t.Name), dbfile.QuoteText(t.Comment), dbfile.QuoteText(string(columns)),
		dbfile.QuoteText(string(spark))), nil
}

// sparkType returns the type of a column in the JSON form of Spark's schemas.
func sparkType(c dbfile.Column) (any, error) {
	kind := parquetType(c)
	if element, list := strings.CutSuffix(kind, "[]"); list {
		of, err := sparkType(dbfile.Column{Name: c.Name, Type: element})
		return map[string]any{"type": "array", "elementType": of, "containsNull": true}, err
	}
	if name := map[string]string{"INTEGER": "integer", "BIGINT": "long", "FLOAT": "float", "DOUBLE": "double",
		"BOOLEAN": "boolean", "VARCHAR": "string",
		"TIMESTAMP WITH TIME ZONE": "timestamp", "BLOB": "binary"}[kind]; name != "" {
		return name, nil
	}
	return nil, fmt.Errorf("column %s has the type %s, which Spark has no name for here", c.Name, kind)
}

// mayAdd returns an error unless the target is an empty folder, or a data set without any of the export's
// runs.
func (e *exporter) mayAdd(target string) error {
	list, err := manifestsIn(target)
	if err != nil {
		return err
	}
	for _, m := range list {
		for _, r := range m.Runs {
			if slices.ContainsFunc(e.manifest.Runs,
				func(own ExportedRun) bool { return own.name() == r.name() }) {
				return &dbfile.Error{Kind: dbfile.ErrExists,
					Detail: fmt.Sprintf("%s already has run %s", m.path(), r.name()),
					Advice: "a data set holds a run only once"}
			}
		}
	}
	return nil
}

// order lists the files of the export, the manifest last.
func (e *exporter) order() (names []string) {
	last := e.manifest.path()
	for name, folder := range e.manifest.holds() {
		if !folder && name != last {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return append(names, last)
}
