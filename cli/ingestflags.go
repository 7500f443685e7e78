package cli

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"ducklens/engine"
	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/schema"
)

// ingestFlags are the flags of `ducklens ingest`.
type ingestFlags struct {
	model, output string
	activations   string // a folder of activations, instead of model and prompts
	heads         []string
	movers        []string
	sources       []string
	bases         baseFlags
	factors, bos  onOff
	keep          keep
	by            []string
	norms         onOff
	noBOS         bool
	engine        engine.Options
	prompts       promptFlags
	edges         []string
	baseline      string
	batch         int
	add, force    bool
	resume        bool
	shardText     string
	parquet       string       // the data set to add the shard to
	shard         schema.Shard // shardText, parsed
	dryRun, large bool
	verbose       bool
	profile       profileFlags
}

// flags defines the flags, grouped as in the help.
func (f *ingestFlags) flags() []flagGroup {
	what := newFlagGroup("Model, heads and output")
	flags := what.flags
	flags.StringVar(&f.model, "model", "", "model `folder`, or a .gguf file; demo is the embedded model")
	flags.StringVar(&f.activations, "activations", "",
		"`folder` of activations of a model that ran elsewhere, instead of a model and prompts; "+
			"ducklens.capture in Python writes one")
	flags.StringVar(&f.engine.Name, "name", "",
		"name of the model in answers and figures (default: the name of its folder or file)")
	flags.StringSliceVar(&f.heads, "head", nil, "target `heads`, such as 10.7 or 10.7,11.10, or all")
	flags.StringVarP(&f.output, "output", "o", "", "`file` to write, such as run.duckdb")
	flags.BoolVar(&f.add, "append", false, "add a run to the file")
	flags.BoolVar(&f.force, "force", false, "replace the file if it exists")
	flags.BoolVar(&f.resume, "resume", false,
		"continue the interrupted run in the file; give all other flags as before")

	flags.StringVar(&f.shardText, "shard", "",
		"run only part `I/N` of the run, I from 0, into a file of its own, "+
			"such as run.3of64.duckdb for -o run.duckdb; a shard that is complete is left alone")
	flags.StringVar(&f.parquet, "parquet", "",
		"write the shard into this `folder`, a data set of Parquet files, instead of a file; "+
			"ducklens gather makes a catalogue of all shards")
	wordVar(flags, &f.keep, "keep", parseKeep,
		"what to store of contributions: all rows, or only means: count, mean, "+
			"variance and quantiles over the prompts, for corpora too large to keep every row", keepAll,
		keepMeans)
	flags.StringSliceVar(&f.by, "by", nil,
		"with --keep means: `fields` (template, prompt_order, or a column of the prompt file); "+
			"means are also stored for each group of prompts with the same value")

	flags.BoolVar(&f.dryRun, "dry-run", false,
		"estimate prompts, edges, rows, file size and time from a few prompts; write nothing")
	flags.BoolVar(&f.large, "large", false,
		fmt.Sprintf("allow a file of more than %d million rows or %d GB", ingest.MaxRows/1_000_000,
			ingest.MaxBytes/1_000_000_000))

	texts := newFlagGroup("Prompts")
	flags = texts.flags
	flags.StringVar(&f.prompts.source, "prompts", ioi,
		"ioi (the generator), or a .jsonl, .csv, .tsv or .parquet `file`")
	flags.StringVar(&f.prompts.called, "prompts-name", "",
		"name of the prompts in the run and in figures (default: the path of their file)")
	flags.StringVar(&f.prompts.templates, "templates", "", "JSON `file` of templates for the ioi generator")
	flags.StringVar(&f.prompts.names, "names", "",
		"`file` of names, one per line, from which W_U[random name] is drawn; the ioi generator has its own")
	flags.IntVarP(&f.prompts.sampling.N, "number", "n", defaultPrompts,
		"number of prompts; of a file, the first n, or all if -n is not given")
	flags.Int64Var(&f.prompts.sampling.Seed, "seed", 42,
		"seed of the ioi generator, of random vectors and of --null")
	wordVar(flags, &f.prompts.sampling.Order, "order", prompts.ParseOrder,
		"which name comes first: the indirect object (ABBA), the subject (BABA), or either (mixed)",
		prompts.Mixed, prompts.ABBA, prompts.BABA)
	flags.BoolVar(&f.prompts.sampling.Symmetric, "symmetric", false,
		"add a copy of each ioi prompt with the names exchanged")
	wordVar(flags, &f.bos, "bos", parseOnOff,
		"begin prompts with the BOS token (auto: as the model's tokenizer does)", auto, on, off)
	flags.BoolVar(&f.noBOS, "no-bos", false, "the same as --bos off")

	flags.StringArrayVar(&f.prompts.texts, "text", nil,
		"`file` of texts instead of prompts: plain text with one document per line, or .jsonl, .csv, "+
			".tsv or .parquet; may be repeated")
	flags.BoolVar(&f.prompts.whole, "whole", false, "treat a file of plain text as one document")
	flags.IntVar(&f.prompts.window, "window", 0,
		fmt.Sprintf(
			"maximum `tokens` of a text in one prompt, BOS included; longer texts are cut (0: %d, "+
				"or the context of the model if that is shorter)", engine.MostWindow))
	flags.IntVar(&f.prompts.stride, "stride", 0,
		"`tokens` from the start of one window to the start of the next (0: no overlap)")

	pairs := newFlagGroup("Edges to explain")
	flags = pairs.flags
	flags.StringSliceVar(&f.edges, "edges", nil,
		fmt.Sprintf(
			"`rules` that choose pairs of query and key: %s; or none. "+
				"given is the edge in the prompt file; without it, "+
				"positions in prompts are ignored (default given; for texts top:1, "+
				"or none with more than %d target heads)", schema.EdgeRules, ingest.MaxFactorHeads))
	flags.IntVar(&f.engine.MaxEdges, "max-edges", 0,
		"maximum number of edges per prompt, drawn with --seed, the rules taking turns; 0 is all")
	flags.StringVar(&f.baseline, "baseline", auto.String(),
		"what keys are compared with: token (the one at the baseline position), mean (of all other keys), "+
			"attention (their mean weighted by attention), none; "+
			"auto is token for given edges and attention for others")
	wordVar(flags, &f.engine.Keys, "keys", schema.ParseKeys,
		"which keys to explain: those of edges, or all that their queries see, "+
			"so that whole rows of attention are explained. Without a basis they are not split; "+
			"all:unembed,mlp0 splits them by a pair of bases. Large: one number per side, "+
			"component and token", schema.Keys{}, schema.Keys{All: true})
	flags.Float64Var(&f.engine.Threshold, "threshold", 0,
		"the measure above counts rows of attention whose largest probability exceeds this (0: 0.5)")

	split := newFlagGroup("How scores are split")
	flags = split.flags
	const own = "; or " + decompose.SingularNames + "; or a component: " + decompose.ComponentNames +
		"; or your own directions, NAME=FILE.npy: [d_model] or [r, d_model]; NAME=FILE.npy" + perExample +
		": [n, d_model] or [n, r, d_model]; " + replace + " substitutes the vector for the model's"
	flags.StringSliceVar(&f.bases.query, "query-basis", nil,
		"`bases` that split query vectors (default none, unembed, unembed+baseline, sub_unembed; "+
			"NAME=FILE.npy are added to the default), from: "+baseNames(schema.Query)+own)
	flags.StringSliceVar(&f.bases.key, "key-basis", nil,
		"`bases` that split key vectors (default none, mlp0, sub_mlp0; "+
			"NAME=FILE.npy are added to the default), from: "+baseNames(schema.Key)+
			"; a component or your own, as above; "+atBaseline+
			"FILE.npy gives it other directions at the baseline")
	flags.IntVar(&f.engine.NullBases, "null", 0,
		"`number` of random directions to compare shares with; 20 give an approximate 95 % band")
	flags.StringSliceVar(&f.movers, "mover", nil,
		"`heads` whose output is substituted for the query and projected (default: "+
			"the two that contribute most to the queries); may be repeated")
	flags.StringSliceVar(&f.sources, "sources", nil,
		"`heads`, such as 5.5,0.1, whose contributions are split by the position that they read; or top:4: "+
			"for each target head, the 4 below it that contribute most to its keys and the 4 that "+
			"contribute most to its queries")
	flags.BoolVar(&f.engine.Rotary, "rotary", false,
		"split scores by the pairs of dimensions that rotary embedding turns")
	wordVar(flags, &f.factors, "factors", parseOnOff,
		fmt.Sprintf(
			"store the factors that pairs of components are computed from (auto: "+
				"on with up to %d target heads)", ingest.MaxFactorHeads), auto, on, off)
	wordVar(flags, &f.norms, "norms", parseOnOff,
		fmt.Sprintf(
			"store what the scales of norms would be without a component, for score_without (auto: "+
				"on with up to %d target heads, unless rules choose edges)", ingest.MaxFactorHeads), auto, on,
		off)
	flags.IntVar(&f.engine.Gram, "gram", 0,
		"with --norms: store inner products of the `K` components that contribute most, "+
			"so that score_without can remove sets of them")
	flags.BoolVar(&f.engine.Logits, "logits", false,
		"run all layers, and store what each component adds to the logits of the key's and the baseline's "+
			"token")
	flags.IntVar(&f.engine.Nearest, "nearest", 0,
		"store the `K` tokens whose unembeddings lie nearest to the map of a head, on each side; "+
			"10 show what the head looks for")
	flags.BoolVar(&f.engine.Pairs, "pairs", false,
		"store every pair of components for every prompt, not only their means: large")

	numbers := newFlagGroup("Numbers and speed")
	flags = numbers.flags
	wordVar(flags, &f.engine.Convention, "convention", schema.ParseConvention,
		"exact contributions add up; notebook imitates the published research code", schema.Exact,
		schema.Notebook)
	wordVar(flags, &f.engine.Processing, "processing", schema.ParseProcessing,
		"weights with LayerNorm folded and outputs centred, or as stored", schema.Processed, schema.Raw)
	flags.StringVar(&f.engine.Precision, "precision", engine.Float32, "float32 or float64")
	flags.StringVar(&f.engine.BLAS, "blas", "auto",
		"matrix multiply: auto, "+strings.Join(blas.Providers(), ", "))
	flags.IntVar(&f.engine.Threads, "threads", 0, "number of threads; 0 is one per CPU")
	flags.IntVar(&f.batch, "batch", 0, "prompts per transaction; 0 chooses")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log progress to standard error")
	return []flagGroup{what, texts, pairs, split, numbers, f.profile.flags()}
}

