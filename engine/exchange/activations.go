package exchange

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"ducklens/engine/checkpoint"
	"ducklens/engine/model"
	"ducklens/engine/rotary"
	"ducklens/schema"
)

// Names of the tensors of a prompt, behind its number.
const (
	active       = "/active"
	components   = "/components"
	stream       = "/stream"
	normScale    = "/norm_scale"
	qVector      = "/q"
	kVector      = "/k"
	qScale       = "/q_scale"
	kScale       = "/k_scale"
	cosines      = "/cos"
	sines        = "/sin"
	scoresOf     = "/scores"
	postScale    = "/post_scale"
	maxComponent = 1 << 29 // numbers of the components of a prompt
)

// Activations are what a folder has of one prompt. Roles are its positions: 0 the query, 1 the key, 2 the
// baseline where there is one.
type Activations[T Float] struct {
	folder *Folder
	prompt *Prompt
	roles  int

	components     [][]T // by role [component, d_model]
	stream         []T   // [layer, role, d_model]
	normScale      []T   // [layer, role], or nil
	q, k           []T   // [head, d_head], [head, role - 1, d_head]
	qScale, kScale []T   // [head], [head, role - 1], or nil
	cos, sin       []T   // [layer, role, dims / 2], or nil
	scores         []T   // [head, position]
	postScale      []T   // [layer below, role, 2], or nil
}

// Load reads what the folder has of a prompt.
func Load[T Float](f *Folder, number int) (*Activations[T], error) {
	if number < 0 || number >= len(f.Prompts) {
		return nil, fault("prompt %d, and there are %d", number, len(f.Prompts))
	}
	in := sort.SearchInts(f.first, number+1) - 1
	s, err := f.shard(in)
	if err != nil {
		return nil, fmt.Errorf("exchange: %s: %w", f.path, err)
	}
	a, err := load[T](f, s.file, number)
	if err != nil {
		err = fmt.Errorf("exchange: %s: %w", f.path, fault("%s: %w", f.Run.Shards[in].File.File, err))
	}
	return a, errors.Join(err, f.release(s))
}

// loader reads the tensors of one prompt until one is not as it should be.
type loader[T Float] struct {
	folder *Folder
	file   *checkpoint.File
	number int
	err    error
}

// numbers gives the numbers of a tensor, memory of the caller's own.
func (l *loader[T]) numbers(name string, shape ...int) []T {
	if l.err != nil {
		return nil
	}
	v, err := l.file.Tensor(fmt.Sprint(l.number)+name, l.folder.dtype(), shape...)
	if err != nil {
		l.err = err
		return nil
	}
	out := make([]T, v.Len())
	checkpoint.Copy(out, v, 0)
	return out
}

// positive wants numbers above 0: they are divided by.
func (l *loader[T]) positive(name string, shape ...int) []T {
	list := l.numbers(name, shape...)
	for i, v := range list {
		if !(v > 0) && l.err == nil {
			l.err = fmt.Errorf("tensor %q element %d is %v, want a number above 0", fmt.Sprint(l.number)+name, i, v)
		}
	}
	return list
}

func (l *loader[T]) has(name string) bool { return l.file.Has(fmt.Sprint(l.number) + name) }

func load[T Float](f *Folder, file *checkpoint.File, number int) (*Activations[T], error) {
	s, p := f.Spec, &f.Prompts[number]
	l := loader[T]{folder: f, file: file, number: number}
	a := &Activations[T]{folder: f, prompt: p, roles: len(p.positions())}
	layers, heads := len(f.layers), len(f.Heads)
	if err := l.loadComponents(a); err != nil {
		return nil, err
	}
	a.stream = l.numbers(stream, layers, a.roles, s.DModel)
	if s.PreNorm {
		a.normScale = l.positive(normScale, layers, a.roles)
	}
	a.q, a.k = l.numbers(qVector, heads, s.DHead), l.numbers(kVector, heads, a.roles-1, s.DHead)
	if s.QKNorm != model.NoQKNorm {
		a.qScale, a.kScale = l.positive(qScale, heads), l.positive(kScale, heads, a.roles-1)
	}
	if dims := f.turned(); dims > 0 {
		a.cos, a.sin = l.numbers(cosines, layers, a.roles, dims/2), l.numbers(sines, layers, a.roles, dims/2)
	}
	a.scores = l.numbers(scoresOf, heads, p.Query+1)
	if s.PostNorm {
		a.postScale = l.positive(postScale, f.stop(), a.roles, 2)
	}
	return a, l.err
}

// turned is the largest number of dimensions that a layer with a target head turns.
func (f *Folder) turned() int {
	dims := 0
	for _, l := range f.layers {
		dims = max(dims, f.Spec.RotaryOf(l).Dims)
	}
	return dims
}

