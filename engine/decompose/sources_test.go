package decompose_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/schema"
)

// reader is a head of a made-up example as the oracle sees it, with what it read at each place.
type reader struct {
	component int
	wo        [][]float64 // [d_head][d_model]
	gain      []float64   // of the norm after it; nil: none
	centres   bool
	values    [][]float64 // of all positions
	seen      map[*place]seen
}

type seen struct {
	first int
	prob  []float64
	scale float64
}

// wrote returns the head's output at a place if it only sees the positions in keep.
func (r *reader) wrote(e *example, at *place, keep func(pos int) bool) []float64 {
	s := r.seen[at]
	x := make([]float64, e.dModel)
	for i, a := range s.prob {
		if keep(s.first + i) {
			x = add(x, transposedTimes(r.wo, times(a, r.values[s.first+i])))
		}
	}
	if r.gain == nil {
		return x
	}
	if r.centres {
		x = naiveCentre(x)
	}
	x = times(1/s.scale, x)
	for i, g := range r.gain {
		x[i] *= g
	}
	return x
}

// drawReader lets a head of the example read positions, and adds its output to the streams.
func drawReader(t *rapid.T, e *example) *reader {
	r := &reader{component: -1, seen: map[*place]seen{}}
	for i, c := range e.components {
		if c.Kind == schema.HeadOut && (r.component < 0 || rapid.Bool().Draw(t, "another head")) {
			r.component = i
		}
	}
	if r.component < 0 {
		t.Skip("no head below")
	}
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "reader"), 2))
	vector := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = random.NormFloat64()
		}
		return v
	}
	dHead := rapid.IntRange(1, 6).Draw(t, "d_head of the source")
	for range dHead {
		r.wo = append(r.wo, vector(e.dModel))
	}
	for range 9 {
		r.values = append(r.values, vector(dHead))
	}
	if rapid.Bool().Draw(t, "norm after it") {
		r.gain, r.centres = vector(e.dModel), rapid.Bool().Draw(t, "it centres")
	}
	for _, p := range []*place{&e.query, &e.key, e.baseline} {
		if p == nil {
			continue
		}
		s := seen{first: rapid.IntRange(0, 4).Draw(t, "first"), scale: 1}
		s.prob = vector(rapid.IntRange(1, 9-s.first).Draw(t, "seen"))
		if r.gain != nil {
			s.scale = 0.5 + random.Float64()
		}
		r.seen[p] = s
		wrote := r.wrote(e, p, func(int) bool { return true })
		p.stream = add(add(p.stream, times(-1, p.components[r.component])), wrote)
		p.components[r.component] = wrote
	}
	e.settle()
	return r
}

// source converts the head to the package's input.
func source[T blas.Float](e *example, r *reader) decompose.Source[T] {
	read := func(p *place) decompose.Read[T] {
		s := r.seen[p]
		out := decompose.Read[T]{First: s.first, Prob: round[T](s.prob), Scale: T(s.scale)}
		for i := range s.prob {
			out.Values = append(out.Values, round[T](r.values[s.first+i]))
		}
		return out
	}
	from := decompose.Source[T]{Component: r.component, WO: dense[T](r.wo), Centres: r.centres, Query: read(&e.query), Key: read(&e.key)}
	if r.gain != nil {
		from.Gain = round[T](r.gain)
	}
	if e.baseline != nil {
		b := read(e.baseline)
		from.Baseline = &b
	}
	return from
}

func split[T blas.Float](t *rapid.T, e *example, r *reader) map[schema.Side]decompose.SourceSplit {
	maps, err := decompose.NewSourceMaps(input[T](e))
	if err != nil {
		t.Fatal(err)
	}
	query, key, err := maps.Split(source[T](e, r))
	if err != nil {
		t.Fatal(err)
	}
	return map[schema.Side]decompose.SourceSplit{query.Side: query, key.Side: key}
}

// A position's contribution is the loss of the head's component when that position is masked, with norms and
// the other side held fixed. The contributions of all positions add up to the component's.
func TestSourcesAgreeWithMaskedPositions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExample(t)
		r := drawReader(t, e)
		double, single := split[float64](t, e, r), split[float32](t, e, r)
		contribution := func(side schema.Side, at *place) float64 {
			sum := 0.0
			row := r.component
			if e.convention == schema.Notebook { // without rows for b_O
				for _, c := range e.components[:row] {
					if c.Kind == schema.AttnBias {
						row--
					}
				}
			}
			for _, v := range e.naive(side, at, choice{}, choice{})[row] {
				sum += v
			}
			return sum
		}
		for side, got := range double {
			for _, to := range []struct {
				place             *place
				numbers, numbers2 []float64
			}{{&e.key, got.Score, single[side].Score}, {e.baseline, got.Baseline, single[side].Baseline}} {
				if to.place == nil {
					if to.numbers != nil {
						t.Errorf("%s side: %d numbers without a baseline", side, len(to.numbers))
					}
					continue
				}
				written := to.place // where the component is written
				if side == schema.Query {
					written = &e.query
				}
				whole, own := contribution(side, to.place), written.components[r.component]
				total, size := 0.0, 1.0
				for _, v := range to.numbers {
					size = max(size, math.Abs(v))
				}
				for i, v := range to.numbers {
					pos := got.First + i
					written.components[r.component] = r.wrote(e, written, func(p int) bool { return p != pos })
					want := whole - contribution(side, to.place)
					if !(math.Abs(v-want) <= tolerance64*size) || !(math.Abs(to.numbers2[i]-want) <= tolerance32*size) {
						t.Errorf("%s side: position %d gives %v, in float32 %v, want %v", side, pos, v, to.numbers2[i], want)
					}
					total += v
				}
				written.components[r.component] = own
				if !(math.Abs(total-whole) <= tolerance64*size) {
					t.Errorf("%s side: positions add up to %v, want the component's %v", side, total, whole)
				}
				s := r.seen[written]
				if s.first < got.First || s.first+len(s.prob) > got.First+len(to.numbers) {
					t.Errorf("%s side: positions %d to %d, and %d to %d were seen", side, got.First, got.First+len(to.numbers), s.first, s.first+len(s.prob))
				}
			}
		}
	})
}

func TestSourcesRefuseWhatDoesNotFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := newExample(5, 2, 2, 8, 3, true)
		r := drawReader(t, e)
		maps, err := decompose.NewSourceMaps(input[float64](e))
		if err != nil {
			t.Fatal(err)
		}
		for name, spoil := range map[string]func(*decompose.Source[float64]){
			"embedding": func(s *decompose.Source[float64]) { s.Component = 0 },
			"beyond":    func(s *decompose.Source[float64]) { s.Component = len(e.components) },
			"W_O":       func(s *decompose.Source[float64]) { s.WO = nil },
			"width":     func(s *decompose.Source[float64]) { s.WO = dense[float64](make2(2, 5)) },
			"gain":      func(s *decompose.Source[float64]) { s.Gain = make([]float64, 3) },
			"scale":     func(s *decompose.Source[float64]) { s.Key.Scale = 0 },
			"values":    func(s *decompose.Source[float64]) { s.Query.Values = s.Query.Values[1:] },
			"value":     func(s *decompose.Source[float64]) { s.Baseline.Values[0] = make([]float64, 9) },
		} {
			from := source[float64](e, r)
			spoil(&from)
			if _, _, err := maps.Split(from); !errors.Is(err, decompose.ErrShape) {
				t.Errorf("%s: %v, want ErrShape", name, err)
			}
		}
	})
}
