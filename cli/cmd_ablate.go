package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/internal/advice"
	"ducklens/schema"
)

// method says what replaces a component.
type method uint8

func (m method) String() string { return [...]string{ingest.Zero, ingest.Mean}[m] }

// place says where a component is replaced.
type place uint8

func (p place) String() string {
	return [...]string{engine.Everywhere, engine.AtQuery, engine.AtKey}[p]
}

// oneOf returns a parser of a word out of a few.
func oneOf[T fmt.Stringer](words ...T) func(string) (T, error) {
	return func(s string) (T, error) {
		var names []string
		for _, w := range words {
			if s == w.String() {
				return w, nil
			}
			names = append(names, w.String())
		}
		return words[0], fmt.Errorf("%q, want one of %s", s, strings.Join(names, ", "))
	}
}

// ablateFlags are the flags of `ducklens ablate`.
type ablateFlags struct {
	model      string
	run        int
	heads      []string
	components []string
	how        method
	where      place
	threads    int
}

// newAblate builds `ducklens ablate`.
func newAblate(call invocation) *cobra.Command {
	f := &ablateFlags{}
	cmd := &cobra.Command{
		Use:   "ablate FILE --model MODEL",
		Short: "Run the model without single components, and store the scores and logits that result",
		Long: `A contribution is a part of a score; it does not say what would happen without the component.
This command does. It runs the model over the examples of a run again, removes one component as it reaches the
residual stream, and lets all later layers respond. The score, probability and logits that result are stored
in the table ablation, next to the model's own. ducklens query FILE contribution_against_ablation compares
them with contributions.

A component is a head or an MLP below a target head. It is replaced by zero or by the mean of what it wrote.
The mean is taken over the examples of the run, at the positions where the component is replaced; the first
position of prompts has a mean of its own. Ablations that the file already has are not computed again, so the
same command continues after an interrupt.`,
		Example: `  ducklens ablate run.duckdb --model gpt2
  ducklens ablate run.duckdb --model gpt2 --component 9.9,MLP0 --how mean
  ducklens ablate run.duckdb --model gpt2 --component top:5 --where query`,
		GroupID: groupMake,
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.ablate(cmd.Context(), call, args[0], cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.model, "model", "",
		"model `folder` or .gguf file that the run was made with; demo is the embedded model")
	flags.IntVar(&f.run, "run", 0, "`number` of the run; 0 is the last complete one")
	flags.StringSliceVar(&f.heads, "head", nil, "target `heads` of the run, such as 10.7 (default all)")
	flags.StringSliceVar(&f.components, "component", []string{"top:20"},
		"`components` to remove: heads and MLPs such as 9.9,MLP0; top:K for the K that contribute most; "+
			"or all")
	wordVar(flags, &f.how, "how", oneOf(method(0), method(1)), "what replaces the component", method(0),
		method(1))
	wordVar(flags, &f.where, "where", oneOf(place(0), place(1), place(2)),
		"where it is replaced: at all positions up to the query, or only at the query or key position",
		place(0), place(1), place(2))
	flags.IntVar(&f.threads, "threads", 0, "number of threads; 0 is one per CPU")
	return cmd
}

// ablate runs the command.
func (f *ablateFlags) ablate(
	ctx context.Context, call invocation, file string, stderr io.Writer,
) (err error) {
	PreferThroughput()
	if f.model == "" {
		return &usageError{err: errors.New("--model is missing"),
			hint: "name the model that the run was made with: ducklens ablate run.duckdb --model gpt2"}
	}
	options := ingest.AblateOptions{Path: file, Run: f.run, Method: f.how.String(), Place: f.where.String(),
		Threads: f.threads}
	for _, v := range f.heads {
		h, err := schema.ParseHead(strings.TrimSpace(v))
		if err != nil {
			return usagef("--head: %w", err)
		}
		options.Heads = append(options.Heads, h)
	}
	if options.Components, options.Top, err = ablatedComponents(f.components); err != nil {
		return err
	}
	path, done, err := modelPath(f.model)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	var opened *engine.Engine
	options.Open = func(o engine.Options) (_ ingest.Ablator, err error) {
		if opened, err = engine.Open(path, o); err != nil {
			return nil, atModel(err)
		}
		return opened, nil
	}
	defer func() {
		if opened != nil {
			err = errors.Join(err, opened.Close())
		}
	}()
	bar := newProgressBar(stderr)
	defer bar.stop()
	options.Progress = bar.show
	summary, err := ingest.Ablate(ctx, options)
	bar.stop()
	if err != nil {
		if ctx.Err() != nil && summary.Rows > 0 {
			return advice.Add(err,
				fmt.Sprintf("%d rows are written; run the same command again to compute the rest",
					summary.Rows))
		}
		return err
	}
	known := ""
	if summary.Known > 0 {
		known = fmt.Sprintf(", and %d that were already stored", summary.Known)
	}
	fmt.Fprintf(stderr, "%s: run %d, %s, %s ablated: %d rows%s\n", file, summary.RunID,
		plural(summary.Examples, "example"),
		plural(len(summary.Components), "component"), summary.Rows, known)
	fmt.Fprintf(stderr, "next: %s query %s contribution_against_ablation\n", call.program, quote(file))
	return nil
}

// ablatedComponents parses the values of --component. top is -1 for all components.
func ablatedComponents(values []string) (names []string, top int, err error) {
	for _, v := range values {
		v = strings.TrimSpace(v)
		if v == "all" {
			top = -1
			continue
		}
		if digits, ok := strings.CutPrefix(v, "top:"); ok {
			n, err := strconv.Atoi(digits)
			if err != nil || n < 1 {
				return nil, 0, usagef("--component %s, want top:K such as top:20", v)
			}
			if top >= 0 {
				top = max(top, n)
			}
			continue
		}
		if h, err := schema.ParseHead(v); err == nil {
			v = h.String()
		} else if len(v) > 3 && strings.EqualFold(v[:3], "MLP") {
			v = "MLP" + v[3:]
		}
		names = append(names, v)
	}
	return names, top, nil
}
