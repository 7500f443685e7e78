package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ducklens/ingest"
	"ducklens/internal/advice"
	"ducklens/internal/regular"
	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/session"
)

// newQueries builds `ducklens queries`.
func newQueries() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queries",
		Short: "List, show, check and store saved queries",
		Long: `A saved query is a .sql file with a header of comments that says what it asks, which parameters
it takes and how its answer is drawn. Queries ship with ducklens, are stored in run files, or are files in a
folder of yours.`,
		Example: `  ducklens queries list
  ducklens queries show key_components`,
		GroupID: groupAsk,
		Args:    cobra.ArbitraryArgs,
		RunE:    subcommandWanted,
	}
	cmd.AddCommand(asking(newQueriesList(), newQueriesShow())...)
	cmd.AddCommand(newQueriesCheck(), newQueriesAdd(), newQueriesHelp())
	return cmd
}

// newQueriesList builds `ducklens queries list`.
func newQueriesList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [FILE|DIR]",
		Short: "List the saved queries that ship with ducklens, or those in a run file or a folder",
		Example: `  ducklens queries list
  ducklens queries list run.duckdb
  ducklens queries list my_queries
  ducklens queries list --json`,
		Args: between(0, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := collect(cmd, args)
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return errors.Join(e.Encode(describe(list)), err)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, q := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\n", queries.Printable(q.Name), q.Chart.Mark,
					queries.Printable(q.Title))
			}
			return errors.Join(w.Flush(), err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with descriptions and parameters")
	return cmd
}

