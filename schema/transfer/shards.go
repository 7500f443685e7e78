package transfer

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/moment"
)

// ErrShards: shards do not make up one whole run.
var ErrShards = errors.New("the shards do not make one run")

// sourceRun is a run of a source: a whole run or a shard.
type sourceRun struct {
	path    string // of the source
	name    string // of the database with its tables
	id      int    // run_id in the source
	model   int    // model_id in the source
	status  string
	key     string
	shard   schema.Shard
	options string // of the whole run
	total   int    // prompts of the whole run; -1 if not recorded
	n       int    // examples
	closure float64
	created time.Time

	settings []Setting // of a shard
	sum      string    // hash of everything that is stored of it
}

// parts reads the runs of a source.
func (m *merger) parts(ctx context.Context, path, name string) (list []sourceRun, err error) {
	rows, err := m.conn.QueryContext(ctx,
		"SELECT run_id, model_id, status::VARCHAR, key, coalesce(options, ''), coalesce(n_prompts, -1), "+
			"coalesce(n_examples, 0), coalesce(max_closure_residual, 0), created_at FROM "+
			name+".main.run ORDER BY run_id")
	if err != nil {
		return nil, dbfile.Wrap("read", path, err)
	}
	defer rows.Close()
	for rows.Next() {
		p := sourceRun{path: path, name: name}
		if err := rows.Scan(&p.id, &p.model, &p.status, &p.key, &p.options, &p.total, &p.n, &p.closure,
			&p.created); err != nil {
			return nil, dbfile.Wrap("read", path, err)
		}
		if p.shard, p.options, err = schema.CutShard(p.options); err != nil {
			return nil, dbfile.Fail("read", path, err)
		}
		list = append(list, p)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, dbfile.Wrap("read", path, err)
	}
	for i := range list {
		if p := &list[i]; !p.shard.Whole() {
			if p.settings, err = settings(ctx, m.conn,
				func(table string) string { return name + ".main." + table }, p.id, p.options); err != nil {
				return nil, dbfile.Wrap("read", path, err)
			}
		}
	}
	return list, nil
}

// whole sorts the shards of the run with a key and drops copies. It returns an error unless they make up one
// whole run: no shard is missing or present in two versions, and all were made with the same model, prompts
// and options.
func (m *merger) whole(op, key string) ([]sourceRun, error) {
	shards := m.shards[key]
	slices.SortStableFunc(shards, func(a, b sourceRun) int {
		return cmp.Or(cmp.Compare(a.shard.Of, b.shard.Of), cmp.Compare(a.shard.Index, b.shard.Index))
	})
	first := shards[0]
	wrong := func(p sourceRun, advice, format string, args ...any) error {
		return &dbfile.Error{Op: op, Path: p.path, Kind: ErrShards, Detail: fmt.Sprintf(format, args...),
			Advice: advice}
	}
	list := shards[:0:0]
	for _, p := range shards {
		if p.shard.Of != first.shard.Of {
			return nil, wrong(p, "make all shards of a run with the same number of them",
				"it is shard %s of the run %s, and %s is shard %s of it", p.shard, p.key,
				first.path, first.shard)
		}
		if len(p.settings) != len(first.settings) {
			return nil, wrong(p, "", "shard %s says other things of its run than shard %s in %s", p.shard,
				first.shard, first.path)
		}
		for i, s := range first.settings {
			if got := p.settings[i]; got != s {
				return nil, wrong(p, "make all shards of a run with the same ducklens, model, "+
					"prompts and options", "shard %s has %s %s, and shard %s in %s has %s",
					p.shard, got.What, got.Value, first.shard, first.path, s.Value)
			}
		}
		if n := len(list); n > 0 && list[n-1].shard == p.shard {
			if list[n-1].sum != p.sum {
				return nil, wrong(p, "give one of the two", "shard %s is in %s too", p.shard, list[n-1].path)
			}
			continue // a copy
		}
		list = append(list, p)
	}
	if missing := missingShards(list); len(missing) > 0 {
		return nil, wrong(first,
			"make what is missing with ducklens ingest --shard and the options of the others",
			"of the run %s, %s%s", first.key, sayMissing(missing, first.shard.Of), m.instead(first, missing))
	}
	return list, nil
}

