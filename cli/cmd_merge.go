package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ducklens/internal/advice"
	"ducklens/queries/session"
	"ducklens/schema/dbfile"
	"ducklens/schema/transfer"
)

// newMerge builds `ducklens merge`.
func newMerge(call invocation) *cobra.Command {
	var output string
	var force bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "merge FILE... -o FILE",
		Short: "Merge the runs of several files into a new one",
		Long: `Makes a new file with the runs of the others, renumbered in their order. Models are shared by
the hash of their weights. A run that several files hold is taken once, so merging a merged file again changes
nothing. The shards of a run (ingest --shard) are joined into the whole run; none may be missing. All runs
must be complete, and all files must have the current schema version (see ducklens migrate).`,
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
				return usagef("-o is missing: name the file to write")
			}
			ownProcess(cmd.Context()).guard(cmd.Context(), session.DefaultMemory, 0)
			var runs []transfer.MergedRun
			err := within(cmd.Context(), timeout, func(ctx context.Context) (err error) {
				runs, err = transfer.Merge(ctx, output, args, dbfile.Options{Replace: force})
				return err
			})
			if errors.Is(err, dbfile.ErrExists) {
				return advice.Add(err, "choose another name, or replace the file with --force")
			}
			if err != nil {
				return err
			}
			for _, r := range runs {
				what := ""
				if !r.Shard.Whole() {
					what = fmt.Sprintf("shard %s of ", r.Shard)
				}
				known := ""
				if r.Known {
					known = ", which another file has too"
				}
				if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "run %d of %s is %srun %d%s\n", r.RunID, r.Path,
					what, r.NewID, known); err != nil {
					return err
				}
			}
			return sayMerged(cmd, call, output, runs)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`file` to write")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it exists")
	timeoutVar(cmd.Flags(), &timeout)
	return cmd
}

// sayMerged prints what the merged file has, and what to do next.
func sayMerged(cmd *cobra.Command, call invocation, output string, runs []transfer.MergedRun) error {
	last, prompts, recorded := 0, 0, true
	for _, r := range runs {
		if r.NewID > last {
			last, prompts, recorded = r.NewID, prompts+r.Prompts, recorded && r.Prompts >= 0
		}
	}
	what := plural(last, "run")
	if recorded {
		what += ", " + plural(prompts, "prompt")
	}
	next := "query " + quote(output) + " key_components"
	if last > 1 {
		next = "info " + quote(output)
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s; next: %s %s\n", output, what, call.program, next)
	return err
}
