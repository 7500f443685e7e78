package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ducklens/cli/demo"
	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/queries"
	"ducklens/queries/figure"
	page "ducklens/queries/report"
	"ducklens/queries/session"
	"ducklens/schema"
)

// The demo's prompts and bases.
const (
	demoPrompts = 200
	demoSeed    = 42
	demoNull    = 20 // random directions: enough for a rough 95 % band

	demoRoute = "mlp0+attn0" // key basis: what layer 0 computes from the word alone
)

// demoFigures names the saved queries that the demo draws: those about one head and those about all heads.
func demoFigures() (ofHead, ofAll []string) {
	return []string{"key_components", "query_components", "key_quadrants", "query_quadrants",
		"query_substitution_scores", "pair_matrix", "top_pairs", "basis_shares"}, []string{"top_heads"}
}

// newDemo builds `ducklens demo`.
func newDemo(call invocation) *cobra.Command {
	d := &demonstration{program: call.program, line: call.line()}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try everything on the embedded model: prompts, files, answers, figures, a report",
		Long: `Shows everything that ducklens does on a small embedded model. It runs the model over a few
hundred prompts, finds the head that attends to the indirect object most (demo-heads.duckdb), splits its
scores (demo.duckdb), explains what makes it attend there, draws figures, writes a report, and suggests what
to try next. Files of an earlier demo are replaced, and no others.

The model is small but real: it was trained on prompts of this kind and has learnt the task. What the demo
finds is true of this model, not of GPT-2.`,
		Example: `  ducklens demo
  ducklens demo --dir demo`,
		GroupID: groupMake,
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&d.dir, "dir", ".", "`folder` to write to; it is created if it does not exist")
	return cmd
}

// A demonstration is a running `ducklens demo`.
type demonstration struct {
	program, line string
	dir           string
	model         string // folder of the model, while it runs
	out, stderr   io.Writer
}

// run runs the demo and reports on out.
func (d *demonstration) run(ctx context.Context, out, stderr io.Writer) (err error) {
	start := time.Now()
	d.out, d.stderr = out, stderr
	if err := os.MkdirAll(d.dir, 0o777); err != nil {
		return fmt.Errorf("demo: folder %s: %w", d.dir, pathless(err))
	}
	survey, study := filepath.Join(d.dir, "demo-heads.duckdb"), filepath.Join(d.dir, "demo.duckdb")
	for _, path := range []string{survey, study} {
		if err := (&ingest.Options{Path: path, Force: true}).CheckTarget(ctx); err != nil {
			return err
		}
	}
	temporary, err := temporaryFolder("ducklens-demo-*")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	d.model = filepath.Join(temporary, demo.Name)
	if err := demo.Extract(d.model); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := d.introduce(); err != nil {
		return err
	}
	head, err := d.survey(ctx, survey)
	if err != nil {
		return err
	}
	if err := d.study(ctx, study, head); err != nil {
		return err
	}
	d.say("\nDone in %s. Try next:\n", round(time.Since(start)))
	for _, args := range []string{
		fmt.Sprintf("heads %s", quote(survey)),
		fmt.Sprintf("plot %s query_substitution_probs -o probs.html", quote(study)),
		fmt.Sprintf(`query %s -e "SELECT text, diff, prob FROM head_score ORDER BY diff LIMIT 5"`,
			quote(study)),
	} {
		d.say("  %s %s\n", quote(d.program), args)
	}
	return nil
}

// say prints to standard output. It ignores errors: standardOutput remembers them.
func (d *demonstration) say(format string, args ...any) { fmt.Fprintf(d.out, format, args...) }

// introduce describes the model and its prompts. If nobody can read that, the demo does not go on.
func (d *demonstration) introduce() error {
	for p, err := range prompts.IOI().Prompts(prompts.Sampling{N: 1, Seed: demoSeed}) {
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(d.out, "The model: %s.\n\nThe prompts: %d such as\n  %q\nThe last word is the indirect object (IO), "+
			"not the subject (S), who has been named twice. The word before it is the query.\n", demo.Description, demoPrompts, p.Text); err != nil {
			return fmt.Errorf("standard output: %w", pathless(err))
		}
	}
	return nil
}

// ingest runs the model over the demo's prompts and writes a file.
func (d *demonstration) ingest(
	ctx context.Context, path string, options engine.Options,
) (summary ingest.Summary, err error) {
	e, err := engine.Open(d.model, options)
	if err != nil {
		return ingest.Summary{}, err
	}
	defer closing(e, &err)
	sampling := prompts.Sampling{N: demoPrompts, Seed: demoSeed}
	bar := newProgressBar(d.stderr)
	defer bar.stop()
	return ingest.Run(ctx, ingest.Options{
		Engine: e, Prompts: prompts.IOI().Prompts(sampling), Names: prompts.IOI().Names, Path: path,
		Force:     true,
		CreatedAt: time.Now(), Version: Version(), CommandLine: d.line, PromptSource: ioi,
		Seed:         sampling.Seed,
		SavedQueries: travelling(queries.Embedded()),
		Progress:     bar.show,
	})
}

