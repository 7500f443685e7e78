// Package exchangetest writes folders of activations for tests: arbitrary ones, and those of a model that has
// run.
package exchangetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/exchange"
	"ducklens/engine/model"
	"ducklens/schema"
)

// Tensor is one tensor of a file: numbers, or whole numbers.
type Tensor struct {
	Shape    []int
	Numbers  []float64
	Integers []int64 // instead of Numbers
}

// Folder is the content of a folder of activations. Write fills in the checksums.
type Folder struct {
	Run     exchange.Run
	Prompts []map[string]any
	Weights map[string]Tensor
	Shards  []map[string]Tensor
}

// Write writes the folder.
func (f *Folder) Write(dir string) error {
	f.Run.Shards = nil
	var text bytes.Buffer
	for _, p := range f.Prompts {
		line, err := json.Marshal(p)
		if err != nil {
			return err
		}
		text.Write(append(line, '\n'))
	}
	put := func(name string, data []byte) (exchange.File, error) {
		sum := sha256.Sum256(data)
		return exchange.File{File: name, SHA256: hex.EncodeToString(sum[:])},
			os.WriteFile(filepath.Join(dir, name), data, 0o644)
	}
	var err error
	if f.Run.Prompts, err = put("prompts.jsonl", text.Bytes()); err != nil {
		return err
	}
	if f.Run.Weights, err = put("weights.safetensors", f.Safetensors(f.Weights)); err != nil {
		return err
	}
	for i, s := range f.Shards {
		prompts := map[string]bool{}
		for name := range s {
			number, _, _ := strings.Cut(name, "/")
			prompts[number] = true
		}
		file, err := put(fmt.Sprintf("shard-%05d.safetensors", i), f.Safetensors(s))
		if err != nil {
			return err
		}
		f.Run.Shards = append(f.Run.Shards, exchange.Shard{File: file, Prompts: len(prompts)})
	}
	run, err := json.MarshalIndent(f.Run, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "run.json"), run, 0o644)
}

// Safetensors returns a file of tensors, in the precision of the folder.
func (f *Folder) Safetensors(tensors map[string]Tensor) []byte {
	type entry struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header := map[string]entry{}
	var data []byte
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		t, begin := tensors[name], len(data)
		e := entry{DType: "F32", Shape: t.Shape}
		switch {
		case t.Integers != nil:
			e.DType = "I64"
			for _, v := range t.Integers {
				data = binary.LittleEndian.AppendUint64(data, uint64(v))
			}
		case f.Run.Precision == "float64":
			e.DType = "F64"
			for _, v := range t.Numbers {
				data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
			}
		default:
			for _, v := range t.Numbers {
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
			}
		}
		e.Offsets = [2]int{begin, len(data)}
		header[name] = e
	}
	text, err := json.Marshal(header)
	if err != nil {
		panic(err) // cannot happen: names and whole numbers
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text, data)
}

