// Package cli is the ducklens command line. It connects the other packages, and has no mathematics and no
// file format of its own.
//
// [Run] is the whole program except for its process: it takes arguments and streams, and returns the exit
// code. Every command is built by a function. There are no package variables and no init functions, so tests
// can run commands side by side. Data goes to standard output, everything else to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/schema/dbfile"
)

// Exit codes of [Run].
const (
	ExitOK          = 0
	ExitFailed      = 1   // the command failed, or verify or diff found something
	ExitUsage       = 2   // the command line is wrong
	ExitInterrupted = 130 // stopped by SIGINT or SIGTERM; the number that shells use
)

// Run runs a command and returns the exit code. args[0] is the name that the program was called by, which
// messages use when they tell the user what to type. Cancelling ctx interrupts the command; files that it was
// writing stay whole.
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
	ownProcess(ctx).done()
	if err == nil && out.err != nil {
		err = fmt.Errorf("standard output: %w", pathless(out.err))
	}
	if err == nil {
		return ExitOK
	}
	code := ExitFailed
	var usage *usageError
	switch {
	case ctx.Err() != nil: // whatever error that caused
		code = ExitInterrupted
		if onlyInterrupted(ctx, err) {
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

// interruptText is DuckDB's error for a statement that was stopped.
const interruptText = "INTERRUPT Error: Interrupted!"

// onlyInterrupted reports whether err says that ctx is done, and nothing more.
func onlyInterrupted(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() == nil {
		return false
	}
	var file *dbfile.Error
	if errors.As(err, &file) && err == error(file) {
		return file.Kind == dbfile.ErrInterrupted
	}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(list.Unwrap(), func(err error) bool { return !onlyInterrupted(ctx, err) })
	}
	text := err.Error() // it may be wrapped without another word
	return text == ctx.Err().Error() || text == context.Cause(ctx).Error() || text == interruptText
}

// standardOutput remembers write errors, so that a command whose answer is lost does not succeed.
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

// outputFile returns the file that standard output is, or nil.
func outputFile(w io.Writer) *os.File {
	if o, ok := w.(*standardOutput); ok {
		w = o.Writer
	}
	f, _ := w.(*os.File)
	return f
}

// ownFault matches an internal error of DuckDB, which contains a stack trace.
var ownFault = regexp.MustCompile(`(?s)(INTERNAL Error: [^\n]*).*|\n+Stack Trace:.*`)

// report writes an error: what is wrong, then the hint, if there is one. Names and values in it may come from
// somebody else's file, so every line is made printable.
func report(w io.Writer, err error) {
	text := strings.TrimPrefix(err.Error(), "ducklens: ")
	own := strings.Contains(text, "INTERNAL Error")
	text = ownFault.ReplaceAllString(text, "$1")
	fmt.Fprintf(w, "ducklens: %s\n", printableLines(shortened(text)))
	if own {
		fmt.Fprintln(w,
			"hint: this is a bug in DuckDB; the file may be damaged or made to provoke it: "+
				"run ducklens verify FILE")
	} else if hint := advice.Of(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", strings.ReplaceAll(printableLines(hint), "\n", "\nhint: "))
	}
}

// long finds what was typed and is long: a run of characters without space, or what stands in double quotes.
// Paths are not found, because a path that is cut cannot be looked at.
var long = regexp.MustCompile(`[^\s/\\"]{81,}|"(?:[^"\\/\n]|\\[^/\n])*"`)

// shortened cuts long values in the text of an error to 80 characters.
func shortened(text string) string {
	const most = 80
	return long.ReplaceAllStringFunc(text, func(value string) string {
		quote := ""
		if strings.HasPrefix(value, `"`) {
			quote = `"`
			value = value[1 : len(value)-1]
		}
		if runes := []rune(value); len(runes) > most {
			value = string(runes[:most-1]) + "…"
		}
		return quote + value + quote
	})
}

// printableLines applies [queries.Printable] to every line of s.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = queries.Printable(line)
	}
	return strings.Join(lines, "\n")
}

// A usageError is a mistake on the command line. [Run] returns [ExitUsage] for it.
type usageError struct {
	err  error
	hint string // "" for the command's --help
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }
func (e *usageError) Hint() string  { return e.hint }

