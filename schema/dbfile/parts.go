package dbfile

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"ducklens/schema"
)

// part is a view or a macro that the in-memory database can have.
type part struct {
	name     string
	create   string
	comments []string
	uses     []string     // names of other parts
	before   string       // a statement to run first, or ""
	further  []columnText // the columns of a table that a user has added
}

// ownParts lists views of the tables' stored columns, followed by the views and macros of this program.
func ownParts(source func(table string) string, own []tableText,
	statements []string) (list []part, err error) {
	place := map[string]int{}
	for _, t := range own {
		place[t.name] = len(list)
		list = append(list, part{name: t.name, create: viewOf(source(t.name), t.name, t.columns)})
	}
	for _, s := range statements {
		object, rest, _ := strings.Cut(strings.TrimPrefix(s, "COMMENT ON "), " ")
		name, _, _ := strings.Cut(rest, " ")
		table, _, _ := strings.Cut(name, ".")
		if i, ok := place[table]; ok && strings.HasPrefix(s, "COMMENT ON ") && object != "TYPE" {
			list[i].comments = append(list[i].comments,
				strings.Replace(s, "COMMENT ON TABLE ", "COMMENT ON VIEW ", 1))
		}
	}
	views, err := schema.Views()
	if err != nil {
		return nil, err
	}
	for _, s := range views {
		if words := strings.FieldsFunc(s,
			func(r rune) bool { return r == ' ' || r == '(' || r == '\n' }); words[0] == "CREATE" {
			list = append(list, part{name: words[2], create: s})
		} else {
			last := &list[len(list)-1]
			last.comments = append(last.comments, s)
		}
	}
	before := map[string]bool{}
	for i := range list {
		list[i].uses = usedIn(list[i].create, before)
		before[list[i].name] = true
	}
	return list, nil
}

// viewOf returns the statement that creates the view of a table of the file.
func viewOf(source, name string, columns []columnText) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE VIEW %s AS SELECT ", QuoteName(name))
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		if c.expression == "" {
			b.WriteString("t." + QuoteName(c.name))
		} else {
			b.WriteString(c.expression + " AS " + QuoteName(c.name))
		}
	}
	fmt.Fprintf(&b, " FROM %s.main.%s AS t", QuoteName(source), QuoteName(name))
	return b.String()
}

// usedIn finds the names of parts among the words of a statement. A false match does no harm.
func usedIn(statement string, parts map[string]bool) (names []string) {
	for w := range strings.FieldsFuncSeq(statement, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		if parts[w] && !slices.Contains(names, w) {
			names = append(names, w)
		}
	}
	return names
}

// Make creates views and macros by name, and everything that they use. It ignores unknown names; the
// statement that uses one will fail.
func (d *Data) Make(ctx context.Context, conn *sql.Conn, names ...string) error {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[strings.ToLower(name)] = true
	}
	for i := len(d.parts) - 1; i >= 0; i-- { // parts stand after those that they use
		if p := d.parts[i]; wanted[strings.ToLower(p.name)] {
			for _, name := range p.uses {
				wanted[strings.ToLower(name)] = true
			}
		}
	}
	for _, p := range d.parts {
		if !wanted[strings.ToLower(p.name)] || d.made[p.name] {
			continue
		}
		for _, statement := range []string{p.before, p.create} {
			if statement == "" {
				continue
			}
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("make %s: %w", p.name, Wrap("read", d.path, err))
			}
		}
		d.made[p.name] = true
	}
	return nil
}

// MakeAll creates all views and macros, with their comments.
func (d *Data) MakeAll(ctx context.Context, conn *sql.Conn) error {
	if d.made["*"] {
		return nil
	}
	if err := d.Make(ctx, conn, d.Names()...); err != nil {
		return err
	}
	for _, p := range d.parts {
		if err := runAll(ctx, conn, p.comments); err != nil {
			return Wrap("describe", d.path, err)
		}
	}
	if err := runAll(ctx, conn, d.lists()); err != nil {
		return Wrap("describe", d.path, err)
	}
	comments, err := viewComments(ctx, conn, func(view string) bool {
		return slices.ContainsFunc(d.parts, func(p part) bool { return p.name == view && d.hides(p.create) })
	})
	if err == nil {
		err = runAll(ctx, conn, comments)
	}
	d.made["*"] = err == nil
	return Wrap("describe", d.path, err)
}

// hides reports whether a statement mentions the random name of a database of the file.
func (d *Data) hides(statement string) bool {
	return strings.Contains(statement, d.source) || d.catalogue != nil &&
		strings.Contains(statement, d.catalogue.source)
}

// lists returns macros that replace DuckDB's functions of the same names, so that each table of the file is
// listed once, as a table of the in-memory database, and views are those of this program.
func (d *Data) lists() (list []string) {
	source, own := QuoteText(d.source), QuoteText(Catalog)
	hidden, mentioned := source, "contains(sql, "+source+")"
	if d.catalogue != nil {
		hidden += ", " + QuoteText(d.catalogue.source)
		mentioned = "(" + mentioned + " OR contains(sql, " + QuoteText(d.catalogue.source) + "))"
	}
	for name, from := range map[string]string{
		"duckdb_tables": "SELECT " + own + " AS database_name, * EXCLUDE (database_name) " +
			"FROM system.main.duckdb_tables() WHERE database_name = " + source,
		"duckdb_views": "SELECT * FROM system.main.duckdb_views() WHERE database_name NOT IN (" + hidden +
			") AND NOT (database_name = " + own + " AND " + mentioned + ")",
		"duckdb_columns": "SELECT * FROM system.main.duckdb_columns() WHERE database_name NOT IN (" +
			hidden + ")",
		"duckdb_functions": "SELECT * FROM system.main.duckdb_functions() WHERE database_name NOT IN (" +
			hidden + ")",
		"duckdb_types": "SELECT * FROM system.main.duckdb_types() WHERE database_name NOT IN (" + hidden +
			")",
		"duckdb_databases": "SELECT * FROM system.main.duckdb_databases() WHERE database_name NOT IN (" +
			hidden + ")",
	} {
		list = append(list, "CREATE MACRO "+name+"() AS TABLE "+from)
	}
	return list
}
