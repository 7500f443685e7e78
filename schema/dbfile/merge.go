package dbfile

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrUnfinished: a run is not complete where only complete runs will do.
var ErrUnfinished = errors.New("run is not complete")

// idsPerModel is the number of component ids that a model has to itself: component_id // idsPerModel = model_id.
const idsPerModel = 10_000

// MergedRun says what became of a run of a merged file.
type MergedRun struct {
	Path   string // the source
	RunID  int    // there
	NewID  int    // in the merged file
	Known  bool   // the same run was merged before, and is not there twice
	SHA256 string // of everything that is stored of the run, but for its number and that of its model
}

// Merge makes a new file with the runs of others, in their order; opts are those of [Create]. Runs are numbered anew from 1, models are
// shared by the hash of their weights, and a run that several files hold is taken once. Of saved queries with one name the first stays. Sources
// must have the schema version of this program and complete runs only. The new file has all of it or, after a failure, is not there.
func Merge(ctx context.Context, into string, from []string, opts Options) (runs []MergedRun, err error) {
	const op = "merge into"
	for _, path := range from {
		source, err := OpenReader(ctx, path, opts)
		if err != nil {
			return nil, err
		}
		if err := source.Close(); err != nil {
			return nil, err
		}
		if a, err := os.Stat(path); err == nil {
			if b, err := os.Stat(into); err == nil && os.SameFile(a, b) {
				return nil, fail(op, into, &Error{Kind: ErrExists, Detail: "it is one of the files to be merged", hint: "give the merged file a name of its own"})
			}
		}
	}
	db, err := Create(ctx, into, opts)
	if err != nil {
		return nil, err
	}
	m := merger{db: db}
	err = m.merge(ctx, from)
	for _, release := range m.releases {
		release()
	}
	if err != nil {
		return nil, errors.Join(fail(op, into, err), db.Discard())
	}
	return m.runs, db.Finalize(ctx)
}

// merger makes one merged file.
type merger struct {
	db       *DB
	conn     *sql.Conn
	releases []func()
	tables   []table // with a run_id, the manifest first
	runs     []MergedRun
}

// A table is one of the file, with the columns that are stored.
type table struct {
	name    string
	columns []storedColumn
}

// storedColumn is a column of a table that is not computed from others.
type storedColumn struct{ name, dataType string }

