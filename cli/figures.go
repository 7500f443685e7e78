package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ducklens/queries"
	"ducklens/queries/figure"
	page "ducklens/queries/report"
	"ducklens/queries/session"
)

// newFigures builds `ducklens figures`.
func newFigures() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "figures",
		Short: "Draw a whole set of saved queries, or check that their figures did not change",
		Long: `Draws every saved query of a set into a folder, so that the figures of a paper can be made again with one command,
and tells, with --check, which of them would not come out the same.`,
		Example: `  ducklens figures build run.duckdb
  ducklens figures build run.duckdb --check || true`,
		GroupID: groupAsk,
		Args:    cobra.ArbitraryArgs,
		RunE:    subcommandWanted,
	}
	cmd.AddCommand(newFiguresBuild())
	return cmd
}

// newFiguresBuild builds `ducklens figures build`.
func newFiguresBuild() *cobra.Command {
	b := &figureBuild{}
	cmd := &cobra.Command{
		Use:   "build FILE",
		Short: "Draw saved queries into a folder, or check the figures there",
		Long: `Draws every saved query that ships with ducklens, or every one in the folder --queries, into the folder --dir: NAME.svg
and NAME.png, or as --format says. Tables and single numbers are not drawn. A query that the run cannot answer, because it
was made without what the query needs, is named with the reason; that is no fault.

With --check nothing is drawn anew: each figure is compared with the one in the folder, and the exit code is 1 when one
looks different, is missing, or is there though the run cannot answer its query. Of a .png that changed, NAME.diff.png shows
the old picture, the new one, and what differs. A .png and an .svg are compared as they look; their metadata, such as the
command line of the run, may differ. Files in other formats must be the same byte for byte.

` + formatList(),
		Example: `  ducklens figures build run.duckdb
  ducklens figures build run.duckdb --dir paper --format pdf,png --width 6.75in --dpi 300 --bare --hide b_K,b_Q
  ducklens figures build run.duckdb --queries my_queries --set head=10.7
  ducklens figures build run.duckdb --dir figures && ducklens figures build run.duckdb --dir figures --check`,
		Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b.out, b.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			b.given = cmd.Flags().Changed
			if err := b.prepare(); err != nil {
				return err
			}
			return b.run(cmd.Context(), args[0])
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&b.dir, "dir", "figures", "`folder` to write to; made if it is not there")
	flags.StringVar(&b.folder, "queries", "", "`folder` of saved queries to draw in place of those that ship with ducklens")
	flags.StringSliceVar(&b.endings, "format", []string{"svg", "png"}, "`formats` to write")
	flags.BoolVar(&b.check, "check", false, "write nothing but differences: compare with the figures in the folder")
	widthVar(flags, &b.look.Width)
	flags.IntVar(&b.look.DPI, "dpi", 0, "resolution of .png files, dots per inch; 0 is for a screen, 300 for print")
	wordVar(flags, &b.look.Theme, "theme", figure.ParseTheme, "colours and sizes of .svg, .png and .pdf", figure.Paper, figure.Screen, figure.Dark)
	b.chart.addTo(flags, "scale", "zmax", "hide")
	bareVar(flags, &b.bare)
	b.question.addTo(flags)
	return cmd
}

// A figureBuild is one `ducklens figures build` under way.
type figureBuild struct {
	question
	look        figure.Options
	dir, folder string
	endings     []string
	check       bool
	chart       chartFlags
	bare        bool
	given       func(flag string) bool // on the command line
	out, stderr io.Writer

	formats             []figureFormat
	queries             []queries.Query
	values              map[string]string
	drawn, left, faults int // queries
	hidden              []string
	names               []string // that can be hidden, in the figures that were made
}

