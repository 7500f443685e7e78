package family

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"ducklens/engine/checkpoint"
	"ducklens/engine/model"
	"ducklens/internal/advice"
)

// names are the names of a family's tensors, without the prefix and without .weight or .bias at the end. What
// a family does not have is empty.
type names struct {
	// prefixes are tried in order: the first with which layer 0 exists applies to all names except the
	// unembedding's.
	prefixes []string
	embed    string
	position string
	final    string
	unembed  []string // in the order of preference

	layer              string // with %d; the following names are relative to it
	norm, postAttn     string
	q, k, v, o         string
	qkv                string // q, k and v in one tensor
	qNorm, kNorm, sink string
	mlpNorm, postMLP   string
	gate, in, out      string
	gateIn             string // gate and in, one after the other
	router             string
	experts            func(w *wants, base string, s *model.Spec) model.ExpertSources // the first one

	order   model.Order // of the layers' matrices
	split   split       // of qkv
	permute bool        // rows of q and k are permuted for a rotation in pairs
	plus    float64     // added to the gains of norms

	// buffers are suffixes of names that are not parameters, in addition to those of all families.
	buffers []string
	unread  []string                                     // beginnings of names of parts that no run needs
	all     func(s *model.Spec, w *wants) *model.Sources // instead of the table
	folded  bool                                         // norms are in the weights already
	what    string                                       // the model, for messages
	hint    string                                       // what to do where a tensor is missing
}

// split returns where output i of q (part 0), k (1) or v (2) is in a fused tensor.
type split func(s *model.Spec, part, i int) int

// oneByOne stores all of q, then all of k, then all of v.
func oneByOne(s *model.Spec, part, i int) int {
	return []int{0, s.Heads, s.Heads + s.KVHeads}[part]*s.DHead + i
}

// byGroup stores, for each key-value head, the queries that read it, its key and its value.
func byGroup(s *model.Spec, part, i int) int {
	g := s.Heads / s.KVHeads
	head, e := i/s.DHead, i%s.DHead
	if part > 0 {
		return (head*(g+2)+g+part-1)*s.DHead + e
	}
	return (head/g*(g+2)+head%g)*s.DHead + e
}

// permuted returns the row of a permuted q or k that holds row i: in each head 0, d_head/2, 1, d_head/2 + 1,
// and so on.
func permuted(s *model.Spec) func(i int) int {
	half := s.DHead / 2
	return func(i int) int {
		head, e := i/s.DHead, i%s.DHead
		return head*s.DHead + e%half*2 + e/half
	}
}

// wants collects the tensors that a model calls for, and their shapes.
type wants struct {
	c      stored
	n      names
	prefix string
	shapes map[string][]int
	bytes  map[string]bool // tensors of type U8
	order  []string        // of the names, as wanted
}

// stored is what a checkpoint says about its tensors.
type stored interface {
	Has(name string) bool
	Info(name string) (checkpoint.Info, bool)
	Names() []string
}

// want adds a tensor and returns its source.
func (w *wants) want(name string, shape ...int) model.Source {
	if _, twice := w.shapes[name]; !twice {
		w.order = append(w.order, name)
	}
	w.shapes[name] = shape
	return model.Source{Tensor: name}
}

// wantBytes adds a tensor of type U8.
func (w *wants) wantBytes(name string, shape ...int) model.Source {
	w.bytes[name] = true
	return w.want(name, shape...)
}

// matrix returns the weight of base with these outputs and inputs, or nothing if the family has no such base.
func (w *wants) matrix(base string, outputs, inputs int) model.Source {
	if base == "" {
		return model.Source{}
	}
	if w.n.order == model.InOut {
		outputs, inputs = inputs, outputs
	}
	src := w.want(base+".weight", outputs, inputs)
	src.Order = w.n.order
	return src
}

// vector returns the weight or the bias of a base.
func (w *wants) vector(is bool, name string, n int) model.Source {
	if !is || name == "" || name[0] == '.' {
		return model.Source{}
	}
	return w.want(name, n)
}

// gain returns the weight of a norm.
func (w *wants) gain(base string, n int) model.Source {
	src := w.vector(base != "", base+".weight", n)
	src.Plus = w.n.plus
	return src
}

