package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/queries/output"
	"ducklens/queries/session"
)

// queryFlags are the flags of `ducklens query`.
type queryFlags struct {
	question
	sql    string
	scalar bool
	output string

	format      output.Format
	formatGiven bool // otherwise the ending of output decides
}

// newQuery builds `ducklens query`.
func newQuery() *cobra.Command {
	f := &queryFlags{}
	cmd := &cobra.Command{
		Use:   "query FILE (NAME | -e SQL)",
		Short: "Run a saved query or your own SQL",
		Long: `Runs one query on a run file and prints its answer. NAME is a query that ships with ducklens or
that the file carries (ducklens queries list), or a .sql file of your own. -e takes SQL; -e - reads it from
standard input. Set parameters ($name in the SQL) with --set name=value; values are bound, never pasted into
the SQL. If a parameter of a saved query has several values, as in --set head=10.7,11.10, the query runs once
for each, and the column asked_for shows the value.

The file is opened read-only. A query can read this file only: no other files and no network. ducklens schema
FILE lists its tables, views and macros.`,
		Example: `  ducklens query run.duckdb key_components
  ducklens query run.duckdb key_components --set head=10.7 --format csv
  ducklens query run.duckdb pct_explained_mlp0 --scalar
  ducklens query run.duckdb pct_explained_mlp0 --set query_basis=unembed,unembed+baseline
  ducklens query run.duckdb -e "SELECT head, avg(score) AS score, avg(prob) AS prob FROM head_score GROUP BY head ORDER BY head"
  ducklens query run.duckdb -e "FROM contribution_unsplit WHERE component = \$c ORDER BY ALL" --set c=MLP0 -o mlp0.parquet`,
		GroupID:           groupAsk,
		ValidArgsFunction: completeQuery,
		Args: func(cmd *cobra.Command, args []string) error {
			switch own := cmd.Flags().Changed("sql"); {
			case own && len(args) > 1:
				return usagef("both a saved query (%s) and SQL (-e): give one of them", args[1])
			case own:
				return exactly("FILE")(cmd, args)
			}
			if len(args) == 1 {
				return &usageError{err: fmt.Errorf(
					"NAME is missing: name a saved query, or give SQL with -e"),
					hint: "see ducklens queries list"}
			}
			return exactly("FILE", "NAME")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.formatGiven = cmd.Flags().Changed("format")
			return f.run(cmd.Context(), args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.sql, "sql", "e", "", "your own `SQL` instead of NAME; - reads it from standard input")
	formatVar(flags, &f.format, "format of the answer; the ending of -o sets it too", output.Table, output.CSV,
		output.JSON, output.Parquet, output.Markdown)
	flags.BoolVar(&f.scalar, "scalar", false, "print a single value with all its digits")
	flags.StringVarP(&f.output, "output", "o", "", "`file` to write the answer to instead of standard output")
	f.question.addTo(flags)
	return cmd
}

// run runs the query and writes the answer.
func (f *queryFlags) run(
	ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer,
) (err error) {
	set, err := f.values()
	if err != nil {
		return err
	}
	if ending := strings.ToLower(strings.TrimPrefix(filepath.Ext(f.output), ".")); ending != "" &&
		!f.formatGiven && !f.scalar {
		if f.format, err = output.ParseFormat(ending); err != nil {
			return &usageError{err: fmt.Errorf("-o %s: answers are not written in this format", f.output),
				hint: "use the ending .csv, .json, .parquet or .md, or set --format"}
		}
	}
	s, err := f.open(ctx, args[0], stderr)
	if err != nil {
		return err
	}
	defer closing(s, &err)
	q, err := f.query(ctx, s, args[1:], stdin, stderr)
	if err != nil {
		return err
	}
	result, err := askSeveral(ctx, s, q, set)
	_, unknown := queries.Find(queries.Embedded(), strings.TrimSpace(f.sql))
	if err != nil && unknown == nil {
		return advice.Add(err, f.sql+" is a saved query: give it without -e")
	}
	if err != nil {
		return withRemedy(ctx, s, q, set, err)
	}
	if none := map[bool]string{true: "no rows",
		false: "no values"}[len(result.Rows) == 0]; len(result.Rows) == 0 || overNothing(ctx, s, q, result) {
		if why := whyEmpty(ctx, s, q, set); why != "" {
			fmt.Fprintf(stderr, "note: %s: %s\n", none, why)
		}
	}
	noteDoubts(queries.Doubts(result.Wholes(q.Chart.Y)), stderr)
	if asksFirstHead(q, set) {
		if err := noteFirstHead(ctx, s, set["run"], stderr); err != nil {
			return err
		}
	}
	if q.Chart.Error != "" && q.Chart.Count != "" {
		noteDependent(result, stderr)
	}
	if err := notes(ctx, s, q, stderr); err != nil {
		return err
	}
	if f.output == "" {
		return f.write(ctx, stdout, q, result)
	}
	return writeFile(f.output, func(w io.Writer) error { return f.write(ctx, w, q, result) })
}

// overNothing reports whether an answer is an aggregate over no values: one row of NULLs.
func overNothing(ctx context.Context, s *session.Session, q queries.Query, r *queries.Result) bool {
	if len(r.Rows) != 1 || slices.ContainsFunc(r.Rows[0], func(v any) bool { return v != nil }) {
		return false
	}
	reads, err := s.Reads(ctx, q.SQL)
	return err == nil && reading{reads}.aggregated()
}

// askSeveral runs a query. If a parameter of a saved query has several values, the query runs once for each,
// and the column asked_for tells the answers apart.
func askSeveral(
	ctx context.Context, s *session.Session, q queries.Query, set map[string]string,
) (*queries.Result, error) {
	if q.Name == "" { // the user's own SQL: a comma does not separate values
		return s.Run(ctx, q, set)
	}
	param, sets, err := q.Several(set)
	if err != nil {
		return nil, asUsage(err)
	}
	var results []*queries.Result
	for _, set := range sets {
		result, err := s.Run(ctx, q, set)
		if err != nil {
			return nil, oneOfSeveral(err, param, sets)
		}
		results = append(results, result)
	}
	if param == "" {
		return results[0], nil
	}
	_, all, err := q.SideBySide(param, results)
	return all, oneOfSeveral(err, param, sets)
}

// oneOfSeveral adds to an error without advice about one of several values of a parameter that a comma
// separates them: it may have been meant as a part of one value.
func oneOfSeveral(err error, param string, sets []map[string]string) error {
	if err == nil || param == "" || advice.Of(err) != "" || len(sets) < 2 {
		return err
	}
	first, second := sets[0][param], sets[1][param]
	whole := strings.ReplaceAll(first+", "+second, `"`, `""`)
	return advice.Add(err, fmt.Sprintf("a comma separates values, here %s and %s; a value that contains one is "+
		"in double quotes: --set %s", queries.Printable(first), queries.Printable(second),
		quote(queries.Printable(param+`="`+whole+`"`))))
}

// query returns the query to run: SQL from the command line or standard input, or a saved query.
func (f *queryFlags) query(
	ctx context.Context, s *session.Session, names []string, stdin io.Reader, stderr io.Writer,
) (queries.Query, error) {
	if len(names) == 1 {
		return find(ctx, s, names[0], stderr)
	}
	sql := f.sql
	if sql == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, queries.MaxLength+1))
		if err != nil {
			return queries.Query{}, fmt.Errorf("read SQL from standard input: %w", err)
		}
		sql = string(text)
	}
	return queries.AdHoc(sql)
}

// write writes an answer in the chosen format.
func (f *queryFlags) write(ctx context.Context, w io.Writer, q queries.Query, result *queries.Result) error {
	options := screen(w)
	if f.scalar {
		value, err := output.Scalar(q, result)
		if err != nil {
			return err
		}
		if options.Terminal {
			value = queries.Printable(value)
		}
		_, err = fmt.Fprintln(w, value)
		return err
	}
	return output.Write(ctx, w, f.format, result, options)
}

// screen describes the terminal that w writes to, if it does.
func screen(w io.Writer) output.Options {
	f := outputFile(w)
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return output.Options{}
	}
	o := output.Options{Terminal: true}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		o.Width = width
	}
	return o
}