// ofModel are the flags that a folder of activations already answers.
var ofModel = []string{"model", "prompts", "text", "templates", "names", "order", "symmetric", "bos",
	"no-bos", "logits", "convention", "processing", "precision"}

// check checks the command line before anything is opened.
func (f *ingestFlags) check(flags *pflag.FlagSet) error {
	if f.activations != "" {
		for _, name := range ofModel {
			if flags.Changed(name) {
				return usagef(
					"--%s is for a model that ducklens runs, and the model of --activations %s ran "+
						"elsewhere: leave it out", name, f.activations)
			}
		}
		f.model = f.activations
	}
	if err := f.settleShard(); err != nil {
		return err
	}
	var missing []string
	for _, want := range []struct{ flag, value string }{{"--model", f.model}, {"-o", f.output}} {
		if want.value == "" && (want.flag != "-o" || !f.dryRun) {
			missing = append(missing, want.flag)
		}
	}
	if len(missing) > 0 {
		return &usageError{err: fmt.Errorf("%s missing", isAre(missing)),
			hint: "ducklens ingest --model MODEL --head 10.7 -o run.duckdb"}
	}
	var err error
	if f.activations == "" || len(f.heads) > 0 {
		if f.engine.Heads, err = targetHeads(f.heads); err != nil {
			return err
		}
	}
	if f.activations != "" && len(f.engine.Heads) == 0 { // their number decides what is stored by default
		if f.engine.Heads, err = engine.ActivationHeads(f.activations); err != nil {
			return err
		}
	}
	if f.add && f.force {
		return usagef("--append keeps the file and --force replaces it: give one of them")
	}
	if f.resume && (f.add || f.force) {
		return usagef("--resume continues the run in the file: leave out --append and --force")
	}
	if err := f.checkKeep(flags); err != nil {
		return err
	}
	if f.prompts.source != ioi {
		for _, name := range []string{"templates", "order", "symmetric"} {
			if flags.Changed(name) {
				return usagef("--%s is for the ioi generator, but --prompts %s is a file: leave it out", name,
					f.prompts.source)
			}
		}
	}
	if f.prompts.source == ioi && len(f.prompts.texts) == 0 && f.prompts.called != "" {
		return usagef("--prompts-name is for prompts from a file: give --prompts or --text")
	}
	if f.prompts.source == ioi && f.prompts.names != "" {
		return &usageError{err: errors.New(
			"--names is for prompts from a file; the ioi generator has its own names"),
			hint: "use --templates to change them"}
	}
	if err := f.checkTexts(flags); err != nil {
		return err
	}
	if f.prompts.sampling.N < 1 {
		return usagef("-n %d, want at least 1", f.prompts.sampling.N)
	}
	if f.noBOS && flags.Changed("bos") {
		return usagef("--no-bos is the same as --bos off: give one of them")
	}
	if f.batch < 0 {
		return usagef("--batch %d, want at least 1, or 0 to choose", f.batch)
	}
	return f.settle(flags)
}

