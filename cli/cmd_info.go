package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ducklens/queries"
	"ducklens/schema"
)

// newInfo builds `ducklens info`.
func newInfo() *cobra.Command {
	var asJSON, tables bool
	cmd := &cobra.Command{
		Use:   "info FILE",
		Short: "Show which runs a file holds and how they were made",
		Example: `  ducklens info run.duckdb
  ducklens info run.duckdb --json
  ducklens info run.duckdb --tables`,
		GroupID: groupAsk,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if tables {
				return describeTables(cmd.Context(), cmd.OutOrStdout(), args[0], asJSON)
			}
			result, err := describeRuns(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				runs := make([]map[string]any, 0, len(result.Rows))
				for _, row := range result.Rows {
					run := make(map[string]any, len(row))
					for i, c := range result.Columns {
						run[c.Name] = row[i]
					}
					runs = append(runs, run)
				}
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(runs)
			}
			return printInfo(cmd.OutOrStdout(), args[0], result)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&tables, "tables", false,
		"list tables instead of runs: rows, bytes, and their share of the file")
	return cmd
}

// describeTables lists how much space each table of a file takes, except empty ones.
func describeTables(ctx context.Context, out io.Writer, path string, asJSON bool) (err error) {
	s, err := openToAsk(ctx, path)
	if err != nil {
		return err
	}
	defer closing(s, &err)
	costs, free, err := s.Costs(ctx)
	if err != nil {
		return err
	}
	stat, err := os.Stat(path)
	if err != nil {
		return err
	}
	type cost struct {
		Table string `json:"table"`
		Rows  int64  `json:"rows,omitempty"`
		Bytes int64  `json:"bytes"`
	}
	var list []cost
	rest := stat.Size() - free
	for _, c := range costs {
		if rest -= c.Bytes; c.Rows > 0 {
			list = append(list, cost{c.Table, c.Rows, c.Bytes})
		}
	}
	list = append(list, cost{Table: "(metadata, views, macros)", Bytes: rest},
		cost{Table: "(unused)", Bytes: free})
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(list)
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "rows\tkB\tshare\t table")
	for _, c := range list {
		rows := ""
		if c.Rows > 0 {
			rows = fmt.Sprint(c.Rows)
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.1f %%\t %s\n", rows, float64(c.Bytes)/1000,
			100*float64(c.Bytes)/float64(stat.Size()), queries.Printable(c.Table))
	}
	return w.Flush()
}

// describeRuns gives a row for each run of a file.
func describeRuns(ctx context.Context, path string) (result *queries.Result, err error) {
	s, err := openToAsk(ctx, path)
	if err != nil {
		return nil, err
	}
	defer closing(s, &err)
	return allRuns(ctx, s)
}

// summarized shortens a long list of the heads of a model of this size, if they are all heads of some layers.
func summarized(heads, size string) string {
	names := strings.Split(heads, ", ")
	var layers, each int
	if _, err := fmt.Sscanf(size, "%d layers, %d heads", &layers, &each); err != nil || len(names) <= manyHeads {
		return heads
	}
	first, last := layers, 0
	for _, name := range names {
		h, err := schema.ParseHead(name)
		if err != nil {
			return heads
		}
		first, last = min(first, h.Layer), max(last, h.Layer)
	}
	switch {
	case len(names) != (last-first+1)*each: // every head is there once
		return heads
	case first == 0 && last == layers-1:
		return fmt.Sprintf("all %d", len(names))
	case first == last:
		return fmt.Sprintf("all %d of layer %d", len(names), first)
	}
	return fmt.Sprintf("all %d of layers %d to %d", len(names), first, last)
}

// printInfo writes the runs one below the other, each as lines of a name and a value.
func printInfo(out io.Writer, path string, runs *queries.Result) error {
	size := ""
	if stat, err := os.Stat(path); err == nil {
		size = fmt.Sprintf(", %.1f MB", float64(stat.Size())/1e6)
	}
	fmt.Fprintf(out, "%s: %s%s\n", path, plural(len(runs.Rows), "run"), size)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, row := range runs.Rows {
		fmt.Fprintln(w)
		for i, c := range runs.Columns {
			value := queries.Printable(queries.String(row[i]))
			if row[i] == nil {
				value = "-"
			}
			if c.Name == "heads" {
				value = summarized(value, queries.String(row[runs.Index("size")]))
			}
			fmt.Fprintf(w, "%s\t%s\n", strings.ReplaceAll(c.Name, "_", " "), value)
		}
	}
	return w.Flush()
}
