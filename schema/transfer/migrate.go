package transfer

import (
	"context"
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

var (
	//go:embed migrate.sql
	migrateSQL string
	// oldTables lists the stored columns of versions 1 to 3, each with its first version.
	//go:embed oldtables.txt
	oldTables string
	// tables4 lists the stored columns since version 4, whose tables are a subset of the current ones.
	//go:embed tables4.txt
	tables4 string
	// oldDerived lists the other objects of those versions, which hold no data: views, macros, types and
	// generated columns.
	//go:embed oldderived.txt
	oldDerived string
	// oldQueries lists the queries that releases with those versions shipped, by name and by the beginning of
	// the SHA-256 of their SQL without the header.
	//go:embed oldqueries.txt
	oldQueries string
)

// ErrForeign: a file contains something that ducklens did not make, which would be lost in the new file.
var ErrForeign = errors.New("it holds something that ducklens did not make")

// SavedQuery is a query that is stored in a file.
type SavedQuery struct{ Name, SQL string }

// MigrateOptions are the options of [Migrate].
type MigrateOptions struct {
	Database dbfile.Options
	// Shipped are the queries of this release. They replace those of older releases; queries that a user has
	// saved or changed are kept.
	Shipped []SavedQuery
}

// Migrated describes the result of a migration.
type Migrated struct {
	From     int   // the old schema version
	Factors  []int // runs whose factors were left out, because today's factors cannot be computed from them
	Kept     []string
	Replaced []string // Replaced queries are now those of this release; Kept are the user's
}

// Migrate converts a file of an older schema version to the current one. It writes the new file beside the
// old one, and replaces the old one when the new one is whole and on disk, so an interrupted migration leaves
// the old file. Everything is kept, except factors of versions 1 to 3. A file with tables, columns, views or
// macros that ducklens did not make is refused, because they would be lost. A file of the current version is
// left alone. If the version cannot be migrated, the error is [dbfile.ErrSchemaVersion].
func Migrate(ctx context.Context, path string, opts MigrateOptions) (result Migrated, err error) {
	const op = "migrate"
	abs, err := filepath.Abs(path)
	if err != nil {
		return Migrated{}, dbfile.Wrap(op, path, err)
	}
	if target, err := filepath.EvalSymlinks(abs); err == nil {
		abs = target // of a link, replace the target
	}
	version, err := dbfile.Version(ctx, path, opts.Database)
	result.From = version
	if err != nil || version == schema.Version {
		return result, dbfile.Fail(op, path, err)
	}
	if _, err := os.Lstat(abs + ".wal"); err == nil {
		if err := dbfile.Settle(ctx, path, opts.Database); err != nil {
			return result, dbfile.Fail(op, path, err)
		}
	}
	before, err := os.Stat(abs)
	if err != nil {
		return result, dbfile.Wrap(op, path, err)
	}
	m := migration{path: path, version: version, shipped: opts.Shipped, result: &result}
	if err := m.make(ctx, abs, before, opts.Database); err != nil {
		return result, failOnce(op, path, err)
	}
	return result, nil
}

// migration copies an old file to a new one.
type migration struct {
	path    string
	version int
	shipped []SavedQuery
	result  *Migrated
	db      *dbfile.DB
	conn    *sql.Conn
}

// make creates the new file and replaces the old one, unless that has changed since before.
func (m *migration) make(ctx context.Context, abs string, before os.FileInfo,
	opts dbfile.Options) (err error) {
	opts.Replace, opts.Reach = true, []string{abs}
	if m.db, err = dbfile.Create(ctx, abs, opts); err != nil {
		return err
	}
	release, err := m.fill(ctx, abs)
	if err = errors.Join(err, release()); err != nil {
		return errors.Join(err, m.db.Close())
	}
	if now, err := os.Stat(abs); err != nil || now.Size() != before.Size() ||
		!now.ModTime().Equal(before.ModTime()) {
		changed := &dbfile.Error{Op: "migrate", Path: m.path, Kind: dbfile.ErrLocked,
			Detail: "another program changed it meanwhile",
			Advice: "try again when no other program writes the file"}
		return errors.Join(err, changed, m.db.Close())
	}
	return m.db.Finalize(ctx)
}

// fill copies the old file. Call release when the new file is closed.
func (m *migration) fill(ctx context.Context, abs string) (release func() error, err error) {
	release = func() error { return nil }
	if m.conn, err = m.db.Conn(ctx); err != nil {
		return release, err
	}
	defer func() { err = errors.Join(err, m.conn.Close()) }()
	done, err := dbfile.AttachOld(ctx, m.conn, abs, "old", m.old())
	if err != nil {
		return release, err
	}
	release = func() error { done(); return nil }
	return release, m.db.InTx(ctx, m.conn, func() error {
		steps := []func(context.Context) error{m.foreign, m.models, m.runs, m.tables, m.queries}
		if m.version >= sameTables {
			steps = []func(context.Context) error{m.foreign, m.copyTables, m.queries}
		}
		for _, step := range steps {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// sameTables is the first version whose tables are a subset of the current ones. They are copied unchanged,
// keys included.
const sameTables = 4

// old lists the columns that the old file must have, by table.column.
func (m *migration) old() map[string]string {
	list := oldTables
	if m.version >= sameTables {
		list = tables4
	}
	columns := map[string]string{}
	for line := range strings.Lines(list) {
		since, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.Atoi(since); err != nil || v > m.version {
			continue
		}
		name, kind, _ := strings.Cut(rest, " ")
		columns[name] = kind
	}
	return columns
}

// everythingSQL lists the objects of the old file by kind and name. The content of other schemas is not
// listed separately.
const everythingSQL = `SELECT 'schema' AS kind, schema_name AS name FROM system.main.duckdb_schemas() WHERE database_name = 'old' AND NOT internal AND schema_name <> 'main'
UNION SELECT 'table', table_name FROM system.main.duckdb_tables() WHERE database_name = 'old' AND schema_name = 'main'
UNION SELECT 'column', c.table_name || '.' || c.column_name FROM system.main.duckdb_columns() AS c
	JOIN system.main.duckdb_tables() AS t ON t.database_name = c.database_name AND t.table_oid = c.table_oid
	WHERE c.database_name = 'old' AND c.schema_name = 'main'
UNION SELECT 'view', view_name FROM system.main.duckdb_views() WHERE database_name = 'old' AND schema_name = 'main' AND NOT internal
UNION SELECT 'macro', function_name FROM system.main.duckdb_functions() WHERE database_name = 'old' AND schema_name = 'main' AND NOT internal
UNION SELECT 'type', type_name FROM system.main.duckdb_types() WHERE database_name = 'old' AND schema_name = 'main' AND NOT internal
UNION SELECT 'sequence', sequence_name FROM system.main.duckdb_sequences() WHERE database_name = 'old' AND schema_name = 'main'
ORDER BY kind, name`

// foreign refuses a file with objects that ducklens did not make, which the new file would lack.
func (m *migration) foreign(ctx context.Context) error {
	own := map[string]bool{}
	for column := range m.old() {
		table, _, _ := strings.Cut(column, ".")
		own["table "+table], own["column "+column] = true, true
	}
	for line := range strings.Lines(oldDerived) {
		since, thing, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.Atoi(since); err == nil && v <= m.version {
			own[thing] = true
		}
	}
	type thing struct{ kind, name string }
	var found []string
	if err := each(ctx, m.conn, everythingSQL, func(rows *sql.Rows, t *thing) error {
		return rows.Scan(&t.kind, &t.name)
	}, func(t *thing) error {
		table, _, _ := strings.Cut(t.name, ".")
		if known := own[strings.ToLower(t.kind+" "+t.name)]; !known &&
			(t.kind != "column" || own["table "+strings.ToLower(table)]) {
			found = append(found, t.kind+" "+t.name)
		}
		return nil
	}); err != nil || len(found) == 0 {
		return err
	}
	const most = 10
	list := strings.Join(found[:min(len(found), most)], ", ")
	if len(found) > most {
		list += fmt.Sprintf(" and %d more", len(found)-most)
	}
	return &dbfile.Error{Kind: ErrForeign, Detail: "migrating would lose " + list,
		Advice: "copy them to another file with DuckDB, drop them here (DROP, ALTER TABLE), " +
			"and migrate again"}
}

// each calls f for every row of a query. It reads all rows first, because f may use the connection.
func each[T any](ctx context.Context, conn *sql.Conn, query string, scan func(*sql.Rows, *T) error,
	f func(*T) error) error {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	var list []T
	for rows.Next() {
		var row T
		if err := scan(rows, &row); err != nil {
			return errors.Join(err, rows.Close())
		}
		list = append(list, row)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for i := range list {
		if err := f(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

// copyTables copies all tables except meta and saved_query, which are written elsewhere. Tables of later
// versions stay empty.
func (m *migration) copyTables(ctx context.Context) error {
	tables, err := dbfile.Tables()
	if err != nil {
		return err
	}
	old := m.old()
	for _, t := range tables {
		if t.Name == "meta" || t.Name == "saved_query" {
			continue
		}
		var columns, values []string
		for _, c := range t.Columns {
			kind, there := old[t.Name+"."+c.Name]
			if !there {
				continue
			}
			value := dbfile.QuoteName(c.Name)
			columns = append(columns, value)
			if strings.HasPrefix(kind, "ENUM") {
				value += "::VARCHAR" // an ENUM of one file is not that of another
			}
			values = append(values, value)
		}
		if len(columns) == 0 {
			continue
		}
		if _, err := m.conn.ExecContext(ctx,
			fmt.Sprintf("INSERT INTO %[1]s (%[2]s) SELECT %[3]s FROM old.main.%[1]s",
				dbfile.QuoteName(t.Name), strings.Join(columns, ", "), strings.Join(values, ", "))); err != nil {
			return fmt.Errorf("copy table %s: %w", t.Name, err)
		}
	}
	return nil
}

// models copies models, which are all GPT-2, and their components.
func (m *migration) models(ctx context.Context) error {
	type model struct {
		id int
		schema.Model
	}
	if err := each(ctx, m.conn,
		"SELECT model_id, name, sha256, n_layers, n_heads, d_model, d_head, d_mlp, d_vocab, n_ctx, ln_eps, "+
			"activation FROM old.main.model ORDER BY model_id",
		func(rows *sql.Rows, o *model) error {
			o.Family, o.Norm = "gpt2", "LN"
			return rows.Scan(&o.id, &o.Name, &o.SHA256, &o.NLayers, &o.NHeads, &o.DModel, &o.DHead, &o.DMLP,
				&o.DVocab, &o.NCtx, &o.LNEps, &o.Activation)
		}, func(o *model) error {
			_, err := m.conn.ExecContext(ctx, `INSERT INTO model (model_id, key, name, family, sha256, n_layers, n_heads, n_kv_heads, d_model, d_head, d_mlp, d_vocab, n_ctx, norm, ln_eps, activation)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
				o.id, schema.ModelKey(o.Model), o.Name, o.Family, o.SHA256, o.NLayers, o.NHeads, o.DModel,
				o.DHead, o.DMLP, o.DVocab, o.NCtx, o.Norm, o.LNEps, o.Activation)
			return err
		}); err != nil {
		return err
	}
	return m.components(ctx)
}

func (m *migration) components(ctx context.Context) (err error) {
	table, err := m.db.Appender(m.conn, "component")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	type component struct {
		id, model, row, column int32
		layer, head            sql.Null[int32]
		kind, label, name, key string
	}
	return each(ctx, m.conn, `SELECT c.component_id, c.model_id, m.key, c.kind::VARCHAR, c.layer, c.head, c.label, c.tl_name, c.grid_row, c.grid_column
		FROM old.main.component AS c JOIN model AS m ON m.model_id = c.model_id ORDER BY c.component_id`,
		func(rows *sql.Rows, c *component) error {
			return rows.Scan(&c.id, &c.model, &c.key, &c.kind, &c.layer, &c.head, &c.label, &c.name,
				&c.row, &c.column)
		}, func(c *component) error {
			kind, err := schema.ParseComponentKind(c.kind)
			if err != nil {
				return err
			}
			of := schema.Component{Kind: kind, Layer: -1, Head: -1}
			var layer, head dbfile.Value
			if c.layer.Valid {
				of.Layer, layer = int(c.layer.V), c.layer.V
			}
			if c.head.Valid {
				of.Head, head = int(c.head.V), c.head.V
			}
			return table.AppendRow(c.id, schema.ComponentKey(c.key, of), c.model, c.kind, layer, head,
				c.label, c.name, c.row, c.column, nil)
		})
}

// runs copies prompts and manifests, from which the keys of runs are computed.
func (m *migration) runs(ctx context.Context) error {
	digests, err := m.prompts(ctx)
	if err != nil {
		return err
	}
	sha, means := "NULL", "false"
	if m.version >= 2 {
		means = "EXISTS (FROM old.main.pair_mean_wide AS p WHERE p.run_id = r.run_id)"
	}
	prompts := "NULL"
	if m.version >= 3 {
		prompts, sha = "r.n_prompts", "r.prompts_sha256"
	}
	columns := []string{"run_id", "model_id", "created_at", "ducklens_version", "command_line",
		"prompt_source", "seed", "bos", "convention", "processing", "precision", "blas", "threads", "pairs",
		"status", "n_examples", "n_heads", "max_closure_residual"}
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = "r." + c
		if c == "convention" || c == "processing" || c == "status" {
			values[i] += "::VARCHAR"
		}
	}
	type run struct {
		schema.Run
		id                     int
		convention, processing string
		factors                bool
		sha                    sql.NullString
	}
	asked := map[string]int{} // number of runs by key, to tell runs of the same question apart
	return each(ctx, m.conn, `SELECT r.run_id, k.family, k.sha256, r.seed, r.bos, r.convention::VARCHAR, r.processing::VARCHAR, r.precision, r.factors, r.pairs, `+sha+`
		FROM old.main.run AS r JOIN model AS k ON k.model_id = r.model_id ORDER BY r.run_id`,
		func(rows *sql.Rows, r *run) error {
			return rows.Scan(&r.id, &r.Model.Family, &r.Model.SHA256, &r.Seed, &r.BOS, &r.convention,
				&r.processing, &r.Precision, &r.factors, &r.Pairs, &r.sha)
		}, func(r *run) (err error) {
			if r.Convention, err = schema.ParseConvention(r.convention); err != nil {
				return err
			}
			if r.Processing, err = schema.ParseProcessing(r.processing); err != nil {
				return err
			}
			if r.PromptsSHA256 = r.sha.String; !r.sha.Valid {
				r.PromptsSHA256 = digests[r.id]
			}
			if err := m.asked(ctx, r.id, &r.Run); err != nil {
				return err
			}
			first := schema.RunKey(&r.Run, 0)
			key := schema.RunKey(&r.Run, asked[first])
			asked[first]++
			if r.factors {
				m.result.Factors = append(m.result.Factors, r.id)
			}
			_, err = m.conn.ExecContext(ctx, "INSERT INTO run ("+strings.Join(columns, ", ")+
				", key, factors, pair_means, logits, n_prompts, prompts_sha256) SELECT "+
				strings.Join(values, ", ")+", $1, false, "+means+", false, "+prompts+", "+sha+
				" FROM old.main.run AS r WHERE r.run_id = $2", key, r.id)
			return err
		})
}

// asked reads the heads, bases and movers of a run.
func (m *migration) asked(ctx context.Context, id int, r *schema.Run) error {
	pick := fmt.Sprintf(" WHERE run_id = %d ORDER BY ", id)
	if err := each(ctx, m.conn, "SELECT layer, head FROM old.main.head"+pick+"ordinal", func(rows *sql.Rows, h *schema.Head) error {
		return rows.Scan(&h.Layer, &h.Index)
	}, func(h *schema.Head) error {
		r.Heads = append(r.Heads, schema.Target{Head: *h})
		return nil
	}); err != nil {
		return err
	}
	type basis struct {
		schema.Basis
		side, kind string
	}
	if err := each(ctx, m.conn, "SELECT side::VARCHAR, kind::VARCHAR, name, dimension, description FROM old.main.basis"+pick+"basis_id", func(rows *sql.Rows, b *basis) error {
		return rows.Scan(&b.side, &b.kind, &b.Name, &b.Dimension, &b.Description)
	}, func(b *basis) (err error) {
		if b.Side, err = schema.ParseSide(b.side); err != nil {
			return err
		}
		if b.Kind, err = schema.ParseBasisKind(b.kind); err != nil {
			return err
		}
		r.Bases = append(r.Bases, b.Basis)
		return nil
	}); err != nil || m.version < 2 {
		return err
	}
	return each(ctx, m.conn, "SELECT layer, head FROM old.main.mover"+pick+"ordinal", func(rows *sql.Rows, h *schema.Head) error {
		return rows.Scan(&h.Layer, &h.Index)
	}, func(h *schema.Head) error {
		r.Movers = append(r.Movers, *h)
		return nil
	})
}

// prompts turns each example into a prompt, and returns a digest of the prompts of each run.
func (m *migration) prompts(ctx context.Context) (digests map[int]string, err error) {
	table, err := m.db.Appender(m.conn, "prompt")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	type prompt struct {
		run, id, tokens, query, key, baseline int32
		text, ids                             string
		template, order                       sql.NullString
		bos                                   bool
	}
	optional := func(s sql.NullString) dbfile.Value {
		if !s.Valid {
			return nil
		}
		return s.String
	}
	hashes := map[int]*strings.Builder{}
	if err := each(ctx, m.conn, `SELECT e.run_id, e.example_id, e.text, e.n_tokens, r.bos, e.template, e.prompt_order, e.query_pos, e.key_pos, coalesce(e.baseline_pos, -1), coalesce(t.ids, '')
		FROM old.main.example AS e JOIN old.main.run AS r ON r.run_id = e.run_id
		LEFT JOIN (SELECT run_id, example_id, string_agg(token_id::VARCHAR, ' ' ORDER BY pos) AS ids FROM old.main.token GROUP BY run_id, example_id) AS t
			ON t.run_id = e.run_id AND t.example_id = e.example_id ORDER BY e.run_id, e.example_id`,
		func(rows *sql.Rows, p *prompt) error {
			return rows.Scan(&p.run, &p.id, &p.text, &p.tokens, &p.bos, &p.template, &p.order, &p.query,
				&p.key, &p.baseline, &p.ids)
		}, func(p *prompt) error {
			var tokens []schema.Token
			for _, word := range strings.Fields(p.ids) {
				id, err := strconv.Atoi(word)
				if err != nil {
					return err
				}
				tokens = append(tokens, schema.Token{ID: id})
			}
			key := schema.PromptKey(tokens)
			if hashes[int(p.run)] == nil {
				hashes[int(p.run)] = &strings.Builder{}
			}
			fmt.Fprintln(hashes[int(p.run)], key, p.query, p.key, p.baseline)
			return table.AppendRow(p.run, p.id, key, p.text, p.tokens, p.bos, optional(p.template),
				optional(p.order), nil, nil, nil)
		}); err != nil {
		return nil, err
	}
	digests = map[int]string{}
	for run, text := range hashes {
		sum := sha256.Sum256([]byte(text.String()))
		digests[run] = hex.EncodeToString(sum[:])
	}
	return digests, nil
}

// tables runs the statements of migrate.sql, which copy everything that needs no keys.
func (m *migration) tables(ctx context.Context) error {
	text, err := schema.Expand("migrate.sql", migrateSQL)
	if err != nil {
		return err
	}
	first, second, found := strings.Cut(text, "-- Since version 2.\n")
	if !found {
		return errors.New("migrate.sql does not say what is there since version 2")
	}
	if m.version >= 2 {
		first += second
	}
	for _, s := range schema.Statements(first) {
		if _, err := m.conn.ExecContext(ctx, s); err != nil {
			line, _, _ := strings.Cut(s, "\n")
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	return nil
}

// queries copies saved queries. Those that an older release shipped are replaced by those of this release,
// because they use the old labels of heads.
func (m *migration) queries(ctx context.Context) error {
	return each(ctx, m.conn, "SELECT name, sql FROM old.main.saved_query ORDER BY name", func(rows *sql.Rows, q *SavedQuery) error {
		return rows.Scan(&q.Name, &q.SQL)
	}, func(q *SavedQuery) error {
		i := slices.IndexFunc(m.shipped, func(s SavedQuery) bool { return s.Name == q.Name })
		if i >= 0 && wasShipped(*q) {
			q.SQL = m.shipped[i].SQL
			m.result.Replaced = append(m.result.Replaced, q.Name)
		} else {
			m.result.Kept = append(m.result.Kept, q.Name)
		}
		_, err := m.conn.ExecContext(ctx, "INSERT INTO saved_query (name, sql) VALUES ($1, $2)",
			q.Name, q.SQL)
		return err
	})
}

// wasShipped reports whether an older release shipped a query. The header is ignored, because it was
// formatted anew when the query was stored.
func wasShipped(q SavedQuery) bool {
	body := q.SQL
	for {
		line, rest, found := strings.Cut(body, "\n")
		if !found || line != "" && !strings.HasPrefix(line, "--") {
			break
		}
		body = rest
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(body)))
	return slices.Contains(strings.Split(oldQueries, "\n"), hex.EncodeToString(sum[:])[:16]+" "+q.Name)
}