// checkKeep checks the flags about what is stored.
func (f *ingestFlags) checkKeep(flags *pflag.FlagSet) error {
	if f.keep == keepAll {
		if len(f.by) > 0 {
			return usagef("--by is for --keep means; a query can group stored rows by any field")
		}
		return nil
	}
	for _, name := range []string{"append", "resume", "pairs", "gram", "sources", "rotary", "keys",
		"nearest"} {
		if flags.Changed(name) {
			return usagef(
				"--keep means stores no rows of single prompts and writes the run in one piece: "+
					"leave out --%s", name)
		}
	}
	if f.norms == on {
		return usagef("--keep means stores no rows of single prompts: leave out --norms on")
	}
	f.norms = off
	return nil
}

// keep says which contributions are stored.
type keep uint8

const (
	keepAll keep = iota
	keepMeans
)

var keeps = [...]string{"all", "means"}

func (k keep) String() string { return keeps[k] }

// parseKeep is the inverse of [keep.String].
func parseKeep(s string) (keep, error) {
	if i := slices.Index(keeps[:], s); i >= 0 {
		return keep(i), nil
	}
	return 0, fmt.Errorf("%q, want %s", s, strings.Join(keeps[:], " or "))
}

// checkTexts checks the flags about texts.
func (f *ingestFlags) checkTexts(flags *pflag.FlagSet) error {
	if len(f.prompts.texts) == 0 {
		for _, name := range []string{"whole", "window", "stride"} {
			if flags.Changed(name) {
				return usagef("--%s is for texts: give --text too", name)
			}
		}
		return nil
	}
	for _, name := range []string{"prompts", "number", "templates", "names", "order", "symmetric"} {
		if flags.Changed(name) {
			return usagef(
				"--%s is for prompts with positions, and texts (--text) have none: give one of them", name)
		}
	}
	if f.prompts.window < 0 || f.prompts.stride < 0 {
		return usagef("--window %d and --stride %d, want at least 1 each, or 0 to choose", f.prompts.window,
			f.prompts.stride)
	}
	for _, u := range append(slices.Clone(f.bases.query), f.bases.key...) {
		if strings.HasSuffix(u, perExample) {
			return usagef("%s has a subspace for each prompt, and the edges of texts are chosen by rules", u)
		}
	}
	return nil
}

