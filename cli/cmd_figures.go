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

	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/queries/figure"
	page "ducklens/queries/report"
	"ducklens/queries/session"
)

// newFigures builds `ducklens figures`.
func newFigures() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "figures",
		Short: "Draw a set of saved queries, or check that their figures have not changed",
		Long: `Draws every saved query of a set into a folder, so that one command makes all figures of a
paper again. With --check it reports which of them have changed instead.`,
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
		Short: "Draw saved queries into a folder, or check the figures in it",
		Long: `Draws every saved query that ships with ducklens, or every one in the folder --queries, into
the folder --dir, as NAME.svg and NAME.png or in the formats of --format. Tables and single numbers are not
drawn. If the run was made without what a query needs, the query is listed with the reason; that is not an
error.

With --check nothing is drawn: each figure is compared with the one in the folder. The exit code is 1 if a
figure looks different, is missing, or exists although the run cannot answer its query. For a .png that
changed, NAME.diff.png shows the old picture, the new one, and what differs. A .png or .svg is compared by how
it looks; its metadata, such as the command line of the run, may differ. Files in other formats must be the
same byte for byte.

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
	flags.StringVar(&b.dir, "dir", "figures", "`folder` to write to; it is created if it does not exist")
	flags.StringVar(&b.folder, "queries", "",
		"`folder` of saved queries to draw instead of those that ship with ducklens")
	flags.StringSliceVar(&b.endings, "format", []string{"svg", "png"}, "`formats` to write")
	flags.BoolVar(&b.check, "check", false,
		"compare with the figures in the folder, and write only pictures of differences")
	widthVar(flags, &b.look.Width)
	dpiVar(flags, &b.look.DPI, ".png files")
	wordVar(flags, &b.look.Theme, "theme", figure.ParseTheme,
		"colours and sizes in .svg, .png and .pdf files", figure.Paper, figure.Screen, figure.Dark)
	b.chart.addTo(flags, "scale", "zmax", "hide")
	bareVar(flags, &b.bare)
	b.question.addTo(flags)
	return cmd
}

// A figureBuild is a running `ducklens figures build`.
type figureBuild struct {
	question
	look        figure.Options
	dir, folder string
	endings     []string
	check       bool
	chart       chartFlags
	bare        bool
	given       func(flag string) bool // reports whether the flag is on the command line
	out, stderr io.Writer

	formats             []figureFormat
	queries             []queries.Query
	values              map[string]string
	drawn, left, faults int // queries
	hidden              []string
	names               []string // that could be hidden in the figures drawn
}

// prepare checks the flags and reads the queries.
func (b *figureBuild) prepare() (err error) {
	if err := checkLook(b.look, b.given); err != nil {
		return err
	}
	look := false // some format has a look that can be chosen
	for _, ending := range b.endings {
		format, err := formatOfFigure("." + strings.TrimPrefix(ending, "."))
		if err != nil || !strings.EqualFold(format.ending, "."+strings.TrimPrefix(ending, ".")) {
			return &usageError{err: fmt.Errorf("--format %s: figures are not written in this format", ending),
				hint: "formats:\n" + strings.TrimRight(formatList(), "\n")}
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
		return advice.Add(fmt.Errorf("figures: no query in %s is drawn", b.folder),
			"tables and single numbers are not drawn; give a query a chart in its header")
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
			if hint := advice.Of(err); hint != "" {
				fmt.Fprintf(b.out, "%-8s hint: %s\n", "", hint)
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
	if b.given("hide") && len(b.hidden) == 0 { // each name must be in at least one figure
		if err := unknownNames("hide", b.chart.values["hide"], b.hidden, b.names); err != nil {
			return err
		}
	}
	switch {
	case b.faults == 0:
		return nil
	case b.check:
		return advice.Add(fmt.Errorf("figures: %d of %d differ from those in %s", b.faults, len(b.queries),
			b.dir),
			"look at them; without --check they are drawn again")
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
		return b.leaveOut(q, "it has no parameter only: its figure would show all prompts")
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
			if err := writeInFolder(path,
				func(w io.Writer) error { _, err := drawing.WriteTo(w); return err }); err != nil {
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

// unanswerable reports whether a query failed only because the run was made without something it needs: the
// answer has no rows, or the run lacks a basis that the query uses by default.
func unanswerable(err error, set map[string]string) bool {
	if errors.Is(err, figure.ErrEmpty) || errors.Is(err, figure.ErrUndefined) {
		return true
	}
	var unknown *session.UnknownError
	if !errors.As(err, &unknown) || !errors.Is(unknown, session.ErrUnknown) {
		return false
	}
	// A value that the user set, or a file without runs, is a real error.
	for _, what := range []string{"query basis", "key basis", "component"} {
		_, asked := set[strings.ReplaceAll(what, " ", "_")]
		if strings.HasPrefix(unknown.What, what) && !asked {
			return true
		}
	}
	return false
}

// leaveOut reports why a query is not drawn. A check fails if a figure of it exists, which must come from
// another run.
func (b *figureBuild) leaveOut(q queries.Query, reason string) error {
	if b.check {
		for _, format := range b.formats {
			path := filepath.Join(b.dir, q.Name+format.ending)
			if _, err := os.Stat(path); err == nil {
				return fmt.Errorf("%s exists, but %s", path, reason)
			}
		}
	}
	b.left++
	fmt.Fprintf(b.out, "%-8s %s: %s\n", "left out", q.Name, reason)
	return nil
}

// reason explains in one line why a run has no answer to a query. It names what the run lacks, if that is
// known.
func reason(
	ctx context.Context, s *session.Session, q queries.Query, set map[string]string, err error,
) string {
	if errors.Is(err, figure.ErrEmpty) || errors.Is(err, page.ErrEmpty) {
		if why := whyEmpty(ctx, s, q, set); why != "" {
			return why
		}
	}
	return unnamed(q, err)
}

// unnamed returns an error's text without the query's name in front, because the line already begins with it.
func unnamed(q queries.Query, err error) string {
	text := err.Error()
	for _, prefix := range []string{"query ", "figure of "} {
		text = strings.TrimPrefix(text, prefix+q.Name+": ")
	}
	return text
}

// compare describes how a drawing differs from the one in a file; "" means not at all. For a PNG it also
// writes a picture of the difference.
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

// differenceEnding ends the names of pictures that show a difference.
const differenceEnding = ".diff.png"

// removeDifference removes the picture that an earlier check left.
func removeDifference(dir, name string) error {
	err := os.Remove(filepath.Join(dir, name+differenceEnding))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("figures: %w", err)
	}
	return nil
}
