package plain_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model/plain"
	"ducklens/schema"
)

const smolLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"

// TestSmolLM2 compares a pretrained model, from its GGUF, over a prompt.
func TestSmolLM2(t *testing.T) {
	if testing.Short() {
		t.Skip("135 million parameters, slowly")
	}
	dir := filepath.Join(refdata.Models(t), "smollm2-135m")
	var facts struct{ Prompts []prompt }
	refdata.JSON(t, filepath.Join(dir, "golden.json"), &facts)
	c, err := checkpoint.Open(filepath.Join(dir, smolLM2))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := plain.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	g := &golden{T: t, arrays: refdata.Npz(t, filepath.Join(dir, "golden.npz")), seen: map[string]bool{},
		worst: map[string]float64{}}
	for i, p := range facts.Prompts[:1] {
		r := m.Forward(g.arrays[fmt.Sprintf("%d/tokens", i)].Ints())
		g.smol(m, r, i, p)
	}
	t.Logf("largest difference by quantity: %v", g.worst)
}

// smol compares the arrays that there are of a prompt.
func (g *golden) smol(m *plain.Model, r *plain.Run, i int, p prompt) {
	three, name := []int{p.Query, p.Key, p.Baseline}, fmt.Sprintf("%d/", i)
	var resid [][][]float64
	for _, x := range r.Resid {
		resid = append(resid, at(x, three...))
	}
	g.compare(name+"resid_pre", "resid_pre", resid)
	g.compare(name+"norm_scale", "norm_scale", byLayer(r,
		func(o *plain.LayerRun) []float64 { return at(o.Scale, three...) }))
	g.compare(name+"mlp_out", "mlp_out", byLayer(r,
		func(o *plain.LayerRun) [][]float64 { return at(o.MLP, three...) }))
	logits := m.LogitsAt(r, p.Query)
	for array, token := range map[string]int{"logit_io": r.Tokens[p.Key], "logit_s": r.Tokens[p.Baseline]} {
		want := g.arrays[array]
		g.arrays[name+array] = refdata.Array{Shape: []int{1}, Float64: want.Float64[i : i+1]}
		g.compare(name+array, "logits", []float64{logits[token]})
	}
	for _, label := range []string{"24.4", "23.0", "24.7"} {
		h := headOf(label)
		head := name + label + "/"
		o := &r.Layer[h.Layer]
		g.compare(head+"score_row", "score_row", o.Score[h.Index][p.Query])
		g.compare(head+"pattern_row", "pattern_row", o.Pattern[h.Index][p.Query])
		var sides [2][2][]float64
		for k, key := range []int{p.Key, p.Baseline} {
			sides[0][k], sides[1][k] = plain.Sums(m.Pairs(r, schema.Processed, h.Layer, h.Index, p.Query,
				key))
		}
		g.compare(head+"key_side", "key_side", pairsOf(sides[0][0], sides[0][1]))
		g.compare(head+"query_side", "query_side", pairsOf(sides[1][0], sides[1][1]))
		kv := m.KVHead(h.Index)
		g.compare(head+"scales", "scales", append(at(o.Scale, three...), o.QScale[p.Query][h.Index],
			o.KScale[p.Key][kv], o.KScale[p.Baseline][kv]))
		score, prob := m.Substitute(r, plain.Query, h.Layer, h.Index, p.Query, p.Key,
			m.UnembedDirection(r.Tokens[p.Key], schema.Processed))
		g.compare(head+"sub_query_unembed", "sub_query_unembed", []float64{score, prob})
		score, prob = m.Substitute(r, plain.Key, h.Layer, h.Index, p.Query, p.Key, r.Layer[0].MLP[p.Key])
		g.compare(head+"sub_key_mlp0", "sub_key_mlp0", []float64{score, prob})
	}
}
