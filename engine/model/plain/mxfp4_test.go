package plain_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
	"ducklens/engine/family/familytest"
)

// Experts as gpt-oss is published with them, in four bits, are the numbers that the format means.
func TestMXFP4(t *testing.T) {
	config := familytest.Tiny("gpt_oss").With("hidden_size", 64, "intermediate_size", 32,
		"quantization_config",
		familytest.Config{"quant_method": "mxfp4", "modules_to_not_convert": []string{"lm_head"}})
	dir := t.TempDir()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	values, err := checkpoint.ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	list, err := family.Tensors(values)
	if err != nil {
		t.Fatal(err)
	}
	var packed []checkpoint.Info
	for _, info := range list {
		if !strings.HasSuffix(info.Name, "_proj") {
			packed = append(packed, info)
			continue
		}
		experts, in, out := info.Shape[0], info.Shape[1], info.Shape[2]
		packed = append(packed, checkpoint.Info{Name: info.Name + "_blocks", DType: "U8",
			Shape: []int{experts, out, in / 32, 16}},
			checkpoint.Info{Name: info.Name + "_scales", DType: "U8", Shape: []int{experts, out, in / 32}})
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := familytest.WriteTensors(filepath.Join(dir, "model.safetensors"), packed, 3); err != nil {
		t.Fatal(err)
	}
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := openPlain(t, dir)
	magnitudes := []float64{0, 0.5, 1, 1.5, 2, 3, 4, 6}
	number := func(name string, rows, inputs, expert, row, i int) float64 {
		blocks, err1 := c.Raw(name + "_blocks")
		scales, err2 := c.Raw(name + "_scales")
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		at := (expert*rows+row)*inputs + i
		code := blocks.Bytes()[at/2] >> (4 * (at % 2)) & 0xf
		x := math.Ldexp(magnitudes[code&7], int(scales.Bytes()[at/32])-127)
		if code&8 != 0 {
			x = -x
		}
		return x
	}
	const base = "model.layers.1.mlp.experts."
	for e := range m.Experts.Count {
		x := m.Layer[1].Experts[e]
		for i := range m.DMLP {
			for j := range m.DModel {
				if want := number(base+"gate_up_proj", 2*m.DMLP, m.DModel, e, 2*i, j); x.Gate[i][j] != want {
					t.Fatalf("expert %d gate [%d %d] is %v, want %v", e, i, j, x.Gate[i][j], want)
				}
				if want := number(base+"gate_up_proj", 2*m.DMLP, m.DModel, e, 2*i+1, j); x.In[i][j] != want {
					t.Fatalf("expert %d up [%d %d] is %v, want %v", e, i, j, x.In[i][j], want)
				}
				if want := number(base+"down_proj", m.DModel, m.DMLP, e, j, i); x.Out[j][i] != want {
					t.Fatalf("expert %d down [%d %d] is %v, want %v", e, j, i, x.Out[j][i], want)
				}
			}
		}
	}
	if y := m.LogitsAt(m.Forward([]int{1, 2, 3}), 2); math.IsNaN(y[0]) || y[0] == y[1] {
		t.Errorf("logits %v", y[:2])
	}
}