// survey writes the unsplit scores of every head, and returns the head that attends most to the indirect
// object.
func (d *demonstration) survey(ctx context.Context, path string) (head schema.Head, err error) {
	if _, err := d.ingest(ctx, path,
		engine.Options{QueryBases: []string{"none"}, KeyBases: []string{"none"},
			Seed: demoSeed}); err != nil {
		return schema.Head{}, err
	}
	s, err := session.Open(ctx, path, session.Options{})
	if err != nil {
		return schema.Head{}, err
	}
	defer closing(s, &err)
	top, err := askSaved(ctx, s, "top_heads", nil)
	if err != nil {
		return schema.Head{}, err
	}
	d.say("\nWhich head attends from the query to IO? Mean probability there, "+
		"and to the first mention of S (%s):\n", path)
	for i := range min(4, len(top.Rows)) {
		row, err := numbers(top, i, "mean_prob", "mean_baseline_prob")
		if err != nil {
			return schema.Head{}, err
		}
		d.say("  %-5s %.3f  %.3f\n", text(top, i, "head"), row[0], row[1])
	}
	head, err = schema.ParseHead(text(top, 0, "head"))
	if err != nil {
		return schema.Head{}, fmt.Errorf("demo: %w", err)
	}
	_, names := demoFigures()
	return head, d.draw(ctx, s, names)
}

// study writes everything about one head, and explains its attention.
func (d *demonstration) study(ctx context.Context, path string, head schema.Head) (err error) {
	summary, err := d.ingest(ctx, path, engine.Options{
		Heads: []schema.Head{head}, KeyBases: []string{"none", "mlp0", demoRoute, "sub_mlp0"},
		NullBases: demoNull, Seed: demoSeed,
		Factors: true, Substitutions: true, Projections: true, Nearest: 10,
	})
	if err != nil {
		return err
	}
	s, err := session.Open(ctx, path, session.Options{})
	if err != nil {
		return err
	}
	defer closing(s, &err)
	d.say("\nWhy head %s? Its scores are split into contributions: %d rows (%s).\n", head, summary.Rows, path)
	if err := d.explain(ctx, s); err != nil {
		return err
	}
	d.say("\nFigures, each as .svg and .png, and a page with all of it:\n")
	names, all := demoFigures()
	if err := d.draw(ctx, s, names); err != nil {
		return err
	}
	for _, name := range slices.Concat(names, all) {
		d.say("  %s\n", d.figure(name))
	}
	report := filepath.Join(d.dir, "demo-report.html")
	in, err := page.Collect(ctx, s,
		page.Options{Provenance: []page.Fact{{Name: "file", Value: filepath.Base(path)}}})
	if err != nil {
		return err
	}
	if err := writeInFolder(report, func(w io.Writer) error { return page.Write(w, in) }); err != nil {
		return err
	}
	d.say("  %s\n", report)
	return nil
}

// SQL for the components, and the pairs of them, that contribute most on average to the score of IO minus
// that of S, with their share of it.
const (
	sideSQL = `SELECT component AS part, avg(diff) AS mean, stddev_samp(diff) / sqrt(count(diff)) AS se,
	  100 * avg(diff) / sum(avg(diff)) OVER () AS pct
FROM contribution_unsplit WHERE run_id = latest_run() AND side = $side::side
GROUP BY component ORDER BY abs(mean) DESC, component LIMIT 3`
	pairSQL = `WITH whole AS (
  SELECT example_id, query_component, key_component,
    sum(diff) AS diff -- of all quadrants, whatever the bases are
  FROM pair WHERE run_id = latest_run() AND query_basis = 'unembed' AND key_basis = 'mlp0'
  GROUP BY example_id, query_component, key_component
)
SELECT query_component || ' meets ' || key_component AS part, avg(diff) AS mean,
  stddev_samp(diff) / sqrt(count(diff)) AS se, 100 * avg(diff) / sum(avg(diff)) OVER () AS pct
FROM whole GROUP BY query_component, key_component ORDER BY abs(mean) DESC, part LIMIT 3`
)

