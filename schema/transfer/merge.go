package transfer

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// MergedRun says what became of a run of a merged file.
type MergedRun struct {
	Path   string // the source
	RunID  int    // there
	NewID  int    // in the merged file
	Known  bool   // the same run was merged before, and is not there twice
	SHA256 string // of everything that is stored of the run, but for its number and that of its model
}

// Merge makes a new file with the runs of others, in their order; opts are those of [Create]. Runs are numbered anew from 1, models and components are
// shared by their keys, and a run that several files hold is taken once. Of saved queries with one name the first stays. Sources
// must have the schema version of this program and complete runs only. The new file appears when it has all of it; until then a file that it
// replaces stays.
func Merge(ctx context.Context, into string, from []string, opts dbfile.Options) (runs []MergedRun, err error) {
	const op = "merge into"
	for _, path := range from {
		source, err := dbfile.OpenData(ctx, path, opts)
		if err != nil {
			return nil, err
		}
		if err := source.Close(); err != nil {
			return nil, err
		}
		if a, err := os.Stat(path); err == nil {
			if b, err := os.Stat(into); err == nil && os.SameFile(a, b) {
				return nil, dbfile.Fail(op, into, &dbfile.Error{Kind: dbfile.ErrExists, Detail: "it is one of the files to be merged", Advice: "give the merged file a name of its own"})
			}
		}
	}
	opts.Reach = from
	db, err := dbfile.Create(ctx, into, opts)
	if err != nil {
		return nil, err
	}
	m := merger{db: db}
	err = m.merge(ctx, from)
	for _, release := range m.releases {
		release()
	}
	if err != nil {
		return nil, errors.Join(failOnce(op, into, err), db.Close())
	}
	return m.runs, db.Finalize(ctx)
}

// merger makes one merged file.
type merger struct {
	db       *dbfile.DB
	conn     *sql.Conn
	releases []func()
	tables   []dbfile.Table // with rows of runs, the manifest first
	runs     []MergedRun
}

