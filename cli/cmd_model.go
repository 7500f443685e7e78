package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ducklens/engine"
	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
	"ducklens/schema"
)

// newModel builds `ducklens model`.
func newModel() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "model",
		Short:   "Inspect models, or fetch one",
		Example: "  ducklens model inspect gpt2\n  ducklens model families",
		GroupID: groupMake,
		Args:    cobra.ArbitraryArgs,
		RunE:    subcommandWanted,
	}
	cmd.AddCommand(newModelInspect(), newModelFamilies(), newModelPull())
	return cmd
}

// newModelInspect builds `ducklens model inspect`.
func newModelInspect() *cobra.Command {
	var asJSON, tensors bool
	f := &inspectFlags{}
	cmd := &cobra.Command{
		Use:   "inspect MODEL",
		Short: "Show what a model holds, and whether ducklens can use it",
		Long: `Opens a model folder or a GGUF file as ingest does, checks the name, shape and type of every
tensor against the configuration, and prints sizes, form and SHA-256. It also estimates the memory and time of
a run on this machine, for a head in the last layer unless --head names another. The weights are not used for
computing.`,
		Example: `  ducklens model inspect gpt2
  ducklens model inspect gpt2 --head 10.7 --tokens 20
  ducklens model inspect smollm2.gguf --tensors
  ducklens model inspect gpt2 --json`,
		Args: exactly("MODEL"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			path, done, err := modelPath(args[0])
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, done()) }()
			c, err := checkpoint.Open(path)
			if err != nil {
				return atModel(err)
			}
			defer closing(c, &err)
			m, err := inspect(c)
			if err != nil {
				return err
			}
			if err := m.estimate(path, f); err != nil {
				return err
			}
			m.Dir = args[0]
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(m)
			}
			return m.print(cmd.OutOrStdout(), tensors)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&asJSON, "json", false, "print JSON, with the tensors")
	flags.BoolVar(&tensors, "tensors", false, "also list the tensors")
	flags.StringVar(&f.head, "head", "", "target `head` of the run")
	flags.IntVar(&f.tokens, "tokens", defaultTokens, "tokens per prompt")
	flags.BoolVar(&f.options.Logits, "logits", false, "estimate a run with --logits, which runs all layers")
	flags.StringVar(&f.options.Precision, "precision", engine.Float32, "float32 or float64")
	flags.IntVar(&f.options.Threads, "threads", 0, "number of threads; 0 is one per CPU")
	return cmd
}

// defaultTokens is roughly the length of a prompt of the ioi generator.
const defaultTokens = 20

// inspectFlags describe the run to estimate.
type inspectFlags struct {
	head    string
	tokens  int
	options engine.Options
}

// runCost is the estimate for a run.
type runCost struct {
	Head    string  `json:"head"`
	Tokens  int     `json:"tokens"`
	Bytes   int64   `json:"memory_bytes"`
	Weights int64   `json:"weight_bytes"`
	Seconds float64 `json:"seconds_per_prompt"`
}

// estimatedPrompts is the number of prompts of the estimated run: the default of ingest.
const estimatedPrompts = 50

// estimate adds the estimate for a run.
func (m *modelFacts) estimate(path string, f *inspectFlags) error {
	head := schema.Head{Layer: m.NLayers - 1}
	if f.head != "" {
		var err error
		if head, err = schema.ParseHead(f.head); err != nil {
			return usagef("--head: %w", err)
		}
	}
	if f.tokens < 1 || f.tokens > m.NCtx {
		return usagef("--tokens %d, want 1 to %d", f.tokens, m.NCtx)
	}
	f.options.Heads = []schema.Head{head}
	_, e, err := engine.EstimateRun(path, f.options, estimatedPrompts, f.tokens)
	if err != nil {
		return err
	}
	m.Run = runCost{Head: head.String(), Tokens: f.tokens, Bytes: e.Bytes, Weights: e.Weights,
		Seconds: e.Seconds}
	return nil
}

// newModelFamilies builds `ducklens model families`.
func newModelFamilies() *cobra.Command {
	return &cobra.Command{
		Use:   "families",
		Short: "List the families of models that ducklens reads and those that it does not",
		Long: `Lists the families of models with their model_type in config.json, some well-known members, and
the variants that are not read, each with the reason; then the types of model that are refused. Weights are
read from safetensors and GGUF files, and from TransformerLens state dicts.`,
		Example: "  ducklens model families",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			for _, f := range family.All() {
				fmt.Fprintf(out, "%s\n", f.Name)
				for _, line := range []struct{ name, text string }{
					{"model_type", strings.Join(f.Types, ", ")}, {"such as", strings.Join(f.Models, ", ")},
					{"not read", strings.Join(f.Refused, "; ")},
				} {
					if line.text != "" {
						fmt.Fprintf(out, "  %-11s %s\n", line.name, line.text)
					}
				}
			}
			fmt.Fprintf(out, "\nGGUF architectures: %s\n\nNot read:\n",
				strings.Join(family.Architectures(), ", "))
			for _, line := range family.NotRead() {
				fmt.Fprintf(out, "  %s\n", line)
			}
			return nil
		},
	}
}

