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

// Names of the tensors of a prompt, after its number.
const (
	active     = "/active"
	components = "/components"
	values     = "/values"
	stream     = "/stream"
	normScale  = "/norm_scale"
	qVector    = "/q"
	kVector    = "/k"
	qScale     = "/q_scale"
	kScale     = "/k_scale"
	cosines    = "/cos"
	sines      = "/sin"
	scoresOf   = "/scores"
	postScale  = "/post_scale"
	maxMade    = 1 << 27 // maximum number of numbers in the components of a position
)

// Activations are what a folder has of one prompt. A place identifies a position; see [Prompt.Place]. What
// components wrote is read from the folder's file when it is asked for.
type Activations[T Float] struct {
	folder *Folder
	prompt *Prompt
	shard  *shard

	listed    []int           // components that have a row in vectors, ascending
	vectors   checkpoint.View // [place, listed, d_model]
	values    checkpoint.View // [place, head below, d_head]; empty unless components are computed from it
	stream    []T             // [layer, place, d_model]
	normScale []T             // [layer, place], or nil
	q, k      []T             // [head, place, d_head]
	qScale    []T             // [head, place], or nil
	kScale    []T             // the same
	cos, sin  []T             // [layer, place, dims / 2], or nil
	scores    []T             // [head, place, token]
	postScale []T             // [layer below, place, 2], or nil
}

// Load reads what the folder has of a prompt. Close it when it is no longer used.
func Load[T Float](f *Folder, number int) (*Activations[T], error) {
	if number < 0 || number >= len(f.Prompts) {
		return nil, fault("prompt %d, and there are %d", number, len(f.Prompts))
	}
	in := sort.SearchInts(f.first, number+1) - 1
	s, err := f.shard(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	a, err := load[T](f, s.file, number)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.path, fault("%s: %w", f.Run.Shards[in].File.File, err))
		return nil, errors.Join(err, f.release(s))
	}
	a.shard = s
	return a, nil
}

// Close releases the file.
func (a *Activations[T]) Close() error { return a.folder.release(a.shard) }

// loader reads the tensors of one prompt, up to the first that is not as it should be.
type loader[T Float] struct {
	folder *Folder
	file   *checkpoint.File
	number int
	err    error
}

// numbers returns the numbers of a tensor, in memory that is the caller's.
func (l *loader[T]) numbers(name string, shape ...int) []T {
	v := l.view(name, shape...)
	if l.err != nil {
		return nil
	}
	out := make([]T, v.Len())
	checkpoint.Copy(out, v, 0)
	return out
}

// view returns a tensor whose numbers are read later.
func (l *loader[T]) view(name string, shape ...int) (v checkpoint.View) {
	if l.err == nil {
		v, l.err = l.file.Tensor(fmt.Sprint(l.number)+name, l.folder.dtype(), shape...)
	}
	return v
}

// positive is numbers, but they must be above 0, because they are divisors.
func (l *loader[T]) positive(name string, shape ...int) []T {
	list := l.numbers(name, shape...)
	for i, v := range list {
		if !(v > 0) && l.err == nil {
			l.err = fmt.Errorf("tensor %q element %d is %v, want a number above 0", fmt.Sprint(l.number)+name,
				i, v)
		}
	}
	return list
}

func (l *loader[T]) has(name string) bool { return l.file.Has(fmt.Sprint(l.number) + name) }

func load[T Float](f *Folder, file *checkpoint.File, number int) (*Activations[T], error) {
	s, p := f.Spec, &f.Prompts[number]
	l := loader[T]{folder: f, file: file, number: number}
	a := &Activations[T]{folder: f, prompt: p}
	layers, heads, places := len(f.layers), len(f.Heads), len(p.positions)
	if err := l.loadComponents(a); err != nil {
		return nil, err
	}
	a.stream = l.numbers(stream, layers, places, s.DModel)
	if s.PreNorm {
		a.normScale = l.positive(normScale, layers, places)
	}
	a.q, a.k = l.numbers(qVector, heads, places, s.DHead), l.numbers(kVector, heads, places, s.DHead)
	if s.QKNorm != model.NoQKNorm {
		a.qScale, a.kScale = l.positive(qScale, heads, places), l.positive(kScale, heads, places)
	}
	if dims := f.turned(); dims > 0 {
		a.cos, a.sin = l.numbers(cosines, layers, places, dims/2), l.numbers(sines, layers, places, dims/2)
	}
	a.scores = l.numbers(scoresOf, heads, places, len(p.Tokens))
	if s.PostNorm {
		a.postScale = l.positive(postScale, f.stop(), places, 2)
	}
	return a, l.err
}

// turned returns the largest number of dimensions that a layer with a target head rotates.
func (f *Folder) turned() int {
	dims := 0
	for _, l := range f.layers {
		dims = max(dims, f.Spec.RotaryOf(l).Dims)
	}
	return dims
}

// loadComponents finds what components wrote. If the folder lists the components that it has, the others are
// zero.
func (l *loader[T]) loadComponents(a *Activations[T]) error {
	f, places := l.folder, len(a.prompt.positions)
	if all, d := f.writers(), f.Spec.DModel; all > maxMade/d {
		return fmt.Errorf("%d components of %d numbers at a position, want at most %d in all", all, d,
			maxMade)
	}
	a.listed = f.vectors
	if l.has(active) {
		var err error
		if a.listed, err = l.active(); err != nil {
			return err
		}
	}
	a.vectors = l.view(components, places, len(a.listed), f.Spec.DModel)
	if len(f.heads) > 0 {
		a.values = l.view(values, places, len(f.heads), f.Spec.DHead)
	}
	return l.err
}

