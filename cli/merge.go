package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ducklens/queries/session"
	"ducklens/schema/dbfile"
	"ducklens/schema/transfer"
)

// newMerge builds `ducklens merge`.
func newMerge() *cobra.Command {
	var output string
	var force bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "merge FILE... -o FILE",
		Short: "Unite the runs of several files in a new one",
		Long: `Makes a new file with the runs of the others, numbered anew in their order. Models are shared by the hash of their
weights, and a run that several of the files hold, as its contents tell, is taken once: merging a merged file again
changes nothing. All runs must be complete, and all files must have the tables of this ducklens.`,
		Example: `  ducklens merge run.duckdb other.duckdb -o both.duckdb`,
		GroupID: groupMake,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("FILE is missing")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				return usagef("-o is missing: where should the merged file go?")
			}
			ownProcess(cmd.Context()).guard(cmd.Context(), session.DefaultMemory, 0)
			var runs []transfer.MergedRun
			err := within(cmd.Context(), timeout, func(ctx context.Context) (err error) {
				runs, err = transfer.Merge(ctx, output, args, dbfile.Options{Replace: force})
				return err
			})
			if errors.Is(err, dbfile.ErrExists) {
				return &hinted{err, "choose another name, or replace the file with --force"}
			}
			if err != nil {
				return err
			}
			for _, r := range runs {
				text := "run %d of %s is run %d\n"
				if r.Known {
					text = "run %d of %s is run %d, which was there already\n"
				}
				if _, err := fmt.Fprintf(cmd.ErrOrStderr(), text, r.RunID, r.Path, r.NewID); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`file` to write")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it exists")
	timeoutVar(cmd.Flags(), &timeout)
	return cmd
}
