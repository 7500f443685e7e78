package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/schema"
)

// newIngest builds `ducklens ingest`.
func newIngest(call invocation) *cobra.Command {
	f := &ingestFlags{}
	cmd := &cobra.Command{
		Use:   "ingest --model MODEL --head L.H -o FILE",
		Short: "Run a model over prompts and write the contributions to its heads' scores",
		Long: `Runs a model over prompts, splits the attention scores of the heads you name into exact
contributions, and writes them to a DuckDB file.

A model is a Hugging Face folder (config.json with model.safetensors, whole or in shards), a GGUF file, or a
TransformerLens state dict (config.json with model.npz).

Prompts come from the seeded ioi generator, with its own templates or yours (--templates), or from a .jsonl,
.csv, .tsv or .parquet file. A record of such a file has a text and the positions query, key and, optionally,
baseline, each as a token index or as the word itself; or it has text, IO and S. The generator leaves out
those of its own names that are several tokens of the model.

Texts without positions (--text) are plain text with one document per line, or .jsonl, .csv, .tsv or .parquet
with a column text and, optionally, id; other columns are kept. Long documents are cut into windows. What each
head does on a text (attention to the previous token, to the first, to duplicates, ...) is always stored;
ducklens heads shows it. Rules (--edges) choose which pairs of query and key are also split. The tables that
they do not need are only filled if you ask for them: with bases, --factors on or --mover.

If a model runs elsewhere, such as on a GPU in Python, ingest can read a folder of its activations
(--activations) and fill the same tables: see docs/activations.md.

The sum of the contributions is checked against the score of the model on every prompt; a run that does not
add up is refused. Contributions to a score are not causal effects.`,
		Example: `  ducklens ingest --model gpt2 --head 10.7 -o run.duckdb
  ducklens ingest --model gpt2 --head 10.7,11.10 -n 200 --seed 1 -o two_heads.duckdb
  ducklens ingest --model gpt2 --head 10.7 --prompts prompts.jsonl -o mine.duckdb
  ducklens ingest --model gpt2 --head all --text corpus.txt -o heads.duckdb
  ducklens ingest --model gpt2 --head 10.7 --text corpus.jsonl --edges top:1,induction --max-edges 50 -o texts.duckdb
  ducklens ingest --model gpt2 --head all --text corpus.txt --edges top:3 --dry-run
  ducklens ingest --model gpt2 --head 10.7 --keys all -o rows.duckdb
  ducklens ingest --model gpt2 --head 10.7 --null 20 --mover 9.9,9.6 -o with_null.duckdb
  ducklens ingest --model gpt2 --head 10.7 --sources top:4 -o sources.duckdb
  ducklens ingest --model gpt2 --head 10.7 --query-basis svd:4 --key-basis svd:4 -o svd.duckdb
  ducklens ingest --model gpt2 --head 10.7 --convention notebook -o notebook.duckdb
  ducklens ingest --model smollm2.gguf --head 24.4 --logits -o smollm2.duckdb
  ducklens ingest --model gpt2 --head 10.7 -n 100000 --keep means --by prompt_order -o means.duckdb
  ducklens ingest --model gpt2 --head all --query-basis none --key-basis none -n 10 -o all_heads.duckdb
  ducklens ingest --model gpt2 --head 10.7 --processing raw --append -o run.duckdb
  ducklens ingest --model gpt2 --head 10.7 -n 20 --shard 3/4 -o run.duckdb
  ducklens ingest --activations captured -o captured.duckdb`,
		GroupID: groupMake,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{err: fmt.Errorf("%q is one argument too many", args[0]),
					hint: "--model names the model, --prompts or --text a file of prompts, and -o the file to write"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.prompts.limit = cmd.Flags().Changed("number")
			if err := f.check(cmd.Flags()); err != nil {
				return err
			}
			return f.run(cmd.Context(), call, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	group(cmd, f.flags()...)
	return cmd
}

// run runs the command.
func (f *ingestFlags) run(ctx context.Context, call invocation, stdout, stderr io.Writer) (err error) {
	PreferThroughput()
	ownProcess(ctx).say(lastWords{why: nothingWritten})
	defer func() {
		var part *ingest.Incomplete
		if ctx.Err() != nil && !errors.As(err, &part) &&
			(errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
			err = errors.New(nothingWritten)
		}
	}()
	// Check the target first, because loading the model takes longest.
	target := ingest.Options{Path: f.output, Append: f.add, Force: f.force, Resume: f.resume, Shard: f.shard}
	if !f.dryRun {
		if err := target.CheckTarget(ctx); err != nil {
			return err
		}
	}
	var source promptSource
	if f.activations == "" {
		var err error
		if source, err = f.prompts.open(ctx); err != nil {
			return err
		}
	}
	stop, err := f.profile.start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	e, done, err := f.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	defer closing(e, &err)
	if f.activations != "" {
		source = f.prompts.given(e, f.activations)
	}
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(garbagePercent))
	}
	if err := source.fit(e); err != nil {
		return err
	}
	window := 0
	if source.documents {
		window = cmp.Or(f.prompts.window, e.DefaultWindow())
		if err := e.CheckWindow(window, f.prompts.stride); err != nil {
			return asUsage(err)
		}
	}
	bar := newProgressBar(stderr)
	defer bar.stop()
	options := ingest.Options{
		Engine: e, Prompts: f.placed(source.prompts), Names: source.names, Path: f.output, Append: f.add,
		Force: f.force, Resume: f.resume, Shard: f.shard, There: f.there,
		CreatedAt: time.Now(), Version: Version(), CommandLine: call.line(), PromptSource: source.name,
		Seed:   f.prompts.sampling.Seed,
		Window: window, Stride: f.prompts.stride, BatchPrompts: f.batch, Large: f.large,
		MeansOnly: f.keep == keepMeans, By: f.by,
		SavedQueries: travelling(queries.Embedded()),
	}
	show := bar.show
	if f.verbose {
		// A bar and a log on one terminal would overwrite each other.
		options.Logger, show = slog.New(slog.NewTextHandler(stderr, nil)), func(ingest.Progress) {}
	}
	options.Progress = func(p ingest.Progress) {
		show(p)
		ownProcess(ctx).say(f.onInterrupt(p))
	}
	if f.dryRun {
		options.Path = cmp.Or(f.output, "run.duckdb")
		size, err := ingest.Measure(ctx, options)
		if err != nil {
			return withFlags(source.atNames(err, e))
		}
		return tellSize(stdout, size, headList(e.Heads()))
	}
	ownProcess(ctx).say(f.onInterrupt(ingest.Progress{}))
	summary, err := f.ingest(ctx, options)
	bar.stop()
	if err != nil {
		return withFlags(source.atNames(err, e))
	}
	summary.Notices = append(source.notices, summary.Notices...)
	if source.read != nil {
		summary.Notices = append(source.read(), summary.Notices...)
	}
	f.tell(summary, len(e.Heads()), stderr)
	if f.parquet != "" {
		return f.intoDataSet(ctx, call, summary, stderr)
	}
	if summary.Known && f.shard.Whole() {
		fmt.Fprintf(stderr, "%s: run %d is already complete, %s; next: %s info %s\n", summary.Path,
			summary.RunID, promptsAndEdges(summary.Prompts, summary.Examples), call.program,
			quote(summary.Path))
		return nil
	}
	if summary.Known {
		fmt.Fprintf(stderr, "%s: shard %s is already complete, %s; %s\n", summary.Path, f.shard,
			promptsAndEdges(summary.Prompts, summary.Examples), f.afterShard(call))
		return nil
	}
	what := fmt.Sprintf("run %d", summary.RunID)
	if !f.shard.Whole() {
		what = "shard " + f.shard.String()
	}
	fmt.Fprintf(stderr, "%s: %s, %s, %s, %d rows in %s\n", summary.Path, what,
		promptsAndEdges(summary.Prompts, summary.Examples), headList(e.Heads()), summary.Rows,
		round(summary.Elapsed))
	if summary.Examples == 0 && f.shard.Whole() {
		fmt.Fprintf(stderr, "next: %s heads %s\n", call.program, quote(summary.Path))
		return nil
	}
	meant := ""
	if f.engine.Convention == schema.Notebook {
		meant = ", because the notebook's arithmetic leaves parts out"
	}
	next := fmt.Sprintf("next: %s query %s key_components", call.program, quote(summary.Path))
	if len(e.Heads()) > manyHeads { // the query would be about the first of them
		next = fmt.Sprintf("next: %s heads %s", call.program, quote(summary.Path))
	}
	if !f.shard.Whole() {
		next = f.afterShard(call)
	}
	fmt.Fprintf(stderr, "largest closure residual %.1e%s; %s\n", summary.MaxClosure, meant, next)
	return nil
}

// manyHeads is the number of target heads above which a run is asked first which of them attend to the key.
const manyHeads = 4

// tellSize prints the estimate of a dry run.
func tellSize(w io.Writer, s ingest.Size, heads string) error {
	about := "about "
	if s.Sample == int(s.Prompts) {
		about = ""
	}
	fmt.Fprintf(w, "%s of %s, %s%s, %s\n", plural(int(s.Prompts), "prompt"), plural(int(s.Tokens), "token"),
		about, plural(int(s.Edges), "edge"), heads)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	for _, table := range slices.SortedFunc(maps.Keys(s.Rows),
		func(a, b string) int { return cmp.Or(cmp.Compare(s.Rows[b], s.Rows[a]), cmp.Compare(a, b)) }) {
		fmt.Fprintf(t, "\t%d\t rows of %s\n", s.Rows[table], table)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s%s, about %s and %s; measured on %s, nothing is written\n", about,
		plural(int(s.TotalRows()), "row"), ingest.Bytes(s.Bytes),
		round(time.Duration(s.Seconds*float64(time.Second))), plural(s.Sample, "prompt"))
	return err
}

// open opens the model or the folder of activations. Call done after closing the engine.
func (f *ingestFlags) open() (e *engine.Engine, done func() error, err error) {
	if f.activations != "" {
		e, err := engine.OpenActivations(f.activations, f.engine)
		return e, func() error { return nil }, withFlags(err)
	}
	path, done, err := modelPath(f.model)
	if err != nil {
		return nil, nil, err
	}
	if e, err = engine.Open(path, f.engine); err != nil {
		return nil, nil, errors.Join(withFlags(atModel(err)), done())
	}
	return e, done, nil
}

// nothingWritten is what a run says that is interrupted before its first batch is in a file.
const nothingWritten = "interrupted; nothing was written"

// onInterrupt says what the process prints if it is interrupted and ends before the run does. If the file
// cannot be resumed yet, the process waits for the current batch.
func (f *ingestFlags) onInterrupt(p ingest.Progress) lastWords {
	switch {
	case !f.shard.Whole():
		return lastWords{why: fmt.Sprintf(
			"interrupted after %d of %d prompts of the shard\nhint: nothing is kept of it; "+
				"the same command starts it again", p.Prompts, p.Total)}
	case p.Prompts == 0:
		// The first batch may be in the file already.
		return lastWords{now: func() string { return untilFirstBatch(f.output, f.add || f.resume) }}
	case !p.Resumable:
		return lastWords{wait: true}
	}
	return lastWords{why: fmt.Sprintf(
		"interrupted after %d of %d prompts\nhint: the file is sound; run the same command with --resume "+
			"to compute the other %d",
		p.Prompts, p.Total, p.Total-p.Prompts)}
}

// untilFirstBatch says what is left of a run that has not reported its first batch. Nothing is, if there is
// no file. A file that was there before may hold the batch or not.
func untilFirstBatch(file string, adds bool) string {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) && !adds {
		return nothingWritten
	}
	return "interrupted"
}