// modelFacts is what `ducklens model inspect` prints.
type modelFacts struct {
	Dir          string        `json:"dir"`
	Form         string        `json:"form"`
	Files        []string      `json:"files"`
	Architecture string        `json:"architecture,omitempty"`
	Family       string        `json:"family"`
	NLayers      int           `json:"n_layers"`
	NHeads       int           `json:"n_heads"`
	NKVHeads     int           `json:"n_kv_heads"`
	DModel       int           `json:"d_model"`
	DHead        int           `json:"d_head"`
	DMLP         int           `json:"d_mlp"`
	NCtx         int           `json:"n_ctx"`
	DVocab       int           `json:"d_vocab"`
	LNEps        float64       `json:"ln_eps"`
	Activation   string        `json:"activation"`
	Tied         bool          `json:"tied_embeddings"`
	Folded       bool          `json:"layer_norm_folded"`
	Parameters   int64         `json:"parameters"`
	SHA256       string        `json:"sha256"`
	Run          runCost       `json:"run"`
	Tensors      []tensorFacts `json:"tensors"`
}

// tensorFacts describes one stored tensor.
type tensorFacts struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	Bytes int64  `json:"bytes"`
	File  string `json:"file"`
}

// inspect collects the facts. The digest makes it read all weights.
func inspect(c *checkpoint.Checkpoint) (*modelFacts, error) {
	opened, err := family.Open(c)
	if err != nil {
		return nil, err
	}
	spec := opened.Spec
	m := &modelFacts{
		Dir: c.Path(), Form: c.Form().String(), Architecture: opened.Class, Family: spec.Family,
		NLayers: spec.Layers, NHeads: spec.Heads, NKVHeads: spec.KVHeads, DModel: spec.DModel,
		DHead: spec.DHead, DMLP: spec.DMLP,
		NCtx: spec.NCtx, DVocab: spec.DVocab, LNEps: spec.Norm.Eps, Activation: spec.Activation.String(),
		Tied: spec.Tied, Folded: opened.Sources.Folded, Parameters: c.Parameters(),
	}
	for _, file := range c.Files() {
		m.Files = append(m.Files, filepath.Base(file))
	}
	for _, i := range c.Infos() {
		m.Tensors = append(m.Tensors,
			tensorFacts{i.Name, string(i.DType), i.Shape, i.Bytes, filepath.Base(i.File)})
	}
	m.SHA256, err = c.SHA256()
	return m, err
}

// milliseconds formats a time with about two significant digits.
func milliseconds(seconds float64) string {
	switch {
	case seconds < 0.01:
		return fmt.Sprintf("%.1f ms", 1e3*seconds)
	case seconds < 1:
		return fmt.Sprintf("%.0f ms", 1e3*seconds)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

// print writes the facts as text.
func (m *modelFacts) print(out io.Writer, tensors bool) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	weights := "stored raw; ingest folds the norms' gains into them (processed) unless --processing raw is given"
	if m.Folded {
		weights = "stored processed: the norms' gains are folded into them"
	}
	line("model", "%s", m.Dir)
	line("form", "%s (%s)", m.Form, strings.Join(m.Files, ", "))
	if m.Architecture != "" {
		line("architecture", "%s", m.Architecture)
	}
	line("family", "%s", m.Family)
	line("layers", "%d", m.NLayers)
	line("heads", "%d in each layer: 0.0 to %d.%d", m.NHeads, m.NLayers-1, m.NHeads-1)
	if m.NKVHeads != m.NHeads {
		line("key-value heads", "%d in each layer", m.NKVHeads)
	}
	line("d_model", "%d (d_head %d, d_mlp %d)", m.DModel, m.DHead, m.DMLP)
	line("vocabulary", "%d tokens", m.DVocab)
	line("context", "%d tokens", m.NCtx)
	line("activation", "%s", m.Activation)
	line("norm eps", "%g", m.LNEps)
	line("weights", "%s", weights)
	line("parameters", "%d", m.Parameters)
	line("SHA-256", "%s", m.SHA256)
	line("a run", "%.0f MB of memory, about %s a prompt of %s (head %s)", float64(m.Run.Bytes)/1e6,
		milliseconds(m.Run.Seconds),
		plural(m.Run.Tokens, "token"), m.Run.Head)
	if tensors {
		fmt.Fprintf(w, "\ntensor\ttype\tshape\n")
		for _, t := range m.Tensors {
			fmt.Fprintf(w, "%s\t%s\t%v\n", t.Name, t.DType, t.Shape)
		}
	}
	return w.Flush()
}