// described is a saved query in JSON.
type described struct {
	Name        string           `json:"name"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	Chart       string           `json:"chart"`
	Parameters  []describedParam `json:"parameters"`
}

type describedParam struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Default any    `json:"default"` // null if there is none
	Needed  bool   `json:"needed"`
	About   string `json:"about"`
}

func describe(list []queries.Query) []described {
	out := make([]described, len(list))
	for i, q := range list {
		out[i] = described{q.Name, q.Title, q.Description, q.Chart.Mark.String(), []describedParam{}}
		for _, p := range q.Params {
			out[i].Parameters = append(out[i].Parameters,
				describedParam{p.Name, p.Type.String(), p.Default, p.Needed, p.Doc})
		}
	}
	return out
}

// newQueriesShow builds `ducklens queries show`.
func newQueriesShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME [FILE|DIR]",
		Short: "Print a saved query: its header and its SQL",
		Long: `Prints a saved query that ships with ducklens, or one from a run file or a folder. The output
is a .sql file: change it and run it with ducklens query FILE changed.sql.`,
		Example: `  ducklens queries show key_components
  ducklens queries show key_components > mine.sql
  ducklens queries show key_components run.duckdb`,
		Args: between(1, "NAME", "FILE"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]string,
			cobra.ShellCompDirective) {
			return completeQuery(cmd, append([]string{""}, args...), toComplete)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			list, faults := collect(cmd, args[1:])
			q, err := queries.Find(list, args[0])
			if err != nil {
				return errors.Join(err, faults)
			}
			text := q.String()
			if len(args) > 1 {
				// Text from somebody else's file may contain control characters for the terminal; line ends
				// and tabs are harmless.
				lines := strings.Split(text, "\n")
				for i, line := range lines {
					parts := strings.Split(line, "\t")
					for j := range parts {
						parts[j] = queries.Printable(parts[j])
					}
					lines[i] = strings.Join(parts, "\t")
				}
				text = strings.Join(lines, "\n")
			}
			_, err = io.WriteString(cmd.OutOrStdout(), strings.TrimRight(text, "\n")+"\n")
			return err
		},
	}
}

// newQueriesCheck builds `ducklens queries check`.
func newQueriesCheck() *cobra.Command {
	var against string
	cmd := &cobra.Command{
		Use:   "check PATH...",
		Short: "Check saved queries: .sql files or folders of them",
		Long: `Parses every .sql file and reports what is wrong in which line. With --file each query is also
checked against a run file without running it: whether it only reads, and whether its tables, columns and
parameters exist.`,
		Example: `  ducklens queries check mine.sql
  ducklens queries check my_queries --file run.duckdb`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("PATH is missing")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			list, faults := readAll(args)
			if against != "" {
				faults = errors.Join(faults, checkAgainst(cmd.Context(), against, list))
			}
			if faults != nil {
				return faults
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: nothing wrong\n",
				strings.Replace(plural(len(list), "query"), "querys", "queries", 1))
			return nil
		},
	}
	cmd.Flags().StringVar(&against, "file", "", "run `file` to check the queries against")
	return cmd
}

// checkAgainst checks queries against a run file without running them.
func checkAgainst(ctx context.Context, file string, list []queries.Query) (err error) {
	s, err := openToAsk(ctx, file)
	if err != nil {
		return err
	}
	defer closing(s, &err)
	var faults error
	for _, q := range list {
		fault := s.Check(ctx, q)
		if fault == nil {
			fault = checkFigure(ctx, s, q)
		}
		faults = errors.Join(faults, fault)
	}
	return faults
}

// checkFigure reports what ducklens plot would refuse in a query: columns that the answer lacks or that are
// not numeric, and unknown names in braces.
func checkFigure(ctx context.Context, s *session.Session, q queries.Query) error {
	if q.Chart.Mark == queries.Table || q.Chart.Mark == queries.Scalar {
		return nil
	}
	columns, err := s.Columns(ctx, q)
	if err != nil {
		return err
	}
	q.Chart.Infer(&queries.Result{Columns: columns}) // as ducklens plot does
	return figure.Check(q, columns)
}

// newQueriesAdd builds `ducklens queries add`.
func newQueriesAdd() *cobra.Command {
	var replace bool
	cmd := &cobra.Command{
		Use:   "add FILE PATH...",
		Short: "Store saved queries in a run file: .sql files or folders of them",
		Long: `Checks .sql files as ducklens queries check --file does, and stores them in the run file.
Whoever has the file can then run them with ducklens query FILE NAME and draw them with ducklens plot FILE
NAME.`,
		Example: `  ducklens queries add run.duckdb mine.sql
  ducklens queries add run.duckdb my_queries --force`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef("%s missing", []string{"FILE and PATH are", "PATH is"}[len(args)])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			list, faults := readAll(args[1:])
			for _, q := range list {
				if _, err := queries.Find(queries.Embedded(), q.Name); err == nil {
					faults = errors.Join(faults,
						advice.Add(fmt.Errorf("%s is the name of a query that ships with ducklens and has precedence",
							q.Name), "give it another name"))
				}
			}
			if faults == nil {
				faults = checkAgainst(cmd.Context(), args[0], list)
			}
			if faults != nil {
				return faults
			}
			err := ingest.Keep(cmd.Context(), args[0], travelling(list), replace)
			if errors.Is(err, ingest.ErrKept) {
				return advice.Add(err, "use --force to replace it; ducklens queries show NAME FILE prints it")
			}
			for _, q := range list {
				if err == nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: next: ducklens query %s %s\n", q.Name,
						quote(args[0]), q.Name)
				}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&replace, "force", false, "replace queries of the same name")
	return cmd
}

// readAll reads saved queries from files and folders. It returns those that it can read even if there are
// errors.
func readAll(paths []string) ([]queries.Query, error) {
	var list []queries.Query
	var faults []error
	for _, path := range paths {
		info, err := os.Stat(path)
		var found []queries.Query
		switch {
		case err != nil:
			err = advice.Add(fmt.Errorf("%s: %w", path, pathless(err)),
				"name .sql files or folders of them; ducklens queries list shows the queries that need no file")
		case info.IsDir():
			if found, err = queries.Load(regular.DirFS(path), "."); err == nil && len(found) == 0 {
				err = fmt.Errorf("%s: no .sql files", path)
			}
		default:
			var q queries.Query
			if q, err = readQuery(path); err == nil {
				found = []queries.Query{q}
			}
		}
		list = append(list, found...)
		if err != nil {
			faults = append(faults, err)
		}
	}
	return list, errors.Join(faults...)
}

// collect returns the queries of the run file or folder in args[0], or those that ship with ducklens if args
// is empty.
func collect(cmd *cobra.Command, args []string) (list []queries.Query, err error) {
	if len(args) == 0 {
		return queries.Embedded(), nil
	}
	if info, err := os.Stat(args[0]); err == nil && (info.IsDir() || filepath.Ext(args[0]) == ".sql") {
		return readAll(args[:1])
	}
	s, err := openToAsk(cmd.Context(), args[0])
	if err != nil {
		return nil, err
	}
	defer closing(s, &err)
	list, faults := s.Saved(cmd.Context())
	return list, errors.Join(faults...)
}

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
