package transfer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// GatherOptions are the options of [Gather].
type GatherOptions struct {
	dbfile.Options

	// Prefix precedes the paths of files in the stored views, which are for DuckDB itself: a folder, or the
	// address of a bucket. "": the absolute path of the data set. This program does not use it.
	Prefix string

	// Runs are the keys of the runs to gather, or beginnings of them; none: all runs.
	Runs []string
}

// Gathered is a run of a catalogue.
type Gathered struct {
	RunID    int
	Key      string
	Shards   int // 0: the run was whole
	Prompts  int64
	Examples int
	Files    int
	Bytes    int64
}

// Gather makes a catalogue of a data set. The rows of the catalogue's large tables stay in the Parquet files,
// which are neither copied nor changed. Gather compares every file with its digest, and checks that the
// shards of a run make up the whole run: [ErrShards]. The folder may be untrusted, as for [Import].
func Gather(ctx context.Context, folder, into string, opts GatherOptions) (list []Gathered, err error) {
	const op = "gather"
	manifests, err := ReadManifests(folder)
	if err != nil {
		return nil, dbfile.Fail(op, folder, err)
	}
	abs, err := filepath.Abs(folder)
	if err != nil {
		return nil, dbfile.Fail(op, folder, err)
	}
	if strings.ContainsAny(abs, "*?[") {
		return nil, dbfile.Fail(op, folder,
			&dbfile.Error{Kind: dbfile.ErrPath, Detail: "DuckDB reads *, ? and [ in a path as a pattern",
				Advice: "rename the folder"})
	}
	opts.Reach = []string{abs}
	if opts.Memory == "" {
		opts.Memory = dbfile.DefaultMemory
	}
	if opts.Replace {
		if err := onlyCatalogue(ctx, into); err != nil {
			return nil, err
		}
	}
	db, err := dbfile.Create(ctx, into, opts.Options)
	if err != nil {
		return nil, err
	}
	g := gatherer{merger: merger{db: db, shards: map[string][]sourceRun{}}, folder: folder, abs: abs,
		exports: map[string]*importer{}}
	if g.only, err = chosenRuns(manifests, opts.Runs); err != nil {
		return nil, errors.Join(dbfile.Fail(op, folder, err), db.Close())
	}
	if err := g.gather(ctx, manifests, opts.Prefix); err != nil {
		return nil, errors.Join(failOnce(op, folder, err), db.Close())
	}
	return g.list, db.Finalize(ctx)
}