// placed returns the prompts. It removes their positions if only rules choose the edges.
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

// settleEdges sets the engine's options about edges. For texts it leaves out everything that was not asked
// for.
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
			return usagef(
				"--edges none is for texts: for prompts with positions, at least the given edge is explained")
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
		return usagef("--edges given is the edge in a prompt file, and texts have none: choose another rule")
	case !text && len(rules) == 1 && given:
		o.Edges = nil // the default
	}
	if f.baseline != auto.String() {
		o.Baseline = schema.BaselineKind(f.baseline)
	}
	if o.Baseline == schema.BaselineToken && (text || len(o.Edges) > 0 && !given) {
		return &usageError{errors.New(
			"--baseline token is the position that a prompt names, and edges by rule have none"),
			"use --baseline attention or mean to compare a key with all others, or --baseline none"}
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

// settle sets the engine's options by the flags.
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
	o.Norms = f.norms == on || f.norms == auto &&
		(o.Gram > 0 || o.Convention == schema.Exact && len(o.Edges) == 0 &&
			ingest.FactorsByDefault(len(o.Heads)))
	// a basis in --keys is also one of the run's, unless the defaults contain it
	for _, side := range []struct {
		names *[]string
		name  string
	}{{&o.QueryBases, o.Keys.QueryBasis}, {&o.KeyBases, o.Keys.KeyBasis}} {
		if list := *side.names; side.name != "" && len(list) > 0 && !slices.Contains(list, side.name) {
			*side.names = append(slices.Clone(list), side.name)
		}
	}
	return asUsage(o.Validate())
}

// garbagePercent is GOGC during a run, once the model is loaded. The live heap is a few large blocks of
// numbers, which are cheap to scan: at Go's default of 100, a run takes 60 MB more and no less time; at 15 it
// takes 4 % more processor time.
const garbagePercent = 30