// prepare reads the flags and the queries.
func (b *figureBuild) prepare() (err error) {
	if err := b.look.Validate(); err != nil {
		return asUsage(err)
	}
	look := false // whether any format's look can be chosen
	for _, ending := range b.endings {
		format, err := formatOfFigure("." + strings.TrimPrefix(ending, "."))
		if err != nil || !strings.EqualFold(format.ending, "."+strings.TrimPrefix(ending, ".")) {
			return &usageError{err: fmt.Errorf("--format %s: figures are not written in this format", ending), hint: "formats:\n" + strings.TrimRight(formatList(), "\n")}
		}
		if slices.ContainsFunc(b.formats, func(f figureFormat) bool { return f.ending == format.ending }) {
			return usagef("--format has %s twice", ending)
		}
		b.formats = append(b.formats, format)
		look = look || format.print
	}
	for _, name := range []string{"width", "dpi", "theme"} {
		png := slices.ContainsFunc(b.formats, func(f figureFormat) bool { return f.ending == ".png" })
		if b.given(name) && (!look || name == "dpi" && !png) {
			return usagef("--%s has no effect on files of --format %s", name, strings.Join(b.endings, ","))
		}
	}
	if b.values, err = b.question.values(); err != nil {
		return err
	}
	list := queries.Embedded()
	if b.folder != "" {
		if list, err = readAll([]string{b.folder}); err != nil {
			return err
		}
	}
	used := map[string]bool{}
	for _, q := range list {
		if q.Chart.Mark == queries.Table || q.Chart.Mark == queries.Scalar {
			continue
		}
		reads := func(flag string) bool { return b.given(flag) && q.Chart.Mark.Reads(flag) }
		if err := b.chart.apply(&q, reads); err != nil {
			return err
		}
		b.queries = append(b.queries, q)
		for _, p := range q.Params {
			used[p.Name] = true
		}
	}
	if len(b.queries) == 0 {
		return &hinted{fmt.Errorf("figures: no query in %s is drawn", b.folder), "tables and single numbers are not; give one a chart in its header"}
	}
	for name := range b.values {
		if !used[name] {
			return usagef("--set %s: no query has this parameter", name)
		}
	}
	return nil
}

// run draws or checks every query.
func (b *figureBuild) run(ctx context.Context, file string) (err error) {
	s, err := b.open(ctx, file, b.stderr)
	if err != nil {
		return err
	}
	defer closing(s, &err)
	if !b.check {
		if err := os.MkdirAll(b.dir, 0o777); err != nil {
			return fmt.Errorf("figures: folder %s: %w", b.dir, pathless(err))
		}
	}
	for _, q := range b.queries {
		if err := b.one(ctx, s, q); err != nil {
			if ctx.Err() != nil {
				return err
			}
			b.faults++
			fmt.Fprintf(b.out, "%-8s %s: %s\n", "failed", q.Name, unnamed(q, err))
			var advice interface{ Hint() string }
			if errors.As(err, &advice) && advice.Hint() != "" {
				fmt.Fprintf(b.out, "%-8s hint: %s\n", "", advice.Hint())
			}
		}
	}
	verb := "drawn"
	if b.check {
		verb = "the same"
	}
	said := fmt.Sprintf("%s %s", plural(b.drawn, "figure"), verb)
	if b.left > 0 {
		said += fmt.Sprintf(", %d left out", b.left)
	}
	fmt.Fprintf(b.stderr, "%s\n", said)
	if b.given("hide") && len(b.hidden) == 0 { // a name need not be in every figure, but in one
		if err := unknownNames("hide", b.chart.values["hide"], b.hidden, b.names); err != nil {
			return err
		}
	}
	switch {
	case b.faults == 0:
		return nil
	case b.check:
		return &hinted{fmt.Errorf("figures: %d of %d are not as they are in %s", b.faults, len(b.queries), b.dir), "look at them; without --check they are drawn anew"}
	}
	return fmt.Errorf("figures: %d of %d could not be drawn", b.faults, len(b.queries))
}

