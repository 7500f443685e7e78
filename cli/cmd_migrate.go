package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/transfer"
)

// newMigrate builds `ducklens migrate`.
func newMigrate() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "migrate FILE",
		Short: "Convert a file of an older ducklens to the current tables",
		Long: `Makes a new file next to the old one and replaces the old one when the new one is complete: the
file is either migrated or left unchanged. Older releases cannot read it afterwards, so keep a copy if you
need one. A file with the current schema version is left alone; a newer one is refused.`,
		Example: `  ducklens migrate run.duckdb`,
		GroupID: groupMake,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var shipped []transfer.SavedQuery
			for _, q := range travelling(queries.Embedded()) {
				shipped = append(shipped, transfer.SavedQuery(q))
			}
			ownProcess(cmd.Context()).guard(cmd.Context(), session.DefaultMemory, 0)
			var done transfer.Migrated
			if err := within(cmd.Context(), timeout, func(ctx context.Context) (err error) {
				done, err = transfer.Migrate(ctx, args[0], transfer.MigrateOptions{Shipped: shipped})
				return err
			}); err != nil {
				return err
			}
			return printMigrated(cmd.ErrOrStderr(), args[0], done)
		},
	}
	timeoutVar(cmd.Flags(), &timeout)
	return cmd
}

// printMigrated reports what was done to a file.
func printMigrated(w io.Writer, path string, done transfer.Migrated) error {
	if done.From == schema.Version {
		_, err := fmt.Fprintf(w, "%s: already has schema version %d\n", path, done.From)
		return err
	}
	fmt.Fprintf(w, "%s: migrated from schema version %d to %d\n", path, done.From, schema.Version)
	for _, run := range done.Factors {
		fmt.Fprintf(w,
			"run %d: its factors are left out, because this version stores other factors that cannot be "+
				"computed from them; means of pairs are kept\n", run)
	}
	if len(done.Kept) > 0 {
		fmt.Fprintf(w, "saved queries kept as they are: %s; they may name columns of the older version\n",
			strings.Join(done.Kept, ", "))
	}
	return nil
}
