package engine

import (
	"fmt"
	"sync"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/engine/rotary"
	"ducklens/schema"
)

// singularBytes bounds the memory of the singular directions that an engine caches. Without rotary embedding
// a head needs one decomposition; with it, one for each distance of query and key, and each takes some 10 ms
// for d_head 64.
const singularBytes = 64 << 20

// singulars returns the singular directions of target heads. The same question gets the same bits, whether
// the answer is cached or not.
type singulars[T blas.Float] struct {
	norm decompose.Norm
	maps map[schema.Head]decompose.Maps[T]
	most int // the most directions that any basis asks for
	room int // maximum number of cached answers

	mu       sync.Mutex
	circuits map[schema.Head]*once[*decompose.Circuit]
	answers  map[singularKey]*once[decompose.Singular]
	order    []singularKey // of cached answers, the oldest first
}

// singularKey is a question about a head: how far the query is from the key, and whether the prompt is turned
// as long ones are.
type singularKey struct {
	head   schema.Head
	offset int
	long   bool
}

// once is a value that is computed when it is first asked for.
type once[X any] struct {
	sync.Once
	value X
	err   error
}

func (o *once[X]) get(make func() (X, error)) (X, error) {
	o.Do(func() { o.value, o.err = make() })
	return o.value, o.err
}

// newSingulars returns nil if no basis uses singular directions.
func newSingulars[T blas.Float](e *Engine, maps map[schema.Head]decompose.Maps[T]) *singulars[T] {
	s := &singulars[T]{norm: e.norm, maps: maps, circuits: map[schema.Head]*once[*decompose.Circuit]{},
		answers: map[singularKey]*once[decompose.Singular]{}}
	for _, list := range [][]basis{e.queryBases, e.keyBases} {
		for _, b := range list {
			s.most = max(s.most, b.Singular)
		}
	}
	if s.most == 0 {
		return nil
	}
	s.room = max(16, singularBytes/(16*s.most*e.description.DModel))
	return s
}

// at returns the singular directions of a head for a query that is offset positions after its key, in a
// prompt of n tokens. Turns are computed from the offset alone, so that the bits do not depend on the
// positions.
func (s *singulars[T]) at(head schema.Head, r rotary.Rotary, offset, n int) (decompose.Singular, error) {
	key := singularKey{head: head, offset: offset, long: r.LongFrequencies != nil && n > r.LongFrom}
	if r.Dims == 0 {
		key.offset = 0
	}
	s.mu.Lock()
	circuit := s.circuits[head]
	if circuit == nil {
		circuit = &once[*decompose.Circuit]{}
		s.circuits[head] = circuit
	}
	answer := s.answers[key]
	if answer == nil {
		answer = &once[decompose.Singular]{}
		s.answers[key] = answer
		if s.order = append(s.order, key); len(s.order) > s.room {
			delete(s.answers, s.order[0])
			s.order = s.order[1:]
		}
	}
	s.mu.Unlock()
	return answer.get(func() (decompose.Singular, error) {
		c, err := circuit.get(func() (*decompose.Circuit,
			error) {
			return decompose.NewCircuit(s.norm, s.maps[head])
		})
		if err != nil {
			return decompose.Singular{}, err
		}
		return c.Singular(r.At(0, n), r.At(-offset, n), s.most)
	})
}

// singularBasis makes a basis of the first singular directions at a position of an example: at the query for
// its distance to the key, at the key and the baseline for their own distance to the query.
func (p *pass[T]) singularBasis(
	b basis, x *schema.Example, head schema.Head, pos int,
) (decompose.Basis, error) {
	made, err := p.singulars.at(head, p.engine.spec.RotaryOf(head.Layer), x.Query-pos, len(x.Tokens))
	if err != nil {
		return decompose.Basis{}, fmt.Errorf("basis %s: %w", b.Name, err)
	}
	if b.Side == schema.Query {
		return made.Query.First(b.Singular), nil
	}
	return made.Key.First(b.Singular), nil
}

// checkSingular returns an error if a basis asks for more directions than a head has.
func (e *Engine) checkSingular() error {
	rank := min(e.description.DHead, e.description.DModel)
	for _, list := range [][]basis{e.queryBases, e.keyBases} {
		for _, b := range list {
			if b.Singular > rank {
				return advise(fmt.Sprintf("ask for svd:%d at most", rank),
					"%s basis %s: %w: the map W_Q W_K^T of a head of %s has rank %d at most", b.Side, b.Name,
					ErrBasis, e.description.Name, rank)
			}
		}
	}
	return nil
}
