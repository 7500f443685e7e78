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

// MergedRun describes what became of a run of a source.
type MergedRun struct {
	Path    string       // of the source
	RunID   int          // in the source
	NewID   int          // in the merged file
	Prompts int          // of the run NewID; -1 if not recorded
	Known   bool         // the same run was merged before, so it was not copied again
	Shard   schema.Shard // of the run NewID
	SHA256  string       // of everything that is stored of the run, except its id and that of its model
}

// Merge creates a file with the runs of other files, in their order. opts are those of [Create]. Runs get new
// ids from 1. Models and components are shared by key, and a run that several files hold is copied once. The
// shards of a run are united. Of several saved queries with the same name, the first is kept. Sources must
// have the current schema version and only complete runs. The new file appears when it is whole; until then,
// a file that it replaces stays.
func Merge(ctx context.Context, into string, from []string,
	opts dbfile.Options) (runs []MergedRun, err error) {
	const op = "merge into"
	opts.OwnRows = true
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
				return nil, dbfile.Fail(op, into,
					&dbfile.Error{Kind: dbfile.ErrExists, Detail: "it is one of the files to be merged",
						Advice: "choose another name for the merged file"})
			}
		}
	}
	opts.Reach = from
	db, err := dbfile.Create(ctx, into, opts)
	if err != nil {
		return nil, err
	}
	m := merger{db: db, shards: map[string][]sourceRun{}}
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
	tables   []dbfile.Table // with rows of runs, the manifest tables first
	runs     []MergedRun
	shards   map[string][]sourceRun // of runs to be united, by key
	keys     []string               // of those runs, in order
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
		for _, key := range m.keys {
			if err := m.unite(ctx, key); err != nil {
				return err
			}
		}
		return nil
	})
}

// runTables lists the tables with rows of runs, the table run first.
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

// source merges the whole runs of one file, and collects its shards.
func (m *merger) source(ctx context.Context, path, name string) error {
	list, err := m.parts(ctx, path, name)
	if err != nil {
		return err
	}
	for _, p := range list {
		if p.status != schema.Complete.String() {
			return &dbfile.Error{Op: "merge", Path: path, Kind: dbfile.ErrUnfinished,
				Detail: fmt.Sprintf("run %d is %s", p.id, p.status),
				Advice: "complete it with ducklens ingest --resume"}
		}
		if p.sum, err = m.hash(ctx, name, p.id, p.model); err != nil {
			return dbfile.Wrap("read", path, err)
		}
		if !p.shard.Whole() {
			if m.shards[p.key] == nil {
				m.keys = append(m.keys, p.key)
			}
			m.shards[p.key] = append(m.shards[p.key], p)
			continue
		}
		if err := m.run(ctx, p); err != nil {
			return err
		}
	}
	_, err = m.conn.ExecContext(ctx, "INSERT OR IGNORE INTO saved_query (name, sql) SELECT name, sql FROM "+
		name+".main.saved_query ORDER BY name")
	return dbfile.Wrap("copy the saved queries of", path, err)
}

// run merges one whole run, unless it has been merged.
func (m *merger) run(ctx context.Context, p sourceRun) error {
	if i := slices.IndexFunc(m.runs, func(o MergedRun) bool { return o.SHA256 == p.sum }); i >= 0 {
		if err := m.checkShared(ctx, p.path, p.name, p.id, p.model); err != nil {
			return err
		}
		m.runs = append(m.runs,
			MergedRun{Path: p.path, RunID: p.id, NewID: m.runs[i].NewID, Prompts: p.total, Known: true,
				SHA256: p.sum})
		return nil
	}
	values, err := m.enter(ctx, p)
	if err != nil {
		return err
	}
	for _, t := range m.tables {
		if err := m.copy(ctx, p, t, t.Name, values); err != nil {
			return err
		}
	}
	return nil
}

// enter gives a run an id, and adds its model and components. It returns the values that change in the run's
// rows, which the caller copies.
func (m *merger) enter(ctx context.Context, p sourceRun) (values map[string]string, err error) {
	if err := m.checkShared(ctx, p.path, p.name, p.id, p.model); err != nil {
		return nil, err
	}
	merged := MergedRun{Path: p.path, RunID: p.id, Prompts: p.total, Shard: p.shard, SHA256: p.sum}
	key := p.key
	var taken bool
	if err := m.conn.QueryRowContext(ctx, "SELECT coalesce((SELECT max(run_id) + 1 "+
		"FROM run), 1), EXISTS (FROM run WHERE key = $1)", key).Scan(&merged.NewID, &taken); err != nil {
		return nil, dbfile.Wrap("read", p.path, err)
	}
	if taken { // the same question, with different results
		key = schema.OtherRunKey(key, p.sum)
	}
	model, err := m.model(ctx, p.path, p.name, p.model)
	if err != nil {
		return nil, err
	}
	if err := m.components(ctx, p.name, p.id, model); err != nil {
		return nil, dbfile.Wrap("copy components of", p.path, err)
	}
	m.runs = append(m.runs, merged)
	return map[string]string{"run_id": fmt.Sprint(merged.NewID), "model_id": fmt.Sprint(model),
		"key": dbfile.QuoteText(key)}, nil
}

