package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ducklens/queries"
	"ducklens/schema"
	"ducklens/schema/transfer"
)

// newMigrate builds `ducklens migrate`.
func newMigrate() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate FILE",
		Short: "Bring a file of an older ducklens to the tables of this one",
		Long: `Makes the new file beside the old one and puts it in its place when it is whole: an interrupted migration leaves
the old file. Releases that know only the older tables cannot read the new file, so keep a copy if you need one.
Everything is kept but what pairs of components are made from (factors), which older files store in another form;
means of pairs are kept. Saved queries that ducklens shipped become those of this release, your own stay. A file
that has the tables of this ducklens is left alone; a newer one is refused.`,
		Example: `  ducklens migrate run.duckdb`,
		GroupID: groupMake,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := transfer.Migrate(cmd.Context(), args[0], transfer.MigrateOptions{Shipped: shipped(queries.Embedded())})
			if err != nil {
				return err
			}
			out := cmd.ErrOrStderr()
			if m.From == schema.Version {
				_, err = fmt.Fprintf(out, "%s: has schema version %d already\n", args[0], m.From)
				return err
			}
			fmt.Fprintf(out, "%s: migrated from schema version %d to %d\n", args[0], m.From, schema.Version)
			for _, note := range migrationNotes(m) {
				fmt.Fprintf(out, "note: %s\n", note)
			}
			return nil
		},
	}
}

// migrationNotes says what of a file did not stay as it was.
func migrationNotes(m transfer.Migrated) (notes []string) {
	if len(m.Factors) > 0 {
		runs := make([]string, len(m.Factors))
		for i, run := range m.Factors {
			runs[i] = strconv.Itoa(run)
		}
		notes = append(notes, fmt.Sprintf("factors of run %s are left out: queries about single pairs of components need a new ingest; means of pairs are kept", strings.Join(runs, ", ")))
	}
	if len(m.Replaced) > 0 {
		notes = append(notes, "saved queries of this release take the place of older ones: "+queries.Printable(strings.Join(m.Replaced, ", ")))
	}
	if len(m.Kept) > 0 {
		notes = append(notes, "your saved queries stay as they are, and may need another form of heads, L10H7: "+queries.Printable(strings.Join(m.Kept, ", ")))
	}
	return notes
}

// shipped are the saved queries in the form in which a migration takes them.
func shipped(list []queries.Query) []transfer.SavedQuery {
	var saved []transfer.SavedQuery
	for _, q := range list {
		saved = append(saved, transfer.SavedQuery{Name: q.Name, SQL: q.String()})
	}
	return saved
}