// tell prints a note about everything that was left out by default, and the flag that would include it.
func (f *ingestFlags) tell(s ingest.Summary, heads int, stderr io.Writer) {
	for _, notice := range s.Notices {
		if strings.HasPrefix(notice, "query bas") || strings.HasPrefix(notice, "key bas") {
			notice += " (named with --query-basis or --key-basis, this would be an error)"
		}
		fmt.Fprintf(stderr, "note: %s\n", notice)
	}
	if f.factors == auto && !f.engine.Factors && !f.engine.Pairs && len(f.prompts.texts) == 0 {
		fmt.Fprintf(stderr,
			"note: with %s, factors of pairs of components are not stored; --factors on stores them\n",
			plural(heads, "target head"))
	}
}

// atModel adds a hint about --model if the model does not exist.
func atModel(err error) error {
	if errors.Is(err, fs.ErrNotExist) && advice.Of(err) == "" {
		return advice.Add(err,
			"--model is a folder with config.json, model.safetensors and the tokenizer's files, "+
				"as Hugging Face has them, or a .gguf file; ducklens model pull NAME fetches a folder")
	}
	return err
}

// travelling converts saved queries to the form in which a file stores them.
func travelling(list []queries.Query) []ingest.SavedQuery {
	var saved []ingest.SavedQuery
	for _, q := range list {
		saved = append(saved, ingest.SavedQuery{Name: q.Name, SQL: q.String()})
	}
	return saved
}
