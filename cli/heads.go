package cli

import (
	"github.com/spf13/cobra"

	"ducklens/queries"
	"ducklens/queries/output"
)

// newHeads builds `ducklens heads`.
func newHeads() *cobra.Command {
	ask := question{timeout: defaultTimeout}
	cmd := &cobra.Command{
		Use:   "heads FILE",
		Short: "Rank the heads of a run by how much they attend from query to key",
		Long: `Ranks the target heads of a run by their mean attention probability from the query to the key position, with that to the
baseline position beside it. It is the saved query top_heads, which ducklens plot can draw.

To look at every head of a model before choosing one, ingest them all without bases:
  ducklens ingest --model DIR --head all --query-basis none --key-basis none -o all.duckdb`,
		Example: `  ducklens heads run.duckdb`,
		GroupID: groupAsk,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			set, err := ask.values()
			if err != nil {
				return err
			}
			q, err := queries.Find(queries.Embedded(), "top_heads")
			if err != nil {
				return err
			}
			s, err := ask.open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer closing(s, &err)
			result, err := s.Run(cmd.Context(), q, set)
			if err != nil {
				return err
			}
			return output.Write(cmd.Context(), cmd.OutOrStdout(), output.Table, result, screen(cmd.OutOrStdout()))
		},
	}
	ask.addTo(cmd.Flags())
	return cmd
}
