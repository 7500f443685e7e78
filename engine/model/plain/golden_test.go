package plain_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model/plain"
	"ducklens/schema"
)

// tolerance is of the largest number of an array, as the reference numbers have it for float64.
const tolerance = 1e-9

// golden compares computed arrays with those of a folder, and keeps the largest difference of each quantity.
type golden struct {
	*testing.T
	arrays map[string]refdata.Array
	seen   map[string]bool
	worst  map[string]float64
}

// compare takes numbers in nested slices.
func (g *golden) compare(name, quantity string, computed any) {
	g.Helper()
	want, ok := g.arrays[name]
	g.seen[name] = true
	got := flat(computed)
	if !ok || len(got) != want.Len() {
		g.Errorf("%s: %d numbers, want an array of shape %v", name, len(got), want.Shape)
		return
	}
	top, difference := 0.0, 0.0
	for i, w := range want.Float64 {
		if math.IsInf(w, 0) || math.IsNaN(w) {
			if !(got[i] == w || math.IsNaN(got[i]) && math.IsNaN(w)) {
				g.Errorf("%s: element %d is %v, want %v", name, i, got[i], w)
			}
			continue
		}
		top, difference = max(top, math.Abs(w)), max(difference, math.Abs(got[i]-w))
		if math.IsNaN(got[i]) {
			difference = math.Inf(1)
		}
	}
	if top > 0 {
		difference /= top
	}
	g.worst[quantity] = max(g.worst[quantity], difference)
	if !(difference <= tolerance) {
		g.Errorf("%s: differs by %.3g of its largest number, %v", name, difference, top)
	}
}

func flat(x any) []float64 {
	var list []float64
	switch x := x.(type) {
	case []float64:
		return x
	case [][]float64:
		for _, row := range x {
			list = append(list, row...)
		}
	case [][][]float64:
		for _, row := range x {
			list = append(list, flat(row)...)
		}
	case [][][][]float64:
		for _, row := range x {
			list = append(list, flat(row)...)
		}
	default:
		panic(fmt.Sprintf("flat: %T", x))
	}
	return list
}

// at picks positions.
func at[T any](list []T, positions ...int) []T {
	var picked []T
	for _, p := range positions {
		picked = append(picked, list[p])
	}
	return picked
}

// byLayer collects something of every layer.
func byLayer[T any](r *plain.Run, of func(o *plain.LayerRun) T) []T {
	var list []T
	for i := range r.Layer {
		list = append(list, of(&r.Layer[i]))
	}
	return list
}

func TestFamilies(t *testing.T) {
	root := refdata.Families(t)
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	total := map[string]float64{}
	folders := 0
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		folders++
		t.Run(e.Name(), func(t *testing.T) {
			worst := checkFolder(t, filepath.Join(root, e.Name()))
			for quantity, d := range worst {
				total[quantity] = max(total[quantity], d)
			}
			t.Logf("largest difference %.1e (%s)", slices.Max(slices.Collect(maps.Values(worst))),
				largest(worst))
		})
	}
	for _, quantity := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%-45s %.1e", quantity, total[quantity])
	}
	if folders < 24 {
		t.Errorf("%d folders, want 24", folders)
	}
}

func largest(worst map[string]float64) string {
	return slices.MaxFunc(slices.Collect(maps.Keys(worst)),
		func(a, b string) int { return cmp.Compare(worst[a], worst[b]) })
}

// headOf reads a label such as 2.1.
func headOf(label string) schema.Head {
	var h schema.Head
	if _, err := fmt.Sscanf(label, "%d.%d", &h.Layer, &h.Index); err != nil {
		panic(err)
	}
	return h
}

type prompt struct{ Query, Key, Baseline int }

