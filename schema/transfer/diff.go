package transfer

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"ducklens/schema/dbfile"
)

// DiffOptions are the options of [Diff].
type DiffOptions struct {
	RunA, RunB int     // 0: the last complete run of the file
	Tolerance  float64 // largest difference that is ignored; 0: numbers must be equal
	Limit      int     // largest number of means and of cells to list; 0: none
	Database   dbfile.Options
}

// Cell is a value in which two runs differ.
type Cell struct {
	Table      string
	Row        string // key of the row, such as example_id 3, head 10.7
	Column     string // "" if only one run has the row
	A, B       string // the values as text
	Difference float64
}

// Comparison is the result of [Diff].
type Comparison struct {
	RunA, RunB int
	Itself     []int // complete runs of the file, if a run was compared with itself; else nil
	// Manifest lists differing columns of the run and its model. They do not count as a difference of the
	// runs.
	Manifest     []Cell
	Rows         int64   // in both runs
	Cells        int64   // compared, in those rows
	Different    int64   // cells that differ by more than the tolerance
	OnlyA, OnlyB int64   // rows that the other run lacks
	Largest      float64 // largest difference; infinite if a text differs, or a number or a row is missing
	// Worst lists the largest differences beyond the tolerance, in descending order, then rows of one run
	// only.
	Worst         []Cell
	HeadsInCommon bool    // both runs have a head of the same label; without one there are no Means
	Paired        bool    // the runs have the same prompts, so Means compares them prompt by prompt
	Means         []Moved // attention by head, then contributions, each with the largest change first
}

// Same reports whether the runs agree within the tolerance.
func (c *Comparison) Same() bool { return c.Different == 0 && c.OnlyA == 0 && c.OnlyB == 0 }

// Diff compares two runs cell by cell. It matches rows by example, position and side and by the names of
// heads, components and bases, so runs of different files, heads and bases can be compared. The difference of
// two numbers is their distance, that of two lists of numbers is the largest distance, and that of other
// unequal values is infinite. Generated columns are not compared.
func Diff(ctx context.Context, a, b string, opts DiffOptions) (result Comparison, err error) {
	database := opts.Database
	database.Reach, database.OwnRows = []string{b}, true
	db, err := dbfile.OpenData(ctx, a, database)
	if err != nil {
		return Comparison{}, err
	}
	release := func() {}
	defer func() {
		err = errors.Join(err, db.Close())
		release()
	}()
	conn, err := db.Conn(ctx)
	if err != nil {
		return Comparison{}, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	d := differ{conn: conn, names: [2]string{db.Database(), db.Database()}, opts: opts}
	if !sameFile(a, b) { // DuckDB can attach a file only once
		name, done, err := dbfile.AttachOther(ctx, conn, b)
		if err != nil {
			return Comparison{}, err
		}
		d.names[1], release = name, done
	}
	for i, want := range []int{opts.RunA, opts.RunB} {
		if d.runs[i], err = findRun(ctx, conn, d.names[i], []string{a, b}[i], want); err != nil {
			return Comparison{}, err
		}
	}
	if err := d.compare(ctx); err != nil {
		return Comparison{}, dbfile.Wrap("compare "+a+" with", b, err)
	}
	if d.names[0] == d.names[1] && d.runs[0] == d.runs[1] {
		if d.result.Itself, err = completeRuns(ctx, conn, d.names[0]); err != nil {
			return Comparison{}, dbfile.Wrap("compare", a, err)
		}
	}
	return d.result, nil
}

// completeRuns lists the complete runs of a database.
func completeRuns(ctx context.Context, conn *sql.Conn, name string) (ids []int, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT run_id FROM "+name+
		".main.run WHERE status = 'complete' ORDER BY run_id")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id int
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// findRun returns the id of a complete run; for 0, the last one.
func findRun(ctx context.Context, conn *sql.Conn, name, path string, want int) (int, error) {
	if want == 0 {
		var last sql.NullInt64
		if err := conn.QueryRowContext(ctx, "SELECT max(run_id) FROM "+name+
			".main.run WHERE status = 'complete'").Scan(&last); err != nil {
			return 0, dbfile.Wrap("compare", path, err)
		}
		if !last.Valid {
			return 0, &dbfile.Error{Op: "compare", Path: path, Kind: dbfile.ErrUnfinished,
				Detail: "it has no complete run"}
		}
		return int(last.Int64), nil
	}
	var status string
	err := conn.QueryRowContext(ctx, "SELECT status::VARCHAR FROM "+name+".main.run WHERE run_id = $1", want).
		Scan(&status)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, &dbfile.Error{Op: "compare", Path: path, Kind: dbfile.ErrNotFound,
			Detail: fmt.Sprintf("it has no run %d", want), Advice: "ducklens info lists the runs of a file"}
	case err != nil:
		return 0, dbfile.Wrap("compare", path, err)
	case status != "complete":
		return 0, &dbfile.Error{Op: "compare", Path: path, Kind: dbfile.ErrUnfinished,
			Detail: fmt.Sprintf("run %d is %s", want, status),
			Advice: "complete it with ducklens ingest --resume"}
	}
	return want, nil
}

