package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/queries/spark"
)

// schemaSQL selects the comments of a file: a row for each table, view, macro and enumeration, in that order,
// and for each column of a table or view.
const schemaSQL = `WITH object AS (
  SELECT 1 AS rank, 'table' AS kind, table_name AS name, comment, estimated_size AS n FROM duckdb_tables()
    WHERE NOT internal
  UNION ALL SELECT 2, 'view', view_name, comment, NULL FROM duckdb_views() WHERE NOT internal
  UNION ALL SELECT 3, 'macro', function_name, any_value(comment), NULL FROM duckdb_functions()
    WHERE NOT internal GROUP BY function_name
  UNION ALL SELECT 4, 'enumeration', type_name, comment || ' ' || array_to_string(labels, ', ') || '.', NULL
    FROM duckdb_types() WHERE NOT internal AND logical_type = 'ENUM'
)
SELECT o.kind, o.name, o.comment, c.column_name AS "column", c.data_type AS type, c.comment AS column_comment
FROM object AS o LEFT JOIN duckdb_columns() AS c ON o.rank <= 2 AND c.table_name = o.name AND NOT c.internal
ORDER BY o.rank, o.name, c.column_index`

// newSchema builds `ducklens schema`.
func newSchema() *cobra.Command {
	var dialect string
	cmd := &cobra.Command{
		Use:   "schema FILE [NAME]",
		Short: "Print the documentation of a run file's tables, views and macros",
		Long: `Prints, as Markdown, the comments that the file carries on its tables, views, macros and
enumerations and on each of their columns, or only those of NAME. Any DuckDB client shows the same comments
through duckdb_tables(), duckdb_columns(), duckdb_views() and duckdb_functions().

With --dialect spark, and without a file, it prints SQL for Spark 4 that creates temporary views over a data
set of ducklens export, and functions for the macros. A data set has the same text in spark/views.sql, and the
saved queries in spark/questions.`,
		Example: `  ducklens schema run.duckdb
  ducklens schema run.duckdb contribution
  ducklens schema --dialect spark`,
		GroupID: groupAsk,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("dialect") {
				return exactly()(cmd, args)
			}
			return between(1, "FILE", "NAME")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if cmd.Flags().Changed("dialect") {
				return printDialect(cmd.Context(), cmd.OutOrStdout(), dialect)
			}
			s, err := openToAsk(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer closing(s, &err)
			name := ""
			if len(args) > 1 {
				name = args[1]
			}
			return schemaOf(cmd.Context(), s, cmd.OutOrStdout(), name)
		},
	}
	cmd.Flags().StringVar(&dialect, "dialect", "", "print views of another `engine` over a data set: spark")
	return cmd
}

// printDialect prints the views in another engine's SQL.
func printDialect(ctx context.Context, w io.Writer, dialect string) (err error) {
	if dialect != "spark" {
		return usagef("--dialect %s, want spark", dialect)
	}
	d, err := spark.New(ctx)
	if err != nil {
		return err
	}
	defer closing(d, &err)
	text, err := d.Views(ctx)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}

// schemaOf prints the documentation of a file, or only of the object called name.
func schemaOf(ctx context.Context, s *session.Session, w io.Writer, name string) error {
	result, err := ask(ctx, s, schemaSQL, nil)
	if err != nil {
		return err
	}
	list, err := s.LeftOut(ctx)
	if err != nil {
		return err
	}
	left := map[string]string{}
	for _, l := range list {
		left[queries.Printable(l.Name)] = queries.Printable(l.Why)
	}
	return printSchema(w, result, left, name)
}

// printSchema writes the answer to schemaSQL as Markdown, or only the part about name. left says why queries
// cannot use a table.
func printSchema(w io.Writer, result *queries.Result, left map[string]string, name string) error {
	var known []string
	kind, object, written := "", "", false
	for _, row := range result.Rows {
		var text [6]string
		for i := range text {
			text[i] = queries.Printable(queries.String(row[i]))
		}
		rowKind, rowObject, comment := text[0], text[1], text[2]
		column, columnType, columnComment := text[3], text[4], text[5]
		next := rowKind != kind || rowObject != object
		if next {
			known = append(known, rowObject)
		}
		kind, object = rowKind, rowObject
		if name != "" && !strings.EqualFold(rowObject, name) {
			continue
		}
		if next {
			if written {
				fmt.Fprintln(w)
			}
			written = true
			if why := left[rowObject]; rowKind == "table" && why != "" {
				comment = strings.TrimSpace(comment + "\n\nQueries cannot use it: " + why + ".")
			}
			fmt.Fprintf(w, "## %s %s\n\n%s\n", rowKind, rowObject, comment)
			if column != "" {
				fmt.Fprint(w, "\n| column | type | meaning |\n|---|---|---|\n")
			}
		}
		if column != "" {
			fmt.Fprintf(w, "| %s | %s | %s |\n", column, cell(columnType), cell(columnComment))
		}
	}
	if !written && name != "" {
		hint := "ducklens schema FILE lists all of them"
		if near := queries.Nearest(name, known); len(near) > 0 {
			hint = "nearest: " + strings.Join(near, ", ")
		}
		return advice.Add(fmt.Errorf("no table, view, macro or enumeration %q in the file", name), hint)
	}
	return nil
}

// cell escapes text for a cell of a Markdown table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
