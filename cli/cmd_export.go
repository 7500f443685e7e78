package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/queries/spark"
	"ducklens/schema/dbfile"
	"ducklens/schema/transfer"
)

// newExport builds `ducklens export`.
func newExport() *cobra.Command {
	var parquet string
	var force, add bool
	var timeout time.Duration
	memory := bytesFlag(session.DefaultMemory)
	cmd := &cobra.Command{
		Use:   "export FILE --parquet DIR",
		Short: "Write the tables of a file to a folder of Parquet files",
		Long: `Writes a data set: a folder of Parquet files that DuckDB, Spark, polars, pandas and other
programs can read without ducklens. Each table has a folder, partitioned by run and target head in Hive style,
as in DIR/contribution_wide/run=KEY/head=L10H7/KEY.parquet. A table that is not about heads is partitioned by
run alone, as in DIR/component/run=KEY/KEY.parquet. KEY is the run's key. It is unique across files, so
exports of several files can share a folder (--add) and be read together. Numbers such as run_id and
component_id are only unique within a run: join on run as well. DIR/ducklens/KEY.json documents tables and
columns and lists the files of an export.

Rows are sorted by the columns that queries filter on. Generated columns (diff is score - baseline) are
written too, an empty table has a file without rows, and the files carry the columns' comments. DIR/spark has
the views and the saved queries in the SQL of Spark 4; ducklens import makes a file that has them for DuckDB
again. All runs must be complete. The folder appears when it is complete; with --add its files appear one by
one, the manifest last.`,
		Example: `  ducklens export run.duckdb --parquet run
  ducklens export run.duckdb --parquet runs --add`,
		GroupID: groupMake,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if parquet == "" {
				return usagef("--parquet is missing: name the folder to write")
			}
			if add && force {
				return usagef(
					"--add keeps the exports in the folder and --force replaces the folder: give one of them")
			}
			ownProcess(cmd.Context()).guard(cmd.Context(), int64(memory), 0)
			texts, err := sparkTexts(cmd.Context())
			if err != nil {
				return err
			}
			var moved transfer.Exported
			if err := within(cmd.Context(), timeout, func(ctx context.Context) (err error) {
				moved, err = transfer.Export(ctx, args[0], parquet,
					transfer.ExportOptions{Options: dbfile.Options{Replace: force,
						Memory: memoryLimit(memory)}, Add: add, Texts: texts})
				return err
			}); err != nil {
				return err
			}
			return printExported(cmd.ErrOrStderr(), parquet, moved)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&parquet, "parquet", "", "`folder` to write")
	flags.BoolVar(&force, "force", false, "replace the folder if it is an earlier export")
	flags.BoolVar(&add, "add", false, "add to the exports in the folder")
	flags.Var(&memory, "memory", "maximum memory for DuckDB")
	timeoutVar(flags, &timeout)
	return cmd
}

// sparkTexts translates this program's views and saved queries to the SQL of Spark.
func sparkTexts(ctx context.Context) (texts map[string]string, err error) {
	d, err := spark.New(ctx)
	if err != nil {
		return nil, err
	}
	defer closing(d, &err)
	return d.Texts(ctx, queries.Embedded())
}

// memoryLimit formats a memory limit for package dbfile.
func memoryLimit(b bytesFlag) string { return strconv.FormatInt(int64(b), 10) + "B" }

// printExported reports what an export or import copied.
func printExported(w io.Writer, what string, e transfer.Exported) error {
	_, err := fmt.Fprintf(w, "%s: %d rows of %s, in %s of %.1f MB\n", what, e.Rows, plural(e.Tables, "table"),
		plural(e.Files, "Parquet file"), float64(e.Bytes)/1e6)
	return err
}
