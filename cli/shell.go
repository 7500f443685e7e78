package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ducklens/cli/shell"
	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/output"
	"ducklens/queries/session"
)

// newShell builds `ducklens shell`.
func newShell() *cobra.Command {
	var (
		ask    question
		format output.Format
	)
	cmd := &cobra.Command{
		Use:   "shell FILE",
		Short: "Ask a run file in SQL, at a prompt",
		Long: `Reads SQL statements, which end with a semicolon, and commands that begin with a dot (.help lists them), and prints the
answers. At a terminal there are history and completion of tables, columns, saved queries and their parameters;
Ctrl-C stops the query that runs, Ctrl-D leaves. Else it is a script that is read: the first fault ends it, with exit code 1.

The file is opened read-only. A query sees this file alone, not other files nor the network.`,
		Example: `  echo '.tables' | ducklens shell run.duckdb
  echo 'SELECT head, avg(prob) AS prob FROM head_score GROUP BY head ORDER BY head;' | ducklens shell run.duckdb --format csv
  echo '.run key_components head=10.7' | ducklens shell run.duckdb`,
		GroupID: groupAsk,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := ask.values()
			if err != nil {
				return err
			}
			o := shell.Options{
				Open:   func(ctx context.Context) (*session.Session, error) { return ask.open(ctx, args[0], cmd.ErrOrStderr()) },
				Plot:   plotTo,
				Schema: schemaOf,
				Note:   notes,
				Report: func(err error) { report(cmd.ErrOrStderr(), err) },
				Find: func(ctx context.Context, s *session.Session, name string) (queries.Query, error) {
					return find(ctx, s, name, cmd.ErrOrStderr())
				},
				Saved:  everySaved,
				Out:    cmd.OutOrStdout(),
				Notes:  cmd.ErrOrStderr(),
				Format: format, Set: set,
			}
			if atTerminal(cmd.InOrStdin()) && atTerminal(cmd.OutOrStdout()) {
				return converse(cmd.Context(), o)
			}
			o.Lines, o.Screen = shell.Script(cmd.InOrStdin()), screen(cmd.OutOrStdout())
			return shell.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	wordVar(flags, &format, "format", output.ParseFormat, "form of answers; .mode changes it", output.Table, output.CSV, output.JSON, output.Markdown)
	ask.addTo(flags)
	return cmd
}

// atTerminal tells whether a stream is the terminal of a person. Others than the process's own are not.
func atTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if w, isOutput := stream.(*standardOutput); isOutput {
		f, ok = w.Writer.(*os.File)
	}
	return ok && (f == os.Stdin || f == os.Stdout) && term.IsTerminal(int(f.Fd()))
}

// converse runs a shell at the terminal. An interrupt stops what runs there and not the shell, so that ctx, which ends with the
// first, does not count; a SIGTERM ends it.
func converse(ctx context.Context, o shell.Options) (err error) {
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGTERM)
	defer stop()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	path, err := shell.HistoryPath(os.Getenv)
	if err != nil {
		fmt.Fprintf(o.Notes, "ducklens: no history is kept: %v\n", err)
	}
	// Whether the file opens is to be known before the terminal changes.
	open := o.Open
	first, err := open(ctx)
	if err != nil {
		return err
	}
	o.Open = func(ctx context.Context) (*session.Session, error) {
		if s := first; s != nil {
			first = nil
			return s, nil
		}
		return open(ctx)
	}
	t := shell.NewTerminal(&shell.History{Path: path}, o.Notes)
	defer func() { err = errors.Join(err, t.Close()) }()
	o.Lines, o.Screen, o.Interactive, o.Interrupts = t, screen(o.Out), true, interrupts
	fmt.Fprintln(o.Notes, "SQL ends with ;   .help lists commands, .quit or Ctrl-D leaves")
	return shell.Run(ctx, o)
}

// plotTo draws the answer to a query to a file.
func plotTo(ctx context.Context, s *session.Session, q queries.Query, set map[string]string, path string) error {
	format, err := formatOfFigure(path)
	var usage *usageError
	if errors.As(err, &usage) { // the command line is not at fault
		return &hinted{fmt.Errorf("%s: figures are not written in this format", path), usage.hint}
	}
	if err != nil {
		return err
	}
	f, err := makeFigure(ctx, s, q, set)
	if err != nil {
		return err
	}
	err = writeFile(path, func(w io.Writer) error { return format.write(f, w, figure.Options{}) })
	if errors.Is(err, fs.ErrPermission) {
		return &hinted{err, "a shell writes below the folder in which it was started; ducklens plot writes anywhere"}
	}
	return err
}

// everySaved lists the queries that can be asked of a file by name, in the order of find: those that ship with ducklens, then the
// file's own. Broken ones are left out.
func everySaved(ctx context.Context, s *session.Session) []queries.Query {
	list := queries.Embedded()
	saved, _ := s.Saved(ctx)
	for _, q := range saved {
		if _, err := queries.Find(list, q.Name); err != nil {
			list = append(list, q)
		}
	}
	return list
}
