package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ducklens/cli/demo"
	"ducklens/engine"
	"ducklens/engine/checkpoint"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/session"
	"ducklens/schema"
)

// Of the demo: how many prompts it runs, and from which seed they are made.
const (
	demoPrompts = 200
	demoSeed    = 42
	demoNull    = 20 // random directions, for a rough 95 % band
)

// demoFigures are the saved queries that the demo draws.
func demoFigures() []string {
	return []string{"key_components", "query_components", "key_quadrants", "query_quadrants", "query_substitution_scores", "top_pairs"}
}

// newDemo builds `ducklens demo`.
func newDemo(call invocation) *cobra.Command {
	d := &demonstration{program: call.program, line: call.line()}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Walk the whole path on the embedded model: prompts, file, answers, figures",
		Long: `Runs the small model that is embedded in ducklens over a few hundred prompts, writes demo.duckdb, asks it what makes one
head attend where it does, draws figures, and says what to try next. Files of an earlier demo are replaced; nothing
else is.

The model has random weights: it shows how ducklens works, and its numbers mean nothing.`,
		Example: `  ducklens demo
  ducklens demo --dir demo`,
		GroupID: groupMake,
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&d.dir, "dir", ".", "`folder` to write to; made if it is not there")
	return cmd
}

// A demonstration is one `ducklens demo` under way.
type demonstration struct {
	program, line string
	dir           string
	file          string // demo.duckdb in dir
}

// run does the demo and tells about it on out.
func (d *demonstration) run(ctx context.Context, out, stderr io.Writer) (err error) {
	start := time.Now()
	if err := os.MkdirAll(d.dir, 0o777); err != nil {
		return fmt.Errorf("demo: folder %s: %w", d.dir, pathless(err))
	}
	d.file = filepath.Join(d.dir, "demo.duckdb")
	temporary, err := os.MkdirTemp("", "ducklens-demo-*")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	model := filepath.Join(temporary, demo.Name)
	if err := demo.Extract(model); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	fmt.Fprintf(out, "Please note: %s.\n\n", demo.Description)
	if err := d.ingest(ctx, model, out, stderr); err != nil {
		return err
	}
	s, err := session.Open(ctx, d.file, session.Options{})
	if err != nil {
		return err
	}
	defer closing(s, &err)
	head, err := d.explain(ctx, s, out)
	if err != nil {
		return err
	}
	if err := d.draw(ctx, s, head, out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nDone in %s. Try next:\n", round(time.Since(start)))
	file := quote(d.file)
	for _, args := range []string{
		fmt.Sprintf("heads %s", file),
		fmt.Sprintf("query %s pct_explained_mlp0 --set head=%s", file, head),
		fmt.Sprintf("plot %s query_substitution_probs --set head=%s -o probs.html", file, head),
		fmt.Sprintf(`query %s -e "SELECT text, score, prob FROM head_score WHERE head = '%s' ORDER BY prob DESC LIMIT 5"`, file, head),
	} {
		fmt.Fprintf(out, "  %s %s\n", quote(d.program), args)
	}
	return nil
}

// ingest runs the model over the demo's prompts. The heads are those of its last layer.
func (d *demonstration) ingest(ctx context.Context, model string, out, stderr io.Writer) (err error) {
	if err := ingest.CheckTarget(ctx, d.file, false, true); err != nil {
		return err
	}
	heads, err := lastLayer(model)
	if err != nil {
		return err
	}
	e, err := engine.Open(model, engine.Options{Heads: heads, NullBases: demoNull, Seed: demoSeed, Factors: true, Substitutions: true, Projections: true})
	if err != nil {
		return err
	}
	defer closing(e, &err)
	sampling := prompts.Sampling{N: demoPrompts, Seed: demoSeed}
	var sample string
	for p, err := range prompts.IOI().Prompts(prompts.Sampling{N: 1, Seed: demoSeed}) {
		if err != nil {
			return err
		}
		sample = p.Text
	}
	bar := newProgressBar(stderr)
	defer bar.stop()
	summary, err := ingest.Run(ctx, ingest.Options{
		Engine: e, Prompts: prompts.IOI().Prompts(sampling), Names: prompts.IOI().Names, Path: d.file, Force: true,
		Run: schema.Run{
			CreatedAt: time.Now(), Version: Version(), CommandLine: d.line, PromptSource: ioi, Seed: sampling.Seed,
			BOS: true, Precision: e.Precision(), BLAS: e.BLAS(), Threads: e.Threads(),
		},
		SavedQueries: travelling(queries.Embedded()),
		Progress:     bar.show,
	})
	bar.stop()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "It read %d prompts such as\n  %q\nand the attention scores of its %s, from the last word before the answer to each name, were split\ninto contributions: %d rows in %s, %s.\n\n",
		summary.Examples, sample, headList(heads), summary.Rows, d.file, round(summary.Elapsed))
	return nil
}