// instead names a shard of another run that may have been meant for a missing one, with the differences, or
// returns "".
func (m *merger) instead(of sourceRun, missing []int) string {
	for _, key := range m.keys {
		for _, p := range m.shards[key] {
			if key == of.key || p.shard.Of != of.shard.Of || !slices.Contains(missing, p.shard.Index) {
				continue
			}
			return fmt.Sprintf("; %s is shard %s of another run, %s, which differs: %s", p.path, p.shard, key,
				differing(of.settings, p.settings))
		}
	}
	return ""
}

// differing lists the settings in which a run differs from another one.
func differing(here, there []Setting) string {
	var list []string
	for i, s := range here {
		if i >= len(there) || there[i] == s || there[i].What != s.What || s.What == "key" {
			continue
		}
		a, b := s.Value, there[i].Value
		if s.What == "bases" {
			a, b = basesApart(a, b)
		}
		list = append(list, fmt.Sprintf("%s %s there, %s here", s.What, b, a))
	}
	return strings.Join(list, "; ")
}

// basesApart returns the names of the bases that only one of two lists has.
func basesApart(here, there string) (a, b string) {
	const end = "), " // of a description
	only := func(list, other string) string {
		const most = 4
		var names []string
		for basis := range strings.SplitSeq(strings.TrimSuffix(list, ")"), end) {
			if name, _, _ := strings.Cut(basis, " ("); !strings.Contains(end+other+", ", end+basis+end) {
				names = append(names, name)
			}
		}
		switch more := len(names) - most; {
		case len(names) == 0:
			return "without them"
		case more > 0:
			return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
		}
		return strings.Join(names, ", ")
	}
	return only(here, there), only(there, here)
}

