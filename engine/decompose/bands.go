package decompose

import (
	"fmt"

	"ducklens/engine/blas"
)

// Bands splits a score over the pairs of dimensions that rotary embedding turns together, one pair for each
// frequency. With q and k as the score reads them, turned by the angles of their positions, pair i
// contributes
//
//	score_i   = (q_a k_a + q_b k_b) / attn_scale
//	content_i = the same of q and k turned back: what the pair would contribute if both were at one position
//
// (arXiv:2104.09864: a score depends on positions only through their distance). Each list has an entry for
// every pair and a last one for all dimensions that do not turn; the content of that one is its score. The
// scores add up to query . key / attn_scale. A factor of cos and sin (yarn, longrope) is included in both
// lists.
type Bands struct {
	Score, Content []float64
}

// RotaryBands splits the score from a query to a key. It returns [ErrShape] if they do not turn alike.
func RotaryBands[T blas.Float](query, key *Position[T], attnScale float64) (Bands, error) {
	pairs := len(query.Turn.Cos)
	if len(query.Vector) != len(key.Vector) || len(key.Turn.Cos) != pairs || 2*pairs > len(query.Vector) {
		return Bands{}, fmt.Errorf("query of %d numbers with %d pairs that turn, key of %d with %d: %w",
			len(query.Vector), pairs, len(key.Vector), len(key.Turn.Cos), ErrShape)
	}
	q, k := widen(query.Vector), widen(key.Vector)
	// Undo is the transpose: it multiplies by the factor a second time, while the inverse would divide by it.
	// So the product of both has the square of the factor twice, and the score has it once.
	q0, k0 := widen(query.Vector), widen(key.Vector)
	query.Turn.Undo(q0)
	key.Turn.Undo(k0)
	b := Bands{Score: make([]float64, pairs+1), Content: make([]float64, pairs+1)}
	turns := make([]bool, len(q))
	for i, cos := range query.Turn.Cos {
		x, y := query.Turn.Plane(i)
		turns[x], turns[y] = true, true
		sin := query.Turn.Sin[i]
		b.Score[i] = (q[x]*k[x] + q[y]*k[y]) / attnScale
		b.Content[i] = (q0[x]*k0[x] + q0[y]*k0[y]) / (cos*cos + sin*sin) / attnScale
	}
	rest := 0.0
	for i, turned := range turns {
		if !turned {
			rest += q[i] * k[i]
		}
	}
	b.Score[pairs], b.Content[pairs] = rest/attnScale, rest/attnScale
	return b, nil
}
