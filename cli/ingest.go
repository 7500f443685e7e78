package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ducklens/engine"
	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/queries"
	"ducklens/schema"
)

// ingestFlags are the choices of `ducklens ingest`.
type ingestFlags struct {
	model, output string
	activations   string // a folder of activations, in place of model and prompts
	heads         []string
	movers        []string
	sources       []string
	bases         baseFlags
	factors, bos  onOff
	norms         onOff
	noBOS         bool
	engine        engine.Options
	prompts       promptFlags
	edges         []string
	baseline      string
	batch         int
	add, force    bool
	resume        bool
	dryRun, large bool
	verbose       bool
	profile       profileFlags
}

// newIngest builds `ducklens ingest`.
func newIngest(call invocation) *cobra.Command {
	f := &ingestFlags{}
	cmd := &cobra.Command{
		Use:   "ingest --model MODEL --head L.H -o FILE",
		Short: "Run a model over prompts and write the contributions to its heads' scores",
		Long: `Runs a model over prompts, splits the attention scores of the heads you name into exact
contributions, and writes them to a DuckDB file.

A model is a Hugging Face folder (config.json with model.safetensors, whole or in shards), a GGUF file, or
a TransformerLens state dict (config.json with model.npz).

Prompts are made by the seeded ioi generator, from its own templates or from yours (--templates), or
read from a .jsonl, .csv, .tsv or .parquet file. A record of such a file has text and the positions
query, key and, if you like, baseline, each as a token index or as the word itself; or text, IO and S.
The generator leaves out those of its own names that are several tokens of the model.

Texts without positions (--text) are plain text with a document a line, or .jsonl, .csv, .tsv or .parquet
with a column text and, if you like, id; further columns are kept. Long documents are cut into windows. What
each head does on a text (attention to the previous token, to the first, to duplicates, ...) is always
stored: ducklens heads shows it. Rules (--edges) choose which pairs of query and key are split beside that;
nothing else is computed for them unless it is asked for: bases, --factors on, --mover.

A model that runs elsewhere, such as on a GPU in Python, leaves a folder of activations (--activations), from
which the same tables are made: docs/activations.md.

The sum of the contributions is checked against the score of the model on every prompt: a run that
does not add up is refused. Contributions to a score are not causal effects.`,
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
  ducklens ingest --model gpt2 --head all --query-basis none --key-basis none -n 10 -o all_heads.duckdb
  ducklens ingest --model gpt2 --head 10.7 --processing raw --append -o run.duckdb
  ducklens ingest --activations captured -o captured.duckdb`,
		GroupID: groupMake,
		Args:    exactly(),
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

// flags defines the flags, in the groups of the help.
func (f *ingestFlags) flags() []flagGroup {
	what := newFlagGroup("What to run")
	flags := what.flags
	flags.StringVar(&f.model, "model", "", "model `folder`, or a .gguf file; demo is the embedded model")
	flags.StringVar(&f.activations, "activations", "", "`folder` of activations that another program has made of prompts and a model, in place of both; ducklens.capture in Python writes one")
	flags.StringVar(&f.engine.Name, "name", "", "what the model is called in answers and figures (as its folder or file unless given)")
	flags.StringSliceVar(&f.heads, "head", nil, "target `heads`, such as 10.7 or 10.7,11.10, or all")
	flags.StringVarP(&f.output, "output", "o", "", "`file` to write, such as run.duckdb")
	flags.BoolVar(&f.add, "append", false, "add a run to the file")
	flags.BoolVar(&f.force, "force", false, "replace the file if it exists")
	flags.BoolVar(&f.resume, "resume", false, "continue the run in the file that was interrupted; all other flags as they were")

	flags.BoolVar(&f.dryRun, "dry-run", false, "say how many prompts, edges and rows there will be, how large the file and how long it takes, measured on a few prompts; write nothing")
	flags.BoolVar(&f.large, "large", false, fmt.Sprintf("let the file become larger than %d million rows or %d GB", ingest.MaxRows/1_000_000, ingest.MaxBytes/1_000_000_000))

	texts := newFlagGroup("Prompts")
	flags = texts.flags
	flags.StringVar(&f.prompts.source, "prompts", ioi, "ioi, or a `file`: .jsonl, .csv, .tsv, .parquet")
	flags.StringVar(&f.prompts.templates, "templates", "", "JSON `file` of templates for the ioi generator")
	flags.StringVar(&f.prompts.names, "names", "", "`file` of names, one a line, that W_U[random name] is drawn from; the ioi generator has its own")
	flags.IntVarP(&f.prompts.sampling.N, "number", "n", defaultPrompts, "number of prompts; of a file, the first n (all unless given)")
	flags.Int64Var(&f.prompts.sampling.Seed, "seed", 42, "seed of the ioi generator, of random vectors and of --null")
	wordVar(flags, &f.prompts.sampling.Order, "order", prompts.ParseOrder, "which name comes first: the indirect object (ABBA), the subject (BABA)", prompts.Mixed, prompts.ABBA, prompts.BABA)
	flags.BoolVar(&f.prompts.sampling.Symmetric, "symmetric", false, "follow each ioi prompt by its copy with the names exchanged")
	wordVar(flags, &f.bos, "bos", parseOnOff, "put the token that begins a text in front of prompts (auto: as the model's tokenizer does)", auto, on, off)
	flags.BoolVar(&f.noBOS, "no-bos", false, "the same as --bos off")

	flags.StringArrayVar(&f.prompts.texts, "text", nil, "`file` of texts in place of prompts: a document a line, or .jsonl, .csv, .tsv, .parquet; may come again")
	flags.BoolVar(&f.prompts.whole, "whole", false, "a file of plain text is one document")
	flags.IntVar(&f.prompts.window, "window", 0, fmt.Sprintf("most `tokens` of a text in one prompt, BOS included; longer ones are cut into several (0: %d, or what the model reads if that is less)", engine.MostWindow))
	flags.IntVar(&f.prompts.stride, "stride", 0, "`tokens` from the start of a window to that of the next (0: no overlap)")

	pairs := newFlagGroup("Which edges of a prompt are explained")
	flags = pairs.flags
	flags.StringSliceVar(&f.edges, "edges", nil, fmt.Sprintf("`rules` that choose pairs of query and key, of: %s; or none. given is the one that a prompt came with; without it, positions of prompts are not looked at (given; of texts top:1, with more than %d target heads none)", schema.EdgeRules, ingest.MaxFactorHeads))
	flags.IntVar(&f.engine.MaxEdges, "max-edges", 0, "most edges of a prompt, drawn by --seed, the rules taking turns; 0 is all")
	flags.StringVar(&f.baseline, "baseline", auto.String(), "what keys are compared with: token (at the baseline position), mean (of all other keys), attention (their mean, weighted by attention), none; auto is token for given edges, attention for others")
	wordVar(flags, &f.engine.Keys, "keys", schema.ParseKeys, "which keys are explained: those of edges, or all that their queries see, not split: what each component contributes to each score of a row of attention; all:unembed,mlp0 also splits them by such a pair of bases. Large: a number for each side, component and token", schema.Keys{}, schema.Keys{All: true})
	flags.Float64Var(&f.engine.Threshold, "threshold", 0, "probability that the largest of a row of attention must exceed to be counted by the measure above (0: 0.5)")

	split := newFlagGroup("How scores are split")
	flags = split.flags
	const own = "; or " + decompose.SingularNames + "; or a component: " + decompose.ComponentNames + "; or your own directions, NAME=FILE.npy: [d_model] or [r, d_model]; NAME=FILE.npy" + perExample + ": [n, d_model] or [n, r, d_model]; " + replace + " puts the vector in place of the model's"
	flags.StringSliceVar(&f.bases.query, "query-basis", nil, "`bases` that split query vectors (none, unembed, unembed+baseline, sub_unembed unless others are named; NAME=FILE.npy come beside them), of: "+baseNames(schema.Query)+own)
	flags.StringSliceVar(&f.bases.key, "key-basis", nil, "`bases` that split key vectors (none, mlp0, sub_mlp0 unless others are named; NAME=FILE.npy come beside them), of: "+baseNames(schema.Key)+"; a component or your own, as above; "+atBaseline+"FILE.npy gives it other directions at the baseline")
	flags.IntVar(&f.engine.NullBases, "null", 0, "`number` of random directions to compare shares with; 20 give a rough 95 % band")
	flags.StringSliceVar(&f.movers, "mover", nil, "`heads` whose output is put in place of the query and projected (the two that contribute most to the queries unless given); may come again")
	flags.StringSliceVar(&f.sources, "sources", nil, "`heads`, such as 5.5,0.1, whose contributions are split by the position that they read; or top:4: the 4 below each target head that contribute most to its keys, and the 4 to its queries")
	flags.BoolVar(&f.engine.Rotary, "rotary", false, "split scores by the pairs of dimensions that rotary embedding turns")
	wordVar(flags, &f.factors, "factors", parseOnOff, fmt.Sprintf("store what pairs of components are made from (auto: with up to %d target heads)", ingest.MaxFactorHeads), auto, on, off)
	wordVar(flags, &f.norms, "norms", parseOnOff, fmt.Sprintf("store what the scales of norms would be without a component, for score_without (auto: with up to %d target heads, where no rules choose edges)", ingest.MaxFactorHeads), auto, on, off)
	flags.IntVar(&f.engine.Gram, "gram", 0, "with --norms: store inner products of the `K` components that contribute most, so that score_without can take sets of them away")
	flags.BoolVar(&f.engine.Logits, "logits", false, "run all layers, and store what each component adds to the logits of the key's and the baseline's token")
	flags.BoolVar(&f.engine.Pairs, "pairs", false, "store every pair of components for every prompt, not only their means: large")

	numbers := newFlagGroup("How numbers are made")
	flags = numbers.flags
	wordVar(flags, &f.engine.Convention, "convention", schema.ParseConvention, "exact adds up; notebook imitates the published research code", schema.Exact, schema.Notebook)
	wordVar(flags, &f.engine.Processing, "processing", schema.ParseProcessing, "weights with LayerNorm folded and outputs centred, or as stored", schema.Processed, schema.Raw)
	flags.StringVar(&f.engine.Precision, "precision", engine.Float32, "float32 or float64")
	flags.StringVar(&f.engine.BLAS, "blas", "auto", "matrix multiply: auto, "+strings.Join(blas.Providers(), ", "))
	flags.IntVar(&f.engine.Threads, "threads", 0, "threads; 0 is one for each CPU")
	flags.IntVar(&f.batch, "batch", 0, "prompts in a transaction; 0 chooses")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log what is done to standard error")
	return []flagGroup{what, texts, pairs, split, numbers, f.profile.flags()}
}

// ofModel are the flags that a folder of activations has its own answer to.
var ofModel = []string{"model", "prompts", "text", "templates", "names", "order", "symmetric", "bos", "no-bos", "logits", "convention", "processing", "precision"}

// check gives all that is wrong with the command line before anything is opened.
func (f *ingestFlags) check(flags *pflag.FlagSet) error {
	if f.activations != "" {
		for _, name := range ofModel {
			if flags.Changed(name) {
				return usagef("--%s is for a model that runs, and --activations %s has run elsewhere: leave it out", name, f.activations)
			}
		}
		f.model = f.activations
	}
	var missing []string
	for _, want := range []struct{ flag, value string }{{"--model", f.model}, {"-o", f.output}} {
		if want.value == "" && (want.flag != "-o" || !f.dryRun) {
			missing = append(missing, want.flag)
		}
	}
	if len(missing) > 0 {
		return &usageError{err: fmt.Errorf("%s missing", isAre(missing)), hint: "ducklens ingest --model MODEL --head 10.7 -o run.duckdb"}
	}
	var err error
	if f.activations == "" || len(f.heads) > 0 {
		if f.engine.Heads, err = targetHeads(f.heads); err != nil {
			return err
		}
	}
	if f.activations != "" && len(f.engine.Heads) == 0 { // how many there are decides what is stored
		if f.engine.Heads, err = engine.ActivationHeads(f.activations); err != nil {
			return err
		}
	}
	if f.add && f.force {
		return usagef("--append keeps the file and --force replaces it: give one of them")
	}
	if f.resume && (f.add || f.force) {
		return usagef("--resume continues the run that the file has: give it without --append and --force")
	}
	if f.prompts.source != ioi {
		for _, name := range []string{"templates", "order", "symmetric"} {
			if flags.Changed(name) {
				return usagef("--%s is for the ioi generator, and --prompts %s is a file", name, f.prompts.source)
			}
		}
	}
	if f.prompts.source == ioi && f.prompts.names != "" {
		return &usageError{err: errors.New("--names is for prompts of a file, and the ioi generator has names of its own"), hint: "--templates gives it others"}
	}
	if err := f.checkTexts(flags); err != nil {
		return err
	}
	if f.prompts.sampling.N < 1 {
		return usagef("-n %d, want at least 1", f.prompts.sampling.N)
	}
	if f.noBOS && flags.Changed("bos") {
		return usagef("--no-bos is --bos off: give one of them")
	}
	if f.batch < 0 {
		return usagef("--batch %d, want at least 1, or 0 to choose", f.batch)
	}
	return f.settle(flags)
}

// checkTexts gives what is wrong with the flags about texts.
func (f *ingestFlags) checkTexts(flags *pflag.FlagSet) error {
	if len(f.prompts.texts) == 0 {
		for _, name := range []string{"whole", "window", "stride"} {
			if flags.Changed(name) {
				return usagef("--%s is for texts, and there is no --text", name)
			}
		}
		return nil
	}
	for _, name := range []string{"prompts", "templates", "names", "order", "symmetric"} {
		if flags.Changed(name) {
			return usagef("--%s is for prompts with positions, and --text gives texts without: give one of them", name)
		}
	}
	if f.prompts.window < 0 || f.prompts.stride < 0 {
		return usagef("--window %d and --stride %d, want at least 1 each, or 0 to choose", f.prompts.window, f.prompts.stride)
	}
	for _, u := range append(slices.Clone(f.bases.query), f.bases.key...) {
		if strings.HasSuffix(u, perExample) {
			return usagef("%s has a subspace for each prompt, and the edges of texts are chosen by rules", u)
		}
	}
	return nil
}

// placed are prompts with their positions where these are explained: not where rules alone choose the edges.
func (f *ingestFlags) placed(prompts iter.Seq2[schema.Prompt, error]) iter.Seq2[schema.Prompt, error] {
	given := func(r schema.EdgeRule) bool { return r.Name == schema.EdgeGiven }
	if len(f.engine.Edges) == 0 || slices.ContainsFunc(f.engine.Edges, given) {
		return prompts
	}
	return func(yield func(schema.Prompt, error) bool) {
		for p, err := range prompts {
			p.Query, p.Key, p.Baseline = schema.Position{}, schema.Position{}, schema.Position{}
			if !yield(p, err) {
				return
			}
		}
	}
}

// settleEdges makes the engine's options of the flags about edges, and leaves out of texts what has to be asked for there.
func (f *ingestFlags) settleEdges(flags *pflag.FlagSet) error {
	o := &f.engine
	text := len(f.prompts.texts) > 0
	rules := f.edges
	if text && !flags.Changed("edges") && 0 < len(o.Heads) && len(o.Heads) <= ingest.MaxFactorHeads {
		rules = []string{"top:1"}
	}
	if slices.Equal(rules, []string{noEdges}) {
		rules = nil
		if !text {
			return usagef("--edges none is for texts: of a prompt with positions, at least the given edge is explained")
		}
	}
	given := false
	for _, v := range rules {
		rule, err := schema.ParseEdgeRule(strings.TrimSpace(v))
		if err != nil {
			return usagef("--edges: %w", err)
		}
		given = given || rule.Name == schema.EdgeGiven
		o.Edges = append(o.Edges, rule)
	}
	switch {
	case text && given:
		return usagef("--edges given is the edge that a prompt came with, and texts come without")
	case !text && len(rules) == 1 && given:
		o.Edges = nil // it is what is done anyway
	}
	if f.baseline != auto.String() {
		o.Baseline = schema.BaselineKind(f.baseline)
	}
	if !text {
		return nil
	}
	o.Measures = true
	o.Substitutions, o.Projections = len(o.Movers) > 0, len(o.Movers) > 0
	o.Factors = f.factors == on
	for _, side := range []struct {
		names *[]string
		flag  string
	}{{&o.QueryBases, "query-basis"}, {&o.KeyBases, "key-basis"}} {
		if !flags.Changed(side.flag) {
			*side.names = []string{"none"}
		}
	}
	return nil
}

// noEdges is the value of --edges for no edge at all.
const noEdges = "none"

// settle makes the engine's options of what the flags say.
func (f *ingestFlags) settle(flags *pflag.FlagSet) (err error) {
	o := &f.engine
	for _, v := range f.movers {
		h, err := schema.ParseHead(strings.TrimSpace(v))
		if err != nil {
			return usagef("--mover: %w", err)
		}
		o.Movers = append(o.Movers, h)
	}
	if o.Sources, o.TopSources, err = engine.ParseSources(f.sources); err != nil {
		return usagef("--sources: %w", err)
	}
	if o.QueryBases, o.KeyBases, o.UserBases, err = f.bases.split(); err != nil {
		return err
	}
	if o.BOS = f.bos.String(); f.noBOS {
		o.BOS = engine.BOSOff
	}
	o.Seed = f.prompts.sampling.Seed
	o.Substitutions, o.Projections = true, true
	o.Factors = f.factors == on || f.factors == auto && ingest.FactorsByDefault(len(o.Heads))
	if err := f.settleEdges(flags); err != nil {
		return err
	}
	o.Norms = f.norms == on || f.norms == auto && (o.Gram > 0 || o.Convention == schema.Exact && len(o.Edges) == 0 && ingest.FactorsByDefault(len(o.Heads)))
	for _, side := range []struct { // a basis that --keys names is one of the run's, unless the defaults have it
		names *[]string
		name  string
	}{{&o.QueryBases, o.Keys.QueryBasis}, {&o.KeyBases, o.Keys.KeyBasis}} {
		if list := *side.names; side.name != "" && len(list) > 0 && !slices.Contains(list, side.name) {
			*side.names = append(slices.Clone(list), side.name)
		}
	}
	return asUsage(o.Validate())
}

// isAre writes a list of one or two with its verb.
func isAre(list []string) string {
	if len(list) == 1 {
		return list[0] + " is"
	}
	return strings.Join(list, " and ") + " are"
}

// garbagePercent is how much garbage a run, once the model is loaded, leaves lying beside what it needs. What it needs is large blocks of numbers, which are
// collected fast: with Go's 100, a run takes 60 MB more and no less time; with 15 it takes 4 % more processor time.
const garbagePercent = 30

// run does the ingest.
func (f *ingestFlags) run(ctx context.Context, call invocation, stdout, stderr io.Writer) (err error) {
	PreferThroughput()
	// Before the model is loaded, which takes longest.
	target := ingest.Options{Path: f.output, Append: f.add, Force: f.force, Resume: f.resume}
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
	if source.documents != nil {
		window = cmp.Or(f.prompts.window, e.DefaultWindow())
		if err := e.CheckWindow(window, f.prompts.stride); err != nil {
			return asUsage(err)
		}
	}
	bar := newProgressBar(stderr)
	defer bar.stop()
	options := ingest.Options{
		Engine: e, Prompts: f.placed(source.prompts), Names: source.names, Path: f.output, Append: f.add, Force: f.force, Resume: f.resume,
		CreatedAt: time.Now(), Version: Version(), CommandLine: call.line(), PromptSource: source.name, Seed: f.prompts.sampling.Seed,
		Window: window, Stride: f.prompts.stride, BatchPrompts: f.batch, Large: f.large,
		SavedQueries: travelling(queries.Embedded()),
	}
	show := bar.show
	if f.verbose {
		// A bar and a log in one place would draw over each other.
		options.Logger, show = slog.New(slog.NewTextHandler(stderr, nil)), func(ingest.Progress) {}
	}
	options.Progress = func(p ingest.Progress) {
		show(p)
		ownProcess(ctx).say(onInterrupt(p))
	}
	if f.dryRun {
		options.Path = cmp.Or(f.output, "run.duckdb")
		size, err := ingest.Measure(ctx, options)
		if err != nil {
			return withFlags(source.atNames(err, e))
		}
		return tellSize(stdout, size, headList(e.Heads()))
	}
	summary, err := ingest.Run(ctx, options)
	bar.stop()
	if err != nil {
		return withFlags(source.atNames(err, e))
	}
	summary.Notices = append(source.notices, summary.Notices...)
	if source.documents != nil {
		summary.Notices = append(source.documents.Notices(), summary.Notices...)
	}
	f.tell(summary, len(e.Heads()), stderr)
	fmt.Fprintf(stderr, "%s: run %d, %s, %s, %d rows in %s\n", summary.Path, summary.RunID,
		promptsAndEdges(summary.Prompts, summary.Examples), headList(e.Heads()), summary.Rows, round(summary.Elapsed))
	if summary.Examples == 0 {
		fmt.Fprintf(stderr, "ask it: %s heads %s\n", call.program, quote(summary.Path))
		return nil
	}
	meant := ""
	if f.engine.Convention == schema.Notebook {
		meant = ", as the notebook's arithmetic leaves parts out"
	}
	fmt.Fprintf(stderr, "largest closure residual %.1e%s; ask it: %s query %s key_components\n", summary.MaxClosure, meant, call.program, quote(summary.Path))
	return nil
}

// tellSize says what a run is going to be.
func tellSize(w io.Writer, s ingest.Size, heads string) error {
	about := "about "
	if s.Sample == int(s.Prompts) {
		about = ""
	}
	fmt.Fprintf(w, "%s of %s, %s%s, %s\n", plural(int(s.Prompts), "prompt"), plural(int(s.Tokens), "token"), about, plural(int(s.Edges), "edge"), heads)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	for _, table := range slices.SortedFunc(maps.Keys(s.Rows), func(a, b string) int { return cmp.Or(cmp.Compare(s.Rows[b], s.Rows[a]), cmp.Compare(a, b)) }) {
		fmt.Fprintf(t, "\t%d\t rows of %s\n", s.Rows[table], table)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s%s, about %s and %s; measured on %s, nothing is written\n", about, plural(int(s.TotalRows()), "row"), ingest.Bytes(s.Bytes),
		round(time.Duration(s.Seconds*float64(time.Second))), plural(s.Sample, "prompt"))
	return err
}

// open opens the model, or the folder of activations. What done frees is needed as long as the engine is.
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

// onInterrupt is what a run says that is interrupted and does not stop by itself soon. Batches that are in no file that could be resumed
// are worth waiting for.
func onInterrupt(p ingest.Progress) lastWords {
	switch {
	case p.Prompts == 0:
		return lastWords{why: "interrupted"}
	case !p.Resumable:
		return lastWords{wait: true}
	}
	return lastWords{why: fmt.Sprintf("interrupted after %d of %d prompts\nhint: the file is sound: the same command with --resume computes the other %d",
		p.Prompts, p.Total, p.Total-p.Prompts)}
}

// tell says what the run does without although nobody said so, and which flag would have it otherwise.
func (f *ingestFlags) tell(s ingest.Summary, heads int, stderr io.Writer) {
	for _, notice := range s.Notices {
		if strings.HasPrefix(notice, "query bas") || strings.HasPrefix(notice, "key bas") {
			notice += " (named with --query-basis or --key-basis, this would be an error)"
		}
		fmt.Fprintf(stderr, "note: %s\n", notice)
	}
	if f.factors == auto && !f.engine.Factors && !f.engine.Pairs && len(f.prompts.texts) == 0 {
		fmt.Fprintf(stderr, "note: with %s nothing is stored about pairs of components; --factors on stores it\n", plural(heads, "target head"))
	}
}

// atModel says what --model wants, where its folder is not there.
func atModel(err error) error {
	if errors.Is(err, fs.ErrNotExist) && advice(err) == "" {
		return &hinted{err, "--model is a folder with config.json, model.safetensors and the tokenizer's files, as Hugging Face has them, or a .gguf file; ducklens model pull NAME fetches a folder"}
	}
	return err
}

// travelling are the saved queries in the form in which a file carries them.
func travelling(list []queries.Query) []ingest.SavedQuery {
	var saved []ingest.SavedQuery
	for _, q := range list {
		saved = append(saved, ingest.SavedQuery{Name: q.Name, SQL: q.String()})
	}
	return saved
}

// promptsAndEdges counts the prompts of a run, and its edges where not every prompt has one.
func promptsAndEdges(prompts, edges int) string {
	if prompts == edges {
		return plural(prompts, "prompt")
	}
	return plural(prompts, "prompt") + ", " + plural(edges, "edge")
}

// plural counts things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// headList names heads, or counts them where they are many.
func headList(heads []schema.Head) string {
	if len(heads) > 4 {
		return plural(len(heads), "head")
	}
	names := make([]string, len(heads))
	for i, h := range heads {
		names[i] = h.String()
	}
	if len(names) == 1 {
		return "head " + names[0]
	}
	return "heads " + strings.Join(names, ", ")
}

// round makes a duration short enough to read.
func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Millisecond)
}