// sources returns the whole table for a spec.
func (w *wants) sources(s *model.Spec) *model.Sources {
	n, p := w.n, w.prefix
	src := &model.Sources{}
	w.embeddings(s, src)
	if n.position != "" {
		src.Position = w.want(p+n.position+".weight", s.NCtx+s.PositionOffset, s.DModel)
	}
	if n.final != "" {
		src.FinalGain = w.gain(p+n.final, s.DModel)
		src.FinalShift = w.vector(s.Bias.Norm, p+n.final+".bias", s.DModel)
	}
	layers := make([]model.LayerSources, s.Layers)
	for l := range layers {
		layers[l] = w.layer(s, p+fmt.Sprintf(n.layer, l))
	}
	src.Layer = func(layer int) model.LayerSources { return layers[layer] }
	return src
}

// embeddings finds the token embedding and the unembedding. If they are tied, the one tensor may be stored
// under either name, or under both. An untied model without an unembedding can still be read: its scores do
// not need one.
func (w *wants) embeddings(s *model.Spec, src *model.Sources) {
	embed := w.prefix + w.n.embed + ".weight"
	stored := func(part string) string {
		for _, base := range w.n.wrapped(w.n.unembed) {
			if w.c.Has(base + part) {
				return base
			}
		}
		return ""
	}
	unembed := stored(".weight")
	if s.Tied && unembed != "" && !w.c.Has(embed) {
		embed = unembed + ".weight"
	}
	src.Embed = w.want(embed, s.DVocab, s.DModel)
	switch {
	case unembed != "":
		src.Unembed = w.want(unembed+".weight", s.DVocab, s.DModel)
	case s.Tied:
		src.Unembed = src.Embed
	}
	if s.Bias.U && unembed == "" { // a tied model still has a bias
		unembed = stored(".bias")
	}
	if s.Bias.U && unembed != "" {
		src.UnembedBias = w.want(unembed+".bias", s.DVocab)
	}
}

// layer returns the sources of one layer, whose names begin with p.
func (w *wants) layer(s *model.Spec, p string) model.LayerSources {
	n := w.n
	at := func(base string) string {
		if base == "" {
			return ""
		}
		return p + base
	}
	a := model.LayerSources{
		Gain: w.gain(at(n.norm), s.DModel), Shift: w.vector(s.Bias.Norm, at(n.norm)+".bias", s.DModel),
		O: w.matrix(at(n.o), s.DModel, s.Heads*s.DHead), OBias: w.vector(s.Bias.O, at(n.o)+".bias", s.DModel),
		PostAttnGain: w.gain(at(n.postAttn), s.DModel),
		PostMLPGain:  w.gain(at(n.postMLP), s.DModel),
		Sink:         w.vector(s.Sinks, at(n.sink), s.Heads),
	}
	if !s.SharedNorm {
		a.MLPGain, a.MLPShift = w.gain(at(n.mlpNorm), s.DModel), w.vector(s.Bias.Norm, at(n.mlpNorm)+".bias",
			s.DModel)
	}
	w.attention(s, &a, at)
	if s.Experts != nil {
		first := n.experts(w, p, s)
		a.Experts = func(expert int) model.ExpertSources {
			x := first
			for _, src := range []*model.Source{&x.Gate, &x.GateBias, &x.In, &x.InBias, &x.Out, &x.OutBias} {
				src.Expert = expert
			}
			return x
		}
		a.Router = w.want(at(n.router)+".weight", s.Experts.Count, s.DModel)
		a.RouterBias = w.vector(true, at(n.router)+".bias", s.Experts.Count)
		return a
	}
	a.Out, a.OutBias = w.matrix(at(n.out), s.DModel, s.DMLP), w.vector(s.Bias.MLP, at(n.out)+".bias",
		s.DModel)
	if n.gateIn != "" {
		a.Gate = w.matrix(at(n.gateIn), 2*s.DMLP, s.DModel)
		a.In = a.Gate
		a.In.Out = func(i int) int { return s.DMLP + i }
		return a
	}
	a.In, a.InBias = w.matrix(at(n.in), s.DMLP, s.DModel), w.vector(s.Bias.MLP, at(n.in)+".bias", s.DMLP)
	if s.Gated {
		a.Gate, a.GateBias = w.matrix(at(n.gate), s.DMLP, s.DModel), w.vector(s.Bias.MLP, at(n.gate)+".bias",
			s.DMLP)
	}
	return a
}