// differ compares two runs.
type differ struct {
	conn   *sql.Conn
	names  [2]string // of the databases
	runs   [2]int
	opts   DiffOptions
	result Comparison
}

// keyColumns identify a row within a run. Ids of heads, components and bases are replaced by names.
var keyColumns = map[string]bool{"example_id": true, "prompt_id": true, "query_pos": true, "pos": true,
	"axis": true, "token": true, "head_id": true, "side": true, "component_id": true,
	"query_component_id": true, "key_component_id": true,
	"basis_id": true, "query_basis_id": true, "key_basis_id": true, "vector": true, "vector_a": true,
	"vector_b": true, "measure": true, "layer": true, "other_component_id": true, "pair": true,
	"method": true, "place": true, "quadrant": true, "prompts": true}

// keyOf lists the key columns of the tables that have others.
var keyOf = map[string][]string{"head": {"label"}, "mover": {"ordinal"}, "basis": {"side", "name"},
	"edge": {"example_id"}, "layer_scale": {"prompt_id", "layer", "pos"},
	"nearest_token": {"example_id", "head_id", "side", "vector", "token_id"}}

func (d *differ) compare(ctx context.Context) error {
	d.result.RunA, d.result.RunB = d.runs[0], d.runs[1]
	tables, err := runTables()
	if err != nil {
		return err
	}
	for _, t := range tables {
		if t.Name == "run" {
			err = d.manifest(ctx, t)
		} else {
			err = d.table(ctx, t)
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	slices.SortStableFunc(d.result.Worst, func(a, b Cell) int {
		if (a.Column == "") != (b.Column == "") { // differences come before missing rows
			return cmp.Compare(b.Column, a.Column)
		}
		return cmp.Compare(b.Difference, a.Difference)
	})
	d.result.Worst = d.result.Worst[:min(len(d.result.Worst), max(0, d.opts.Limit))]
	if err := d.means(ctx); err != nil {
		return fmt.Errorf("means: %w", err)
	}
	return nil
}

// manifest records the differences of the manifests.
func (d *differ) manifest(ctx context.Context, t dbfile.Table) error {
	columns := []string{"m.sha256::VARCHAR"}
	names := []string{"model sha256"}
	for _, c := range t.Columns {
		if c.Name != "run_id" && c.Name != "model_id" {
			columns, names = append(columns, "r."+dbfile.QuoteName(c.Name)+"::VARCHAR"), append(names, c.Name)
		}
	}
	values := [2][]sql.NullString{make([]sql.NullString, len(names)), make([]sql.NullString, len(names))}
	for i, name := range d.names {
		into := make([]any, len(names))
		for j := range into {
			into[j] = &values[i][j]
		}
		if err := d.conn.QueryRowContext(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+name+
			".main.run AS r LEFT JOIN "+name+".main.model AS m USING (model_id) "+
			"WHERE r.run_id = $1", d.runs[i]).Scan(into...); err != nil {
			return err
		}
	}
	for j, name := range names {
		if a, b := values[0][j], values[1][j]; a != b {
			d.result.Manifest = append(d.result.Manifest,
				Cell{Table: "run", Column: name, A: orNull(a), B: orNull(b), Difference: math.Inf(1)})
		}
	}
	return nil
}

func orNull(s sql.NullString) string {
	if !s.Valid {
		return "NULL"
	}
	return s.String
}

// table compares the rows of one table.
func (d *differ) table(ctx context.Context, t dbfile.Table) error {
	var keys, values []dbfile.Column
	for _, c := range t.Columns {
		own, special := keyOf[t.Name]
		switch {
		case c.Name == "run_id":
		// vector is a name in some tables and numbers in others.
		case special && slices.Contains(own, c.Name), !special && keyColumns[c.Name] && c.Type != "FLOAT[]":
			keys = append(keys, c)
		case c.Type == "BLOB": // the state of moments, whose numbers are in other columns
		case special && strings.HasSuffix(c.Name, "_id"): // an id has no meaning outside its run
		default:
			values = append(values, c)
		}
	}
	joined := "WITH a AS (" + d.side(0, t, keys, values) + "), b AS (" + d.side(1, t, keys, values) + ") "
	on := make([]string, len(keys))
	row := make([]string, len(keys))
	for i, k := range keys {
		name := dbfile.QuoteName(k.Name)
		on[i] = "a." + name + " = b." + name
		row[i] = dbfile.QuoteText(strings.TrimSuffix(k.Name, "_id")+" ") + " || coalesce(a." + name + ", b." +
			name + ")::VARCHAR"
	}
	differences := make([]string, len(values))
	cells := make([]string, len(values))
	beyond := make([]string, len(values))
	for i, v := range values {
		differences[i] = difference(v)
		cells[i] = fmt.Sprintf("{'c': %s, 'x': coalesce(a.%[2]s::VARCHAR, 'NULL'), 'y': "+
			"coalesce(b.%[2]s::VARCHAR, 'NULL'), 'd': %s}", dbfile.QuoteText(v.Name),
			dbfile.QuoteName(v.Name), differences[i])
		beyond[i] = fmt.Sprintf("(%s > $1::DOUBLE)::BIGINT", differences[i])
	}
	from := "FROM a FULL JOIN b ON " + strings.Join(on, " AND ")
	var both, onlyA, onlyB, different int64
	var largest float64
	if err := d.conn.QueryRowContext(ctx, joined+"SELECT count(*) FILTER (a.here "+
		"AND b.here), count(*) FILTER (b.here IS NULL), count(*) FILTER (a.here IS NULL), "+
		"coalesce(sum(CASE WHEN a.here AND b.here THEN "+strings.Join(beyond, " + ")+
		" ELSE 0 END), 0)::BIGINT, "+
		"coalesce(max(CASE WHEN a.here "+
		"AND b.here THEN greatest("+strings.Join(differences, ", ")+") ELSE 'inf'::DOUBLE END), 0) "+from,
		d.opts.Tolerance).Scan(&both, &onlyA, &onlyB, &different, &largest); err != nil {
		return err
	}
	r := &d.result
	r.Rows, r.OnlyA, r.OnlyB = r.Rows+both, r.OnlyA+onlyA, r.OnlyB+onlyB
	r.Cells, r.Different = r.Cells+both*int64(len(values)), r.Different+different
	r.Largest = max(r.Largest, largest)
	if different+onlyA+onlyB == 0 || d.opts.Limit < 1 {
		return nil
	}
	rows, err := d.conn.QueryContext(ctx, joined+"SELECT r, u.c, u.x, u.y, u.d FROM (SELECT "+
		strings.Join(row, " || ', ' || ")+" AS r, unnest(CASE WHEN a.here AND b.here THEN ["+
		strings.Join(cells, ", ")+
		"] WHEN a.here THEN [{'c': '', 'x': 'a row', 'y': 'none', 'd': 'inf'::DOUBLE}] ELSE [{'c': '', 'x': "+
		"'none', 'y': 'a row', 'd': 'inf'::DOUBLE}] END) AS u "+from+
		") WHERE u.d > $1::DOUBLE "+
		"ORDER BY u.c = '', u.d DESC, r, u.c LIMIT $2", d.opts.Tolerance, d.opts.Limit)
	if err != nil {
		return err
	}
	for rows.Next() {
		c := Cell{Table: t.Name}
		if err := rows.Scan(&c.Row, &c.Column, &c.A, &c.B, &c.Difference); err != nil {
			return errors.Join(err, rows.Close())
		}
		r.Worst = append(r.Worst, c)
	}
	return errors.Join(rows.Err(), rows.Close())
}

// side returns the query for the rows of one run, with names instead of ids.
func (d *differ) side(i int, t dbfile.Table, keys, values []dbfile.Column) string {
	name := d.names[i] + ".main."
	columns := []string{"true AS here"}
	joins := ""
	for n, k := range keys {
		column, alias := dbfile.QuoteName(k.Name), fmt.Sprintf("k%d", n)
		join := ""
		switch {
		case k.Name == "head_id":
			join = "head AS %[1]s ON %[1]s.run_id = t.run_id AND %[1]s.head_id = t.%[2]s"
		case strings.HasSuffix(k.Name, "component_id"):
			join = "component AS %[1]s ON %[1]s.component_id = t.%[2]s"
		case strings.HasSuffix(k.Name, "basis_id"):
			columns = append(columns,
				fmt.Sprintf("coalesce(%s.side || ' ' || %[1]s.name, t.%s::VARCHAR) AS %[2]s", alias, column))
			joins += fmt.Sprintf(" LEFT JOIN "+name+
				"basis AS %[1]s ON %[1]s.run_id = t.run_id AND %[1]s.basis_id = t.%[2]s", alias, column)
			continue
		}
		if join == "" {
			// The moments of all quadrants together have NULL for a quadrant.
			columns = append(columns, fmt.Sprintf("coalesce(t.%s::VARCHAR, 'none') AS %[1]s", column))
			continue
		}
		columns = append(columns, fmt.Sprintf("coalesce(%s.label, t.%s::VARCHAR) AS %[2]s", alias, column))
		joins += fmt.Sprintf(" LEFT JOIN "+name+join, alias, column)
	}
	for _, v := range values {
		columns = append(columns, "t."+dbfile.QuoteName(v.Name))
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + name + dbfile.QuoteName(t.Name) + " AS t" +
		joins + fmt.Sprintf(" WHERE t.run_id = %d", d.runs[i])
}

// difference returns the expression for the difference of a column's values, which is never NULL.
func difference(c dbfile.Column) string {
	form := "CASE WHEN a.%[1]s IS NOT DISTINCT FROM b.%[1]s THEN 0 ELSE 'inf'::DOUBLE END"
	switch c.Type {
	case "FLOAT", "DOUBLE", "INTEGER", "BIGINT":
		form = "CASE WHEN a.%[1]s IS NOT DISTINCT " +
			"FROM b.%[1]s THEN 0 ELSE coalesce(abs(a.%[1]s::DOUBLE - b.%[1]s::DOUBLE), 'inf'::DOUBLE) END"
	case "FLOAT[]":
		form = "CASE WHEN a.%[1]s IS NOT DISTINCT " +
			"FROM b.%[1]s THEN 0 WHEN len(a.%[1]s) = len(b.%[1]s) THEN " +
			"list_max(list_transform(list_zip(a.%[1]s, b.%[1]s), lambda p: " +
			"coalesce(abs(p[1]::DOUBLE - p[2]::DOUBLE), 'inf'::DOUBLE))) ELSE 'inf'::DOUBLE END"
	}
	return fmt.Sprintf(form, dbfile.QuoteName(c.Name))
}