// Of runs a model over examples and returns the folder of what its target heads read, in the given form. Its
// maps are the model's, with the norm folded in. Consecutive examples of one prompt are edges of it, and an
// example without a query is a whole prompt. Shards have at most three prompts each.
func Of[T blas.Float](
	tb testing.TB, m *model.Model[T], about schema.Model, bos bool, heads []schema.Head, form string,
	examples []schema.Example,
) *Folder {
	tb.Helper()
	s, layout := m.Spec(), m.Layout()
	f := &Folder{Weights: map[string]Tensor{}}
	f.Run = exchange.Run{Format: exchange.Format, Version: exchange.Version, Writer: "exchangetest",
		Model: exchange.Model{Name: about.Name, Family: about.Family, SHA256: about.SHA256,
			ConfigSHA: about.ConfigSHA,
			Layers:    s.Layers, Heads: s.Heads, KVHeads: s.KVHeads, DModel: s.DModel, DHead: s.DHead,
			DMLP: s.DMLP, DVocab: s.DVocab, NCtx: s.NCtx,
			Activation: about.Activation},
		Norm: exchange.Norm{Kind: about.Norm, Eps: s.Norm.Eps}, PostNorm: s.PostNorm, QKBias: layout.QKBias,
		Attention: exchange.Attention{Scale: s.AttnScale, ByLayer: s.ByLayer, SoftCap: s.SoftCap,
			Windows: s.Window, Sinks: s.Sinks,
			QKNorm: []string{"", "per_head", "full_width"}[s.QKNorm], QKNormEps: s.QKNormEps},
		Processing: m.Processing().String(), Precision: "float32", Form: form, BOS: bos}
	if _, wide := any(T(0)).(float64); wide {
		f.Run.Precision = "float64"
	}
	for _, r := range s.Rotary {
		f.Run.Attention.RotaryDims = append(f.Run.Attention.RotaryDims, r.Dims)
		f.Run.Attention.RotaryPairs = r.Pairs
	}
	for _, c := range layout.Components()[:layout.Below(layout.Layers)] {
		out := exchange.Component{Kind: c.Kind.String()}
		if c.Layer >= 0 {
			out.Layer = &c.Layer
		}
		if c.Head >= 0 {
			out.Head = &c.Head
		}
		f.Run.Components = append(f.Run.Components, out)
	}
	var layers []int
	for _, h := range heads {
		f.Run.Heads = append(f.Run.Heads, h.String())
		layers = append(layers, h.Layer)
		addWeights(f, m, h)
	}
	slices.Sort(layers)
	layers = slices.Compact(layers)
	tokens := map[int]bool{}
	for i := 0; len(examples) > 0; i++ {
		n := 1
		for n < len(examples) && examples[n].PromptIndex == examples[0].PromptIndex &&
			slices.Equal(examples[n].Tokens, examples[0].Tokens) {
			n++
		}
		if i%3 == 0 {
			f.Shards = append(f.Shards, map[string]Tensor{})
		}
		addPrompt(tb, f, f.Shards[len(f.Shards)-1], i, m, heads, layers, examples[:n], tokens)
		examples = examples[n:]
	}
	if form == exchange.Parts {
		addWriters(f, m, layers[len(layers)-1])
	}
	rows := Tensor{}
	ids := Tensor{Integers: []int64{}}
	for _, id := range slices.Sorted(maps.Keys(tokens)) {
		ids.Integers = append(ids.Integers, int64(id))
		rows.Numbers = append(rows.Numbers, widen(m.Unembed(id))...)
	}
	ids.Shape, rows.Shape = []int{len(ids.Integers)}, []int{len(ids.Integers), s.DModel}
	f.Weights["unembed/tokens"], f.Weights["unembed/rows"] = ids, rows
	return f
}

// Replace replaces a component of a folder of vectors by parts, in every prompt: a part is the component's
// vector at a place times the share of the part, and shares add up to 1 over the parts. A part with a share
// of 0 at every place of a prompt is not listed there. named has the names of the parts.
func (f *Folder) Replace(
	component int, named []exchange.Component, share func(prompt, place, part int) float64,
) {
	f.Run.Components = slices.Concat(f.Run.Components[:component], named, f.Run.Components[component+1:])
	for _, shard := range f.Shards {
		for _, name := range slices.Sorted(maps.Keys(shard)) {
			number, what, _ := strings.Cut(name, "/")
			if what != "components" {
				continue
			}
			prompt, err := strconv.Atoi(number)
			if err != nil {
				panic(err) // the name is our own
			}
			old := shard[name]
			places, rows, d := old.Shape[0], old.Shape[1], old.Shape[2]
			var active []int64
			for row := range rows + len(named) - 1 {
				part := row - component
				zero := 0 <= part && part < len(named)
				for place := 0; zero && place < places; place++ {
					zero = share(prompt, place, part) == 0
				}
				if !zero {
					active = append(active, int64(row))
				}
			}
			t := Tensor{Shape: []int{places, len(active), d}}
			for place := range places {
				for _, row := range active {
					from, times := int(row), 1.0
					switch part := int(row) - component; {
					case part >= len(named):
						from -= len(named) - 1
					case part >= 0:
						from, times = component, share(prompt, place, part)
					}
					for _, v := range old.Numbers[(place*rows+from)*d:][:d] {
						t.Numbers = append(t.Numbers, v*times)
					}
				}
			}
			shard[name] = t
			shard[number+"/active"] = Tensor{Shape: []int{len(active)}, Integers: active}
		}
	}
}