// attention sets q, k and v, separate or fused, and the gains of QK-norm.
func (w *wants) attention(s *model.Spec, a *model.LayerSources, at func(string) string) {
	n := w.n
	heads := [3]int{s.Heads, s.KVHeads, s.KVHeads}
	weights, biases := [3]*model.Source{&a.Q, &a.K, &a.V}, [3]*model.Source{&a.QBias, &a.KBias, &a.VBias}
	for part, base := range [3]string{n.q, n.k, n.v} {
		outputs := heads[part] * s.DHead
		var place func(int) int
		if n.permute && part < 2 {
			place = permuted(s)
		}
		if n.qkv != "" {
			base, outputs = n.qkv, (s.Heads+2*s.KVHeads)*s.DHead
			place = func(i int) int { return n.split(s, part, i) }
		}
		*weights[part], *biases[part] = w.matrix(at(base), outputs, s.DModel), w.vector(s.Bias.QKV,
			at(base)+".bias", outputs)
		weights[part].Out = place
		if biases[part].Stored() {
			biases[part].Out = place
		}
	}
	switch s.QKNorm {
	case model.PerHead:
		a.QGain, a.KGain = w.gain(at(n.qNorm), s.DHead), w.gain(at(n.kNorm), s.DHead)
	case model.FullWidth:
		a.QGain, a.KGain = w.gain(at(n.qNorm), s.Heads*s.DHead), w.gain(at(n.kNorm), s.KVHeads*s.DHead)
	}
}

// place finds the tensors of a spec in a checkpoint. It checks that each exists and has its shape and a
// supported type, and that no tensor is left over.
func (m *Model) place(c *checkpoint.Checkpoint, n names) error {
	w := &wants{c: c, n: n, prefix: n.prefix(c), shapes: map[string][]int{}, bytes: map[string]bool{}}
	if n.all != nil {
		m.Sources = n.all(m.Spec, w)
	} else {
		m.Sources = w.sources(m.Spec)
	}
	if err := w.check(m); err != nil {
		return err
	}
	return sameTied(c, m)
}

// prefix returns what is in front of the names of the layers.
func (n names) prefix(c stored) string {
	for _, p := range n.wrapped(n.prefixes) {
		begin := p + fmt.Sprintf(n.layer, 0)
		if slices.ContainsFunc(c.Names(), func(name string) bool { return strings.HasPrefix(name, begin) }) {
			return p
		}
	}
	return n.prefixes[0]
}

// wrapped returns names as they are, and with the prefixes that training and compiling wrappers add.
func (n names) wrapped(list []string) []string {
	all := slices.Clone(list)
	for _, wrapper := range []string{"module.", "_orig_mod.", "base_model.model."} {
		for _, name := range list {
			all = append(all, wrapper+name)
		}
	}
	return all
}

// someBuffer matches what models of all families have besides their parameters: causal masks and rotary
// frequencies.
var someBuffer = regexp.MustCompile(`\.(attn|attention|self_attn|self_attention)\.(bias|masked_bias)$|` +
	`rotary_emb[a-z_]*\.[a-z_]*(inv_freq|cos_cached|sin_cached)$|(^|\.)position_ids$`)

