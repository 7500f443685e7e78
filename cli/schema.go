package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ducklens/queries"
	"ducklens/queries/session"
)

// schemaSQL gives the documentation of a file as its comments have it: a row for each table, view, macro and
// enumeration, in that order, and for each column of a table or view.
const schemaSQL = `WITH object AS (
  SELECT 1 AS rank, 'table' AS kind, table_name AS name, comment, estimated_size AS n FROM duckdb_tables() WHERE NOT internal
  UNION ALL SELECT 2, 'view', view_name, comment, NULL FROM duckdb_views() WHERE NOT internal
  UNION ALL SELECT 3, 'macro', function_name, any_value(comment), NULL FROM duckdb_functions() WHERE NOT internal GROUP BY function_name
  UNION ALL SELECT 4, 'enumeration', type_name, comment || ' ' || array_to_string(labels, ', ') || '.', NULL FROM duckdb_types() WHERE NOT internal AND logical_type = 'ENUM'
)
SELECT o.kind, o.name, o.comment, c.column_name AS "column", c.data_type AS type, c.comment AS column_comment
FROM object AS o LEFT JOIN duckdb_columns() AS c ON o.rank <= 2 AND c.table_name = o.name AND NOT c.internal
ORDER BY o.rank, o.name, c.column_index`

// newSchema builds `ducklens schema`.
func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema FILE [NAME]",
		Short: "Print the documentation of a run file's tables, views and macros",
		Long: `Prints, as Markdown, the comments that the file carries on its tables, views, macros and enumerations, and on each of
their columns; or those of the one called NAME. Any DuckDB client shows the same comments through
duckdb_tables(), duckdb_columns(), duckdb_views() and duckdb_functions().`,
		Example: `  ducklens schema run.duckdb
  ducklens schema run.duckdb contribution`,
		GroupID: groupAsk,
		Args:    between(1, "FILE", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
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
}

// schemaOf prints the documentation of a file, or of what is called name.
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

// printSchema writes the answer to schemaSQL as Markdown, whole or the part called name. left says of tables why questions
// cannot use them.
func printSchema(w io.Writer, result *queries.Result, left map[string]string, name string) error {
	var known []string
	kind, object, written := "", "", false
	for _, row := range result.Rows {
		var text [6]string
		for i := range text {
			text[i] = queries.Printable(queries.String(row[i]))
		}
		rowKind, rowObject, comment, column, columnType, columnComment := text[0], text[1], text[2], text[3], text[4], text[5]
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
				comment = strings.TrimSpace(comment + "\n\nQuestions cannot use it: " + why + ".")
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
		hint := ""
		if near := queries.Nearest(name, known); len(near) > 0 {
			hint = "nearest: " + strings.Join(near, ", ")
		}
		return &hinted{fmt.Errorf("no table, view, macro or enumeration %q in the file", name), hint}
	}
	return nil
}

// cell writes text into a cell of a Markdown table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
