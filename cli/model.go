package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
)

// newModel builds `ducklens model`.
func newModel() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "model",
		Short:   "Look at models",
		Example: "  ducklens model inspect gpt2",
		GroupID: groupMake,
		Args:    cobra.ArbitraryArgs,
		RunE:    subcommandWanted,
	}
	cmd.AddCommand(newModelInspect())
	return cmd
}

// newModelInspect builds `ducklens model inspect`.
func newModelInspect() *cobra.Command {
	var asJSON, tensors bool
	cmd := &cobra.Command{
		Use:   "inspect MODEL",
		Short: "Say what a model holds, and whether ducklens can use it",
		Long: `Opens a model folder or a GGUF file as ingest does, which checks the name, shape and type of every tensor
against the configuration, and prints sizes, form and SHA-256. Nothing is computed.`,
		Example: `  ducklens model inspect gpt2
  ducklens model inspect gpt2 --tensors
  ducklens model inspect gpt2 --json`,
		Args: exactly("MODEL"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			c, err := checkpoint.Open(args[0])
			if err != nil {
				return err
			}
			defer closing(c, &err)
			m, err := inspect(c)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(m)
			}
			return m.print(cmd.OutOrStdout(), tensors)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, tensors included")
	cmd.Flags().BoolVar(&tensors, "tensors", false, "list the tensors too")
	return cmd
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

// inspect collects the facts; the digest reads every byte of the weights.
func inspect(c *checkpoint.Checkpoint) (*modelFacts, error) {
	opened, err := family.Open(c)
	if err != nil {
		return nil, err
	}
	spec := opened.Spec
	m := &modelFacts{
		Dir: c.Path(), Form: c.Form().String(), Architecture: opened.Class, Family: spec.Family,
		NLayers: spec.Layers, NHeads: spec.Heads, NKVHeads: spec.KVHeads, DModel: spec.DModel, DHead: spec.DHead, DMLP: spec.DMLP,
		NCtx: spec.NCtx, DVocab: spec.DVocab, LNEps: spec.Norm.Eps, Activation: spec.Activation.String(),
		Tied: spec.Tied, Folded: opened.Sources.Folded, Parameters: c.Parameters(),
	}
	for _, file := range c.Files() {
		m.Files = append(m.Files, filepath.Base(file))
	}
	for _, i := range c.Infos() {
		m.Tensors = append(m.Tensors, tensorFacts{i.Name, string(i.DType), i.Shape, i.Bytes, filepath.Base(i.File)})
	}
	m.SHA256, err = c.SHA256()
	return m, err
}

// print writes the facts for a person.
func (m *modelFacts) print(out io.Writer, tensors bool) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	weights := "raw"
	if m.Folded {
		weights = "processed: the norms' gains are folded into them"
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
	if tensors {
		fmt.Fprintf(w, "\ntensor\ttype\tshape\n")
		for _, t := range m.Tensors {
			fmt.Fprintf(w, "%s\t%s\t%v\n", t.Name, t.DType, t.Shape)
		}
	}
	return w.Flush()
}
