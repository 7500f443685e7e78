package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ducklens/queries/session"
	"ducklens/schema/dbfile"
	"ducklens/schema/transfer"
)

// newExport builds `ducklens export`.
func newExport() *cobra.Command {
	var parquet string
	var force bool
	var timeout time.Duration
	memory := bytesFlag(session.DefaultMemory)
	cmd := &cobra.Command{
		Use:   "export FILE --parquet DIR",
		Short: "Write the tables of a file as a folder of Parquet files",
		Long: `Writes a new folder that DuckDB, Spark, pandas or whatever else reads Parquet can read without ducklens: a folder for every table that
has rows. Tables of facts are partitioned by run, as in DIR/contribution_wide/run_id=1/data.parquet; the others are one file,
as in DIR/example/data.parquet. DIR/ducklens.json documents tables and columns and lists the files.

Generated columns (diff is score - baseline), views and macros are not in it; ducklens import makes a file that has
them again. All runs must be complete. The folder appears when it is whole.`,
		Example: `  ducklens export run.duckdb --parquet run`,
		GroupID: groupMake,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if parquet == "" {
				return usagef("--parquet is missing: where should the folder go?")
			}
			ownProcess(cmd.Context()).guard(cmd.Context(), int64(memory), 0)
			var moved transfer.Exported
			if err := within(cmd.Context(), timeout, func(ctx context.Context) (err error) {
				moved, err = transfer.Export(ctx, args[0], parquet, dbfile.Options{Replace: force, Memory: memoryLimit(memory)})
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
	flags.Var(&memory, "memory", "most memory that DuckDB may use")
	timeoutVar(flags, &timeout)
	return cmd
}

// memoryLimit writes a memory limit for package dbfile.
func memoryLimit(b bytesFlag) string { return strconv.FormatInt(int64(b), 10) + "B" }

// printExported says what an export or import moved.
func printExported(w io.Writer, what string, e transfer.Exported) error {
	_, err := fmt.Fprintf(w, "%s: %d rows of %s, in %s of %.1f MB\n", what, e.Rows, plural(e.Tables, "table"), plural(e.Files, "Parquet file"), float64(e.Bytes)/1e6)
	return err
}
