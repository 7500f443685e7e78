package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/queries/output"
	"ducklens/queries/session"
)

// newHeads builds `ducklens heads`.
func newHeads() *cobra.Command {
	ask := question{timeout: defaultTimeout}
	by, most := measureProb, 20
	format := output.Table
	cmd := &cobra.Command{
		Use:   "heads FILE",
		Short: "Rank the heads of a run by how much they attend from query to key",
		Long: `Ranks the target heads of a run by their attention from the query to the key position, averaged
over its prompts. The default order is by the attention probability of the key. --by diff_prob subtracts the
probability of the baseline; score and diff are the same two for the score before softmax. This is the saved
query top_heads, which ducklens plot can draw.

For a run over texts (ducklens ingest --text) it also shows what the heads do on them, averaged over all query
positions: attention to the previous token, to the first one, to the query itself, to duplicates of it and to
induction targets; the entropy; the mean distance; and how often one token gets most of the attention. --by
takes each of these too. This is the saved query head_measures.

The table has the means, their standard errors (se) and the number of prompts. If a run has both kinds of
measures, it shows those that --by is one of; --format csv and json have all columns.

To look at every head of a model before choosing one, ingest them all without bases, or over texts:
  ducklens ingest --model DIR --head all --query-basis none --key-basis none -o all.duckdb
  ducklens ingest --model DIR --head all --text corpus.txt -o heads.duckdb`,
		Example: `  ducklens heads run.duckdb
  ducklens heads run.duckdb --by diff_prob --most 5
  ducklens heads texts.duckdb --by induction`,
		GroupID: groupAsk,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			set, err := ask.values()
			if err != nil {
				return err
			}
			if most < 1 {
				return usagef("--most %d, want at least 1", most)
			}
			asked := cmd.Flags().Changed("by")
			if cmd.Flags().Changed("most") {
				set["most"] = strconv.Itoa(most)
			}
			s, err := ask.open(cmd.Context(), args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer closing(s, &err)
			measured, err := headMeasures(cmd.Context(), s, set)
			if err != nil {
				return err
			}
			result, err := headScores(cmd.Context(), s, set, by, asked, most, measured)
			if err != nil {
				return err
			}
			if len(result.Rows) == 0 {
				if why := whyNone(cmd.Context(), s, set); why != "" {
					return advice.Add(errors.New("the run has no heads with this measure"), why)
				}
				hint := "its prompts have no baselines, so there is no diff"
				if slices.Contains(textMeasures, by) {
					hint = "ducklens ingest --text measures what heads do on texts"
				} else if has, ok, err := storedIn(cmd.Context(), s, runOf(set)); err == nil && ok &&
					!has.has("examples") {
					hint = explainsNoEdges
				}
				return advice.Add(errors.New("the run has no heads with this measure"), hint)
			}
			if result.Index("n_score") >= 0 && !slices.Contains(textMeasures, by) {
				noteDependent(result, cmd.ErrOrStderr())
			}
			if format == output.Table || format == output.Markdown {
				result = narrow(result, slices.Contains(textMeasures, by))
				if measured != nil && result.Index("prob") > 0 {
					fmt.Fprintln(cmd.ErrOrStderr(),
						"note: --by induction and others show what the heads do on texts; ducklens heads --help")
				}
			}
			return output.Write(cmd.Context(), cmd.OutOrStdout(), format, result, screen(cmd.OutOrStdout()))
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	wordVar(flags, &by, "by", parseMeasure, "measure to rank heads by", measures...)
	flags.IntVar(&most, "most", most, "maximum number of heads to list")
	formatVar(flags, &format, "format of the answer", output.Table, output.CSV, output.JSON, output.Markdown)
	ask.addTo(flags)
	return cmd
}

// A measure is a column to rank heads by.
type measure string

const measureProb measure = "prob"

// The measures are the values of the parameter by of the saved query top_heads, and the columns of
// head_measures.
var (
	edgeMeasures = []measure{measureProb, "diff_prob", "score", "diff"}
	textMeasures = []measure{"previous", "first", "self", "duplicate", "induction", "entropy", "distance",
		"above"}
	measures = append(slices.Clone(edgeMeasures), textMeasures...)
)

func (m measure) String() string { return string(m) }

func parseMeasure(s string) (measure, error) {
	if slices.Contains(measures, measure(s)) {
		return measure(s), nil
	}
	words := make([]string, len(measures))
	for i, m := range measures {
		words[i] = m.String()
	}
	return measureProb, fmt.Errorf("%q, want one of %s", s, strings.Join(words, ", "))
}

// headMeasures returns what heads do on the texts of a run, by label. It returns nil if the run does not
// measure it, or if --set only selects prompts, because measures are means over all of them.
func headMeasures(ctx context.Context, s *session.Session, set map[string]string) (map[any][]any, error) {
	if set["only"] != "" {
		return nil, nil
	}
	about := map[string]string{"x": "self", "y": "self"} // every prompt has this measure
	if run, ok := set["run"]; ok {
		about["run"] = run
	}
	q, err := queries.Find(queries.Embedded(), "head_measures")
	if err != nil {
		return nil, err
	}
	result, err := s.Run(ctx, q, about)
	if err != nil || len(result.Rows) == 0 {
		return nil, err
	}
	measured := map[any][]any{}
	for _, row := range result.Rows {
		var values []any
		for _, m := range textMeasures {
			values = append(values, row[result.Index(m.String())])
		}
		measured[row[result.Index("head")]] = values
	}
	return measured, nil
}

// headScores ranks the heads: the answer to top_heads, with the columns of measured appended. A run without
// edges has only the latter.
func headScores(
	ctx context.Context, s *session.Session, set map[string]string, by measure, asked bool, most int,
	measured map[any][]any,
) (*queries.Result, error) {
	byText := slices.Index(textMeasures, by)
	edges := maps.Clone(set)
	switch {
	case byText >= 0:
		edges["most"] = strconv.Itoa(math.MaxInt32)
	case asked:
		edges["by"] = by.String()
	}
	q, err := queries.Find(queries.Embedded(), "top_heads")
	if err != nil {
		return nil, err
	}
	result, err := s.Run(ctx, q, edges)
	if err != nil {
		return nil, err
	}
	result = headColumns(result)
	if measured == nil {
		if byText >= 0 {
			result.Rows = nil
		}
		return result, nil
	}
	if len(result.Rows) == 0 {
		if byText < 0 && asked {
			return result, nil
		}
		result.Columns = result.Columns[:1]
		for head := range measured {
			result.Rows = append(result.Rows, []any{head})
		}
		byText = max(byText, 0)
	}
	first := len(result.Columns)
	for _, m := range textMeasures {
		result.Columns = append(result.Columns, queries.Column{Name: m.String(), Type: queries.Float})
	}
	for i, row := range result.Rows {
		result.Rows[i] = append(row, measured[row[0]]...)
	}
	if byText < 0 {
		return result, nil
	}
	slices.SortFunc(result.Rows, func(a, b []any) int {
		x, _ := queries.Number(a[first+byText])
		y, _ := queries.Number(b[first+byText])
		return cmp.Or(cmp.Compare(y, x), cmp.Compare(queries.String(a[0]), queries.String(b[0])))
	})
	result.Rows = result.Rows[:min(most, len(result.Rows))]
	return result, nil
}

// headColumns drops the columns that only figures use.
func headColumns(r *queries.Result) *queries.Result {
	return columns(r, func(name string) string {
		if name == "name" || name == "measure" || name == "heads" {
			return ""
		}
		return name
	})
}

// narrow returns the columns for a terminal of 120 characters: those of the edges or those of texts. Means
// have the names that --by uses. The mean that orders the heads is not repeated, and n_baseline is left out
// if it is n.
func narrow(r *queries.Result, texts bool) *queries.Result {
	n, baselines := r.Index("n_score"), r.Index("n_baseline")
	if n < 0 {
		return r
	}
	same := !slices.ContainsFunc(r.Rows, func(row []any) bool { return row[n] != row[baselines] })
	return columns(r, func(name string) string {
		short, isMean := strings.CutPrefix(name, "mean_")
		switch {
		case name == "head":
			return name
		case texts || slices.Contains(textMeasures, measure(name)):
			if texts && slices.Contains(textMeasures, measure(name)) {
				return name
			}
			return ""
		case name == "n_score":
			return "n"
		case isMean:
			return short
		case name == "mean" || name == "se" || name == "n" || name == "n_baseline" && same:
			return ""
		}
		return name
	})
}

// columns returns the columns of a result to which called gives a name.
func columns(r *queries.Result, called func(name string) string) *queries.Result {
	left := queries.Result{Facts: r.Facts}
	var kept []int
	for i, c := range r.Columns {
		if c.Name = called(c.Name); c.Name != "" {
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
