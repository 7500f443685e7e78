package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/session"
)

// newQueriesHelp builds `ducklens queries help`.
func newQueriesHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help",
		Short:   "Explain how a saved query is written, with every key of its header",
		Example: `  ducklens queries help`,
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), queries.Manual())
			return err
		},
	}
}

// checkFigure finds what ducklens plot would refuse of a query: columns that its answer lacks or that are no
// numbers, and names in braces that nothing stands for.
func checkFigure(ctx context.Context, s *session.Session, q queries.Query) error {
	if q.Chart.Mark == queries.Table || q.Chart.Mark == queries.Scalar {
		return nil
	}
	columns, err := s.Columns(ctx, q)
	if err != nil {
		return err
	}
	q.Chart.Infer(&queries.Result{Columns: columns}) // as plot does
	return figure.Check(q, columns)
}
