package decompose

import (
	"fmt"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"ducklens/engine/blas"
	"ducklens/engine/rotary"
	"ducklens/schema"
)

// singularPrefix is the prefix of the names of bases of singular directions.
const singularPrefix = "svd:"

// SingularNames says how such bases are named.
const SingularNames = "svd:4 (the first 4 singular directions of the head's W_Q W_K^T)"

// alongSingular returns the basis of a side for a name such as svd:4.
func alongSingular(side schema.Side, name string) (Definition, bool) {
	if len(name) < len(singularPrefix) || !strings.EqualFold(name[:len(singularPrefix)], singularPrefix) {
		return Definition{}, false
	}
	k, err := strconv.Atoi(name[len(singularPrefix):])
	if err != nil || k < 1 || strconv.Itoa(k) != name[len(singularPrefix):] {
		return Definition{}, false
	}
	which := "left"
	if side == schema.Key {
		which = "right"
	}
	return Definition{Singular: k,
		Basis: schema.Basis{Side: side, Kind: schema.Subspace, Name: singularPrefix + strconv.Itoa(k),
			Dimension: k,
			Description: fmt.Sprintf(
				"first %d %s singular directions of the head's own W_Q W_K^T, "+
					"gains of QK-norm and the rotation between query and key in it; "+
					"a span that is not well defined where value %d is close to value %d", k, which, k,
				k+1)}}, true
}

// Circuit is the score of a head as a form of two streams: apart from biases and the scales of norms,
//
//	score = n(x)^T B n(y) / attn_scale     B = W_Q D_Q R_d^T R_s D_K W_K^T   [d_model, d_model]
//
// (Elhage et al. 2021, the QK circuit), where D are the gains of QK-norm and R the rotations of the query's
// and the key's position. B has rank d_head at most. It is kept as the triangles of W_Q = Q_Q R_Q and W_K =
// Q_K R_K, both centred if the norm centres.
type Circuit struct {
	query, key           [][]float64 // centred W by column [d_head][d_model]
	queryR, keyR         *mat.Dense  // the triangles [min(d_model, d_head), d_head]
	queryGain, keyGain   []float64   // nil: none
	dModel, dHead, least int
}

// NewCircuit returns the circuit of a head from its maps. The circuit is safe for concurrent use.
func NewCircuit[T blas.Float](n Norm, maps Maps[T]) (*Circuit, error) {
	if maps.WQ == nil || maps.WQ.Dims() != 2 {
		return nil, fmt.Errorf("W_Q missing: %w", ErrShape)
	}
	dModel, dHead := maps.WQ.Shape()[0], maps.WQ.Shape()[1]
	c := &Circuit{dModel: dModel, dHead: dHead, least: min(dModel, dHead)}
	if err := checkMatrix[T]("W_Q", maps.WQ, dModel, dHead); err != nil {
		return nil, err
	}
	if err := checkMatrix[T]("W_K", maps.WK, dModel, dHead); err != nil {
		return nil, err
	}
	if maps.QGain != nil || maps.KGain != nil {
		if len(maps.QGain) != dHead || len(maps.KGain) != dHead {
			return nil,
				fmt.Errorf("gains of %d and %d entries, want %d: %w", len(maps.QGain), len(maps.KGain), dHead,
					ErrShape)
		}
		c.queryGain, c.keyGain = widen(maps.QGain), widen(maps.KGain)
	}
	c.query, c.queryR = triangle(n, data[T](maps.WQ), dModel, dHead)
	c.key, c.keyR = triangle(n, data[T](maps.WK), dModel, dHead)
	return c, nil
}

// triangle returns the columns of w, centred if the norm centres, and R of their QR factorisation.
func triangle[T blas.Float](n Norm, w []T, dModel, dHead int) (columns [][]float64, r *mat.Dense) {
	wide := mat.NewDense(dModel, dHead, nil)
	for j := range dHead {
		column := make([]T, dModel)
		for i := range column {
			column[i] = w[i*dHead+j]
		}
		columns = append(columns, centred(n, column))
		wide.SetCol(j, columns[j])
	}
	if dModel <= dHead { // w serves as its own triangle
		return columns, wide
	}
	var qr mat.QR
	qr.Factorize(wide)
	var full mat.Dense
	qr.RTo(&full)
	return columns, mat.DenseCopyOf(full.Slice(0, dHead, 0, dHead))
}

