package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// newMigrate builds `ducklens migrate`.
func newMigrate() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate FILE",
		Short: "Bring a file of an older ducklens to the tables of this one",
		Long: `Changes the file in place, in one transaction: it is migrated wholly or left as it was. Releases that know only
the older tables cannot read it afterwards, so keep a copy if you need one. A file that has the tables of this
ducklens is left alone; a newer one is refused.`,
		Example: `  ducklens migrate run.duckdb`,
		GroupID: groupMake,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := dbfile.Migrate(cmd.Context(), args[0], dbfile.Options{})
			if err != nil {
				return err
			}
			if from == schema.Version {
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s: has schema version %d already\n", args[0], from)
			} else {
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s: migrated from schema version %d to %d\n", args[0], from, schema.Version)
			}
			return err
		},
	}
}
