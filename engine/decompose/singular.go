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

// singularPrefix begins the name of a basis of singular directions.
const singularPrefix = "svd:"

// SingularNames says how such bases are called.
const SingularNames = "svd:4 (the first 4 singular directions of the head's W_Q W_K^T)"

// alongSingular gives the basis of a side that a name such as svd:4 stands for.
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
	return Definition{Singular: k, Basis: schema.Basis{Side: side, Kind: schema.Subspace, Name: singularPrefix + strconv.Itoa(k), Dimension: k,
		Description: fmt.Sprintf("first %d %s singular directions of the head's own W_Q W_K^T, gains of QK-norm and the rotation between query and key in it; "+
			"a span that is not well defined where value %d is close to value %d", k, which, k, k+1)}}, true
}

// Circuit is what the score of a head makes of two streams: but for biases and the scales of norms,
//
//	score = n(x)^T B n(y) / attn_scale     B = W_Q D_Q R_d^T R_s D_K W_K^T   [d_model, d_model]
//
// (Elhage et al. 2021, the QK circuit), D being the gains of QK-norm and R the rotations of the query's and of
// the key's position. B is of rank d_head at most, and is kept as the triangles of W_Q = Q_Q R_Q and W_K = Q_K
// R_K, both centred where the norm centres.
type Circuit struct {
	query, key           [][]float64 // centred W by column [d_head][d_model]
	queryR, keyR         *mat.Dense  // the triangles [min(d_model, d_head), d_head]
	queryGain, keyGain   []float64   // nil: none
	dModel, dHead, least int
}

// NewCircuit takes the maps of a head. It is safe for concurrent use.
func NewCircuit[T blas.Float](n Norm, maps Maps[T]) (*Circuit, error) {
	if maps.WQ == nil || maps.WQ.Dims() != 2 {
		return nil, fmt.Errorf("decompose: W_Q missing: %w", ErrShape)
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
			return nil, fmt.Errorf("decompose: gains of %d and %d entries, want %d: %w", len(maps.QGain), len(maps.KGain), dHead, ErrShape)
		}
		c.queryGain, c.keyGain = widen(maps.QGain), widen(maps.KGain)
	}
	c.query, c.queryR = triangle(n, data[T](maps.WQ), dModel, dHead)
	c.key, c.keyR = triangle(n, data[T](maps.WK), dModel, dHead)
	return c, nil
}

// triangle gives the columns of w, centred where the norm does, and R of their QR factorisation.
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
	if dModel <= dHead { // w is as good as its triangle
		return columns, wide
	}
	var qr mat.QR
	qr.Factorize(wide)
	var full mat.Dense
	qr.RTo(&full)
	return columns, mat.DenseCopyOf(full.Slice(0, dHead, 0, dHead))
}

// Singular are the first singular directions of a [Circuit]: B = sum_i Values[i] u_i v_i^T.
type Singular struct {
	Query, Key Basis     // spanned by the u_i and by the v_i
	Values     []float64 // all of them, the largest first [min(d_model, d_head)]
}

// Singular gives the first k singular directions of B for a query and a key that are turned so. What the turns
// have in common matters not, so B depends on their distance alone; a caller who wants the same bits for one
// distance takes the same two turns.
//
// The span of the first k is well defined where value k is well above value k+1: directions of nearly equal
// values are as good as any rotation of them, and rounding chooses. Their signs do not matter. A B of smaller
// rank than k (values below parallelTolerance of the largest) gives as many directions as it has; one that is
// zero is [ErrDegenerate].
//
// It is the singular value decomposition of the d_head x d_head matrix R_Q C R_K^T, C being what lies between the
// maps, for B = Q_Q (R_Q C R_K^T) Q_K^T with orthonormal Q. With (s, a, b) one of its triples, u is Q_Q a, and
// because Q_K^T Q_K = 1,
//
//	u = B v / s = W_Q C R_K^T b / s     v = W_K C^T R_Q^T a / s
//
// so Q is not needed.
func (c *Circuit) Singular(query, key rotary.Turn, k int) (Singular, error) {
	if k < 1 || k > c.least {
		return Singular{}, fmt.Errorf("decompose: %d singular directions of a map of rank %d at most: %w", k, c.least, ErrShape)
	}
	// C R_K^T and C^T R_Q^T, a vector of d_head for each row of the triangle.
	forward := c.between(c.keyR, c.keyGain, key, query, c.queryGain)
	backward := c.between(c.queryR, c.queryGain, query, key, c.keyGain)
	var middle mat.Dense
	middle.Mul(c.queryR, forward)
	var svd mat.SVD
	if !svd.Factorize(&middle, mat.SVDThin) {
		return Singular{}, fmt.Errorf("decompose: the singular values of W_Q W_K^T do not converge: %w", ErrDegenerate)
	}
	values := svd.Values(nil)
	if !(values[0] > 0) {
		return Singular{}, fmt.Errorf("decompose: W_Q W_K^T is zero: %w", ErrDegenerate)
	}
	var a, b mat.Dense
	svd.UTo(&a)
	svd.VTo(&b)
	var us, vs [][]float64
	for i := 0; i < k && values[i] > parallelTolerance*values[0]; i++ {
		us = append(us, c.direction(c.query, forward, b.ColView(i), values[i]))
		vs = append(vs, c.direction(c.key, backward, a.ColView(i), values[i]))
	}
	// Centred already, so no norm: what is left is to take rounding out of their angles.
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
func (c *Circuit) between(r *mat.Dense, gain []float64, turn, backTurn rotary.Turn, backGain []float64) *mat.Dense {
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

// multiply is v times a gain, entry by entry; nil is a gain of ones.
func multiply(v, gain []float64) {
	for i, g := range gain {
		v[i] *= g
	}
}

// direction is W (through x) / value [d_model].
func (c *Circuit) direction(w [][]float64, through *mat.Dense, x mat.Vector, value float64) []float64 {
	var coefficients mat.VecDense
	coefficients.MulVec(through, x)
	out := make([]float64, c.dModel)
	for j, column := range w {
		axpy(coefficients.AtVec(j)/value, column, out)
	}
	return out
}