// usagef returns a usageError.
func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// flagError rewrites an error of pflag to say what the flag wants, without the words of package strconv.
func flagError(err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "" {
		return fmt.Errorf("unknown flag: -%s", unknown.GetSpecifiedName())
	}
	var bare *pflag.ValueRequiredError
	if errors.As(err, &bare) {
		dashes := "--"
		if bare.GetSpecifiedShortnames() != "" {
			dashes = "-"
		}
		what, _ := pflag.UnquoteUsage(bare.GetFlag())
		return fmt.Errorf("%s%s needs a value: %s", dashes, bare.GetSpecifiedName(), what)
	}
	var wrong *pflag.InvalidValueError
	if !errors.As(err, &wrong) {
		return err
	}
	name, value := "--"+wrong.GetFlag().Name, wrong.GetValue()
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%s %s, want a number of fewer digits: it is out of range", name, value)
	}
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

// nearFlags returns the flags of a command that are most like an unknown one.
func nearFlags(cmd *cobra.Command, err error) []string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return nil
	}
	name := unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		return nil
	}
	for _, c := range cmd.Commands() {
		if c.Name() == name {
			return []string{c.CommandPath()}
		}
	}
	if len(name) < 2 {
		if f := cmd.Flags().ShorthandLookup(name); f != nil {
			return []string{"-" + name, "--" + f.Name}
		}
		return nil
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, strings.ReplaceAll(f.Name, "-", "_"))
		}
	})
	near := queries.Nearest(name, known)
	for i, name := range near {
		near[i] = "--" + strings.ReplaceAll(name, "_", "-")
	}
	return near
}

// asUsage wraps err in a usageError unless it is nil.
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
		Long: `ducklens runs a transformer over a set of prompts, splits every attention score of the heads
you name into exact contributions, and writes them into one DuckDB file. Questions are SQL; figures are drawn
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
			withData(cmd)
			p := ownProcess(cmd.Context())
			if cmd.Name() != "shell" { // in a shell, an interrupt stops only the query
				p.obey(cmd.Context())
			}
			if err := spare(cmd, args); err != nil {
				return err
			}
			tidy(cmd, args)
			p.confine(cmd, args) // after tidy, which may remove files in folders that the command only reads
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
		&cobra.Group{ID: groupAsk, Title: "Query a file:"},
		&cobra.Group{ID: groupOther, Title: "Other commands:"},
	)
	root.SetHelpCommandGroupID(groupOther)
	root.AddCommand(
		newAblate(call),
		newDemo(call),
		newDiff(),
		newExport(),
		newGather(call),
		newImport(),
		newIngest(call),
		newMerge(call),
		newMigrate(),
		newModel(),
		newQueries(),
		newTokens(),
		newCompletion(),
		newVersion(),
	)
	root.AddCommand(asking(
		newExplore(),
		newFigures(),
		newHeads(),
		newInfo(),
		newPlot(),
		newQuery(),
		newReport(),
		newSchema(),
		newShell(),
		newVerify(),
	)...)
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() == "help" {
			c.Args, c.Example = helpTopic, "  ducklens help ingest"
		}
	}
	return root
}

// helpTopic refuses words after help that are no command.
func helpTopic(cmd *cobra.Command, args []string) error {
	if found, rest, err := cmd.Root().Find(args); err == nil && found.HasSubCommands() && len(rest) > 0 {
		return subcommandWanted(found, rest)
	}
	return nil
}

// The groups of commands in the help text.
const (
	groupMake  = "make"
	groupAsk   = "ask"
	groupOther = "other"
)

// subcommandWanted runs a command that only groups others. Without arguments it shows their help; for an
// unknown name it suggests the nearest.
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
	if len(names) == 1 {
		hint = "the only command is " + names[0]
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %s %s?", cmd.CommandPath(), strings.Join(near, " or "))
	}
	return &usageError{err: fmt.Errorf("no command %q in %s", args[0], cmd.CommandPath()), hint: hint}
}

// exactly requires one argument for each name, and reports which is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return between(len(names), names...)
}

// between requires at least the first least of the named arguments, and no more than all of them.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			lacking, is := names[len(args):least], "is"
			if len(lacking) > 1 {
				is = "are"
			}
			return usagef("%s %s missing", strings.Join(lacking, " and "), is)
		case len(args) > len(names):
			return usagef("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}
