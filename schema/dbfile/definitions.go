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
	"strings"
	"sync"
)

// Definitions returns the text of the file's views and macros, as DuckDB stores them, by "view NAME" and
// "macro NAME". It binds none of them.
func (d *Data) Definitions(ctx context.Context) (list map[string]string, err error) {
	conn, err := d.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	rows, err := conn.QueryContext(ctx, `SELECT 'view', view_name, sql FROM system.main.duckdb_views() WHERE database_name = $source AND schema_name = 'main' AND NOT internal
		UNION ALL SELECT function_type, function_name, string_agg(macro_definition, ';\n' ORDER BY macro_definition)
		FROM system.main.duckdb_functions() WHERE database_name = $source AND schema_name = 'main' AND NOT internal GROUP BY ALL ORDER BY ALL`, sql.Named("source", d.source))
	if err != nil {
		return nil, err
	}
	list = map[string]string{}
	tables := map[string]bool{} // macros that are used like tables
	for rows.Next() {
		var kind, name string
		var text sql.NullString
		if err := rows.Scan(&kind, &name, &text); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		if kind == "view" {
			list["view "+name] = sortExcluded(text.String)
		} else {
			list["macro "+name] += sortExcluded(text.String)
			tables[name] = kind == "table_macro"
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for name, table := range tables {
		parameters, err := d.parametersOf(ctx, conn, name, table)
		if err != nil {
			return nil, err
		}
		list["macro "+name] = parameters + " " + list["macro "+name]
	}
	return list, nil
}

// excluded matches the columns that a star leaves out.
var excluded = regexp.MustCompile(`\* EXCLUDE \(([^()]*)\)`)

// sortExcluded sorts the columns that stars leave out, because DuckDB lists them in random order.
func sortExcluded(text string) string {
	return excluded.ReplaceAllStringFunc(text, func(found string) string {
		names := strings.Split(excluded.FindStringSubmatch(found)[1], ", ")
		slices.Sort(names)
		return "* EXCLUDE (" + strings.Join(names, ", ") + ")"
	})
}

// parametersOf returns the parameters of a macro with their defaults. DuckDB shows defaults only in the error
// for a call with an unknown parameter, so parametersOf prepares such a call, which binds nothing of the
// macro.
func (d *Data) parametersOf(ctx context.Context, conn *sql.Conn, name string, table bool) (string, error) {
	call := QuoteName(d.source) + ".main." + QuoteName(name) + "(" + newSourceName() + " := 1)"
	if table {
		call = "* FROM " + call
	}
	stmt, err := conn.PrepareContext(ctx, "SELECT "+call)
	if err == nil {
		return "", stmt.Close()
	}
	_, candidates, _ := strings.Cut(err.Error(), "Candidate macros:")
	candidates, _, _ = strings.Cut(candidates, "\n\nLINE ")
	return strings.TrimSpace(candidates), ctx.Err()
}

// Shadows lists the macros of the file that have the name of a DuckDB function.
func (d *Data) Shadows(ctx context.Context) ([]string, error) { return shadows(ctx, d.pool, d.source) }

// Definitions returns the result of [Data.Definitions] for a new file.
func Definitions() (map[string]string, error) { return freshDefinitions() }

var freshDefinitions = sync.OnceValues(func() (list map[string]string, err error) {
	if carried := carriedDefinitions(); carried != nil {
		return carried, nil
	}
	return describeNew()
})

// describeNew asks DuckDB. It prints a view differently before it has been written to disk, so describeNew
// creates a file in a temporary folder.
func describeNew() (list map[string]string, err error) {
	ctx := context.Background() // the result is cached, so it must not depend on one caller's context
	dir, err := os.MkdirTemp("", "ducklens-")
	if err != nil {
		return nil, fmt.Errorf("make an empty file to compare with: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "empty.duckdb")
	db, err := Create(ctx, path, Options{})
	if err != nil {
		return nil, err
	}
	if err := db.Finalize(ctx); err != nil {
		return nil, err
	}
	d, err := OpenData(ctx, path, Options{Threads: 1})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return d.Definitions(ctx)
}
