package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/engine/exchange"
	"ducklens/engine/internal/workers"
	"ducklens/engine/model"
	"ducklens/engine/rotary"
	"ducklens/schema"
)

// given is a folder of activations as a network.
type given[T blas.Float] struct {
	engine *Engine
	folder *exchange.Folder

	mu   sync.Mutex
	maps map[schema.Head]exchange.Maps[T] // those asked for so far; those of a whole layer are under head -1
}

func newGiven[T blas.Float](e *Engine) *given[T] {
	return &given[T]{engine: e, folder: e.folder, maps: map[schema.Head]exchange.Maps[T]{}}
}

// dense returns numbers as a tensor. They must not change.
func (g *given[T]) dense(data []T, rows, cols int) *tensor.Dense {
	return tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(data),
		tensor.WithEngine(blas.Engine{Provider: g.engine.provider, Threads: 1}))
}

// mapsOf returns the maps of a head, or those of all heads of its layer.
func (g *given[T]) mapsOf(head schema.Head, all bool) exchange.Maps[T] {
	if all {
		head.Index = -1
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	m, ok := g.maps[head]
	if !ok {
		if all {
			// [Engine.checkGiven] has checked that they exist.
			m, _ = exchange.LayerMaps[T](g.folder, head.Layer)
		} else {
			m = exchange.HeadMaps[T](g.folder, head)
		}
		g.maps[head] = m
	}
	return m
}

func (g *given[T]) QK(head schema.Head) model.QK[T] {
	m, s := g.mapsOf(head, false), g.folder.Spec
	return model.QK[T]{WQ: g.dense(m.WQ, s.DModel, s.DHead), WK: g.dense(m.WK, s.DModel, s.DHead), BQ: m.BQ,
		BK: m.BK, QGain: m.QGain, KGain: m.KGain}
}

// QKNormMap is like [model.Model.QKNormMap].
func (g *given[T]) QKNormMap(head schema.Head, side schema.Side) (w *tensor.Dense, bias []T) {
	m, s := g.mapsOf(head, g.folder.Spec.QKNorm == model.FullWidth), g.folder.Spec
	numbers, bias := m.WQ, m.BQ
	if side == schema.Key {
		numbers, bias = m.WK, m.BK
	}
	w = g.dense(numbers, s.DModel, len(bias))
	if !g.folder.Layout.QKBias {
		bias = nil
	}
	return w, bias
}

func (g *given[T]) Sink(head schema.Head) float64 {
	if !g.folder.Spec.Sinks {
		return math.Inf(-1)
	}
	return g.folder.Sink(head)
}

// QKNormScale is like [model.Model.QKNormScale].
func (g *given[T]) QKNormScale(head schema.Head, side schema.Side, normalised []float64) float64 {
	s := g.folder.Spec
	if s.QKNorm == model.NoQKNorm {
		return 1
	}
	m := g.mapsOf(head, s.QKNorm == model.FullWidth)
	w, b := m.WQ, m.BQ
	if side == schema.Key {
		w, b = m.WK, m.BK
	}
	y := make([]float64, len(b))
	for j, v := range b {
		y[j] = float64(v)
	}
	for i, x := range normalised {
		for j, v := range w[i*len(b):][:len(b)] {
			y[j] += x * float64(v)
		}
	}
	squares := 0.0
	for _, v := range y {
		squares += v * v
	}
	return math.Sqrt(squares/float64(len(y)) + s.QKNormEps)
}

func (g *given[T]) Unembed(token int) []T { return exchange.Unembed[T](g.folder, token) }

func (g *given[T]) activate(_ context.Context, sequences []sequence, _ model.Wanted) (activations[T], error) {
	r := &stored[T]{given: g, sequences: sequences, made: map[model.Place][]T{}}
	if err := r.load(); err != nil {
		r.recycle()
		return nil, err
	}
	return r, nil
}

// stored are activations of a folder.
type stored[T blas.Float] struct {
	*given[T]
	sequences []sequence
	loaded    map[int]*exchange.Activations[T] // by the prompt's number
	prompts   []*exchange.Activations[T]       // of each sequence
	places    [][]int                          // of each kept position of a sequence: its place in the prompt
	made      map[model.Place][]T              // component matrices
}

// load reads what the folder has of the sequences.
func (s *stored[T]) load() error {
	s.loaded = map[int]*exchange.Activations[T]{}
	for i := range s.sequences {
		of := &s.sequences[i]
		number := of.asked[0].Prompt.Stored - 1
		for j := range of.asked {
			x := &of.asked[j]
			if x.Prompt.Stored-1 != number || number < 0 || number >= len(s.folder.Prompts) ||
				!s.folder.Prompts[number].Is(x) {
				return fmt.Errorf("example %d: %w: it is none of the folder of activations", x.Index,
					ErrPrompt)
			}
		}
		var places []int
		for _, pos := range of.positions {
			place := s.folder.Prompts[number].Place(pos)
			if place < 0 {
				return fmt.Errorf("example %d: %w: the folder of activations does not have token %d of it",
					of.asked[0].Index, ErrPrompt, pos)
			}
			places = append(places, place)
		}
		if s.loaded[number] == nil {
			a, err := exchange.Load[T](s.folder, number)
			if err != nil {
				return err
			}
			s.loaded[number] = a
		}
		s.prompts, s.places = append(s.prompts, s.loaded[number]), append(s.places, places)
	}
	return nil
}

// at returns a prompt, and the place of a kept position in it.
func (s *stored[T]) at(seq, i int) (*exchange.Activations[T], int) {
	return s.prompts[seq], s.places[seq][i]
}

// Stop returns the layer of the engine's last target head; the folder may have more.
func (s *stored[T]) Stop() int { return s.engine.stop() }

// Make computes the component matrices of several kept positions, as [model.Cache.Make] does.
func (s *stored[T]) Make(places []model.Place) {
	clear(s.made)
	var list []model.Place
	for _, p := range places {
		if s.made[p] == nil {
			s.made[p] = s.empty()
			list = append(list, p)
		}
	}
	s.fill(s.engine.options.threads(), list, func(p model.Place) []T { return s.made[p] })
}

// empty returns memory for a component matrix.
func (s *stored[T]) empty() []T {
	return make([]T, s.folder.Layout.Below(s.Stop())*s.folder.Spec.DModel)
}

// fill writes component matrices: the vectors that the folder has, and those computed from weighted values.
func (s *stored[T]) fill(threads int, list []model.Place, matrix func(p model.Place) []T) {
	heads, d := s.folder.MadeHeads(), s.folder.Spec.DModel
	n, _ := slices.BinarySearch(heads, s.folder.Layout.Below(s.Stop()))
	workers.Do(threads, len(list), func(i int) {
		a, place := s.at(list[i].Sequence, list[i].Index)
		a.Vectors(place, s.Stop(), matrix(list[i]))
	})
	workers.Do(threads, n, func(number int) { s.fillHead(number, list, matrix) })
	for c, of := range s.folder.Layout.Components()[:s.folder.Layout.Below(s.Stop())] {
		if len(heads) == 0 || of.Kind != schema.AttnBias {
			continue
		}
		bias, gain := exchange.BO[T](s.folder, of.Layer), exchange.PostGain[T](s.folder, of.Layer)
		for _, p := range list {
			row := matrix(p)[c*d:][:d]
			copy(row, bias)
			s.afterAttention(row, gain, of.Layer, p)
		}
	}
}

// fillHead writes what a head wrote at several positions: its weighted values times its W_O, through the norm
// after attention.
func (s *stored[T]) fillHead(number int, list []model.Place, matrix func(p model.Place) []T) {
	c, d, dHead := s.folder.MadeHeads()[number], s.folder.Spec.DModel, s.folder.Spec.DHead
	of := s.folder.Layout.Components()[c]
	values := blas.NewMatrix(len(list), dHead, make([]T, len(list)*dHead))
	for i, p := range list {
		a, place := s.at(p.Sequence, p.Index)
		a.Values(place, number, values.Row(i))
	}
	written := blas.NewMatrix(len(list), d, make([]T, len(list)*d))
	wo := blas.NewMatrix(dHead, d, exchange.WO[T](s.folder, schema.Head{Layer: of.Layer, Index: of.Head}))
	blas.Gemm(s.engine.provider, 1, written, values, wo, false)
	gain := exchange.PostGain[T](s.folder, of.Layer)
	for i, p := range list {
		row := matrix(p)[c*d:][:d]
		copy(row, written.Row(i))
		s.afterAttention(row, gain, of.Layer, p)
	}
}

// afterAttention applies the norm after attention, if there is one, to a part of what it divided.
func (s *stored[T]) afterAttention(part, gain []T, layer int, p model.Place) {
	if !s.folder.Spec.PostNorm {
		return
	}
	a, place := s.at(p.Sequence, p.Index)
	scale, _ := a.PostScales(layer, place)
	for i, v := range part {
		x := float64(v) / float64(scale)
		if gain != nil {
			x *= float64(gain[i])
		}
		part[i] = T(x)
	}
}

func (s *stored[T]) Components(seq, i int) *tensor.Dense {
	return s.ComponentsBefore(s.Stop(), seq, i)
}

func (s *stored[T]) ComponentsBefore(layer, seq, i int) *tensor.Dense {
	at := model.Place{Sequence: seq, Index: i}
	data := s.made[at]
	if data == nil {
		data = s.empty()
		s.fill(1, []model.Place{at}, func(model.Place) []T { return data })
	}
	n, d := s.folder.Layout.Below(layer), s.folder.Spec.DModel
	return s.dense(data[:n*d:n*d], n, d)
}

func (s *stored[T]) ResidPre(layer, seq, i int) []T {
	a, place := s.at(seq, i)
	return a.Stream(layer, place)
}

func (s *stored[T]) NormScale(layer, seq, i int) T {
	a, place := s.at(seq, i)
	return a.NormScale(layer, place)
}

func (s *stored[T]) PostAttnScale(layer, seq, i int) T {
	a, place := s.at(seq, i)
	attention, _ := a.PostScales(layer, place)
	return attention
}

func (s *stored[T]) PostMLPScale(layer, seq, i int) T {
	a, place := s.at(seq, i)
	_, mlp := a.PostScales(layer, place)
	return mlp
}

func (s *stored[T]) Q(head schema.Head, seq, i int) []T {
	a, place := s.at(seq, i)
	return a.Q(head, place)
}

func (s *stored[T]) K(head schema.Head, seq, i int) []T {
	a, place := s.at(seq, i)
	return a.K(head, place)
}

func (s *stored[T]) QNormScale(head schema.Head, seq, i int) T {
	a, place := s.at(seq, i)
	return a.QScale(head, place)
}

func (s *stored[T]) KNormScale(head schema.Head, seq, i int) T {
	a, place := s.at(seq, i)
	return a.KScale(head, place)
}

func (s *stored[T]) Row(dst model.Row[T], head schema.Head, seq, i int) model.Row[T] {
	a, place := s.at(seq, i)
	first, scores := a.Scores(head, place)
	return model.RowOf(dst, first, scores, s.folder.Spec.SoftCap, s.Sink(head))
}

func (s *stored[T]) Turn(layer, seq, i int) rotary.Turn {
	a, place := s.at(seq, i)
	return a.Turn(layer, place)
}

// recycle closes the files. Errors are ignored, as the files were only read.
func (s *stored[T]) recycle() {
	for _, a := range s.loaded {
		_ = a.Close()
	}
}
