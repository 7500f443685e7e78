// Package cli is the ducklens command line: it wires the other packages together and knows no
// mathematics, no SQL and no format of its own.
//
// [Run] is the whole program but for its process: arguments and streams in, exit code out. Every command is
// built by a function; there is no package variable and no init, so that tests can run commands side by
// side. Data goes to standard output, everything else to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ducklens/queries"
)

// Exit codes of [Run].
const (
	ExitOK          = 0
	ExitFailed      = 1   // the command could not do, or verify found, what was asked
	ExitUsage       = 2   // the command line is wrong
	ExitInterrupted = 130 // stopped by SIGINT or SIGTERM, as shells number it
)

// Run runs the command that args ask for and gives the exit code. args[0] is the name that the program was
// called by, used where a message tells the user what to type. Cancelling ctx interrupts the command; what it
// was writing is left whole.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	call := invocation{program: "ducklens", args: []string{}}
	if len(args) > 0 {
		call = invocation{program: args[0], args: args[1:]}
	}
	defer ownProcess(ctx).finish()
	root := newRoot(call)
	root.SetArgs(call.args)
	out := &standardOutput{Writer: stdout}
	root.SetIn(stdin)
	root.SetOut(out)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil && out.err != nil {
		err = fmt.Errorf("standard output: %w", pathless(out.err))
	}
	if err == nil {
		return ExitOK
	}
	code := ExitFailed
	var usage *usageError
	switch {
	case ctx.Err() != nil: // whatever else is said to have gone wrong
		code = ExitInterrupted
		if err == ctx.Err() { // nothing more to say
			err = errors.New("interrupted")
		}
	case errors.As(err, &usage):
		code = ExitUsage
		if usage.hint == "" {
			usage.hint = cmd.CommandPath() + " --help"
		}
	}
	report(stderr, err)
	return code
}

// standardOutput remembers that something could not be written, so that no command ends well whose answer is lost.
type standardOutput struct {
	io.Writer
	err error
}

func (o *standardOutput) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// outputFile gives the file that standard output is, or nil.
func outputFile(w io.Writer) *os.File {
	if o, ok := w.(*standardOutput); ok {
		w = o.Writer
	}
	f, _ := w.(*os.File)
	return f
}

// ownFault is how a fault of DuckDB itself begins, which it tells with the addresses of its functions.
var ownFault = regexp.MustCompile(`(?s)(INTERNAL Error: [^\n]*).*|\n+Stack Trace:.*`)

// packageName finds the names of packages with which errors begin for those who call them from Go.
var packageName = regexp.MustCompile(`(?m)(^|: )(?:engine|decompose|blas|model|tokenizer|prompts|figure): `)

// report writes an error for a person: what is wrong, then what to do about it where the error knows. Names and values in it may
// come from a stranger's file; no line of it does more than show text.
func report(w io.Writer, err error) {
	text := strings.TrimPrefix(err.Error(), "ducklens: ")
	own := strings.Contains(text, "INTERNAL Error")
	text = packageName.ReplaceAllString(ownFault.ReplaceAllString(text, "$1"), "$1")
	fmt.Fprintf(w, "ducklens: %s\n", printableLines(text))
	var advice interface{ Hint() string }
	if own {
		fmt.Fprintln(w, "hint: this is a fault of DuckDB; the file may be damaged, or made to provoke it: ducklens verify FILE")
	} else if errors.As(err, &advice) && advice.Hint() != "" {
		fmt.Fprintf(w, "hint: %s\n", strings.ReplaceAll(printableLines(advice.Hint()), "\n", "\nhint: "))
	}
}

// printableLines is [queries.Printable] of every line of s.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = queries.Printable(line)
	}
	return strings.Join(lines, "\n")
}

// A usageError is a command line that cannot be understood; [Run] answers it with [ExitUsage].
type usageError struct {
	err  error
	hint string // "" for the command's --help
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }
func (e *usageError) Hint() string  { return e.hint }

// A hinted error knows what to do about it.
type hinted struct {
	error
	hint string
}

func (e *hinted) Hint() string  { return e.hint }
func (e *hinted) Unwrap() error { return e.error }

