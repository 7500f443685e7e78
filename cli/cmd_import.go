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
	var output, export string
	var force bool
	var timeout time.Duration
	memory := bytesFlag(session.DefaultMemory)
	cmd := &cobra.Command{
		Use:   "import DIR -o FILE",
		Short: "Make a file from a folder that export wrote",
		Long: `Reads a folder that ducklens export wrote into a new file with the same rows, and with views,
macros and comments. The folder may come from a stranger: only the files that it must have are read, each must
be as it was exported, and rows must follow the rules of their tables. To check whether the numbers add up,
run ducklens verify on the file. The file appears when it is complete. If the folder has several exports,
--export names the one to read.`,
		Example: `  ducklens export run.duckdb --parquet run && ducklens import run -o again.duckdb`,
		GroupID: groupMake,
		Args:    exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				return usagef("-o is missing: name the file to write")
			}
			ownProcess(cmd.Context()).guard(cmd.Context(), int64(memory), 0)
			var moved transfer.Exported
			if err := within(cmd.Context(), timeout, func(ctx context.Context) (err error) {
				moved, err = transfer.Import(ctx, args[0], export, output,
					dbfile.Options{Replace: force, Memory: memoryLimit(memory)})
				return err
			}); err != nil {
				return err
			}
			return printExported(cmd.ErrOrStderr(), output, moved)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&output, "output", "o", "", "`file` to write")
	flags.StringVar(&export, "export", "",
		"`key` of the export to read, or its beginning, if the folder has several")
	flags.BoolVar(&force, "force", false, "replace the file if it exists")
	flags.Var(&memory, "memory", "maximum memory for DuckDB")
	timeoutVar(flags, &timeout)
	return cmd
}