// chosenRuns returns the keys of the runs that begin as wanted: exactly one for each.
func chosenRuns(manifests []*Manifest, wanted []string) (list []string, err error) {
	var all []string
	for _, m := range manifests {
		for _, r := range m.Runs {
			all = append(all, r.Key)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for _, begin := range wanted {
		var found []string
		for _, key := range all {
			if strings.HasPrefix(key, begin) {
				found = append(found, key)
			}
		}
		if len(found) != 1 {
			return nil, &dbfile.Error{
				Detail: fmt.Sprintf("%d of its runs have a key that begins with %q, want one", len(found),
					begin),
				Advice: "its runs are " + strings.Join(all[:min(len(all), 20)], ", ")}
		}
		list = append(list, found[0])
	}
	return list, nil
}

// onlyCatalogue returns an error if there is a file with rows at path: a catalogue, which has none, must not
// replace it. What Create refuses, it does not judge.
func onlyCatalogue(ctx context.Context, path string) error {
	if is, err := dbfile.IsCatalogue(ctx, path); is || err != nil {
		return nil
	}
	return &dbfile.Error{Op: "create", Path: path, Detail: "the file there is not a catalogue, left alone",
		Advice: "choose another name, or remove the file first"}
}

// gatherer makes one catalogue.
type gatherer struct {
	merger
	folder, abs string
	only        []string             // keys of the runs to gather; none: all
	exports     map[string]*importer // by key
	catalogued  []dbfile.CatalogueRun
	list        []Gathered
}

func (g *gatherer) gather(ctx context.Context, manifests []*Manifest, prefix string) (err error) {
	if g.conn, err = g.db.Conn(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.conn.Close()) }()
	if g.tables, err = runTables(); err != nil {
		return err
	}
	tables, err := layouts()
	if err != nil {
		return err
	}
	var whole []sourceRun
	for _, m := range manifests {
		if !slices.ContainsFunc(m.Runs, g.wants) {
			continue
		}
		i := &importer{op: "gather", db: g.db, conn: g.conn, path: g.folder, folder: g.abs, manifest: m}
		if err := i.check(tables); err != nil {
			return err
		}
		if err := i.compareAll(ctx, tables); err != nil {
			return err
		}
		g.exports[m.Key] = i
		for n := range m.Runs {
			if !g.wants(m.Runs[n]) {
				continue
			}
			p, err := g.runOf(m, &m.Runs[n])
			if err != nil {
				return err
			}
			if p.shard.Whole() {
				whole = append(whole, p)
				continue
			}
			if g.shards[p.key] == nil {
				g.keys = append(g.keys, p.key)
			}
			g.shards[p.key] = append(g.shards[p.key], p)
		}
	}
	groups, err := g.groups(whole)
	if err != nil {
		return err
	}
	if err := g.load(ctx, tables, groups); err != nil {
		return err
	}
	if err := g.db.InTx(ctx, g.conn, func() error {
		for _, group := range groups {
			if err := g.enterRun(ctx, tables, group); err != nil {
				return err
			}
		}
		return g.store(ctx)
	}); err != nil {
		return err
	}
	return g.views(ctx, tables, prefix)
}

// wants reports whether the run is to be gathered.
func (g *gatherer) wants(r ExportedRun) bool {
	return len(g.only) == 0 || slices.Contains(g.only, r.Key)
}

// groups returns the runs, each as the list of its shards, or alone if it is whole.
func (g *gatherer) groups(alone []sourceRun) (list [][]sourceRun, err error) {
	seen := map[string]string{}
	for _, p := range alone {
		if other, twice := seen[p.key]; twice {
			return nil, &dbfile.Error{Op: "gather", Path: g.folder, Kind: ErrShards,
				Detail: fmt.Sprintf("run %s is in %s and in %s", p.key, other, p.path)}
		}
		seen[p.key] = p.path
		list = append(list, []sourceRun{p})
	}
	for _, key := range g.keys {
		if other, twice := seen[key]; twice {
			return nil, &dbfile.Error{Op: "gather", Path: g.folder, Kind: ErrShards,
				Detail: fmt.Sprintf("run %s is in %s whole, and in shards beside it", key, other)}
		}
		shards, err := g.whole("gather", key)
		if wrong := (*dbfile.Error)(nil); errors.As(err, &wrong) && len(alone)+len(g.keys) > 1 {
			wrong.Advice += "\nto gather other runs without this one, name their keys with --run; " +
				"ducklens gather --help says how to remove a run or a shard"
		}
		if err != nil {
			return nil, err
		}
		list = append(list, shards)
	}
	return list, nil
}

// runOf describes a run of a manifest.
func (g *gatherer) runOf(m *Manifest, r *ExportedRun) (sourceRun, error) {
	shard, err := schema.ParseShard(r.Shard)
	p := sourceRun{path: filepath.Join(g.folder, m.path()), name: m.Key, id: r.RunID, key: r.Key,
		shard: shard, n: int(r.Examples), total: r.Prompts,
		closure: r.Closure, settings: r.Settings, sum: m.Key}
	if err != nil || shard.Whole() {
		return p, err
	}
	for _, s := range r.Settings {
		if s.What == "options" {
			p.options = s.Value
		}
	}
	p.created, err = time.Parse(time.RFC3339Nano, r.Created)
	if err == nil && (r.Prompts < shard.Of || r.Examples < 0 || r.Examples > int64(shard.Room()) ||
		len(r.Settings) == 0) {
		err = fmt.Errorf("%d prompts in %d shards, %d examples", r.Prompts, shard.Of, r.Examples)
	}
	if err != nil {
		return p, &dbfile.Error{Op: "gather", Path: p.path, Kind: dbfile.ErrNotExport, Detail: err.Error()}
	}
	return p, nil
}

// load creates an in-memory database with the manifest tables of each export that has them.
func (g *gatherer) load(ctx context.Context, tables []layout, groups [][]sourceRun) error {
	loaded := map[string]bool{}
	for _, group := range groups {
		key := group[0].name
		if loaded[key] {
			continue
		}
		loaded[key] = true
		i, database := g.exports[key], g.database(key)
		if _, err := g.conn.ExecContext(ctx, "ATTACH ':memory:' AS "+database); err != nil {
			return err
		}
		for _, t := range tables {
			if !dbfile.IsManifest(t.Name) {
				continue
			}
			if err := i.loadInto(ctx, t, database); err != nil {
				return err
			}
		}
	}
	return nil
}

// database returns the name of the in-memory database of an export.
func (g *gatherer) database(key string) string {
	return dbfile.QuoteName("export_" + key)
}

// enterRun adds a run to the manifest tables, and lists its files.
func (g *gatherer) enterRun(ctx context.Context, tables []layout, group []sourceRun) error {
	first := group[0]
	i := g.exports[first.name]
	first.name = g.database(first.name)
	if err := g.conn.QueryRowContext(ctx, "SELECT model_id FROM "+first.name+
		".main.run WHERE run_id = $1 AND key = $2 AND status = 'complete'", first.id, first.key).
		Scan(&first.model); err != nil {
		return i.wrong("%s: it lists run %s with the number %d, "+
			"and its table run has no such complete run: %v", i.manifest.path(), first.key, first.id, err)
	}
	values, err := g.enter(ctx, first)
	if err != nil {
		return err
	}
	for _, t := range g.tables {
		if dbfile.IsManifest(t.Name) {
			if err := g.copy(ctx, first, t, dbfile.QuoteName(t.Name), values); err != nil {
				return err
			}
		}
	}
	if _, err := g.conn.ExecContext(ctx, "INSERT OR IGNORE INTO saved_query (name, sql) "+
		"SELECT name, sql FROM "+first.name+".main.saved_query ORDER BY name"); err != nil {
		return dbfile.Wrap("copy the saved queries of", first.path, err)
	}
	run := g.runs[len(g.runs)-1].NewID
	if !first.shard.Whole() {
		if err := g.completeShards(ctx, values["run_id"], group); err != nil {
			return err
		}
	}
	c := dbfile.CatalogueRun{RunID: run, Shards: first.shard.Of}
	if c.ComponentID, err = g.numbering(ctx); err != nil {
		return err
	}
	told := Gathered{RunID: run, Key: first.key, Shards: first.shard.Of}
	shifted := false
	for _, p := range group {
		shift := told.Examples - p.first()
		shifted = shifted || shift != 0
		c.ExampleShift = append(c.ExampleShift, shift)
		told.Examples += p.n
		files, err := g.files(tables, p)
		if err != nil {
			return err
		}
		prompts := int64(0)
		for _, f := range files {
			if told.Files, told.Bytes = told.Files+1, told.Bytes+f.Bytes; f.Table == "prompt" {
				prompts += f.Rows
			}
		}
		if start, end := p.shard.Prompts(p.total); !p.shard.Whole() && int64(end-start) != prompts {
			return &dbfile.Error{Op: "gather", Path: p.path, Kind: ErrShards,
				Detail: fmt.Sprintf("shard %s has %d prompts, want %d of the %d", p.shard, prompts,
					end-start, p.total)}
		}
		told.Prompts += prompts
		c.Files = append(c.Files, files...)
	}
	if !shifted {
		c.ExampleShift = nil
	}
	if err := c.Check(); err != nil {
		return i.wrong("%v", err)
	}
	g.catalogued, g.list = append(g.catalogued, c), append(g.list, told)
	return g.moments(ctx, tables, group, c)
}

// moments adds the moments of a run to the catalogue. Those of shards are united.
func (g *gatherer) moments(ctx context.Context, tables []layout, group []sourceRun,
	c dbfile.CatalogueRun) error {
	t := tables[slices.IndexFunc(tables, func(t layout) bool { return t.Name == dbfile.MomentTable })]
	c.Files = nil
	for _, p := range group {
		parts, err := g.exports[p.name].parts(t)
		if err != nil {
			return err
		}
		for _, of := range parts {
			if of.run != nil && of.run.Key == p.key {
				for _, f := range of.files {
					c.Files = append(c.Files, dbfile.CatalogueFile{Table: t.Name, Path: f.Path, Rows: f.Rows})
				}
			}
		}
	}
	return g.uniteMoments(ctx, dbfile.CatalogueView(&t.Table, []dbfile.CatalogueRun{c}, func(paths []string) string {
		quoted := make([]string, len(paths))
		for i, name := range paths {
			quoted[i] = dbfile.QuoteText(joined(g.abs, name))
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}))
}

// numbering returns the component ids of the run that was entered last, by the ids in its files, or nil if
// they are the same.
func (g *gatherer) numbering(ctx context.Context) (list []int, err error) {
	rows, err := g.conn.QueryContext(ctx, "SELECT i.id, coalesce(m.value, -1) "+
		"FROM range((SELECT max(id) + 1 FROM temp.main.merged_component)) AS i(id) LEFT "+
		"JOIN temp.main.merged_component AS m ON m.id = i.id ORDER BY i.id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	same := true
	for rows.Next() {
		var id, value int
		if err := rows.Scan(&id, &value); err != nil {
			return nil, err
		}
		list, same = append(list, value), same && (value == id || value < 0)
	}
	if same {
		list = nil
	}
	return list, rows.Err()
}

// files lists the files of an export with facts about a run.
func (g *gatherer) files(tables []layout, p sourceRun) (list []dbfile.CatalogueFile, err error) {
	i := g.exports[p.name]
	for _, t := range tables {
		if dbfile.InCatalogue(t.Name) {
			continue
		}
		parts, err := i.parts(t)
		if err != nil {
			return nil, err
		}
		for _, of := range parts {
			if of.run == nil || of.run.Key != p.key {
				continue
			}
			for _, f := range of.files {
				list = append(list,
					dbfile.CatalogueFile{Table: t.Name, Path: f.Path, Rows: f.Rows, Bytes: f.Bytes,
						SHA256: f.SHA256})
			}
		}
	}
	return list, nil
}

// store writes the tables of the catalogue.
func (g *gatherer) store(ctx context.Context) error {
	for _, s := range dbfile.CatalogueTables {
		if _, err := g.conn.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	if _, err := g.conn.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES ($1, $2)",
		dbfile.CatalogueFolder, filepath.Base(g.abs)); err != nil {
		return err
	}
	for _, r := range g.catalogued {
		if _, err := g.conn.ExecContext(ctx,
			fmt.Sprintf("INSERT INTO catalogue_run VALUES (%d, %d, %s, %s)", r.RunID, r.Shards,
				numbers(r.ExampleShift), numbers(r.ComponentID))); err != nil {
			return err
		}
		for some := range slices.Chunk(r.Files, 200) {
			var rows []string
			for _, f := range some {
				rows = append(rows,
					fmt.Sprintf("(%d, %s, %s, %d, %d, %s)", r.RunID, dbfile.QuoteText(f.Table),
						dbfile.QuoteText(f.Path), f.Rows, f.Bytes, dbfile.QuoteText(f.SHA256)))
			}
			if _, err := g.conn.ExecContext(ctx, "INSERT INTO catalogue_file VALUES "+
				strings.Join(rows, ", ")); err != nil {
				return err
			}
		}
	}
	return nil
}

// numbers formats a SQL list.
func numbers(list []int) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = fmt.Sprint(n)
	}
	return "[" + strings.Join(words, ", ") + "]::INTEGER[]"
}

// views replaces the tables of facts by views over the Parquet files, with their comments.
func (g *gatherer) views(ctx context.Context, tables []layout, prefix string) error {
	if prefix == "" {
		prefix = filepath.ToSlash(g.abs)
	}
	if _, err := g.conn.ExecContext(ctx, "SET VARIABLE "+dbfile.CatalogueVariable+" = "+
		dbfile.QuoteText(filepath.ToSlash(g.abs))); err != nil {
		return err
	}
	enums, err := enumNames()
	if err != nil {
		return err
	}
	for _, t := range tables {
		if dbfile.InCatalogue(t.Name) {
			continue
		}
		stored := t.Table
		stored.Columns = slices.Clone(stored.Columns)
		for i, c := range stored.Columns {
			if name := enums[c.Type]; name != "" {
				stored.Columns[i].Type = name
			}
		}
		var comments []string
		for _, c := range t.stored() {
			comments = append(comments, "COMMENT ON COLUMN "+dbfile.QuoteName(t.Name)+"."+
				dbfile.QuoteName(c.Name)+" IS "+dbfile.QuoteText(c.Comment))
		}
		columns := []string{"t.*"}
		for _, c := range t.Generated {
			columns = append(columns, c.Expression+" AS "+dbfile.QuoteName(c.Name))
		}
		for _, s := range append([]string{
			"DROP TABLE " + dbfile.QuoteName(t.Name),
			"CREATE VIEW " + dbfile.QuoteName(t.Name) + " AS SELECT " + strings.Join(columns, ", ") +
				" FROM (" + dbfile.CatalogueView(&stored, g.catalogued, dbfile.StoredFiles(prefix)) +
				") AS t",
			"COMMENT ON VIEW " + dbfile.QuoteName(t.Name) + " IS " + dbfile.QuoteText(t.Comment),
		}, comments...) {
			if _, err := g.conn.ExecContext(ctx, s); err != nil {
				first, _, _ := strings.Cut(s, " AS ")
				return fmt.Errorf("%s: %w", first, err)
			}
		}
	}
	return nil
}

// enumNames gives the name of each enumeration by its words. DuckDB 1.1 does not read a stored view whose
// casts list the words.
func enumNames() (map[string]string, error) {
	statements, err := schema.Tables()
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, s := range statements {
		if rest, ok := strings.CutPrefix(s, "CREATE TYPE "); ok {
			name, words, _ := strings.Cut(rest, " AS ENUM ")
			names["ENUM"+words] = name
		}
	}
	return names, nil
}