func (m *merger) merge(ctx context.Context, from []string) (err error) {
	if m.conn, err = m.db.Conn(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.conn.Close()) }()
	if m.tables, err = runTables(ctx, m.conn); err != nil {
		return err
	}
	for i, path := range from {
		if err := m.attach(ctx, path, sourceName(i)); err != nil {
			return err
		}
	}
	return m.db.InTx(ctx, m.conn, func() error {
		for i, path := range from {
			if err := m.source(ctx, path, sourceName(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

func sourceName(i int) string { return fmt.Sprintf("source%d", i) }

// attach attaches a source.
func (m *merger) attach(ctx context.Context, path, name string) error {
	release, err := attachOther(ctx, m.conn, path, name)
	if err != nil {
		return err
	}
	m.releases = append(m.releases, release)
	return nil
}

// attachOther attaches a second file to a connection, read-only, and sees that its tables are tables: a view of a
// table's name could read anything. Call release when the connection's database is closed.
func attachOther(ctx context.Context, conn *sql.Conn, path, name string) (release func(), err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if release, err = reserve(abs, false); err != nil {
		return nil, fail("open", path, err)
	}
	if _, err := conn.ExecContext(ctx, "ATTACH "+quoteText(abs)+" AS "+name+" (TYPE duckdb, READ_ONLY)"); err != nil {
		release()
		return nil, Wrap("open", path, err)
	}
	if err := checkTables(ctx, conn, path, name); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// checkTables demands that an attached file has each of our tables.
func checkTables(ctx context.Context, conn *sql.Conn, path, name string) error {
	var missing sql.NullString
	if err := conn.QueryRowContext(ctx, `SELECT string_agg(ours.table_name, ', ' ORDER BY ours.table_name) FROM duckdb_tables() AS ours WHERE ours.database_name = '`+Catalog+`'
		AND ours.table_name NOT IN (SELECT theirs.table_name FROM duckdb_tables() AS theirs WHERE theirs.database_name = $1 AND theirs.schema_name = 'main')`, name).Scan(&missing); err != nil {
		return Wrap("open", path, err)
	}
	if missing.Valid {
		return &Error{Op: "open", Path: path, Kind: ErrNotDucklens, Detail: "it has no table " + missing.String}
	}
	return nil
}

// runTables lists the tables that hold rows of runs, with their stored columns; the table run is the first.
func runTables(ctx context.Context, conn *sql.Conn) (list []table, err error) {
	// A generated column has its expression for a default.
	rows, err := conn.QueryContext(ctx, `SELECT c.table_name, c.column_name, c.data_type FROM duckdb_columns() AS c JOIN duckdb_tables() AS t USING (table_oid, database_name)
		WHERE c.database_name = '`+Catalog+`' AND c.column_default IS NULL
		AND t.table_name IN (SELECT table_name FROM duckdb_columns() WHERE database_name = '`+Catalog+`' AND column_name = 'run_id')
		ORDER BY t.table_name <> 'run', t.table_oid, c.column_index`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		var c storedColumn
		if err := rows.Scan(&name, &c.name, &c.dataType); err != nil {
			return nil, err
		}
		if n := len(list); n == 0 || list[n-1].name != name {
			list = append(list, table{name: name})
		}
		last := &list[len(list)-1]
		last.columns = append(last.columns, c)
	}
	return list, rows.Err()
}

// source merges the runs of one file.
func (m *merger) source(ctx context.Context, path, name string) error {
	type run struct {
		id, model int
		status    string
	}
	var list []run
	rows, err := m.conn.QueryContext(ctx, "SELECT run_id, model_id, status::VARCHAR FROM "+name+".main.run ORDER BY run_id")
	if err != nil {
		return Wrap("read", path, err)
	}
	for rows.Next() {
		var r run
		if err := rows.Scan(&r.id, &r.model, &r.status); err != nil {
			return errors.Join(Wrap("read", path, err), rows.Close())
		}
		list = append(list, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return Wrap("read", path, err)
	}
	for _, r := range list {
		if r.status != "complete" {
			return &Error{Op: "merge", Path: path, Kind: ErrUnfinished, Detail: fmt.Sprintf("run %d is %s", r.id, r.status), hint: "complete it with ducklens ingest --resume"}
		}
		sum, err := m.hash(ctx, name, r.id, r.model)
		if err != nil {
			return Wrap("read", path, err)
		}
		merged := MergedRun{Path: path, RunID: r.id, SHA256: sum}
		if i := slices.IndexFunc(m.runs, func(o MergedRun) bool { return o.SHA256 == sum }); i >= 0 {
			merged.NewID, merged.Known = m.runs[i].NewID, true
			m.runs = append(m.runs, merged)
			continue
		}
		if err := m.conn.QueryRowContext(ctx, "SELECT coalesce(max(run_id) + 1, 1) FROM run").Scan(&merged.NewID); err != nil {
			return err
		}
		model, err := m.model(ctx, path, name, r.model)
		if err != nil {
			return err
		}
		for _, t := range m.tables {
			if err := m.copy(ctx, name, t, "run_id", r.id, map[string]int{"run_id": merged.NewID, "model_id": model}, r.model, model); err != nil {
				return Wrap("copy table "+t.name+" of", path, err)
			}
		}
		m.runs = append(m.runs, merged)
	}
	_, err = m.conn.ExecContext(ctx, "INSERT OR IGNORE INTO saved_query (name, sql) SELECT name, sql FROM "+name+".main.saved_query ORDER BY name")
	return Wrap("copy the saved queries of", path, err)
}

// hash gives the content hash of a run: it is the same for the same rows in any order, under any number. Within a table rows are told apart
// by 64-bit hashes, of which the sum, the exclusive or and the number count.
func (m *merger) hash(ctx context.Context, name string, run, model int) (string, error) {
	h := sha256.New()
	var weights string
	if err := m.conn.QueryRowContext(ctx, "SELECT sha256 FROM "+name+".main.model WHERE model_id = $1", model).Scan(&weights); err != nil {
		return "", err
	}
	fmt.Fprintf(h, "model %s\n", weights)
	for _, t := range m.tables {
		var columns []string
		for _, c := range t.columns {
			switch {
			case c.name == "run_id", c.name == "model_id":
			case strings.HasSuffix(c.name, "component_id"):
				columns = append(columns, fmt.Sprintf("%s %% %d", quoteName(c.name), idsPerModel))
			default:
				columns = append(columns, quoteName(c.name))
			}
		}
		var count, sum, xor string
		if err := m.conn.QueryRowContext(ctx, "SELECT count(*)::VARCHAR, coalesce(sum(h::HUGEINT), 0)::VARCHAR, coalesce(bit_xor(h), 0)::VARCHAR FROM (SELECT hash("+strings.Join(columns, ", ")+
			") AS h FROM "+name+".main."+quoteName(t.name)+" WHERE run_id = $1)", run).Scan(&count, &sum, &xor); err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %s %s %s\n", t.name, count, sum, xor)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// model finds a source's model in the merged file by its weights, or adds it with its components, and gives its number there.
func (m *merger) model(ctx context.Context, path, name string, old int) (id int, err error) {
	const about = "n_layers, n_heads, d_model, d_head, d_mlp, d_vocab, n_ctx, ln_eps, activation"
	var same bool
	err = m.conn.QueryRowContext(ctx, "SELECT ours.model_id, row("+prefixed("ours.", about)+") = row("+prefixed("theirs.", about)+") FROM model AS ours JOIN "+
		name+".main.model AS theirs USING (sha256) WHERE theirs.model_id = $1", old).Scan(&id, &same)
	switch {
	case err == nil && !same:
		return 0, &Error{Op: "merge", Path: path, Kind: ErrConstraint, Detail: fmt.Sprintf("its model %d has the weights of another file's model and another configuration", old)}
	case err == nil:
		return id, nil
	case !errors.Is(err, sql.ErrNoRows):
		return 0, Wrap("read", path, err)
	}
	if err := m.conn.QueryRowContext(ctx, "SELECT coalesce(max(model_id) + 1, 0) FROM model").Scan(&id); err != nil {
		return 0, err
	}
	for _, t := range []table{
		{"model", columnsNamed("model_id, name, sha256, " + about)},
		{"component", columnsNamed("component_id, model_id, kind, layer, head, label, tl_name, grid_row, grid_column")},
	} {
		if err := m.copy(ctx, name, t, "model_id", old, map[string]int{"model_id": id}, old, id); err != nil {
			return 0, Wrap("copy table "+t.name+" of", path, err)
		}
	}
	return id, nil
}

func columnsNamed(names string) (list []storedColumn) {
	for _, n := range strings.Split(names, ", ") {
		list = append(list, storedColumn{name: n})
	}
	return list
}

func prefixed(prefix, names string) string {
	return prefix + strings.ReplaceAll(names, ", ", ", "+prefix)
}

// copy copies the rows of a table whose column key is id, with other numbers in some columns and component ids of another model.
func (m *merger) copy(ctx context.Context, name string, t table, key string, id int, numbers map[string]int, oldModel, newModel int) error {
	var names, values []string
	for _, c := range t.columns {
		quoted := quoteName(c.name)
		names = append(names, quoted)
		number, fixed := numbers[c.name]
		switch {
		case fixed:
			values = append(values, fmt.Sprint(number))
		case strings.HasSuffix(c.name, "component_id"):
			values = append(values, fmt.Sprintf("%s + %d", quoted, (newModel-oldModel)*idsPerModel))
		default:
			values = append(values, quoted)
		}
	}
	_, err := m.conn.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s.main.%[1]s WHERE %[5]s = %[6]d",
		quoteName(t.name), strings.Join(names, ", "), strings.Join(values, ", "), name, key, id))
	return err
}
