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
	"ducklens/internal/advice"
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
		Short: "Query a run file in SQL interactively",
		Long: `Reads SQL statements, which end with a semicolon, and commands, which begin with a dot (.help
lists them), and prints the answers. At a terminal it keeps a history and completes tables, columns, saved
queries and their parameters; Ctrl-C stops the running query, Ctrl-D leaves. If standard input is not a
terminal, it is read as a script, and the first error ends it with exit code 1.

The file is opened read-only. A query can read this file only: no other files and no network.`,
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
				Open: func(ctx context.Context) (*session.Session,
					error) {
					return ask.open(ctx, args[0], cmd.ErrOrStderr())
				},
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
	formatVar(flags, &format, "format of answers; .mode changes it", output.Table, output.CSV, output.JSON,
		output.Markdown)
	ask.addTo(flags)
	return cmd
}

// atTerminal reports whether a stream is the terminal of the process's own standard input or output.
func atTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if w, isOutput := stream.(*standardOutput); isOutput {
		f, ok = w.Writer.(*os.File)
	}
	return ok && (f == os.Stdin || f == os.Stdout) && term.IsTerminal(int(f.Fd()))
}

// converse runs a shell at the terminal. Its context ignores the interrupt that cancels ctx, because an
// interrupt stops only the running query. A SIGTERM ends the shell.
func converse(ctx context.Context, o shell.Options) (err error) {
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGTERM)
	defer stop()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	path, err := shell.HistoryPath(os.Getenv)
	if err != nil {
		fmt.Fprintf(o.Notes, "ducklens: history is not kept: %v\n", err)
	}
	// Open the file before the terminal changes mode, so that an error is printed normally.
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

// plotTo draws the answer to a query into a file.
func plotTo(
	ctx context.Context, s *session.Session, q queries.Query, set map[string]string, path string,
) error {
	format, err := formatOfFigure(path)
	var usage *usageError
	if errors.As(err, &usage) { // the error is in a shell command, not on the command line
		return advice.Add(fmt.Errorf("%s: figures are not written in this format", path), usage.hint)
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
		return advice.Add(err,
			"a shell writes only below the folder in which it was started; ducklens plot writes anywhere")
	}
	return err
}

// everySaved lists the saved queries that have a name, in the order of find: those that ship with ducklens,
// then the file's own. Broken ones are left out.
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
