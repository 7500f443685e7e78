package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"ducklens/queries/session"
	"ducklens/schema/dbfile"
	"ducklens/schema/transfer"
)

// newImport builds `ducklens import`.
func newImport() *cobra.Command {
	var output string
	var force bool
	var timeout time.Duration
	memory := bytesFlag(session.DefaultMemory)
	cmd := &cobra.Command{
		Use:   "import DIR -o FILE",
		Short: "Make a file of a folder that export wrote",
		Long: `Reads a folder of ducklens export back into a new file with the same tables, row by row, and with views, macros and comments. The folder may come from a
stranger: only the files that it must have are read, each has to be as it was exported, and rows have to follow the rules of
their tables. Whether the numbers add up is for ducklens verify to say. The file appears when it is whole.`,
		Example: `  ducklens export run.duckdb --parquet run && ducklens import run -o again.duckdb`,
		GroupID: groupMake,
		Args:    exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				return usagef("-o is missing: where should the file go?")
			}
			ownProcess(cmd.Context()).guard(cmd.Context(), int64(memory), 0)
			var moved transfer.Exported
			if err := within(cmd.Context(), timeout, func(ctx context.Context) (err error) {
				moved, err = transfer.Import(ctx, args[0], output, dbfile.Options{Replace: force, Memory: memoryLimit(memory)})
				return err
			}); err != nil {
				return err
			}
			return printExported(cmd.ErrOrStderr(), output, moved)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&output, "output", "o", "", "`file` to write")
	flags.BoolVar(&force, "force", false, "replace the file if it exists")
	flags.Var(&memory, "memory", "most memory that DuckDB may use")
	timeoutVar(flags, &timeout)
	return cmd
}