func checkFolder(t *testing.T, dir string) map[string]float64 {
	var facts struct {
		Prompts []prompt
		Heads   []string
		Window  []int
		Scale   float64 `json:"score_scale"`
		Cap     float64 `json:"soft_cap"`
		Sinks   bool
	}
	refdata.JSON(t, filepath.Join(dir, "golden.json"), &facts)
	c, err := checkpoint.Open(filepath.Join(dir, "model"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := plain.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	for l, w := range facts.Window {
		if m.WindowOf(l) != w {
			t.Errorf("window of layer %d is %d, want %d", l, m.WindowOf(l), w)
		}
	}
	if math.Abs(1/m.AttnScale-facts.Scale) > 1e-12 || m.SoftCap != facts.Cap || m.Sinks != facts.Sinks {
		t.Errorf("scale 1/%v, cap %v, sinks %v; want %v, %v, %v", m.AttnScale, m.SoftCap, m.Sinks,
			facts.Scale, facts.Cap, facts.Sinks)
	}
	g := &golden{T: t, arrays: refdata.Npz(t, filepath.Join(dir, "golden.npz")), seen: map[string]bool{},
		worst: map[string]float64{}}
	var heads []schema.Head
	for _, label := range facts.Heads {
		heads = append(heads, headOf(label))
	}
	for i, p := range facts.Prompts {
		r := m.Forward(g.arrays[fmt.Sprintf("%d/tokens", i)].Ints())
		g.seen[fmt.Sprintf("%d/tokens", i)] = true
		g.pass(m, r, fmt.Sprintf("%d/", i), p)
		for _, h := range heads {
			g.head(m, r, fmt.Sprintf("%d/%d.%d/", i, h.Layer, h.Index), p, h)
		}
	}
	var parts [][][]float64
	var processed, stored [][]float64
	for _, token := range g.arrays["effective/tokens"].Ints() {
		e := m.Effective(token)
		parts = append(parts, e[:])
		processed = append(processed, m.UnembedDirection(token, schema.Processed))
		stored = append(stored, m.UnembedDirection(token, schema.Raw))
	}
	g.seen["effective/tokens"] = true
	g.compare("effective/parts", "effective/parts", parts)
	g.compare("unembed_direction", "unembed_direction", processed)
	g.compare("unembed_direction_raw", "unembed_direction_raw", stored)
	for name := range g.arrays {
		if !g.seen[name] {
			t.Errorf("array %s is not compared", name)
		}
	}
	return g.worst
}

// pass compares what happened in a forward pass.
func (g *golden) pass(m *plain.Model, r *plain.Run, name string, p prompt) {
	three, all := []int{p.Query, p.Key, p.Baseline}, len(r.Tokens)
	set := func(quantity string, computed any) { g.compare(name+quantity, quantity, computed) }
	set("logits", m.LogitsAt(r, p.Query))
	var resid [][][]float64
	for _, x := range r.Resid {
		resid = append(resid, at(x, three...))
	}
	set("resid_pre", resid)
	set("embed", at(r.Embed, three...))
	if r.Position != nil {
		set("pos_embed", at(r.Position, three...))
	}
	set("heads", byLayer(r, func(o *plain.LayerRun) [][][]float64 { return at(o.Head, three...) }))
	set("attn_bias", byLayer(r, func(o *plain.LayerRun) [][]float64 { return at(o.Bias, three...) }))
	set("mlp_out", byLayer(r, func(o *plain.LayerRun) [][]float64 { return at(o.MLP, three...) }))
	set("norm_scale", byLayer(r, func(o *plain.LayerRun) []float64 { return at(o.Scale, three...) }))
	set("post_attn_scale", byLayer(r, func(o *plain.LayerRun) []float64 { return at(o.PostScale, three...) }))
	set("q", byLayer(r, func(o *plain.LayerRun) [][]float64 { return o.Q[p.Query] }))
	set("k", byLayer(r, func(o *plain.LayerRun) [][][]float64 {
		var list [][][]float64
		for kv := range m.KVHeads {
			list = append(list, [][]float64{o.K[p.Key][kv], o.K[p.Baseline][kv]})
		}
		return list
	}))
	suffix, picked := "", make([]int, all)
	for i := range picked {
		picked[i] = i
	}
	if all > 200 {
		suffix, picked = "_at", three
	}
	set("pattern"+suffix, byLayer(r, func(o *plain.LayerRun) [][]float64 {
		var list [][]float64
		for h := range m.Heads {
			list = append(list, at(o.Pattern[h][p.Query], picked...))
		}
		return list
	}))
}

// head compares the decomposition of one head's score.
func (g *golden) head(m *plain.Model, r *plain.Run, name string, p prompt, h schema.Head) {
	set := func(quantity string, computed any) { g.compare(name+quantity, "HEAD/"+quantity, computed) }
	o, three := &r.Layer[h.Layer], []int{p.Query, p.Key, p.Baseline}
	row, pattern := o.Score[h.Index][p.Query], o.Pattern[h.Index][p.Query]
	cappedRow := make([]float64, len(row))
	for i, s := range row {
		cappedRow[i] = s
		if m.SoftCap > 0 && !math.IsInf(s, -1) {
			cappedRow[i] = m.SoftCap * math.Tanh(s/m.SoftCap)
		}
	}
	suffix := ""
	if len(row) > 200 {
		suffix, row, pattern, cappedRow = "_at", at(row, three...), at(pattern, three...), at(cappedRow,
			three...)
	}
	if m.Sinks {
		pattern = append(slices.Clone(pattern), o.SinkProb[h.Index][p.Query])
	}
	set("score_row"+suffix, row)
	set("pattern_row"+suffix, pattern)
	if m.SoftCap > 0 {
		set("capped_row"+suffix, cappedRow)
	}
	g.sides(m, r, name, p, h)
	for bases, spans := range map[string][2][2][][]float64{
		"unembed,mlp0": {
			{{m.UnembedDirection(r.Tokens[p.Key], schema.Processed)}, nil},
			{{r.Layer[0].MLP[p.Key]}, {r.Layer[0].MLP[p.Baseline]}}},
		"unembed+baseline,mlp0+attn0": {
			{{m.UnembedDirection(r.Tokens[p.Key], schema.Processed),
				m.UnembedDirection(r.Tokens[p.Baseline], schema.Processed)}, nil},
			{{sum(r.Layer[0].MLP[p.Key], m.Attn0(r, p.Key))},
				{sum(r.Layer[0].MLP[p.Baseline], m.Attn0(r, p.Baseline))}}},
	} {
		var keySide, querySide [2][][]float64
		for i, key := range []int{p.Key, p.Baseline} {
			basis := spans[1][i]
			if m.Spec.Norm.Centre {
				basis = [][]float64{centred(basis[0])}
			}
			keySide[i], querySide[i] = m.Quadrants(r, h.Layer, h.Index, p.Query, key, spans[0][0], basis)
		}
		set("key_side/"+bases, zip(keySide))
		set("query_side/"+bases, zip(querySide))
	}
	score, prob := m.Substitute(r, plain.Query, h.Layer, h.Index, p.Query, p.Key,
		m.UnembedDirection(r.Tokens[p.Key], schema.Processed))
	set("sub_query_unembed", []float64{score, prob})
	score, prob = m.Substitute(r, plain.Key, h.Layer, h.Index, p.Query, p.Key, r.Layer[0].MLP[p.Key])
	set("sub_key_mlp0", []float64{score, prob})
	kv := m.KVHead(h.Index)
	set("scales", append(at(o.Scale, three...), o.QScale[p.Query][h.Index], o.KScale[p.Key][kv],
		o.KScale[p.Baseline][kv]))
}

// sides compares pairs and their sums, in both forms of the weights.
func (g *golden) sides(m *plain.Model, r *plain.Run, name string, p prompt, h schema.Head) {
	for _, form := range []schema.Processing{schema.Processed, schema.Raw} {
		var pairs [2][][]float64
		var sides [2][2][]float64
		for i, key := range []int{p.Key, p.Baseline} {
			pairs[i] = m.Pairs(r, form, h.Layer, h.Index, p.Query, key)
			sides[0][i], sides[1][i] = plain.Sums(pairs[i])
			total := 0.0
			for _, v := range sides[0][i] {
				total += v
			}
			if score := r.Layer[h.Layer].Score[h.Index][p.Query][key]; math.Abs(total-score) > 1e-10*max(1,
				math.Abs(score)) {
				g.Errorf("%s: contributions to key %d add up to %v, want %v", name, key, total, score)
			}
		}
		prefix := ""
		if form == schema.Raw {
			prefix = "raw_"
		} else {
			both := make([][][]float64, len(pairs[0]))
			for i := range both {
				both[i] = pairsOf(pairs[0][i], pairs[1][i])
			}
			g.compare(name+"pairs", "HEAD/pairs", both)
		}
		for side, label := range []string{"key_side", "query_side"} {
			g.compare(name+prefix+label, "HEAD/"+prefix+label, pairsOf(sides[side][0], sides[side][1]))
		}
	}
}

// pairsOf puts two lists side by side: [n][2].
func pairsOf(a, b []float64) [][]float64 {
	list := make([][]float64, len(a))
	for i := range a {
		list[i] = []float64{a[i], b[i]}
	}
	return list
}

// zip turns [2][C][4] into [C][2][4].
func zip(x [2][][]float64) [][][]float64 {
	list := make([][][]float64, len(x[0]))
	for i := range list {
		list[i] = [][]float64{x[0][i], x[1][i]}
	}
	return list
}

func sum(a, b []float64) []float64 {
	y := slices.Clone(a)
	for i := range b {
		y[i] += b[i]
	}
	return y
}

func centred(x []float64) []float64 {
	m := 0.0
	for _, v := range x {
		m += v / float64(len(x))
	}
	y := slices.Clone(x)
	for i := range y {
		y[i] -= m
	}
	return y
}