// loadComponents reads what components wrote. Where the folder lists those that are there, the others are zero.
func (l *loader[T]) loadComponents(a *Activations[T]) error {
	f := l.folder
	all, d := f.writers(), f.Spec.DModel
	name := fmt.Sprint(l.number) + active
	if !l.has(active) {
		data := l.numbers(components, a.roles, all, d)
		for role := range a.roles {
			if l.err == nil {
				a.components = append(a.components, data[role*all*d:(role+1)*all*d])
			}
		}
		return l.err
	}
	shape := l.file.Shape(name)
	if len(shape) != 1 || shape[0] > all {
		return fmt.Errorf("tensor %q has shape %v, want [components], at most %d", name, shape, all)
	}
	list, err := l.file.Integers(name, shape[0])
	if err != nil {
		return err
	}
	for i, c := range list {
		if c < 0 || c >= int64(all) || i > 0 && c <= list[i-1] {
			return fmt.Errorf("tensor %q element %d is %d, want components from 0 to %d, ascending", name, i, c, all-1)
		}
	}
	if all*d > maxComponent/a.roles {
		return fmt.Errorf("%d components of %d numbers at %d positions, want at most %d in all", all, d, a.roles, maxComponent)
	}
	data := l.numbers(components, a.roles, len(list), d)
	if l.err != nil {
		return l.err
	}
	for role := range a.roles {
		dense := make([]T, all*d)
		for i, c := range list {
			copy(dense[int(c)*d:], data[(role*len(list)+i)*d:][:d])
		}
		a.components = append(a.components, dense)
	}
	return nil
}

// Role is the role of a position, or -1 where it has none. A position that is the query and the key too is the
// query here.
func (a *Activations[T]) Role(position int) int { return slices.Index(a.prompt.positions(), position) }

// KeyRole is the role of a position as the key or the baseline, or -1.
func (a *Activations[T]) KeyRole(position int) int {
	if i := slices.Index(a.prompt.positions()[1:], position); i >= 0 {
		return i + 1
	}
	return -1
}

// Components is what components before a layer wrote at a role [component, d_model].
func (a *Activations[T]) Components(layer, role int) []T {
	n := a.folder.Layout.Below(layer) * a.folder.Spec.DModel
	return a.components[role][:n:n]
}

func (a *Activations[T]) layer(layer int) int {
	i, found := slices.BinarySearch(a.folder.layers, layer)
	if !found {
		panic(fmt.Sprintf("exchange: layer %d has no target head", layer))
	}
	return i
}

func (a *Activations[T]) head(h schema.Head) int {
	i := slices.Index(a.folder.Heads, h)
	if i < 0 {
		panic(fmt.Sprintf("exchange: %v is no target head", h))
	}
	return i
}

// Stream is the stream before the layer of a target head [d_model].
func (a *Activations[T]) Stream(layer, role int) []T {
	d := a.folder.Spec.DModel
	return slices.Clip(a.stream[(a.layer(layer)*a.roles+role)*d:][:d])
}

// NormScale is what the norm before attention divided it by.
func (a *Activations[T]) NormScale(layer, role int) T {
	if a.normScale == nil {
		return 1
	}
	return a.normScale[a.layer(layer)*a.roles+role]
}

// Q is the query of a target head [d_head], as the score reads it.
func (a *Activations[T]) Q(h schema.Head) []T {
	d := a.folder.Spec.DHead
	return slices.Clip(a.q[a.head(h)*d:][:d])
}

// K is its key at the key or at the baseline [d_head].
func (a *Activations[T]) K(h schema.Head, role int) []T {
	d := a.folder.Spec.DHead
	return slices.Clip(a.k[(a.head(h)*(a.roles-1)+role-1)*d:][:d])
}

// QScale is what QK-norm divided the query by, 1 where there is none.
func (a *Activations[T]) QScale(h schema.Head) T {
	if a.qScale == nil {
		return 1
	}
	return a.qScale[a.head(h)]
}

// KScale is what it divided the key by at the key or at the baseline.
func (a *Activations[T]) KScale(h schema.Head, role int) T {
	if a.kScale == nil {
		return 1
	}
	return a.kScale[a.head(h)*(a.roles-1)+role-1]
}

// Turn is the rotation of queries and keys of a layer at a role.
func (a *Activations[T]) Turn(layer, role int) rotary.Turn {
	r := a.folder.Spec.RotaryOf(layer)
	if r.Dims == 0 {
		return rotary.Turn{}
	}
	t, wide := rotary.Turn{Pairs: r.Pairs}, a.folder.turned()/2
	at := (a.layer(layer)*a.roles + role) * wide
	for i := range r.Dims / 2 {
		t.Cos, t.Sin = append(t.Cos, float64(a.cos[at+i])), append(t.Sin, float64(a.sin[at+i]))
	}
	return t
}

// Scores are the scores of a target head from the query to the positions that it sees, the first of which is
// first; before any cap.
func (a *Activations[T]) Scores(h schema.Head) (first int, scores []T) {
	first, n := a.folder.firstKey(h.Layer, a.prompt.Query), a.prompt.Query+1
	at := a.head(h) * n
	return first, slices.Clip(a.scores[at+first : at+n])
}

// PostScales are what the norms after attention and after the MLP of a layer below the last target head divided
// by; 1 where there are none.
func (a *Activations[T]) PostScales(layer, role int) (attention, mlp T) {
	if a.postScale == nil {
		return 1, 1
	}
	at := (layer*a.roles + role) * 2
	return a.postScale[at], a.postScale[at+1]
}