// active reads the list of components that exist.
func (l *loader[T]) active() ([]int, error) {
	f, name := l.folder, fmt.Sprint(l.number)+active
	shape := l.file.Shape(name)
	if len(shape) != 1 || shape[0] > len(f.vectors) {
		return nil,
			fmt.Errorf("tensor %q has shape %v, want [components], at most %d", name, shape, len(f.vectors))
	}
	numbers, err := l.file.Integers(name, shape[0])
	if err != nil {
		return nil, err
	}
	list := make([]int, len(numbers))
	for i, c := range numbers {
		if c < 0 || c >= int64(f.writers()) || i > 0 && c <= numbers[i-1] {
			return nil, fmt.Errorf("tensor %q element %d is %d, want components from 0 to %d, ascending",
				name, i, c, f.writers()-1)
		}
		if _, found := slices.BinarySearch(f.vectors, int(c)); !found {
			return nil,
				fmt.Errorf(
					"tensor %q element %d is %d, which is %s: in the form %s that is made of its parts", name,
					i, c, f.Layout.Components()[c].Label(), Parts)
		}
		list[i] = int(c)
	}
	return list, nil
}

// Vectors writes what components below a layer wrote at a place to rows [component, d_model], if the folder
// has vectors of them. It leaves the rows of others unchanged. Components that the folder says were absent
// are zero.
func (a *Activations[T]) Vectors(place, layer int, rows []T) {
	below, d := a.folder.Layout.Below(layer), a.folder.Spec.DModel
	for i, c := range a.listed {
		if c < below {
			checkpoint.Copy(rows[c*d:][:d], a.vectors, (place*len(a.listed)+i)*d)
		}
	}
}

// Values writes the weighted values at a place [d_head] of a head below the last target head; number is an
// index into [Folder.MadeHeads].
func (a *Activations[T]) Values(place, number int, into []T) {
	checkpoint.Copy(into, a.values, (place*len(a.folder.heads)+number)*len(into))
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

// Stream returns the stream before the layer of a target head [d_model].
func (a *Activations[T]) Stream(layer, place int) []T {
	return a.row(a.stream, a.layer(layer), place, a.folder.Spec.DModel)
}

// row returns a row of an array [part, place, width].
func (a *Activations[T]) row(x []T, part, place, width int) []T {
	return slices.Clip(x[(part*len(a.prompt.positions)+place)*width:][:width])
}

// one returns a number of an array [part, place], or 1 if there is no array.
func (a *Activations[T]) one(x []T, part, place int) T {
	if x == nil {
		return 1
	}
	return x[part*len(a.prompt.positions)+place]
}

// NormScale returns what the norm before attention divided by. Like the other scales, it is 1 if there is no
// norm.
func (a *Activations[T]) NormScale(layer, place int) T {
	return a.one(a.normScale, a.layer(layer), place)
}

// Q returns the query of a target head [d_head], as the score reads it.
func (a *Activations[T]) Q(h schema.Head, place int) []T {
	return a.row(a.q, a.head(h), place, a.folder.Spec.DHead)
}

// K returns the key of a target head [d_head], as the score reads it.
func (a *Activations[T]) K(h schema.Head, place int) []T {
	return a.row(a.k, a.head(h), place, a.folder.Spec.DHead)
}

// QScale returns what QK-norm divided the query by.
func (a *Activations[T]) QScale(h schema.Head, place int) T { return a.one(a.qScale, a.head(h), place) }

// KScale returns what QK-norm divided the key by.
func (a *Activations[T]) KScale(h schema.Head, place int) T { return a.one(a.kScale, a.head(h), place) }

// Turn returns the rotation of queries and keys of a layer.
func (a *Activations[T]) Turn(layer, place int) rotary.Turn {
	r := a.folder.Spec.RotaryOf(layer)
	if r.Dims == 0 {
		return rotary.Turn{}
	}
	t, wide := rotary.Turn{Pairs: r.Pairs}, a.folder.turned()/2
	cos, sin := a.row(a.cos, a.layer(layer), place, wide), a.row(a.sin, a.layer(layer), place, wide)
	for i := range r.Dims / 2 {
		t.Cos, t.Sin = append(t.Cos, float64(cos[i])), append(t.Sin, float64(sin[i]))
	}
	return t
}

// Scores returns the scores of a target head from the position at a place to the positions that it sees,
// beginning with position first, before any cap.
func (a *Activations[T]) Scores(h schema.Head, place int) (first int, scores []T) {
	query := a.prompt.positions[place]
	first = a.folder.firstKey(h.Layer, query)
	return first, slices.Clip(a.row(a.scores, a.head(h), place, len(a.prompt.Tokens))[first : query+1])
}

// PostScales returns what the norms after attention and after the MLP of a layer below the last target head
// divided by.
func (a *Activations[T]) PostScales(layer, place int) (attention, mlp T) {
	if a.postScale == nil {
		return 1, 1
	}
	both := a.row(a.postScale, layer, place, 2)
	return both[0], both[1]
}