func widen[T blas.Float](x []T) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// addWeights adds the maps of a head, and those of all heads of its layer if QK-norm needs them.
func addWeights[T blas.Float](f *Folder, m *model.Model[T], h schema.Head) {
	s, qk := m.Spec(), m.QK(h)
	at := h.TLName()
	put := func(name string, numbers []T, shape ...int) {
		if numbers != nil {
			f.Weights[name] = Tensor{Shape: shape, Numbers: widen(numbers)}
		}
	}
	put(at+"/W_Q", qk.WQ.Data().([]T), s.DModel, s.DHead)
	put(at+"/W_K", qk.WK.Data().([]T), s.DModel, s.DHead)
	put(at+"/q_gain", qk.QGain, s.DHead)
	put(at+"/k_gain", qk.KGain, s.DHead)
	if m.Layout().QKBias {
		put(at+"/b_Q", qk.BQ, s.DHead)
		put(at+"/b_K", qk.BK, s.DHead)
	}
	if s.Sinks {
		f.Weights[at+"/sink"] = Tensor{Shape: []int{1}, Numbers: []float64{m.Sink(h)}}
	}
	if s.QKNorm != model.FullWidth {
		return
	}
	wide := func(heads, step int, of func(model.QK[T]) []T) []T {
		out := make([]T, s.DModel*heads*s.DHead)
		for i := range heads {
			w := of(m.QK(schema.Head{Layer: h.Layer, Index: i * step}))
			for row := range s.DModel {
				copy(out[row*heads*s.DHead+i*s.DHead:], w[row*s.DHead:(row+1)*s.DHead])
			}
		}
		return out
	}
	layer := fmt.Sprintf("L%d", h.Layer)
	put(layer+"/W_Q", wide(s.Heads, 1, func(qk model.QK[T]) []T { return qk.WQ.Data().([]T) }), s.DModel,
		s.Heads*s.DHead)
	put(layer+"/W_K",
		wide(s.KVHeads, s.Heads/s.KVHeads, func(qk model.QK[T]) []T { return qk.WK.Data().([]T) }), s.DModel,
		s.KVHeads*s.DHead)
}

// addWriters adds the weights by which attention writes, for the layers below one.
func addWriters[T blas.Float](f *Folder, m *model.Model[T], below int) {
	s := m.Spec()
	put := func(name string, centre bool, numbers []float64, shape ...int) {
		if numbers == nil {
			return
		}
		for row := 0; centre && row < len(numbers); row += s.DModel {
			mean := 0.0
			for _, v := range numbers[row : row+s.DModel] {
				mean += v / float64(s.DModel)
			}
			for i := range s.DModel {
				numbers[row+i] -= mean
			}
		}
		f.Weights[name] = Tensor{Shape: shape, Numbers: numbers}
	}
	for l := range below {
		at, centre := fmt.Sprintf("L%d", l), s.PostNorm && s.Norm.Centre
		var all []float64
		for h := range s.Heads {
			all = append(all, widen(m.WO(schema.Head{Layer: l, Index: h}).Data().([]T))...)
		}
		put(at+"/W_O", centre, all, s.Heads, s.DHead, s.DModel)
		if m.BO(l) != nil {
			put(at+"/b_O", centre, widen(m.BO(l)), s.DModel)
		}
		if gain := m.PostAttnGain(l); s.PostNorm && gain != nil {
			put(at+"/post_gain", false, widen(gain), s.DModel)
		}
	}
}

