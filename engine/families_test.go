package engine_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

// familyGolden is golden.json and golden.npz of a folder of reference numbers.
type familyGolden struct {
	*testing.T
	dir    string
	arrays map[string]refdata.Array

	Heads         []string
	Components    map[string][]string
	ComponentsRaw map[string][]string `json:"components_raw"`
	Window        []int
	ScoreScale    float64 `json:"score_scale"`
	SoftCap       float64 `json:"soft_cap"`
	Sinks         bool
	BOS           *string
	Prompts       []struct {
		Text                 string
		Query, Key, Baseline int
	}

	tolerance float64            // of an array's largest number
	worst     map[string]float64 // by quantity
}

// compare keeps the largest difference of a quantity, relative to the largest number of the array.
func (g *familyGolden) compare(name, quantity string, got []float64) {
	g.Helper()
	want, ok := g.arrays[name]
	if !ok || len(got) != want.Len() {
		g.Errorf("%s: %d numbers, want an array of shape %v", name, len(got), want.Shape)
		return
	}
	top, difference := 0.0, 0.0
	for i, w := range want.Float64 {
		switch {
		case math.IsInf(w, 0):
			if got[i] != w {
				g.Errorf("%s: element %d is %v, want %v", name, i, got[i], w)
			}
		case math.IsNaN(got[i]):
			g.Errorf("%s: element %d is NaN, want %v", name, i, w)
		default:
			top, difference = max(top, math.Abs(w)), max(difference, math.Abs(got[i]-w))
		}
	}
	if top > 0 {
		difference /= top
	}
	g.worst[quantity] = max(g.worst[quantity], difference)
	if !(difference <= g.tolerance) {
		g.Errorf("%s: differs by %.3g of its largest number, %.3g", name, difference, top)
	}
}

