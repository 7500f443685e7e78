package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ducklens/queries"
	"ducklens/schema/transfer"
)

// newDiff builds `ducklens diff`.
func newDiff() *cobra.Command {
	var opts transfer.DiffOptions
	cells, memory := false, bytesFlag(2<<30)
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "diff FILE FILE",
		Short: "Compare two runs: what moved, and cell by cell",
		Long: `Compares a run of the first file with one of the second, the last complete ones unless --run and --with name others. What
moved comes first: the mean attention of the heads that both have, and what each component contributes to the score
difference (or to the score, without baselines), with intervals of 95 %. Where both runs have the same prompts, these are of the
changes of each prompt.

Behind that, the runs are compared cell by cell; --cells lists the largest differences. Rows belong together by prompt
number, position, side and the names of heads, components and bases; a row, number or text that only one run has differs
by infinity, and such rows come last. What the manifests say (seed, options, time) is shown where it differs, and is no
difference of the runs.

The exit code is 0 when no cell differs by more than the tolerance and 1 when one does.`,
		Example: `  ducklens diff run.duckdb other.duckdb
  ducklens diff run.duckdb other.duckdb --tolerance 1e-5 -n 3 --cells`,
		GroupID: groupAsk,
		Args:    exactly("FILE", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !(opts.Tolerance >= 0) || opts.Limit < 0 || opts.RunA < 0 || opts.RunB < 0 {
				return usagef("--tolerance, -n, --run and --with want numbers of at least 0")
			}
			opts.Database.Memory = strconv.FormatInt(int64(memory), 10) + "B"
			ownProcess(cmd.Context()).guard(cmd.Context(), int64(memory), 0)
			var c transfer.Comparison
			if err := within(cmd.Context(), timeout, func(ctx context.Context) (err error) {
				c, err = transfer.Diff(ctx, args[0], args[1], opts)
				return err
			}); err != nil {
				return err
			}
			if err := printDiff(cmd.OutOrStdout(), args, &c, cells); err != nil {
				return err
			}
			if !c.Same() {
				return fmt.Errorf("diff %s %s: %s, %s", args[0], args[1], plural(int(c.Different), "different cell"), plural(int(c.OnlyA+c.OnlyB), "row")+" of one run only")
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&opts.Tolerance, "tolerance", 0, "largest difference that is none")
	flags.BoolVar(&cells, "cells", false, "list the cells that differ most")
	flags.IntVarP(&opts.Limit, "number", "n", 20, "most means and most cells to list")
	flags.IntVar(&opts.RunA, "run", 0, "run of the first file; 0 is the last complete one")
	flags.IntVar(&opts.RunB, "with", 0, "run of the second file; 0 is the last complete one")
	flags.Var(&memory, "memory", "most memory that the comparison may use")
	timeoutVar(flags, &timeout)
	return cmd
}

// printDiff writes a comparison for a person. Texts come from the files.
func printDiff(out io.Writer, files []string, c *transfer.Comparison, cells bool) error {
	fmt.Fprintf(out, "run %d of %s and run %d of %s\n", c.RunA, files[0], c.RunB, files[1])
	for _, m := range c.Manifest {
		fmt.Fprintf(out, "%s: %s and %s\n", m.Column, queries.Printable(m.A), queries.Printable(m.B))
	}
	if err := printMeans(out, c); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d cells in %d rows, the largest difference is %s\n", c.Cells, c.Rows, distance(c.Largest))
	for i, n := range []int64{c.OnlyA, c.OnlyB} {
		if n > 0 {
			fmt.Fprintf(out, "%s only in %s\n", plural(int(n), "row"), files[i])
		}
	}
	if c.Same() {
		_, err := fmt.Fprintln(out, "no cell differs by more than the tolerance")
		return err
	}
	if !cells {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "\ndifference\ttable\trow\tcolumn\tfirst\tsecond\n")
	for _, cell := range c.Worst {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", distance(cell.Difference), cell.Table, queries.Printable(cell.Row), cell.Column, short(cell.A), short(cell.B))
	}
	return w.Flush()
}

// printMeans writes what moved.
func printMeans(out io.Writer, c *transfer.Comparison) error {
	if len(c.Means) == 0 {
		_, err := fmt.Fprintln(out, "no mean that both runs have moved")
		return err
	}
	of := "different prompts"
	if c.Paired {
		of = "the same prompts, compared one by one"
	}
	fmt.Fprintf(out, "\nwhat moved, means over %s:\n", of)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprint(w, "head\tmean of\tfirst\tsecond\tchange\t95 % interval\tn\n")
	for _, m := range c.Means {
		interval, n := "", strconv.FormatInt(m.CountA, 10)
		if m.Error >= 0 {
			low, high := m.Interval()
			interval = fmt.Sprintf("%+.4g to %+.4g", low, high)
		}
		if m.CountA != m.CountB {
			n += ", " + strconv.FormatInt(m.CountB, 10)
		}
		fmt.Fprintf(w, "%s\t%s\t%.4g\t%.4g\t%+.4g\t%s\t%s\n", queries.HeadName(queries.Printable(m.Head)), queries.Printable(m.What), m.A, m.B, m.Change, interval, n)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// distance writes a difference.
func distance(d float64) string {
	if math.IsInf(d, 0) {
		return "infinite"
	}
	return strconv.FormatFloat(d, 'g', 4, 64)
}

// short makes a value of a file fit into a column.
func short(s string) string {
	const most = 40
	r := []rune(queries.Printable(s))
	if len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return string(r)
}