// addPrompt adds a prompt and its edges to the prompts and to a shard, and its tokens that may be keys to
// those that need an unembedding.
func addPrompt[T blas.Float](
	tb testing.TB, f *Folder, shard map[string]Tensor, number int, m *model.Model[T], heads []schema.Head,
	layers []int, edges []schema.Example, keys map[int]bool,
) {
	tb.Helper()
	s, x := m.Spec(), edges[0]
	var ids, kept []int
	var texts []string
	for _, t := range x.Tokens {
		ids, texts = append(ids, t.ID), append(texts, t.Text)
	}
	line := map[string]any{"text": x.Prompt.Text, "tokens": ids, "token_texts": texts}
	var list []map[string]any
	for _, x := range edges {
		if x.Query == schema.NoPosition {
			line["whole"] = true
			for pos, id := range ids {
				kept, keys[id] = append(kept, pos), true
			}
			continue
		}
		edge := map[string]any{"query": x.Query, "key": x.Key}
		kept, keys[ids[x.Key]] = append(kept, x.Query, x.Key), true
		if x.Baseline != schema.NoPosition {
			edge["baseline"] = x.Baseline
			kept, keys[ids[x.Baseline]] = append(kept, x.Baseline), true
		}
		list = append(list, edge)
	}
	if list != nil {
		line["edges"] = list
	}
	f.Prompts = append(f.Prompts, line)
	slices.Sort(kept)
	kept = slices.Compact(kept)

	c, err := m.ForwardFor(context.Background(), []model.Sequence{{Tokens: ids, Positions: kept}},
		model.Wanted{Heads: heads, Parts: true})
	if err != nil {
		tb.Fatal(err)
	}
	tensors := map[string]*Tensor{}
	add := func(name string, numbers ...T) {
		if tensors[name] == nil {
			tensors[name] = &Tensor{}
		}
		tensors[name].Numbers = append(tensors[name].Numbers, widen(numbers)...)
	}
	places, dims, vectors, made := len(kept), 0, 0, 0
	for place := range kept {
		all := c.Components(0, place).Data().([]T)
		vectors, made = 0, 0
		for i, of := range m.Layout().Components()[:m.Layout().Below(c.Stop())] {
			switch {
			case f.Run.Form != exchange.Parts || of.Kind != schema.HeadOut && of.Kind != schema.AttnBias:
				add("components", all[i*s.DModel:(i+1)*s.DModel]...)
				vectors++
			case of.Kind == schema.HeadOut:
				add("values", c.Weighted(of.Layer, 0, place)[of.Head*s.DHead:][:s.DHead]...)
				made++
			}
		}
	}
	for _, l := range layers {
		dims = max(dims, s.RotaryOf(l).Dims)
	}
	for _, l := range layers {
		for place, pos := range kept {
			add("stream", c.ResidPre(l, 0, place)...)
			add("norm_scale", c.NormScale(l, 0, place))
			turn := s.RotaryOf(l).At(pos, len(ids))
			for i := range dims / 2 {
				cos, sin := T(0), T(0)
				if i < len(turn.Cos) {
					cos, sin = T(turn.Cos[i]), T(turn.Sin[i])
				}
				add("cos", cos)
				add("sin", sin)
			}
		}
	}
	for _, h := range heads {
		for place, pos := range kept {
			add("q", c.Q(h, 0, place)...)
			add("k", c.K(h, 0, place)...)
			add("q_scale", c.QNormScale(h, 0, place))
			add("k_scale", c.KNormScale(h, 0, place))
			row := c.Row(model.Row[T]{}, h, 0, place)
			add("scores", make([]T, row.First)...)
			add("scores", row.Scores...)
			add("scores", make([]T, len(ids)-pos-1)...)
		}
	}
	for l := range c.Stop() {
		for place := range kept {
			add("post_scale", c.PostAttnScale(l, 0, place), c.PostMLPScale(l, 0, place))
		}
	}
	shapes := map[string][]int{
		"components": {places, vectors, s.DModel}, "values": {places, made, s.DHead},
		"stream":     {len(layers), places, s.DModel},
		"norm_scale": {len(layers), places}, "q": {len(heads), places, s.DHead},
		"k":       {len(heads), places, s.DHead},
		"q_scale": {len(heads), places}, "k_scale": {len(heads), places},
		"cos": {len(layers), places, dims / 2}, "sin": {len(layers), places, dims / 2},
		"scores": {len(heads), places, len(ids)}, "post_scale": {c.Stop(), places, 2},
	}
	left := map[string]bool{"values": made == 0, "norm_scale": !s.PreNorm,
		"q_scale": s.QKNorm == model.NoQKNorm, "k_scale": s.QKNorm == model.NoQKNorm,
		"cos": dims == 0, "sin": dims == 0, "post_scale": !s.PostNorm}
	for name, shape := range shapes {
		if left[name] {
			continue
		}
		t := Tensor{Shape: shape}
		if tensors[name] != nil {
			t.Numbers = tensors[name].Numbers
		}
		shard[fmt.Sprintf("%d/%s", number, name)] = t
	}
}
