package checkpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// parameter is a name and a shape that a configuration calls for.
type parameter struct {
	name  string
	shape []int
}

// parameters lists what a GPT-2 of configuration c consists of, in the names and layouts of Hugging
// Face's GPT2Model; weights are in Conv1D order, (in, out).
func parameters(c Config) []parameter {
	d := c.DModel
	list := []parameter{
		{"wte.weight", []int{c.DVocab, d}},
		{"wpe.weight", []int{c.NCtx, d}},
	}
	for l := range c.NLayers {
		h := "h." + strconv.Itoa(l) + "."
		list = append(list,
			parameter{h + "ln_1.weight", []int{d}},
			parameter{h + "ln_1.bias", []int{d}},
			parameter{h + "attn.c_attn.weight", []int{d, 3 * d}},
			parameter{h + "attn.c_attn.bias", []int{3 * d}},
			parameter{h + "attn.c_proj.weight", []int{d, d}},
			parameter{h + "attn.c_proj.bias", []int{d}},
			parameter{h + "ln_2.weight", []int{d}},
			parameter{h + "ln_2.bias", []int{d}},
			parameter{h + "mlp.c_fc.weight", []int{d, c.DMLP}},
			parameter{h + "mlp.c_fc.bias", []int{c.DMLP}},
			parameter{h + "mlp.c_proj.weight", []int{c.DMLP, d}},
			parameter{h + "mlp.c_proj.bias", []int{d}},
		)
	}
	return append(list,
		parameter{"ln_f.weight", []int{d}},
		parameter{"ln_f.bias", []int{d}},
	)
}

// isMaskBuffer tells the causal masks that the official GPT-2 files carry beside the parameters.
func isMaskBuffer(name string) bool {
	layer, ok := strings.CutPrefix(name, "h.")
	if !ok {
		return false
	}
	number, rest, _ := strings.Cut(layer, ".")
	_, err := strconv.Atoi(number)
	return err == nil && (rest == "attn.bias" || rest == "attn.masked_bias")
}

// checkShape compares a stored shape with the wanted one.
func checkShape(name string, got, want []int) error {
	if slices.Equal(got, want) {
		return nil
	}
	err := fault(ErrTensor, "tensor %q has shape %v, want %v", name, got, want)
	if len(got) == 2 && len(want) == 2 && got[0] == want[1] && got[1] == want[0] {
		return withHint("the matrix is transposed: GPT-2 files keep linear weights as (in, out)", err)
	}
	return err
}

// someOf joins at most three names for an error message.
func someOf(names []string) string {
	quoted := make([]string, 0, 3)
	for _, n := range names[:min(3, len(names))] {
		quoted = append(quoted, strconv.Quote(n))
	}
	s := strings.Join(quoted, ", ")
	if more := len(names) - len(quoted); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}
