package shell

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/queries/output"
)

// A command is a command of the shell, which begins with a dot.
type command struct {
	name, takes, does string
	run               func(sh *shell, ctx context.Context, args []string) error
}

// commands lists the commands, in the order of .help.
func commands() []command {
	return []command{
		{".tables", "", "list tables, views and macros", (*shell).tables},
		{".schema", "[NAME]", "print the documentation of the file, or of one table, view or macro",
			(*shell).schema},
		{".queries", "", "list saved queries: those that ship with ducklens, and the file's own",
			(*shell).list},
		{".run", "NAME [k=v ...]", "answer a saved query", (*shell).run},
		{".plot", "NAME [k=v ...] [FILE]",
			"draw a saved query to NAME.svg, or to a .svg, .png, .pdf, .html or .json file", (*shell).plot},
		{".mode", "[table|csv|json|md]", "say or choose the form of answers", (*shell).mode},
		{".help", "", "print this", (*shell).help},
		{".quit", "", "leave; so does Ctrl-D",
			func(*shell, context.Context, []string) error { return errQuit }},
	}
}

// command runs a line that begins with a dot.
func (sh *shell) command(ctx context.Context, line string) error {
	words, err := split(strings.TrimRight(line, "; \t"))
	if err != nil {
		return err
	}
	list := commands()
	for _, c := range list {
		if c.name == words[0] || c.name == ".quit" && words[0] == ".exit" {
			if most := strings.Count(c.takes, " ") + 1; c.takes == "" && len(words) > 1 || c.takes != "" &&
				!strings.Contains(c.takes, "...") && len(words)-1 > most {
				return advice.Add(fmt.Errorf("%s: %q is one argument too many", c.name,
					words[len(words)-1]),
					strings.TrimSpace(c.name+" "+c.takes))
			}
			return c.run(sh, ctx, words[1:])
		}
	}
	var names []string
	for _, c := range list {
		names = append(names, c.name)
	}
	hint := ".help lists the commands"
	if near := queries.Nearest(words[0], names); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return advice.Add(fmt.Errorf("no command %q", words[0]), hint)
}

// split splits a line into words; quotes keep spaces in a word.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inside, quote := false, rune(0)
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inside = r, true
		case r == ' ' || r == '\t':
			if inside {
				words = append(words, word.String())
				word.Reset()
			}
			inside = false
		default:
			inside = true
			word.WriteRune(r)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("quote %c without an end", quote)
	}
	if inside {
		words = append(words, word.String())
	}
	return words, nil
}

// tablesSQL lists tables, views and macros, with the first sentence of their comments.
const tablesSQL = `SELECT kind, name, rtrim(regexp_replace(comment, '\.\s.*$', '', 's'), '.') AS about FROM (
  SELECT 1 AS rank, 'table' AS kind, table_name AS name, comment FROM duckdb_tables() WHERE NOT internal
  UNION ALL SELECT 2, 'view', view_name, comment FROM duckdb_views() WHERE NOT internal
  UNION ALL SELECT 3, 'macro', function_name, any_value(comment) FROM duckdb_functions()
    WHERE NOT internal GROUP BY function_name
) ORDER BY rank, name`

func (sh *shell) tables(ctx context.Context, _ []string) error {
	q, err := queries.AdHoc(tablesSQL)
	if err != nil {
		return err
	}
	result, err := sh.session.Run(ctx, q, nil)
	if err != nil {
		return err
	}
	return output.Write(ctx, &stoppable{ctx, sh.Out}, sh.Format, result, sh.Screen)
}

func (sh *shell) schema(ctx context.Context, args []string) error {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	return sh.Schema(ctx, sh.session, &stoppable{ctx, sh.Out}, name)
}

func (sh *shell) list(ctx context.Context, _ []string) error {
	w := tabwriter.NewWriter(&stoppable{ctx, sh.Out}, 0, 8, 2, ' ', 0)
	for _, q := range sh.Saved(ctx, sh.session) {
		fmt.Fprintf(w, "%s\t%s\t%s\n", queries.Printable(q.Name), q.Chart.Mark, queries.Printable(q.Title))
	}
	return w.Flush()
}

// asked parses the name of a saved query and values of its parameters. rest holds the other arguments.
func (sh *shell) asked(
	ctx context.Context, name string, args []string,
) (q queries.Query, set map[string]string, rest []string, err error) {
	if len(args) == 0 {
		return q, nil, nil, advice.Add(errors.New(name+": which saved query?"), ".queries lists them")
	}
	if q, err = sh.Find(ctx, sh.session, args[0]); err != nil {
		return q, nil, nil, err
	}
	set = sh.usual(q)
	for _, arg := range args[1:] {
		if key, value, ok := strings.Cut(arg, "="); ok && key != "" {
			set[key] = value
		} else {
			rest = append(rest, arg)
		}
	}
	return q, set, rest, nil
}

func (sh *shell) run(ctx context.Context, args []string) error {
	q, set, rest, err := sh.asked(ctx, ".run", args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return advice.Add(fmt.Errorf(".run %s: %q is no parameter", q.Name, rest[0]), "want name=value")
	}
	return sh.answer(ctx, q, set)
}

func (sh *shell) plot(ctx context.Context, args []string) error {
	q, set, rest, err := sh.asked(ctx, ".plot", args)
	if err != nil {
		return err
	}
	path := q.Name + ".svg"
	switch len(rest) {
	case 0:
	case 1:
		path = rest[0]
	default:
		return advice.Add(fmt.Errorf(".plot %s: two files, %q and %q", q.Name, rest[0], rest[1]),
			"want name=value for parameters, and one file")
	}
	if err := sh.Plot(ctx, sh.session, q, set, path); err != nil {
		return err
	}
	_, err = fmt.Fprintln(sh.Notes, queries.Printable(path))
	return err
}

// modes are the formats that a terminal can show.
func modes() []output.Format {
	return []output.Format{output.Table, output.CSV, output.JSON, output.Markdown}
}

func (sh *shell) mode(_ context.Context, args []string) error {
	if len(args) == 0 {
		_, err := fmt.Fprintln(sh.Notes, sh.Format)
		return err
	}
	format, err := output.ParseFormat(args[0])
	if err != nil || !slices.Contains(modes(), format) {
		return advice.Add(fmt.Errorf("mode %q, want one of %s", args[0],
			strings.Trim(fmt.Sprint(modes()), "[]")),
			"ducklens query -o FILE.parquet writes Parquet")
	}
	sh.Format = format
	return nil
}

func (sh *shell) help(context.Context, []string) error {
	fmt.Fprint(sh.Out,
		"SQL ends with ; and may run over several lines. Tab completes, the arrows recall, "+
			"Ctrl-C stops a query.\n\n")
	w := tabwriter.NewWriter(sh.Out, 0, 8, 2, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(w, "%s %s\t%s\n", c.name, c.takes, c.does)
	}
	return w.Flush()
}
