package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"ducklens/queries"
	"ducklens/queries/output"
)

// newHeads builds `ducklens heads`.
func newHeads() *cobra.Command {
	ask := question{timeout: defaultTimeout}
	by, most := measureProb, 20
	format := output.Table
	cmd := &cobra.Command{
		Use:   "heads FILE",
		Short: "Rank the heads of a run by how much they attend from query to key",
		Long: `Ranks the target heads of a run by their attention from the query to the key position, mean over its prompts. The order is
that of the attention probability of the key unless --by says otherwise: diff_prob subtracts that of the baseline; score
and diff are the same of the score before softmax. It is the saved query top_heads, which ducklens plot can draw.

To look at every head of a model before choosing one, ingest them all without bases:
  ducklens ingest --model DIR --head all --query-basis none --key-basis none -o all.duckdb`,
		Example: `  ducklens heads run.duckdb
  ducklens heads run.duckdb --by diff_prob --most 5`,
		GroupID: groupAsk,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			set, err := ask.values()
			if err != nil {
				return err
			}
			for name, value := range map[string]string{"by": by.String(), "most": strconv.Itoa(most)} {
				if cmd.Flags().Changed(name) {
					set[name] = value
				}
			}
			q, err := queries.Find(queries.Embedded(), "top_heads")
			if err != nil {
				return err
			}
			s, err := ask.open(cmd.Context(), args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer closing(s, &err)
			result, err := s.Run(cmd.Context(), q, set)
			if err != nil {
				return err
			}
			if len(result.Rows) == 0 {
				if why := whyNone(cmd.Context(), s, set); why != "" {
					return &hinted{errors.New("the run has no heads with such a number"), why}
				}
				return &hinted{errors.New("the run has no heads with such a number"), "without baselines in its prompts there is no diff"}
			}
			return output.Write(cmd.Context(), cmd.OutOrStdout(), format, headColumns(result), screen(cmd.OutOrStdout()))
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	wordVar(flags, &by, "by", parseMeasure, "what orders the heads", measures...)
	flags.IntVar(&most, "most", most, "how many heads to list")
	wordVar(flags, &format, "format", output.ParseFormat, "form of the answer", output.Table, output.CSV, output.JSON, output.Markdown)
	ask.addTo(flags)
	return cmd
}

// A measure is what heads are ranked by.
type measure string

const measureProb measure = "prob"

// measures are the words of the parameter by of the saved query top_heads.
var measures = []measure{measureProb, "diff_prob", "score", "diff"}

func (m measure) String() string { return string(m) }

func parseMeasure(s string) (measure, error) {
	if slices.Contains(measures, measure(s)) {
		return measure(s), nil
	}
	return measureProb, fmt.Errorf("%q, want prob, diff_prob, score or diff", s)
}

// headColumns leaves out what is for figures.
func headColumns(r *queries.Result) *queries.Result {
	left := queries.Result{Facts: r.Facts}
	var kept []int
	for i, c := range r.Columns {
		if c.Name != "name" && c.Name != "measure" {
			left.Columns, kept = append(left.Columns, c), append(kept, i)
		}
	}
	for _, row := range r.Rows {
		values := make([]any, len(kept))
		for i, from := range kept {
			values[i] = row[from]
		}
		left.Rows = append(left.Rows, values)
	}
	return &left
}