// usagef makes a usageError.
func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// flagError says what a flag wants, where pflag gives its value and the words of package strconv.
func flagError(err error) error {
	var wrong *pflag.InvalidValueError
	if !errors.As(err, &wrong) {
		return err
	}
	name, value := "--"+wrong.GetFlag().Name, wrong.GetValue()
	switch wrong.GetFlag().Value.Type() {
	case "int", "int64":
		return fmt.Errorf("%s %s, want a whole number", name, value)
	case "float64":
		return fmt.Errorf("%s %s, want a number", name, value)
	case "bool":
		return fmt.Errorf("%s=%s, want true or false", name, value)
	case "duration":
		return fmt.Errorf("%s %s, want a time such as 30s or 5m", name, value)
	}
	return fmt.Errorf("%s: %w", name, wrong.Unwrap())
}

// nearFlags gives the flags of a command whose names are most like one that it does not have.
func nearFlags(cmd *cobra.Command, err error) []string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedName()) < 2 {
		return nil
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, strings.ReplaceAll(f.Name, "-", "_"))
		}
	})
	near := queries.Nearest(unknown.GetSpecifiedName(), known)
	for i, name := range near {
		near[i] = "--" + strings.ReplaceAll(name, "_", "-")
	}
	return near
}

// asUsage makes err a usageError unless it is nil.
func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err: err}
}

// newRoot builds the command tree.
func newRoot(call invocation) *cobra.Command {
	root := &cobra.Command{
		Use:   "ducklens",
		Short: "Why did this head attend there? Ask in SQL",
		Long: `ducklens runs a transformer over a set of prompts, splits every attention score of the heads you name
into exact contributions, and writes them into one DuckDB file. Questions are SQL; figures are drawn
from saved questions. "ducklens model families" lists the models.`,
		Example: `  ducklens demo
  ducklens ingest --model gpt2 --head 10.7 -o run.duckdb
  ducklens query run.duckdb key_components
  ducklens plot run.duckdb key_components -o key_components.svg`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          subcommandWanted,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			p := ownProcess(cmd.Context())
			if cmd.Name() != "shell" { // there, an interrupt stops what runs
				p.obey(cmd.Context())
			}
			if err := spare(cmd, args); err != nil {
				return err
			}
			tidy(cmd, args)
			p.confine(cmd, args) // tidying removes files beside those that a command only reads
			return nil
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if near := nearFlags(cmd, err); len(near) > 0 {
			return &usageError{err: err, hint: "did you mean " + strings.Join(near, " or ") + "?"}
		}
		return asUsage(flagError(err))
	})
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddGroup(
		&cobra.Group{ID: groupMake, Title: "Make a file:"},
		&cobra.Group{ID: groupAsk, Title: "Ask it:"},
		&cobra.Group{ID: groupOther, Title: "Beside that:"},
	)
	root.SetHelpCommandGroupID(groupOther)
	root.AddCommand(
		newAblate(call),
		newDemo(call),
		newDiff(),
		newExport(),
		newFigures(),
		newImport(),
		newIngest(call),
		newHeads(),
		newInfo(),
		newMerge(),
		newMigrate(),
		newModel(),
		newPlot(),
		newQueries(),
		newQuery(),
		newReport(),
		newSchema(),
		newShell(),
		newTokens(),
		newVerify(),
		newCompletion(),
		newVersion(),
	)
	return root
}

// The groups of commands in the help text.
const (
	groupMake  = "make"
	groupAsk   = "ask"
	groupOther = "other"
)

// subcommandWanted runs a command that only holds others: without arguments it shows their help, and
// with a name that it does not know it suggests the nearest.
func subcommandWanted(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	hint := "the commands are " + strings.Join(names, ", ")
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %s %s?", cmd.CommandPath(), strings.Join(near, " or "))
	}
	return &usageError{err: fmt.Errorf("no command %q in %s", args[0], cmd.CommandPath()), hint: hint}
}

// exactly demands one argument for each name, and says which is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return between(len(names), names...)
}

// between demands at least the first least of the named arguments, and no more than all of them.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("%s is missing", strings.Join(names[len(args):least], " and "))
		case len(args) > len(names):
			return usagef("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}