func readFamily(t *testing.T, dir string) *familyGolden {
	t.Helper()
	g := &familyGolden{T: t, dir: dir, arrays: refdata.Npz(t, filepath.Join(dir, "golden.npz")), worst: map[string]float64{}}
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err == nil {
		err = json.Unmarshal(text, g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// engine opens the folder's model for its heads, with the bases of the arrays.
func (g *familyGolden) engine(options engine.Options) *engine.Engine {
	g.Helper()
	for _, label := range g.Heads {
		h, err := schema.ParseHead(label)
		if err != nil {
			g.Fatal(err)
		}
		options.Heads = append(options.Heads, h)
	}
	if g.BOS == nil {
		options.BOS = engine.BOSOff // GPT-2's own files have no policy, and get one as always
	}
	options.QueryBases, options.KeyBases = []string{"none", "unembed", "unembed+baseline"}, []string{"none", "mlp0", "mlp0+attn0"}
	return open(g.T, filepath.Join(g.dir, "model"), options)
}

// examples prepares the prompts, and compares their tokens.
func (g *familyGolden) examples(e *engine.Engine) []schema.Example {
	g.Helper()
	var list []schema.Example
	for i, p := range g.Prompts {
		x, err := e.Example(schema.Prompt{Text: p.Text, Query: schema.AtIndex(p.Query), Key: schema.AtIndex(p.Key), Baseline: schema.AtIndex(p.Baseline)})
		if err != nil {
			g.Fatal(err)
		}
		x.Index = i
		var ids []int
		for _, t := range x.Tokens {
			ids = append(ids, t.ID)
		}
		if want := g.arrays[fmt.Sprintf("%d/tokens", i)].Ints(); !slices.Equal(ids, want) {
			g.Fatalf("prompt %d: tokens %v, want %v", i, ids, want)
		}
		list = append(list, x)
	}
	return list
}

// TestFamilies runs every folder of reference numbers through the engine, in both precisions and both forms
// of the weights.
func TestFamilies(t *testing.T) {
	root := refdata.Families(t)
	folders, err := filepath.Glob(filepath.Join(root, "*", "golden.json"))
	if err != nil || len(folders) < 24 {
		t.Fatalf("%d folders in %s, want 24: %v", len(folders), root, err)
	}
	for _, precision := range []string{engine.Float64, engine.Float32} {
		worst := map[string]map[string]float64{} // quantity, family
		for _, file := range folders {
			family := filepath.Base(filepath.Dir(file))
			t.Run(precision+"/"+family, func(t *testing.T) {
				g := readFamily(t, filepath.Dir(file))
				g.tolerance = map[string]float64{engine.Float64: 1e-6, engine.Float32: 5e-5}[precision]
				g.processed(precision)
				g.raw(precision)
				for quantity, d := range g.worst {
					if worst[quantity] == nil {
						worst[quantity] = map[string]float64{}
					}
					worst[quantity][family] = d
				}
			})
		}
		for _, quantity := range slices.Sorted(maps.Keys(worst)) {
			var families []string
			for _, f := range slices.Sorted(maps.Keys(worst[quantity])) {
				families = append(families, fmt.Sprintf("%s %.1e", f, worst[quantity][f]))
			}
			t.Logf("%s, %s: %s", precision, quantity, strings.Join(families, ", "))
		}
	}
}

// raw compares the contributions for weights as stored.
func (g *familyGolden) raw(precision string) {
	g.Helper()
	e := g.engine(engine.Options{Precision: precision, Processing: schema.Raw})
	for i, r := range analyze(g.T, e, g.examples(e)) {
		for _, h := range r.Heads {
			prefix := fmt.Sprintf("%d/%s/", i, h.Head)
			g.labels(e, h.Head, g.ComponentsRaw)
			g.compare(prefix+"raw_key_side", "raw key side", g.side(e, h, schema.Key, "none", "none", false))
			g.compare(prefix+"raw_query_side", "raw query side", g.side(e, h, schema.Query, "none", "none", false))
		}
	}
}

// labels compares the names of the components below a head.
func (g *familyGolden) labels(e *engine.Engine, h schema.Head, want map[string][]string) {
	g.Helper()
	var labels []string
	for _, c := range e.Components()[:e.Layout().Below(h.Layer)] {
		labels = append(labels, c.Label())
	}
	if !slices.Equal(labels, want[fmt.Sprint(h.Layer)]) {
		g.Errorf("components below layer %d: %v, want %v", h.Layer, labels, want[fmt.Sprint(h.Layer)])
	}
}

// basis returns the index of a basis.
func (g *familyGolden) basis(e *engine.Engine, side schema.Side, name string) int {
	g.Helper()
	i := slices.IndexFunc(e.Bases(), func(b schema.Basis) bool { return b.Side == side && b.Name == name })
	if i < 0 {
		g.Fatalf("no %s basis %s", side, name)
	}
	return i
}

// side returns contributions in the shape of the arrays: [component and bias, key and baseline], with the
// quadrants as a third axis if they are asked for, and their sum otherwise. The bias is 0 if the model has
// none.
func (g *familyGolden) side(e *engine.Engine, h schema.HeadResult, side schema.Side, query, key string, quadrants bool) []float64 {
	g.Helper()
	n := e.Layout().Below(h.Head.Layer) + 1
	per := 1
	if quadrants {
		per = 4
	}
	out := make([]float64, n*2*per)
	queryBasis, keyBasis := g.basis(e, schema.Query, query), g.basis(e, schema.Key, key)
	for _, c := range h.Contributions {
		if c.Side != side || c.QueryBasis != queryBasis || c.KeyBasis != keyBasis {
			continue
		}
		row := min(c.Component, n-1)
		for at, values := range [][4]float32{c.Score, c.Baseline} {
			for q, v := range values {
				out[(row*2+at)*per+q%per] += float64(v)
			}
		}
	}
	return out
}

// processed compares everything in a result for processed weights.
func (g *familyGolden) processed(precision string) {
	g.Helper()
	e := g.engine(engine.Options{Precision: precision, Factors: true, Pairs: true, Substitutions: true, Projections: true, Logits: true})
	examples := g.examples(e)
	if err := e.Prepare(g.Context(), examples); err != nil {
		g.Fatal(err)
	}
	for _, target := range e.Targets() {
		if math.Abs(target.ScoreScale-g.ScoreScale) > 1e-15 || target.SoftCap != g.SoftCap || target.Window != g.Window[target.Layer] || math.IsNaN(target.SinkLogit) == g.Sinks {
			g.Errorf("target %+v, want scale %v, cap %v, window %d, sinks %t", target, g.ScoreScale, g.SoftCap, g.Window[target.Layer], g.Sinks)
		}
	}
	for i, r := range analyze(g.T, e, examples) {
		for _, h := range r.Heads {
			prefix := fmt.Sprintf("%d/%s/", i, h.Head)
			g.labels(e, h.Head, g.Components)
			g.compare(prefix+"key_side", "key side", g.side(e, h, schema.Key, "none", "none", false))
			g.compare(prefix+"query_side", "query side", g.side(e, h, schema.Query, "none", "none", false))
			for _, bases := range [][2]string{{"unembed", "mlp0"}, {"unembed+baseline", "mlp0+attn0"}} {
				name := bases[0] + "," + bases[1]
				g.compare(prefix+"key_side/"+name, "key side quadrants", g.side(e, h, schema.Key, bases[0], bases[1], true))
				g.compare(prefix+"query_side/"+name, "query side quadrants", g.side(e, h, schema.Query, bases[0], bases[1], true))
			}
			g.pairs(e, h, prefix)
			g.rows(r.Example, h, prefix)
			g.substitutions(h, prefix)
			g.scales(h, prefix)
			g.closure(fmt.Sprintf("%s: closure", prefix), h.Score.Closure)
		}
		g.logits(r, fmt.Sprintf("%d/", i))
		for _, s := range r.LayerScales {
			at := slices.Index([]int{r.Example.Query, r.Example.Key, r.Example.Baseline}, s.Pos)
			if want := g.arrays[fmt.Sprintf("%d/post_attn_scale", i)].At(s.Layer)[at]; !(math.Abs(float64(s.PostAttn)-want) <= g.tolerance*want) {
				g.Errorf("prompt %d: scale of the norm after attention of layer %d at %d is %v, want %v", i, s.Layer, s.Pos, s.PostAttn, want)
			}
		}
	}
}

// substitutions compares the unembedding as the query, and MLP 0's output as the key.
func (g *familyGolden) substitutions(h schema.HeadResult, prefix string) {
	g.Helper()
	for vector, name := range map[string]string{engine.VectorUnembedKey: "sub_query_unembed", engine.VectorMLP0: "sub_key_mlp0"} {
		for _, s := range h.Substitutions {
			if s.Vector == vector && (s.Side == schema.Query) == strings.HasPrefix(name, "sub_query") {
				g.compare(prefix+name, "substitutions", []float64{float64(s.Score), float64(s.Prob)})
			}
		}
	}
}

// scales compares the scales of the norm and of QK-norm at the three positions.
func (g *familyGolden) scales(h schema.HeadResult, prefix string) {
	g.Helper()
	scales := []float32{h.Score.QueryScale, h.Score.KeyScale, h.Score.BaselineScale, h.Score.QueryNormScale, h.Score.KeyNormScale, h.Score.BaselineNormScale}
	wide := make([]float64, len(scales))
	for i, v := range scales {
		if wide[i] = float64(v); math.IsNaN(wide[i]) {
			wide[i] = 1 // there is no QK-norm
		}
	}
	g.compare(prefix+"scales", "scales", wide)
}

func (g *familyGolden) closure(what string, closure float64) {
	g.worst["closure"] = max(g.worst["closure"], closure)
	if !(closure <= 1e-4) { // and the engine refuses a float64 run with more than 1e-9
		g.Errorf("%s %g", what, closure)
	}
}

// pairs compares the pairs of whole vectors, and the margins of every table with the contributions.
func (g *familyGolden) pairs(e *engine.Engine, h schema.HeadResult, prefix string) {
	g.Helper()
	n := e.Layout().Below(h.Head.Layer) + 1
	names := map[int]string{}
	for i, b := range e.Bases() {
		names[i] = b.Name
	}
	for _, t := range h.Pairs {
		all := make([]float64, n*n*2)
		margins := map[schema.Side][]float64{schema.Query: make([]float64, n*2*4), schema.Key: make([]float64, n*2*4)}
		for i, query := range t.QueryComponents {
			for j, key := range t.KeyComponents {
				row, column := min(query, n-1), min(key, n-1)
				for at, table := range [][][4]float32{t.Score, t.Baseline} {
					for q, v := range table[i*len(t.KeyComponents)+j] {
						all[(row*n+column)*2+at] += float64(v)
						margins[schema.Query][(row*2+at)*4+q] += float64(v)
						margins[schema.Key][(column*2+at)*4+q] += float64(v)
					}
				}
			}
		}
		g.compare(prefix+"pairs", "pairs", all)
		for side, margin := range margins {
			want := g.side(e, h, side, names[t.QueryBasis], names[t.KeyBasis], true)
			top := slices.Max(append([]float64{1}, want...))
			for i, v := range margin {
				if !(math.Abs(v-want[i]) <= 2e-5*top) { // tables are of float32 numbers
					g.Errorf("%s: %s margin %d of the pairs under %s, %s is %v, want %v", prefix, side, i, names[t.QueryBasis], names[t.KeyBasis], v, want[i])
					break
				}
			}
		}
	}
	if len(h.Pairs) != 5 {
		g.Errorf("%s: %d tables of pairs, want the one of whole vectors, and two bases by two", prefix, len(h.Pairs))
	}
}

// rows compares the attention row; positions outside the window are masked. Long prompts have only three
// positions.
func (g *familyGolden) rows(x schema.Example, h schema.HeadResult, prefix string) {
	g.Helper()
	scores, probs := make([]float64, len(x.Tokens)), make([]float64, len(x.Tokens))
	for i := range scores {
		scores[i] = math.Inf(-1)
		if at := i - h.FirstKey; at >= 0 && at < len(h.Attention) {
			scores[i], probs[i] = float64(h.Attention[at].Score), float64(h.Attention[at].Prob)
		}
	}
	suffix := ""
	if _, long := g.arrays[prefix+"score_row_at"]; long {
		suffix = "_at"
		at := func(row []float64) []float64 { return []float64{row[x.Query], row[x.Key], row[x.Baseline]} }
		scores, probs = at(scores), at(probs)
	}
	if g.Sinks {
		probs = append(probs, float64(h.Score.SinkProb))
	}
	g.compare(prefix+"score_row"+suffix, "score row", scores)
	g.compare(prefix+"pattern_row"+suffix, "pattern row", probs)
}

// logits compares the model's own logits of the two tokens, and their components.
func (g *familyGolden) logits(r schema.Result, prefix string) {
	g.Helper()
	l := r.Logits
	all := g.arrays[prefix+"logits"].Float64
	top := 0.0
	for _, v := range all {
		top = max(top, math.Abs(v))
	}
	for i, own := range []float64{float64(l.Key), float64(l.Baseline)} {
		if l.Cap > 0 {
			own = l.Cap * math.Tanh(own/l.Cap)
		}
		token := r.Example.Tokens[[]int{r.Example.Key, r.Example.Baseline}[i]].ID
		difference := math.Abs(own-all[token]) / top
		g.worst["logits"] = max(g.worst["logits"], difference)
		if !(difference <= g.tolerance) {
			g.Errorf("%s: logit of token %d is %v, want %v", prefix, token, own, all[token])
		}
	}
	g.closure(prefix+" closure of logits", l.Closure)
}