// hash returns the content hash of a run, which does not depend on the order of rows or on ids. It hashes the
// sum, the exclusive or and the number of the 64-bit hashes of each table's rows.
func (m *merger) hash(ctx context.Context, name string, run, model int) (string, error) {
	h := sha256.New()
	var key string
	if err := m.conn.QueryRowContext(ctx, "SELECT key FROM "+name+".main.model WHERE model_id = $1", model).
		Scan(&key); err != nil {
		return "", err
	}
	fmt.Fprintf(h, "model %s\n", key)
	// Components are identified by key.
	if err := m.number(ctx,
		fmt.Sprintf("SELECT c.component_id, c.key FROM %[1]s.main.component AS c "+
			"JOIN %[1]s.main.run_component AS o ON o.component_id = c.component_id "+
			"WHERE o.run_id = %[2]d", name, run)); err != nil {
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
		if err := m.conn.QueryRowContext(ctx,
			"SELECT count(*)::VARCHAR, coalesce(sum(h::HUGEINT), 0)::VARCHAR, coalesce(bit_xor(h), "+
				"0)::VARCHAR FROM (SELECT hash("+strings.Join(columns, ", ")+
				") AS h FROM "+name+".main."+dbfile.QuoteName(t.Name)+" WHERE run_id = $1)", run).
			Scan(&count, &sum, &xor); err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %s %s %s\n", t.Name, count, sum, xor)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// number stores the result of a query, a value for each component id, for componentOf to look up. Unlike a
// join, a look-up keeps the order of rows.
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

// componentOf returns the expression that looks up a column of component ids.
func componentOf(column string) string {
	return "getvariable('component_values')[" + dbfile.QuoteName(column) +
		" - getvariable('component_first') + 1]"
}

// checkShared returns an error unless the model and the components of a run equal those with the same keys in
// the merged file. Their descriptions in the merged file apply to all runs, and a key is only a claim of the
// source. The name of a model may differ, because a folder of weights may be renamed.
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
				differing = append(differing,
					fmt.Sprintf("CASE WHEN ours.%[1]s IS DISTINCT "+
						"FROM theirs.%[1]s THEN %[2]s || coalesce(theirs.%[1]s::VARCHAR, 'NULL') || ', and ' || "+
						"coalesce(ours.%[1]s::VARCHAR, 'NULL') END", dbfile.QuoteName(c.Name),
						dbfile.QuoteText(c.Name+" ")))
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
			Detail: fmt.Sprintf("its %s %d has the same key as one of %s but a different "+
				"description: %s there", t.Name, id, from, what),
			Advice: "run ducklens verify on both files to see which description does not match the key"}
	}
	return nil
}

// model finds a source's model in the merged file by key, or adds it, and returns its id there.
func (m *merger) model(ctx context.Context, path, name string, old int) (id int, err error) {
	err = m.conn.QueryRowContext(ctx, "SELECT ours.model_id FROM model AS ours JOIN "+name+
		".main.model AS theirs ON theirs.key = ours.key WHERE theirs.model_id = $1", old).Scan(&id)
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
	for _, c := range tables[slices.IndexFunc(tables,
		func(t dbfile.Table) bool { return t.Name == "model" })].Columns {
		if c.Name != "model_id" {
			columns = append(columns, dbfile.QuoteName(c.Name))
		}
	}
	if err := m.conn.QueryRowContext(ctx, "SELECT coalesce(max(model_id) + 1, 0) FROM model").
		Scan(&id); err != nil {
		return 0, err
	}
	_, err = m.conn.ExecContext(ctx,
		fmt.Sprintf("INSERT INTO model (model_id, %s) SELECT %d, %[1]s FROM %[3]s.main.model "+
			"WHERE model_id = %[4]d", strings.Join(columns, ", "), id, name, old))
	return id, dbfile.Wrap("copy table model of", path, err)
}

// components adds the components of a run that the merged file lacks, and maps the ids of all of them to
// those of the merged file.
func (m *merger) components(ctx context.Context, name string, run, model int) error {
	const columns = "key, kind, layer, head, label, tl_name, grid_row, grid_column, source"
	of := fmt.Sprintf("%[1]s.main.component AS c JOIN %[1]s.main.run_component AS o "+
		"ON o.component_id = c.component_id AND o.run_id = %d", name, run)
	if _, err := m.conn.ExecContext(ctx, fmt.Sprintf(`INSERT INTO component (component_id, model_id, %s)
		SELECT (SELECT coalesce(max(component_id), -1) FROM component) + row_number() OVER (ORDER BY o.ordinal), %d, %s
		FROM %s ANTI JOIN component AS ours ON ours.key = c.key ORDER BY o.ordinal`, columns, model, "c."+strings.ReplaceAll(columns, ", ", ", c."), of)); err != nil {
		return err
	}
	return m.number(ctx, "SELECT c.component_id, ours.component_id FROM "+of+
		" JOIN component AS ours ON ours.key = c.key")
}

// copy copies the rows of a run to a table with the same columns, with the given values in some columns and
// the component ids of the merged file.
func (m *merger) copy(ctx context.Context, p sourceRun, t dbfile.Table, into string,
	other map[string]string) error {
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
	_, err := m.conn.ExecContext(ctx,
		fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s.main.%s WHERE run_id = %d",
			into, strings.Join(names, ", "), strings.Join(values, ", "), p.name, dbfile.QuoteName(t.Name), p.id))
	return dbfile.Wrap("copy table "+t.Name+" of", p.path, err)
}