// explain prints which components make the head prefer IO to S.
func (d *demonstration) explain(ctx context.Context, s *session.Session) error {
	closure, err := askSaved(ctx, s, "closure", nil)
	if err != nil {
		return err
	}
	worst, err := numbers(closure, 0, "worst_residual")
	if err != nil {
		return err
	}
	top, err := askSaved(ctx, s, "top_heads", nil)
	if err != nil {
		return err
	}
	score, err := numbers(top, 0, "mean_diff", "se_diff")
	if err != nil {
		return err
	}
	d.say("They add up to the model's own scores: the largest difference on any prompt is %.1e.\n", worst[0])
	d.say("Its score of IO is %.2f ± %.2f above that of S (mean over prompts, standard error). "+
		"The largest parts of this difference:\n", score[0], score[1])
	for _, part := range []struct {
		title, sql string
		set        map[string]string
	}{
		{"Query side, the keys held fixed: what each component wrote at the query", sideSQL,
			map[string]string{"side": schema.Query.String()}},
		{"Key side, the query held fixed: what each component wrote at IO rather than at S", sideSQL,
			map[string]string{"side": schema.Key.String()}},
		{"Both at once: a component of the query meets one of the key", pairSQL, nil},
	} {
		result, err := ask(ctx, s, part.sql, part.set)
		if err != nil {
			return err
		}
		d.say("  %s\n", part.title)
		for i := range result.Rows {
			row, err := numbers(result, i, "mean", "se", "pct")
			if err != nil {
				return err
			}
			d.say("    %+.2f ± %.2f  %3.0f %%  %s\n", row[0], row[1], row[2], text(result, i, "part"))
		}
	}
	return d.route(ctx, s)
}

// route prints how much of the difference goes through two routes, and how much through random directions.
func (d *demonstration) route(ctx context.Context, s *session.Session) error {
	along, err := askSaved(ctx, s, "basis_shares", nil)
	if err != nil {
		return err
	}
	layer0, err := numbers(along,
		slices.IndexFunc(along.Rows, func(row []any) bool { return row[along.Index("basis")] == demoRoute }),
		"pct", "low", "high", "null_low", "null_high")
	if err != nil {
		return err
	}
	share, err := askSaved(ctx, s, "pct_explained_all_mlps", nil)
	if err != nil {
		return err
	}
	mlps, err := numbers(share, 0, "pct", "low", "high", "null_low", "null_high")
	if err != nil {
		return err
	}
	shares := slices.Concat(layer0, mlps)
	for i, x := range shares {
		shares[i] = math.Round(10*x)/10 + 0 // + 0 makes -0 a 0
	}
	d.say(`Is it the name itself that is recognised? Of the difference, with 95 %% intervals over prompts:
  %5.1f %%  [%.1f, %.1f]  comes from the part of the key along what layer 0 makes of the word; `+
		`along %d random directions, %.1f to %.1f %%
  %5.1f %%  [%.1f, %.1f]  from MLPs along MLP0's output, met by a query along the word's unembedding, `+
		`as in GPT-2's negative heads; random: %.1f to %.1f %%
`, shares[0], shares[1], shares[2], demoNull, shares[3],
		shares[4], shares[5], shares[6], shares[7], shares[8], shares[9])
	return nil
}

// figure returns the path of a figure without its extension.
func (d *demonstration) figure(name string) string { return filepath.Join(d.dir, "demo-"+name) }

// draw draws saved queries, each as .svg and .png.
func (d *demonstration) draw(ctx context.Context, s *session.Session, names []string) error {
	for _, name := range names {
		q, err := queries.Find(queries.Embedded(), name)
		if err != nil {
			return err
		}
		f, err := makeFigure(ctx, s, q, nil)
		if err != nil {
			return err
		}
		for _, ending := range []string{".svg", ".png"} {
			path := d.figure(name) + ending
			format, err := formatOfFigure(path)
			if err != nil {
				return err
			}
			if err := writeInFolder(path,
				func(w io.Writer) error { return format.write(f, w, figure.Options{}) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// askSaved runs a query that ships with ducklens.
func askSaved(
	ctx context.Context, s *session.Session, name string, set map[string]string,
) (*queries.Result, error) {
	q, err := queries.Find(queries.Embedded(), name)
	if err != nil {
		return nil, err
	}
	return s.Run(ctx, q, set)
}

// text returns the text in a row and column of a result, or "" if there is none.
func text(r *queries.Result, row int, column string) string {
	i := r.Index(column)
	if row >= len(r.Rows) || i < 0 {
		return ""
	}
	return queries.String(r.Rows[row][i])
}

// numbers returns the numbers in some columns of a row of a result.
func numbers(r *queries.Result, row int, columns ...string) ([]float64, error) {
	var list []float64
	for _, column := range columns {
		i := r.Index(column)
		if row < 0 || row >= len(r.Rows) || i < 0 {
			return nil, fmt.Errorf("no column %s in row %d of %d with columns %s", column, row, len(r.Rows),
				strings.Join(r.Names(), ", "))
		}
		x, ok := queries.Number(r.Rows[row][i])
		if !ok {
			return nil, fmt.Errorf("column %s of row %d is %v, want a number", column, row, r.Rows[row][i])
		}
		list = append(list, x)
	}
	return list, nil
}