// lastLayer lists the heads of a model's last layer.
func lastLayer(model string) (heads []schema.Head, err error) {
	c, err := checkpoint.Open(model)
	if err != nil {
		return nil, err
	}
	defer closing(c, &err)
	config := c.Config()
	for i := range config.NHeads {
		heads = append(heads, schema.Head{Layer: config.NLayers - 1, Index: i})
	}
	return heads, nil
}

// explain says whether the contributions add up and what they say about the head that attends most, which it gives.
func (d *demonstration) explain(ctx context.Context, s *session.Session, out io.Writer) (head string, err error) {
	closure, err := askSaved(ctx, s, "closure", nil)
	if err != nil {
		return "", err
	}
	worst, err := field(closure, 0, "worst_residual")
	if err != nil {
		return "", err
	}
	fmt.Fprintf(out, "Do the contributions add up to the model's own scores? On every prompt: the largest difference is %.1e.\n\n", worst)

	top, err := askSaved(ctx, s, "top_heads", nil)
	if err != nil {
		return "", err
	}
	i := top.Index("head")
	if len(top.Rows) == 0 || i < 0 {
		return "", fmt.Errorf("demo: top_heads has %d rows with columns %v, want a head", len(top.Rows), top.Names())
	}
	head = queries.String(top.Rows[0][i])
	prob, err := field(top, 0, "mean_prob")
	if err != nil {
		return "", err
	}
	baseline, err := field(top, 0, "mean_baseline_prob")
	if err != nil {
		return "", err
	}
	fmt.Fprintf(out, "Head %s attends to the indirect object most: probability %.3f, and %.3f to the subject. What makes the difference\nbetween the two scores (mean over the prompts, and its standard error):\n", head, prob, baseline)
	for _, side := range []schema.Side{schema.Query, schema.Key} {
		if err := d.contributions(ctx, s, head, side, out); err != nil {
			return "", err
		}
	}
	return head, nil
}

// contributionsSQL gives the largest mean contributions of one side to a head's score difference.
const contributionsSQL = `SELECT component, avg(diff) AS mean, stddev_samp(diff) / sqrt(count(diff)) AS se
FROM contribution_unsplit WHERE run_id = latest_run() AND head = $head AND side = $side::side
GROUP BY component ORDER BY abs(mean) DESC, component LIMIT 4`

// contributions prints the largest contributions of one side.
func (d *demonstration) contributions(ctx context.Context, s *session.Session, head string, side schema.Side, out io.Writer) error {
	q, err := queries.AdHoc(contributionsSQL)
	if err != nil {
		return err
	}
	result, err := s.Run(ctx, q, map[string]string{"head": head, "side": side.String()})
	if err != nil {
		return err
	}
	var parts []string
	for i := range result.Rows {
		mean, err := field(result, i, "mean")
		if err != nil {
			return err
		}
		se, err := field(result, i, "se")
		if err != nil {
			return err
		}
		parts = append(parts, fmt.Sprintf("%s %+.3f ± %.3f", queries.String(result.Rows[i][0]), mean, se))
	}
	fmt.Fprintf(out, "  %s side: %s\n", side, strings.Join(parts, ", "))
	return nil
}

// draw writes the figures.
func (d *demonstration) draw(ctx context.Context, s *session.Session, head string, out io.Writer) error {
	fmt.Fprint(out, "\nFigures, each as .svg and .png:\n")
	for _, name := range demoFigures() {
		q, err := queries.Find(queries.Embedded(), name)
		if err != nil {
			return err
		}
		f, err := makeFigure(ctx, s, q, map[string]string{"head": head})
		if err != nil {
			return err
		}
		path := filepath.Join(d.dir, "demo-"+name)
		for _, ending := range []string{".svg", ".png"} {
			format, err := formatOfFigure(path + ending)
			if err != nil {
				return err
			}
			if err := writeFile(path+ending, func(w io.Writer) error { return format.write(f, w, figure.Options{}) }); err != nil {
				return err
			}
		}
		fmt.Fprintf(out, "  %s\n", path)
	}
	return nil
}

// askSaved runs a query that ships with ducklens.
func askSaved(ctx context.Context, s *session.Session, name string, set map[string]string) (*queries.Result, error) {
	q, err := queries.Find(queries.Embedded(), name)
	if err != nil {
		return nil, err
	}
	return s.Run(ctx, q, set)
}

// field reads a number from a row of a result.
func field(r *queries.Result, row int, column string) (float64, error) {
	i := r.Index(column)
	if row >= len(r.Rows) || i < 0 {
		return 0, fmt.Errorf("no column %s in row %d of %d with columns %v", column, row, len(r.Rows), r.Names())
	}
	x, ok := queries.Number(r.Rows[row][i])
	if !ok {
		return 0, fmt.Errorf("column %s of row %d is %v, want a number", column, row, r.Rows[row][i])
	}
	return x, nil
}