func (m *merger) merge(ctx context.Context, from []string) (err error) {
	if m.conn, err = m.db.Conn(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.conn.Close()) }()
	if m.tables, err = runTables(); err != nil {
		return err
	}
	names := make([]string, len(from)) // of the databases
	for i, path := range from {
		name, release, err := dbfile.AttachOther(ctx, m.conn, path)
		if err != nil {
			return err
		}
		names[i], m.releases = name, append(m.releases, release)
	}
	return m.db.InTx(ctx, m.conn, func() error {
		for i, path := range from {
			if err := m.source(ctx, path, names[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// runTables lists the tables that hold rows of runs; the table run is the first.
func runTables() (list []dbfile.Table, err error) {
	tables, err := dbfile.Tables()
	for _, t := range tables {
		switch {
		case t.Name == "run":
			list = slices.Insert(list, 0, t)
		case t.ByRun():
			list = append(list, t)
		}
	}
	return list, err
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
		return dbfile.Wrap("read", path, err)
	}
	for rows.Next() {
		var r run
		if err := rows.Scan(&r.id, &r.model, &r.status); err != nil {
			return errors.Join(dbfile.Wrap("read", path, err), rows.Close())
		}
		list = append(list, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return dbfile.Wrap("read", path, err)
	}
	for _, r := range list {
		if r.status != "complete" {
			return &dbfile.Error{Op: "merge", Path: path, Kind: dbfile.ErrUnfinished, Detail: fmt.Sprintf("run %d is %s", r.id, r.status), Advice: "complete it with ducklens ingest --resume"}
		}
		if err := m.run(ctx, path, name, r.id, r.model); err != nil {
			return err
		}
	}
	_, err = m.conn.ExecContext(ctx, "INSERT OR IGNORE INTO saved_query (name, sql) SELECT name, sql FROM "+name+".main.saved_query ORDER BY name")
	return dbfile.Wrap("copy the saved queries of", path, err)
}

// run merges one run, unless it is there.
func (m *merger) run(ctx context.Context, path, name string, id, model int) error {
	sum, err := m.hash(ctx, name, id, model)
	if err != nil {
		return dbfile.Wrap("read", path, err)
	}
	if err := m.checkShared(ctx, path, name, id, model); err != nil {
		return err
	}
	merged := MergedRun{Path: path, RunID: id, SHA256: sum}
	if i := slices.IndexFunc(m.runs, func(o MergedRun) bool { return o.SHA256 == sum }); i >= 0 {
		merged.NewID, merged.Known = m.runs[i].NewID, true
		m.runs = append(m.runs, merged)
		return nil
	}
	var key string
	var taken bool
	if err := m.conn.QueryRowContext(ctx, "SELECT coalesce((SELECT max(run_id) + 1 FROM run), 1), r.key, EXISTS (FROM run AS o WHERE o.key = r.key) FROM "+name+".main.run AS r WHERE r.run_id = $1", id).
		Scan(&merged.NewID, &key, &taken); err != nil {
		return dbfile.Wrap("read", path, err)
	}
	if taken { // the same question, answered with other numbers
		key = schema.OtherRunKey(key, sum)
	}
	newModel, err := m.model(ctx, path, name, model)
	if err != nil {
		return err
	}
	if err := m.components(ctx, name, id, newModel); err != nil {
		return dbfile.Wrap("copy components of", path, err)
	}
	values := map[string]string{"run_id": fmt.Sprint(merged.NewID), "model_id": fmt.Sprint(newModel), "key": dbfile.QuoteText(key)}
	for _, t := range m.tables {
		if err := m.copy(ctx, name, t, id, values); err != nil {
			return dbfile.Wrap("copy table "+t.Name+" of", path, err)
		}
	}
	m.runs = append(m.runs, merged)
	return nil
}

// hash gives the content hash of a run: it is the same for the same rows in any order, under any number. Within a table rows are told apart
// by 64-bit hashes, of which the sum, the exclusive or and the number count.
func (m *merger) hash(ctx context.Context, name string, run, model int) (string, error) {
	h := sha256.New()
	var key string
	if err := m.conn.QueryRowContext(ctx, "SELECT key FROM "+name+".main.model WHERE model_id = $1", model).Scan(&key); err != nil {
		return "", err
	}
	fmt.Fprintf(h, "model %s\n", key)
	// Components are told apart by their keys.
	if err := m.number(ctx, fmt.Sprintf("SELECT c.component_id, c.key FROM %[1]s.main.component AS c JOIN %[1]s.main.run_component AS o ON o.component_id = c.component_id WHERE o.run_id = %[2]d", name, run)); err != nil {
		return "", err
	}
	for _, t := range m.tables {
		var columns []string
		for _, c := range t.Columns {
			switch {
			case c.Name == "run_id", c.Name == "model_id", t.Name == "run" && c.Name == "key":
			case strings.HasSuffix(c.Name, "component_id"):
				columns = append(columns, componentOf(c.Name))
			default:
				columns = append(columns, dbfile.QuoteName(c.Name))
			}
		}
		var count, sum, xor string
		if err := m.conn.QueryRowContext(ctx, "SELECT count(*)::VARCHAR, coalesce(sum(h::HUGEINT), 0)::VARCHAR, coalesce(bit_xor(h), 0)::VARCHAR FROM (SELECT hash("+strings.Join(columns, ", ")+
			") AS h FROM "+name+".main."+dbfile.QuoteName(t.Name)+" WHERE run_id = $1)", run).Scan(&count, &sum, &xor); err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %s %s %s\n", t.Name, count, sum, xor)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// number makes a list of what a query gives for each component id, which componentOf looks up: unlike a join, a look-up keeps
// rows in their order.
func (m *merger) number(ctx context.Context, query string) error {
	for _, s := range []string{
		"CREATE OR REPLACE TEMP TABLE merged_component AS SELECT * FROM (" + query + ") AS q(id, value)",
		"SET VARIABLE component_first = (SELECT coalesce(min(id), 0) FROM temp.main.merged_component)",
		`SET VARIABLE component_values = (SELECT list(m.value ORDER BY i.id) FROM (SELECT unnest(range(min(id), max(id) + 1)) AS id FROM temp.main.merged_component) AS i
			LEFT JOIN temp.main.merged_component AS m ON m.id = i.id)`,
	} {
		if _, err := m.conn.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// componentOf looks a column of component ids up.
func componentOf(column string) string {
	return "getvariable('component_values')[" + dbfile.QuoteName(column) + " - getvariable('component_first') + 1]"
}

// checkShared demands that the model and the components of a run are described as those of the merged file that have their keys: what the
// merged file has of them holds for the runs of all files, and a key is only what a file says. A folder of weights may be renamed, so the
// name of a model is no part of it.
func (m *merger) checkShared(ctx context.Context, path, name string, run, model int) error {
	tables, err := dbfile.Tables()
	if err != nil {
		return err
	}
	for _, shared := range []struct{ table, theirs, users, skip string }{
		{"model", fmt.Sprintf("(FROM %s.main.model WHERE model_id = %d)", name, model), "run", "name"},
		{"component", fmt.Sprintf(`(SELECT c.* REPLACE ((SELECT ours.model_id FROM model AS ours JOIN %[1]s.main.model AS theirs ON theirs.key = ours.key WHERE theirs.model_id = %[3]d) AS model_id)
			FROM %[1]s.main.component AS c JOIN %[1]s.main.run_component AS o ON o.component_id = c.component_id WHERE o.run_id = %[2]d)`, name, run, model), "run_component", ""},
	} {
		t := tables[slices.IndexFunc(tables, func(t dbfile.Table) bool { return t.Name == shared.table })]
		var differing []string
		for _, c := range t.Columns {
			if c.Name != shared.table+"_id" && c.Name != "key" && c.Name != shared.skip {
				differing = append(differing, fmt.Sprintf("CASE WHEN ours.%[1]s IS DISTINCT FROM theirs.%[1]s THEN %[2]s || coalesce(theirs.%[1]s::VARCHAR, 'NULL') || ', and ' || coalesce(ours.%[1]s::VARCHAR, 'NULL') END",
					dbfile.QuoteName(c.Name), dbfile.QuoteText(c.Name+" ")))
			}
		}
		var id, first int
		var what string
		err := m.conn.QueryRowContext(ctx, fmt.Sprintf(`SELECT theirs.%[1]s_id, coalesce(%[2]s) AS what, (SELECT min(u.run_id) FROM %[3]s AS u WHERE u.%[1]s_id = ours.%[1]s_id)
			FROM %[4]s AS theirs JOIN %[1]s AS ours ON ours.key = theirs.key WHERE what IS NOT NULL ORDER BY ALL LIMIT 1`,
			t.Name, strings.Join(differing, ", "), shared.users, shared.theirs)).Scan(&id, &what, &first)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return dbfile.Wrap("read", path, err)
		}
		from := m.runs[slices.IndexFunc(m.runs, func(r MergedRun) bool { return r.NewID == first })].Path
		return &dbfile.Error{Op: "merge", Path: path, Kind: dbfile.ErrConstraint,
			Detail: fmt.Sprintf("its %s %d has the key of one of %s and another description: %s there", t.Name, id, from, what),
			Advice: "ducklens verify FILE says which of the two is not what its key says"}
	}
	return nil
}

// model finds a source's model in the merged file by its key, or adds it, and gives its number there.
func (m *merger) model(ctx context.Context, path, name string, old int) (id int, err error) {
	err = m.conn.QueryRowContext(ctx, "SELECT ours.model_id FROM model AS ours JOIN "+name+".main.model AS theirs ON theirs.key = ours.key WHERE theirs.model_id = $1", old).Scan(&id)
	if err == nil {
		return id, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return 0, dbfile.Wrap("read", path, err)
	}
	tables, err := dbfile.Tables()
	if err != nil {
		return 0, err
	}
	var columns []string
	for _, c := range tables[slices.IndexFunc(tables, func(t dbfile.Table) bool { return t.Name == "model" })].Columns {
		if c.Name != "model_id" {
			columns = append(columns, dbfile.QuoteName(c.Name))
		}
	}
	if err := m.conn.QueryRowContext(ctx, "SELECT coalesce(max(model_id) + 1, 0) FROM model").Scan(&id); err != nil {
		return 0, err
	}
	_, err = m.conn.ExecContext(ctx, fmt.Sprintf("INSERT INTO model (model_id, %s) SELECT %d, %[1]s FROM %[3]s.main.model WHERE model_id = %[4]d", strings.Join(columns, ", "), id, name, old))
	return id, dbfile.Wrap("copy table model of", path, err)
}

// components adds the components of a run that the merged file does not have, and numbers all of them as they are numbered there.
func (m *merger) components(ctx context.Context, name string, run, model int) error {
	const columns = "key, kind, layer, head, label, tl_name, grid_row, grid_column, source"
	of := fmt.Sprintf("%[1]s.main.component AS c JOIN %[1]s.main.run_component AS o ON o.component_id = c.component_id AND o.run_id = %d", name, run)
	if _, err := m.conn.ExecContext(ctx, fmt.Sprintf(`INSERT INTO component (component_id, model_id, %s)
		SELECT (SELECT coalesce(max(component_id), -1) FROM component) + row_number() OVER (ORDER BY o.ordinal), %d, %s
		FROM %s ANTI JOIN component AS ours ON ours.key = c.key ORDER BY o.ordinal`, columns, model, "c."+strings.ReplaceAll(columns, ", ", ", c."), of)); err != nil {
		return err
	}
	return m.number(ctx, "SELECT c.component_id, ours.component_id FROM "+of+" JOIN component AS ours ON ours.key = c.key")
}

// copy copies the rows of a run, with other values in some columns and the component ids of the merged file.
func (m *merger) copy(ctx context.Context, name string, t dbfile.Table, run int, other map[string]string) error {
	var names, values []string
	for _, c := range t.Columns {
		quoted := dbfile.QuoteName(c.Name)
		names = append(names, quoted)
		value, fixed := other[c.Name]
		switch {
		case fixed && (c.Name != "key" || t.Name == "run"):
			values = append(values, value)
		case strings.HasSuffix(c.Name, "component_id"):
			values = append(values, componentOf(c.Name))
		default:
			values = append(values, quoted)
		}
	}
	_, err := m.conn.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s.main.%[1]s WHERE run_id = %[5]d",
		dbfile.QuoteName(t.Name), strings.Join(names, ", "), strings.Join(values, ", "), name, run))
	return err
}
