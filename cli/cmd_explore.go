package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/queries/explorer"
	"ducklens/queries/figure"
	"ducklens/queries/session"
)

// exploring is a running `ducklens explore`.
type exploring struct {
	question
	port      int
	noBrowser bool
	link      string // the view to open first, as copied from a browser
	export    string // the folder to write instead of starting a server
	wasm      string // the folder of duckdb-wasm
}

// newExplore builds `ducklens explore`.
func newExplore() *cobra.Command {
	e := &exploring{}
	cmd := &cobra.Command{
		Use:   "explore FILE...",
		Short: "Explore run files in the browser: heads, prompts, tokens, pairs and directions",
		Long: `Shows run files in the browser: heads, what each component contributes to their scores, the
prompts behind a cell, the tokens of a prompt, pairs of components, directions, and what a head writes. Each
view shows its SQL and has its own address.

A local server answers the pages. It listens on 127.0.0.1 only, answers only requests that carry the token in
the address that it prints, and reads only the files. Press Ctrl-C to stop it.

--export instead writes a folder with the same pages and the files, for a static host or any file server.
There the browser runs the SQL itself, with duckdb-wasm, and loads nothing from elsewhere. --wasm names the
unpacked npm package:
  npm pack @duckdb/duckdb-wasm@` + explorer.Wasm + ` && tar xzf duckdb-duckdb-wasm-` + explorer.Wasm + `.tgz
To look at the folder, run python3 -m http.server in it.`,
		Example: `  ducklens explore run.duckdb
  ducklens explore run.duckdb other.duckdb
  ducklens explore run.duckdb --no-browser --port 8642
  ducklens explore run.duckdb --open '#/components?head=L10H7'
  ducklens explore run.duckdb --export site --wasm package`,
		GroupID: groupAsk,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("FILE is missing")
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"duckdb"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.run(cmd.Context(), args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&e.port, "port", 0, "TCP `port` of 127.0.0.1 to listen on; 0 is any free port")
	flags.BoolVar(&e.noBrowser, "no-browser", false, "print the address, but do not open a browser")
	flags.StringVar(&e.link, "open", "", "view to open first: a `link`, or its part after #")
	flags.StringVar(&e.export, "export", "",
		"`folder` to write for a static host instead of starting a server")
	flags.StringVar(&e.wasm, "wasm", "package",
		"`folder` of the npm package @duckdb/duckdb-wasm@"+explorer.Wasm+" for --export")
	e.question.addTo(flags)
	flags.Lookup("set").Hidden = true // the pages set parameters
	return cmd
}

// run serves pages until the context is cancelled.
func (e *exploring) run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	if len(e.set) > 0 {
		return usagef("--set %s: parameters are set on the pages", e.set[0])
	}
	if e.port < 0 || e.port > 65535 {
		return usagef("--port %d, want 0 to 65535", e.port)
	}
	// The connections to all files share the memory limit.
	connections := int64(explorer.DefaultConnections * len(args))
	total := int64(e.memory)
	ownProcess(ctx).guard(ctx, total, connections*session.DefaultAnswer/4)
	if e.memory = bytesFlag(total / connections); e.memory < 64<<20 {
		return usagef("--memory %s for %d connections to %s, want at least %d MB", (*bytesFlag)(&total),
			connections, plural(len(args), "file"), connections<<6)
	}
	e.limits.Answer = session.DefaultAnswer / 4
	if e.export != "" {
		return e.write(ctx, args, stderr)
	}

	// Landlock does not restrict MPTCP, which Go would use by default.
	var listening net.ListenConfig
	listening.SetMultipathTCP(false)
	l, err := listening.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(e.port)))
	if err != nil {
		return advice.Add(fmt.Errorf("listen at port %d of 127.0.0.1: %w", e.port, err),
			"without --port, ducklens takes a free port")
	}
	s, err := explorer.NewServer(ctx, e.options(args, stderr), l.Addr().(*net.TCPAddr).Port)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer closing(s, &err)
	ownProcess(ctx).say(lastWords{done: true})
	fmt.Fprintln(stdout, s.Address(view(e.link)))
	ownProcess(ctx).show(func() string { return s.Ticket(view(e.link)) })
	return s.Serve(ctx, l)
}

// write exports a folder for a static host.
func (e *exploring) write(ctx context.Context, args []string, stderr io.Writer) error {
	err := explorer.Export(ctx, e.options(args, stderr), e.wasm, e.export)
	switch {
	case errors.Is(err, fs.ErrExist):
		return advice.Add(err, "remove it, or name another folder")
	case errors.Is(err, explorer.ErrWasm):
		return advice.Add(err,
			fmt.Sprintf(
				"npm pack @duckdb/duckdb-wasm@%[1]s && tar xzf duckdb-duckdb-wasm-%[1]s.tgz gets it, "+
					"into the folder package: --wasm package", explorer.Wasm))
	case err != nil:
		return err
	}
	fmt.Fprintf(stderr, "%s: look at it with python3 -m http.server -d %s\n", e.export, quote(e.export))
	return nil
}

// options connects the explorer to the code of other commands.
func (e *exploring) options(paths []string, stderr io.Writer) explorer.Options {
	o := explorer.Options{
		Version: Version(), Files: explorer.Files(paths),
		Open: func(ctx context.Context, path string) (*session.Session, error) {
			q := e.question // open fills in the limits of its copy
			return q.open(ctx, path, stderr)
		},
		Draw: drawFigure, Lacks: lacks, Remedy: withRemedy, Empty: whyEmpty,
		Notes: func(ctx context.Context, s *session.Session, q queries.Query) ([]string, error) {
			var b strings.Builder
			err := notes(ctx, s, q, &b)
			var list []string
			for line := range strings.Lines(b.String()) {
				list = append(list, strings.TrimPrefix(strings.TrimSpace(line), "note: "))
			}
			return list, err
		},
	}
	for _, f := range figureFormats() {
		o.Formats = append(o.Formats, f.ending[1:])
	}
	return o
}

// drawFigure writes a figure as `ducklens plot` does.
func drawFigure(
	ctx context.Context, s *session.Session, q queries.Query, want explorer.Figure, w io.Writer,
) error {
	format, err := formatOfFigure("." + want.Format)
	if err != nil {
		return err
	}
	var look figure.Options
	if want.Theme != "" {
		if look.Theme, err = figure.ParseTheme(want.Theme); err != nil {
			return err
		}
	}
	chart := chartFlags{values: want.Chart}
	given := func(flag string) bool { _, is := want.Chart[flag]; return is }
	if q.Chart.Mark == queries.Table && !given("chart") {
		return errors.New("chart is missing: it says how to draw the answer: " +
			strings.Join(drawnMarks(), ", "))
	}
	if err := chart.apply(&q, given); err != nil {
		return err
	}
	f, err := makeFigure(ctx, s, q, want.Set)
	if err != nil {
		return err
	}
	return format.write(f, w, look)
}

// lacks lists what a run does not store.
func lacks(ctx context.Context, s *session.Session, run int64) (list []explorer.Lack, err error) {
	has, found, err := storedIn(ctx, s, map[string]string{"run": strconv.FormatInt(run, 10)})
	if err != nil || !found {
		return nil, err
	}
	for _, n := range needs() {
		if n.what != "" && n.lacking(has) {
			list = append(list, explorer.Lack{What: n.what, Text: n.why})
		}
	}
	return list, nil
}

// view returns the part of a link that says what is shown, which follows the #.
func view(link string) string {
	if _, behind, found := strings.Cut(link, "#"); found {
		return behind
	}
	if strings.Contains(link, "://") {
		return ""
	}
	return link
}
