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

// TestDeep compares whole rows, norms that respond, source positions and ablation.
func TestDeep(t *testing.T) {
	root := refdata.Families(t)
	for _, name := range []string{"gpt2", "llama3", "qwen3", "gemma2"} {
		t.Run(name, func(t *testing.T) {
			checkDeep(t, filepath.Join(root, name), filepath.Join(root, name, "model"),
				func(*plain.Model) bool { return true })
		})
	}
}

func checkDeep(t *testing.T, dir, path string, ablate func(*plain.Model) bool) {
	var facts struct {
		Prompts []prompt
		Heads   []string
	}
	refdata.JSON(t, filepath.Join(dir, "golden.json"), &facts)
	c, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := plain.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	goldens := refdata.Npz(t, filepath.Join(dir, "golden.npz"))
	g := &golden{T: t, arrays: refdata.Npz(t, filepath.Join(dir, "deep.npz")), seen: map[string]bool{},
		worst: map[string]float64{}}
	for i, p := range facts.Prompts {
		var r *plain.Run
		for _, label := range facts.Heads {
			name := fmt.Sprintf("%d/%s/", i, label)
			if _, ok := g.arrays[name+"rows"]; !ok {
				continue
			}
			if r == nil {
				r = m.Forward(goldens[fmt.Sprintf("%d/tokens", i)].Ints())
			}
			g.deep(m, r, name, p, headOf(label), ablate(m))
		}
	}
	for name := range g.arrays {
		if !g.seen[name] && !(filepath.Base(name) == "ablate" && !ablate(m)) {
			t.Errorf("array %s is not compared", name)
		}
	}
	t.Logf("largest difference by quantity: %v", g.worst)
}

func (g *golden) deep(m *plain.Model, r *plain.Run, name string, p prompt, h schema.Head, ablate bool) {
	set := func(quantity string, computed any) { g.compare(name+quantity, quantity, computed) }
	rows := m.Rows(r, h.Layer, h.Index, p.Query)
	set("rows", rows)
	mean, weighted := m.Contrasts(r, rows, h.Layer, h.Index, p.Query, p.Key)
	set("baseline_mean", mean)
	set("baseline_attention", weighted)
	set("without", m.Without(r, h.Layer, h.Index, p.Query, p.Key))
	set("sources", m.SourcesOf(r, h.Layer, h.Index, p.Query, p.Key))
	if ablate {
		set("ablate", m.Ablate(r, h.Layer, h.Index, p.Query, p.Key, p.Baseline))
	}
}
