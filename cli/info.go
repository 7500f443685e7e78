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
)

// infoSQL lists the runs of a file.
const infoSQL = `SELECT r.run_id, r.status, r.created_at, r.ducklens_version, m.name AS model, m.family,
  m.n_layers || ' layers, ' || m.n_heads || ' heads, d_model ' || m.d_model AS size, m.sha256,
  (SELECT count(*) FROM prompt AS p WHERE p.run_id = r.run_id) AS prompts, r.n_prompts AS of_prompts,
  (SELECT count(*) FROM edge AS e WHERE e.run_id = r.run_id) AS edges, r.prompt_source, r.seed, r.bos,
  (SELECT string_agg(h.label, ', ' ORDER BY h.ordinal) FROM head AS h WHERE h.run_id = r.run_id) AS heads,
  (SELECT string_agg(b.name, ', ' ORDER BY b.basis_id) FROM basis AS b WHERE b.run_id = r.run_id AND b.side = 'query' AND b.null_number IS NULL) AS query_bases,
  (SELECT string_agg(b.name, ', ' ORDER BY b.basis_id) FROM basis AS b WHERE b.run_id = r.run_id AND b.side = 'key' AND b.null_number IS NULL) AS key_bases,
  (SELECT count(*) FROM basis AS b WHERE b.run_id = r.run_id AND b.side = 'query' AND b.null_number IS NOT NULL) AS random_bases,
  (SELECT string_agg(v.label, ', ' ORDER BY v.ordinal) FROM mover AS v WHERE v.run_id = r.run_id) AS movers, r.factors, r.pairs, r.pair_means, r.logits,
  r.convention, r.processing, r.precision, r.blas, r.threads, r.max_closure_residual, r.command_line
FROM run AS r JOIN model AS m ON m.model_id = r.model_id
ORDER BY r.run_id`

// newInfo builds `ducklens info`.
func newInfo() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info FILE",
		Short: "Say which runs a file holds and how they were made",
		Example: `  ducklens info run.duckdb
  ducklens info run.duckdb --json`,
		GroupID: groupAsk,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
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
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// describeRuns gives a row for each run of a file, with what identifies its data last; NULL while it is not complete.
func describeRuns(ctx context.Context, path string) (result *queries.Result, err error) {
	s, err := openToAsk(ctx, path)
	if err != nil {
		return nil, err
	}
	defer closing(s, &err)
	if result, err = ask(ctx, s, infoSQL, nil); err != nil {
		return nil, err
	}
	runs, err := s.Runs(ctx)
	if err != nil {
		return nil, err
	}
	of := map[any]any{}
	if len(runs.Complete) > 0 {
		data, err := s.Run(ctx, queries.Fingerprint(), nil)
		if err != nil {
			return nil, err
		}
		for _, row := range data.Rows {
			of[row[0]] = row[1]
		}
	}
	result.Columns = append(result.Columns, queries.Column{Name: "data_sha256", Type: queries.Text})
	for i, row := range result.Rows {
		result.Rows[i] = append(row, of[row[0]])
	}
	return result, nil
}

// printInfo writes the runs one below the other, each as lines of name and value.
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
			fmt.Fprintf(w, "%s\t%s\n", strings.ReplaceAll(c.Name, "_", " "), value)
		}
	}
	return w.Flush()
}
