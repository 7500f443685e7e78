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
		Short: "Compare two runs: by their means, and cell by cell",
		Long: `Compares a run of the first file with a run of the second: the last complete ones, or those
named by --run and --with. It first lists the means that differ most: of the attention of the heads that both
runs have, and of what each component contributes to the score difference (or to the score if there are no
baselines), with 95 % intervals. If both runs have the same prompts, the intervals are those of the change on
each prompt.

Then the runs are compared cell by cell; --cells lists the largest differences. Rows are matched by prompt
number, position, side, and the names of heads, components and bases. A row, number or text that only one run
has counts as an infinite difference; such rows are listed last. Differences between the manifests (seed,
options, time) are shown but do not count.

The exit code is 0 if no cell differs by more than the tolerance and 1 if one does.`,
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
			if err := printDiff(cmd.OutOrStdout(), args, &c, cells, opts.Limit); err != nil {
				return err
			}
			if c.Itself != nil && (opts.RunA == 0 || opts.RunB == 0) {
				noteItself(cmd.ErrOrStderr(), args[0], c.Itself)
			}
			if !c.Same() {
				return fmt.Errorf("diff %s %s: %s, %s", args[0], args[1],
					plural(int(c.Different), "different cell"),
					plural(int(c.OnlyA+c.OnlyB), "row")+" of one run only")
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&opts.Tolerance, "tolerance", 0, "largest difference that does not count")
	flags.BoolVar(&cells, "cells", false, "also list the cells that differ most")
	flags.IntVarP(&opts.Limit, "number", "n", 20, "maximum number of means and of cells to list")
	flags.IntVar(&opts.RunA, "run", 0, "run of the first file; 0 is the last complete one")
	flags.IntVar(&opts.RunB, "with", 0, "run of the second file; 0 is the last complete one")
	flags.Var(&memory, "memory", "maximum memory for the comparison")
	timeoutVar(flags, &timeout)
	return cmd
}

// noteItself notes that a run was compared with itself, which nobody means, and how to choose two of a file.
func noteItself(out io.Writer, file string, runs []int) {
	if len(runs) < 2 {
		fmt.Fprintf(out, "note: this compares a run with itself: %s has one complete run\n", file)
		return
	}
	fmt.Fprintf(out, "note: this compares a run with itself: choose two of %s, such as --run %d --with %d\n",
		file, runs[len(runs)-2], runs[len(runs)-1])
}

// printDiff writes a comparison as text. Strings from the files are made printable.
func printDiff(out io.Writer, files []string, c *transfer.Comparison, cells bool, limit int) error {
	fmt.Fprintf(out, "run %d of %s and run %d of %s\n", c.RunA, files[0], c.RunB, files[1])
	for _, m := range c.Manifest {
		fmt.Fprintf(out, "%s: %s and %s\n", m.Column, queries.Printable(m.A), queries.Printable(m.B))
	}
	if limit > 0 {
		if err := printMeans(out, c); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%d cells in %d rows, the largest difference is %s\n", c.Cells, c.Rows,
		distance(c.Largest))
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
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", distance(cell.Difference), cell.Table,
			queries.Printable(cell.Row), cell.Column, short(cell.A), short(cell.B))
	}
	return w.Flush()
}

// printMeans writes the means that differ.
func printMeans(out io.Writer, c *transfer.Comparison) error {
	if !c.HeadsInCommon {
		_, err := fmt.Fprintln(out, "the runs have no head in common")
		return err
	}
	if len(c.Means) == 0 {
		_, err := fmt.Fprintln(out, "no mean of attention or of contributions differs")
		return err
	}
	of := "different prompts"
	if c.Paired {
		of = "the same prompts, compared one by one"
	}
	fmt.Fprintf(out, "\nlargest differences of means, over %s:\n", of)
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
		fmt.Fprintf(w, "%s\t%s\t%.4g\t%.4g\t%+.4g\t%s\t%s\n", queries.HeadName(queries.Printable(m.Head)),
			queries.Printable(m.What), m.A, m.B, m.Change, interval, n)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// distance formats a difference.
func distance(d float64) string {
	if math.IsInf(d, 0) {
		return "infinite"
	}
	return strconv.FormatFloat(d, 'g', 4, 64)
}

// short shortens a value of a file to fit into a column.
func short(s string) string {
	const most = 40
	r := []rune(queries.Printable(s))
	if len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return string(r)
}