// HasShard reports whether a data set has a shard of the run with a key. A missing folder has none. If the
// data set has the run whole or in another number of shards, the shard cannot be added: [ErrShards].
func HasShard(folder, runKey string, shard schema.Shard) (bool, error) {
	const op = "look into"
	entries, err := os.ReadDir(joined(folder, ManifestFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, dbfile.Wrap(op, folder, err)
	}
	own := (&ExportedRun{Key: runKey, Shard: shard.String()}).name()
	ending := fmt.Sprintf("of%d", shard.Of)
	has := false
	for _, e := range entries {
		name, found := strings.CutSuffix(e.Name(), ".json")
		switch {
		case !found || !strings.HasPrefix(name, runKey):
		case name == own:
			has = true
		case !strings.HasSuffix(name, ending):
			return false, &dbfile.Error{Op: op, Path: folder, Kind: ErrShards,
				Detail: fmt.Sprintf("it has %s, and the new shard is %s", e.Name(), shard),
				Advice: "make all shards of a run with the same number of them, or use another data set"}
		}
	}
	return has, nil
}

// missingShards lists the indices of missing shards. list is sorted and has no duplicates.
func missingShards(list []sourceRun) (missing []int) {
	next := 0
	for _, p := range list {
		for ; next < p.shard.Index; next++ {
			missing = append(missing, next)
		}
		next = p.shard.Index + 1
	}
	for ; next < list[0].shard.Of; next++ {
		missing = append(missing, next)
	}
	return missing
}

// sayMissing describes missing shards, such as: shards 3, 17 to 20 of 64 are missing.
func sayMissing(missing []int, of int) string {
	const most = 20
	var ranges []string
	for i := 0; i < len(missing); {
		j := i
		for j+1 < len(missing) && missing[j+1] == missing[j]+1 {
			j++
		}
		switch {
		case j == i:
			ranges = append(ranges, fmt.Sprint(missing[i]))
		case j == i+1:
			ranges = append(ranges, fmt.Sprint(missing[i]), fmt.Sprint(missing[j]))
		default:
			ranges = append(ranges, fmt.Sprintf("%d to %d", missing[i], missing[j]))
		}
		i = j + 1
	}
	if len(missing) == 1 {
		return fmt.Sprintf("shard %s of %d is missing", ranges[0], of)
	}
	if len(ranges) > most {
		ranges = append(ranges[:most], "...")
	}
	return fmt.Sprintf("shards %s of %d are missing (%d)", strings.Join(ranges, ", "), of, len(missing))
}

// Setting is a property that all shards of a run share.
type Setting struct {
	What  string `json:"what"`
	Value string `json:"value"`
}

// apart are the columns of table run in which shards of a run may differ.
var apart = []string{"run_id", "model_id", "created_at", "command_line", "prompt_source", "threads", "status",
	"n_examples", "max_closure_residual", "options"}

// settings lists the properties that must be equal in all shards of a run. source returns the qualified names
// of tables. options are those of the whole run.
func settings(ctx context.Context, conn *sql.Conn, source func(table string) string, run int,
	options string) (list []Setting, err error) {
	list = []Setting{{"options", options}}
	ask := func(what, query string) error {
		s := Setting{What: what}
		err := conn.QueryRowContext(ctx, query, run).Scan(&s.Value)
		list = append(list, s)
		return err
	}
	if err := ask("the model with the key", "SELECT m.key FROM "+source("model")+" AS m JOIN "+source("run")+
		" AS r ON r.model_id = m.model_id WHERE r.run_id = $1"); err != nil {
		return nil, err
	}
	tables, err := runTables()
	if err != nil {
		return nil, err
	}
	for _, c := range tables[0].Columns {
		if !slices.Contains(apart, c.Name) {
			if err := ask(c.Name, "SELECT coalesce("+dbfile.QuoteName(c.Name)+"::VARCHAR, 'none') FROM "+
				source("run")+" WHERE run_id = $1"); err != nil {
				return nil, err
			}
		}
	}
	for _, of := range []struct{ what, query string }{
		{"heads", "string_agg(t.label, ', ' ORDER BY t.ordinal) FROM " + source("head") + " AS t"},
		{"bases", "string_agg(t.side || ' ' || t.name || ' (' || t.description || ')', ', ' " +
			"ORDER BY t.basis_id) FROM " + source("basis") + " AS t"},
		{"movers", "string_agg(t.label, ', ' ORDER BY t.ordinal) FROM " + source("mover") + " AS t"},
		{"components with the SHA-256", "sha256(string_agg(c.key, ' ' ORDER BY t.ordinal)) FROM " +
			source("run_component") + " AS t JOIN " + source("component") +
			" AS c ON c.component_id = t.component_id"},
	} {
		if err := ask(of.what, "SELECT coalesce((SELECT "+of.query+
			" WHERE t.run_id = $1), 'none')"); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// manifestTables have rows of a run that do not depend on its prompts, so each shard has those of the whole
// run.
var manifestTables = []string{"run", "run_component", "head", "basis", "mover"}

// meanTable has means over the prompts of a run, which are computed from those of its shards.
const meanTable = "pair_mean_wide"

// unite makes one run of the shards of the run with a key.
func (m *merger) unite(ctx context.Context, key string) error {
	list, err := m.whole("merge", key)
	if err != nil {
		return err
	}
	// Collect the rows over all prompts of a shard first, and unite them at the end.
	collected := map[string]string{meanTable: "temp.main.shard_means",
		dbfile.MomentTable: "temp.main.shard_moments"}
	for table, into := range collected {
		if _, err := m.conn.ExecContext(ctx, "CREATE OR REPLACE TEMP TABLE "+
			strings.TrimPrefix(into, "temp.main.")+" AS SELECT * FROM "+table+" LIMIT 0"); err != nil {
			return err
		}
	}
	var run map[string]string // changed values of the whole run
	examples := 0
	for i, p := range list {
		if i == 0 {
			run, err = m.enter(ctx, p)
		} else {
			err = m.join(ctx, p)
		}
		if err != nil {
			return err
		}
		values := maps.Clone(run)
		if shift := examples - p.first(); shift != 0 {
			values["example_id"] = fmt.Sprintf("example_id + (%d)", shift)
		}
		for _, t := range m.tables {
			into := dbfile.QuoteName(t.Name)
			if name, ok := collected[t.Name]; ok {
				into = name
			}
			if i > 0 && slices.Contains(manifestTables, t.Name) {
				continue
			}
			if err := m.copy(ctx, p, t, into, values); err != nil {
				return err
			}
		}
		examples += p.n
	}
	if err := m.completeShards(ctx, run["run_id"], list); err != nil {
		return err
	}
	if _, err = m.conn.ExecContext(ctx, "INSERT INTO "+meanTable+" "+dbfile.UniteMeans(collected[meanTable])+
		" ORDER BY min(rowid)"); err != nil {
		return dbfile.Wrap("merge the means of", list[0].path, err)
	}
	return dbfile.Wrap("merge the moments of", list[0].path,
		m.uniteMoments(ctx, "SELECT * FROM "+collected[dbfile.MomentTable]))
}

// uniteMoments adds the rows of a query to the table of moments. Rows with the same key become one, with the
// moments of all their examples.
func (m *merger) uniteMoments(ctx context.Context, query string) (err error) {
	type key struct {
		run, head, component, queryBasis, keyBasis int32
		prompts, side                              string
		quadrant                                   sql.NullString
	}
	rows, err := m.conn.QueryContext(ctx,
		"SELECT run_id, prompts, head_id, side::VARCHAR, component_id, query_basis_id, key_basis_id, "+
			"quadrant::VARCHAR, state FROM ("+query+")")
	if err != nil {
		return err
	}
	defer rows.Close()
	united := map[key]*moment.Row{}
	var order []key
	for rows.Next() {
		var k key
		var state []byte
		if err := rows.Scan(&k.run, &k.prompts, &k.head, &k.side, &k.component, &k.queryBasis, &k.keyBasis,
			&k.quadrant, &state); err != nil {
			return err
		}
		r, err := moment.ParseRow(state)
		if err != nil {
			return err
		}
		if united[k] == nil {
			united[k], order = &r, append(order, k)
		} else {
			united[k].Merge(&r)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(order) == 0 {
		return err
	}
	table, err := m.db.Appender(m.conn, dbfile.MomentTable)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	for _, k := range order {
		table.PutInt32(k.run)
		table.PutText(k.prompts)
		table.PutInt32(k.head)
		table.PutText(k.side)
		table.PutInt32(k.component, k.queryBasis, k.keyBasis)
		if k.quadrant.Valid {
			table.PutText(k.quadrant.String)
		} else {
			table.PutNull()
		}
		united[k].Put(table)
		if err := table.EndRow(); err != nil {
			return err
		}
	}
	return nil
}

// first returns the id of the first example of a shard.
func (p *sourceRun) first() int {
	run := schema.Run{Options: p.options}
	return p.shard.FirstExample(p.total, run.ChoosesEdges())
}

// join adds a shard to a run that already has one.
func (m *merger) join(ctx context.Context, p sourceRun) error {
	if err := m.checkShared(ctx, p.path, p.name, p.id, p.model); err != nil {
		return err
	}
	model, err := m.model(ctx, p.path, p.name, p.model)
	if err != nil {
		return err
	}
	if err := m.components(ctx, p.name, p.id, model); err != nil {
		return dbfile.Wrap("copy components of", p.path, err)
	}
	first := m.runs[len(m.runs)-1]
	m.runs = append(m.runs, MergedRun{Path: p.path, RunID: p.id, NewID: first.NewID, Prompts: p.total,
		Shard: p.shard, SHA256: p.sum})
	return nil
}

// completeShards updates the row of a united run, which was copied from its first shard, with the values of
// the whole run.
func (m *merger) completeShards(ctx context.Context, run string, list []sourceRun) error {
	examples, worst, begun := 0, 0.0, list[0].created
	for _, p := range list {
		examples, worst = examples+p.n, max(worst, p.closure)
		if p.created.Before(begun) {
			begun = p.created
		}
	}
	comment := ""
	if len(list) > 1 {
		comment = fmt.Sprintf(" # one of %d shards", len(list))
	}
	var options, closure any
	if list[0].options != "" {
		options = list[0].options
	}
	if examples > 0 {
		closure = worst
	}
	_, err := m.conn.ExecContext(ctx,
		"UPDATE run SET options = $1, n_examples = $2, created_at = $3, max_closure_residual = $4, "+
			"command_line = command_line || $5 WHERE run_id = "+run, options, examples, begun.UTC(), closure,
		comment)
	return dbfile.Wrap("complete the run of", list[0].path, err)
}