// check compares the tensors that exist with those that are wanted.
func (w *wants) check(m *Model) error {
	hint, what := "does the configuration belong to these weights?", fmt.Sprintf("%s of %d layers", m.Name,
		m.Spec.Layers)
	if w.n.what != "" {
		hint, what = w.n.hint, w.n.what
	}
	var missing, left []string
	for _, name := range w.order {
		info, ok := w.c.Info(name)
		if !ok {
			missing = append(missing, name)
			continue
		}
		if err := checkShape(name, info.Shape, w.shapes[name]); err != nil {
			return err
		}
		if w.bytes[name] && info.DType != "U8" {
			return fault(checkpoint.ErrUnsupported, "tensor %q has type %s, want U8", name, info.DType)
		}
		if err := info.CheckType(); err != nil && !w.bytes[name] {
			return err
		}
	}
	for _, name := range w.c.Names() {
		if _, ok := w.shapes[name]; ok {
			continue
		}
		if !w.ignores(name) {
			left = append(left, name)
			continue
		}
		m.Unread = append(m.Unread, name)
	}
	slices.Sort(left)
	if len(missing) > 0 {
		err := fault(checkpoint.ErrTensor, "%s missing", checkpoint.SomeOf(missing))
		if len(left) > 0 {
			err = fault(checkpoint.ErrTensor, "%s missing; found %s instead", checkpoint.SomeOf(missing),
				checkpoint.SomeOf(left))
		}
		return advice.Add(err, hint)
	}
	for _, name := range left {
		if other, ok := w.twin(name); ok {
			return fault(checkpoint.ErrTensor, "tensor %q is stored twice, with and without its prefix: %q",
				name, other)
		}
	}
	if len(left) > 0 {
		return advice.Add(fault(checkpoint.ErrTensor, "%s unknown in a %s",
			checkpoint.SomeOf(left), what),
			hint)
	}
	return nil
}

// ignores reports whether a tensor is not a parameter, or is one that no run needs.
func (w *wants) ignores(name string) bool {
	return someBuffer.MatchString(name) ||
		slices.ContainsFunc(w.n.buffers, func(end string) bool { return strings.HasSuffix(name, end) }) ||
		slices.ContainsFunc(w.n.unread, func(begin string) bool { return strings.HasPrefix(name, begin) })
}

// twin returns the name of a wanted tensor that differs from name only by a prefix.
func (w *wants) twin(name string) (string, bool) {
	bare := name
	for _, p := range w.n.wrapped(w.n.prefixes) {
		bare = strings.TrimPrefix(bare, p)
	}
	for _, wanted := range slices.Sorted(maps.Keys(w.shapes)) {
		if strings.TrimPrefix(wanted, w.prefix) == bare {
			return wanted, true
		}
	}
	return "", false
}

// checkShape compares a stored shape with the wanted one.
func checkShape(name string, got, want []int) error {
	if slices.Equal(got, want) {
		return nil
	}
	err := fault(checkpoint.ErrTensor, "tensor %q has shape %v, want %v", name, got, want)
	if len(got) == 2 && len(want) == 2 && got[0] == want[1] && got[1] == want[0] {
		return advice.Add(err,
			"the matrix is transposed: GPT-2's weights are (in, out), others (out, in)")
	}
	return err
}

// sameTied compares a stored unembedding with the embedding that it is tied to.
func sameTied(c *checkpoint.Checkpoint, m *Model) error {
	src := m.Sources
	if !m.Spec.Tied || src.Unembed.Tensor == src.Embed.Tensor {
		return nil
	}
	embed, err := c.Tensor(src.Embed.Tensor)
	if err != nil {
		return err
	}
	head, err := c.Tensor(src.Unembed.Tensor)
	if err != nil {
		return err
	}
	defer func() {
		head.Release(0, head.Len())
		embed.Release(0, embed.Len())
	}()
	if head.DType == embed.DType && bytes.Equal(head.Bytes(), embed.Bytes()) {
		src.Unembed = src.Embed
		return nil
	}
	a, b := make([]float32, m.Spec.DModel), make([]float32, m.Spec.DModel)
	for row := range m.Spec.DVocab {
		checkpoint.Copy(a, head, row*len(a))
		checkpoint.Copy(b, embed, row*len(b))
		for i := range a {
			if a[i] != b[i] && (a[i] == a[i] || b[i] == b[i]) {
				return advice.Add(fault(checkpoint.ErrTensor, "%q differs from %s at [%d %d]: %v and %v, "+
					"want them equal because the configuration ties them",
					src.Unembed.Tensor, src.Embed.Tensor, row, i, a[i], b[i]),
					`if the model really has an unembedding of its own,
					say "tie_word_embeddings": false in config.json`)
			}
		}
	}
	src.Unembed = src.Embed
	return nil
}