// Singular holds the first singular directions of a [Circuit]: B = sum_i Values[i] u_i v_i^T.
type Singular struct {
	Query, Key Basis     // spanned by the u_i and by the v_i
	Values     []float64 // all of them, the largest first [min(d_model, d_head)]
}

// Singular returns the first k singular directions of B for a query and a key with these turns. What the
// turns have in common does not matter, so B depends only on their distance; a caller that wants the same
// bits for one distance must pass the same two turns.
//
// The span of the first k is well defined if value k is well above value k+1. Directions of nearly equal
// values can be replaced by any rotation of them, and rounding decides. Their signs do not matter. If B has
// smaller rank than k (values below parallelTolerance of the largest), all of its directions are returned; if
// it is zero, the error is [ErrDegenerate].
//
// The directions come from the singular value decomposition of the d_head x d_head matrix R_Q C R_K^T, where
// C is what is between the maps, as B = Q_Q (R_Q C R_K^T) Q_K^T with orthonormal Q. For one of its triples
// (s, a, b), u is Q_Q a. Because Q_K^T Q_K = 1,
//
//	u = B v / s = W_Q C R_K^T b / s     v = W_K C^T R_Q^T a / s
//
// so Q is not needed.
func (c *Circuit) Singular(query, key rotary.Turn, k int) (Singular, error) {
	if k < 1 || k > c.least {
		return Singular{},
			fmt.Errorf("%d singular directions of a map of rank %d at most: %w", k, c.least, ErrShape)
	}
	// C R_K^T and C^T R_Q^T, with a vector of d_head for each row of the triangle.
	forward := c.between(c.keyR, c.keyGain, key, query, c.queryGain)
	backward := c.between(c.queryR, c.queryGain, query, key, c.keyGain)
	var middle mat.Dense
	middle.Mul(c.queryR, forward)
	var svd mat.SVD
	if !svd.Factorize(&middle, mat.SVDThin) {
		return Singular{}, fmt.Errorf("the singular values of W_Q W_K^T do not converge: %w", ErrDegenerate)
	}
	values := svd.Values(nil)
	if !(values[0] > 0) {
		return Singular{}, fmt.Errorf("W_Q W_K^T is zero: %w", ErrDegenerate)
	}
	var a, b mat.Dense
	svd.UTo(&a)
	svd.VTo(&b)
	var us, vs [][]float64
	for i := 0; i < k && values[i] > parallelTolerance*values[0]; i++ {
		us = append(us, c.direction(c.query, forward, b.ColView(i), values[i]))
		vs = append(vs, c.direction(c.key, backward, a.ColView(i), values[i]))
	}
	// They are centred already, so no norm is applied. What is left is to remove rounding from their angles.
	s := Singular{Values: values}
	var err error
	if s.Query, err = Span(Norm{Kind: NoNorm}, us...); err != nil {
		return Singular{}, err
	}
	s.Key, err = Span(Norm{Kind: NoNorm}, vs...)
	return s, err
}

// between takes the rows of a triangle of one side through its gain and turn, and back through those of the
// other: [d_head, rows].
func (c *Circuit) between(
	r *mat.Dense, gain []float64, turn, backTurn rotary.Turn, backGain []float64,
) *mat.Dense {
	rows, _ := r.Dims()
	out := mat.NewDense(c.dHead, rows, nil)
	for i := range rows {
		v := mat.Row(nil, i, r)
		multiply(v, gain)
		turn.Apply(v)
		backTurn.Undo(v)
		multiply(v, backGain)
		out.SetCol(i, v)
	}
	return out
}

// multiply multiplies v by a gain, entry by entry; nil is a gain of ones.
func multiply(v, gain []float64) {
	for i, g := range gain {
		v[i] *= g
	}
}

// direction returns W (through x) / value [d_model].
func (c *Circuit) direction(w [][]float64, through *mat.Dense, x mat.Vector, value float64) []float64 {
	var coefficients mat.VecDense
	coefficients.MulVec(through, x)
	out := make([]float64, c.dModel)
	for j, column := range w {
		axpy(coefficients.AtVec(j)/value, column, out)
	}
	return out
}