// one draws or checks the figure of a query.
func (b *figureBuild) one(ctx context.Context, s *session.Session, q queries.Query) error {
	set := map[string]string{}
	for _, p := range q.Params {
		if v, ok := b.values[p.Name]; ok {
			set[p.Name] = v
		}
	}
	if _, given := b.values["only"]; given && set["only"] == "" {
		return b.leaveOut(q, "it has no parameter only: its figure would be of all prompts")
	}
	f, err := makeFigure(ctx, s, q, set)
	if unanswerable(err, set) {
		return b.leaveOut(q, reason(ctx, s, q, set, err))
	}
	if err != nil {
		return err
	}
	f.Bare = b.bare
	b.hidden, b.names = append(b.hidden, f.Hidden.Names...), append(b.names, f.Names()...)
	var changes []string
	for _, format := range b.formats {
		var drawing bytes.Buffer
		if err := format.write(f, &drawing, b.look); err != nil {
			return err
		}
		path := filepath.Join(b.dir, q.Name+format.ending)
		if !b.check {
			if err := writeInFolder(path, func(w io.Writer) error { _, err := drawing.WriteTo(w); return err }); err != nil {
				return err
			}
			continue
		}
		change, err := b.compare(path, drawing.Bytes(), format)
		if err != nil {
			return err
		}
		if change != "" {
			changes = append(changes, path+": "+change)
		}
	}
	if len(changes) > 0 {
		b.faults++
		for _, change := range changes {
			fmt.Fprintf(b.out, "%-8s %s\n", "changed", change)
		}
		return nil
	}
	b.drawn++
	word := "drawn"
	if b.check {
		word = "same"
	}
	fmt.Fprintf(b.out, "%-8s %s\n", word, filepath.Join(b.dir, q.Name))
	return removeDifference(b.dir, q.Name)
}

// unanswerable tells whether a query failed because the run was made without what it needs, and not by a fault: it has no
// rows, or a basis that the query takes for granted is not in the run.
func unanswerable(err error, set map[string]string) bool {
	if errors.Is(err, figure.ErrEmpty) || errors.Is(err, figure.ErrUndefined) {
		return true
	}
	var unknown *session.UnknownError
	if !errors.As(err, &unknown) || !errors.Is(unknown, session.ErrUnknown) {
		return false
	}
	// What the user asked for, and a file without runs, is another matter.
	for _, what := range []string{"query basis", "key basis", "component"} {
		_, asked := set[strings.ReplaceAll(what, " ", "_")]
		if strings.HasPrefix(unknown.What, what) && !asked {
			return true
		}
	}
	return false
}

// leaveOut says why a query is not drawn. A check fails where its figure is there from another run.
func (b *figureBuild) leaveOut(q queries.Query, reason string) error {
	if b.check {
		for _, format := range b.formats {
			path := filepath.Join(b.dir, q.Name+format.ending)
			if _, err := os.Stat(path); err == nil {
				return fmt.Errorf("%s is there, but %s", path, reason)
			}
		}
	}
	b.left++
	fmt.Fprintf(b.out, "%-8s %s: %s\n", "left out", q.Name, reason)
	return nil
}

// reason says why a run has no answer to a query, in one line: what the run lacks where that is known.
func reason(ctx context.Context, s *session.Session, q queries.Query, set map[string]string, err error) string {
	if errors.Is(err, figure.ErrEmpty) || errors.Is(err, page.ErrEmpty) {
		if why := whyEmpty(ctx, s, q, set); why != "" {
			return why
		}
	}
	return unnamed(q, err)
}

// unnamed is an error without the name of its query in front, which stands there already.
func unnamed(q queries.Query, err error) string {
	text := err.Error()
	for _, prefix := range []string{"query ", "figure of "} {
		text = strings.TrimPrefix(text, prefix+q.Name+": ")
	}
	return text
}

// compare says how a drawing differs from the one in a file, or "". It writes a picture of the difference where it can.
func (b *figureBuild) compare(path string, drawing []byte, format figureFormat) (string, error) {
	before, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "not there", nil
	}
	if err != nil {
		return "", fmt.Errorf("figures: %w", err)
	}
	if bytes.Equal(before, drawing) {
		return "", nil
	}
	if format.ending != ".png" {
		return compareText(before, drawing, format.ending == ".svg"), nil
	}
	change, err := comparePNG(before, drawing)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if change == nil {
		return "", nil
	}
	shown := strings.TrimSuffix(path, ".png") + differenceEnding
	if err := writeInFolder(shown, change.write); err != nil {
		return "", err
	}
	return fmt.Sprintf("%v; %s shows it", change, shown), nil
}

// differenceEnding ends the names of pictures of a difference.
const differenceEnding = ".diff.png"

// removeDifference removes the picture of an earlier check's difference.
func removeDifference(dir, name string) error {
	err := os.Remove(filepath.Join(dir, name+differenceEnding))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("figures: %w", err)
	}
	return nil
}
