package decompose

import (
	"math"

	"ducklens/engine/blas"
	"ducklens/schema"
)

// Output is the decomposition of one head's scores on one example.
type Output struct {
	// Rows are the rows of Input.Components that the tables have, in order: all of them in the exact
	// convention, all except the attention biases in the notebook convention. If the model has a bias, each
	// table has one more row for it.
	Rows   []int
	Tables []Table // the key side first, then the query side; pairs in the order query basis, key basis

	// Closure is the largest |score - sum of contributions| over tables and positions. RelativeClosure is
	// Closure divided by the [schema.ClosureScale] of the model's own score and baseline. If a vector was
	// replaced, the score is that of the replacement with the model's own vector on the other side; if that
	// score is larger than the scale, its residual counts in proportion. Both are NaN if any sum is.
	Closure, RelativeClosure float64
	scale                    float64
}

// Table holds the contributions of one side under one pair of bases.
type Table struct {
	Side                 schema.Side
	QueryBasis, KeyBasis int // index into Input.QueryBases and Input.KeyBases

	// Score and Baseline [row][schema.Quadrant] are shares of the score to the key and to the baseline
	// position, before cap and softmax. The last row is the bias, b_K or b_Q, if there is one. Baseline is
	// nil if the example has none; for a baseline that is a mean, it is the mean of the shares.
	Score, Baseline [][4]float64
}

// Contributions splits the scores of one example over components and quadrants, for both sides and every
// wanted pair of bases. It returns [ErrShape] if the parts of the input do not fit together.
//
// A contribution of component c on the key side, with a part g of the query fixed, is
//
//	g . F W_K^T n(x_c) / (sigma attn_scale) = m . x_c / (sigma attn_scale),   m = n(W_K f), f = F^T g
//
// where F is the frame of the position: the gain and scale of QK-norm, and the rotation. So g is turned back
// once for all components. The parallel part, with V the orthonormal axes of the key basis, is
//
//	m . V V^T x_c / (sigma attn_scale) = (V^T m) . (V^T x_c) / (sigma attn_scale).
//
// So the component matrix is multiplied once with a handful of columns (each m and each axis), and every pair
// of bases follows from these products. The perpendicular part is the rest. The query side is the same with Q
// and K exchanged.
func Contributions[T blas.Float](in Input[T]) (Output, error) {
	if err := in.check(); err != nil {
		return Output{}, err
	}
	out := Output{Rows: in.rows(), scale: schema.ClosureScale(float64(in.Key.Score))}
	if in.Baseline != nil {
		out.scale = schema.ClosureScale(out.scale, float64(in.Baseline.Score))
	}
	if in.Mean != nil {
		out.scale = schema.ClosureScale(out.scale, in.Mean.Score)
	}
	keySide(&in, &out)
	querySide(&in, &out)
	return out, nil
}

// keySide appends the tables of the key side: the query is fixed, and split along each query basis.
func keySide[T blas.Float](in *Input[T], out *Output) {
	fixedQueries := make([]fixed, len(in.QueryBases))
	for i, basis := range in.QueryBases {
		fixedQueries[i] = in.splitFixed(&in.Query, in.maps(schema.Query), basis)
	}
	m := in.maps(schema.Key)
	maps := in.fixedMaps(m, &in.Key, fixedQueries)
	atKey := in.read(maps, &in.Key, keyAxes(in.KeyBases, false))
	var atBaseline reading
	if in.Baseline != nil {
		if !frameAt(m, &in.Key).identity() || !frameAt(m, in.Baseline).identity() {
			maps = in.fixedMaps(m, in.Baseline, fixedQueries)
		}
		atBaseline = in.read(maps, in.Baseline, keyAxes(in.KeyBases, true))
	}
	for _, pair := range in.pairs() {
		i, j := pair[0], pair[1]
		if in.KeyBases[j].kind() == schema.Replacement {
			continue
		}
		t := Table{Side: schema.Key, QueryBasis: i, KeyBasis: j}
		t.Score = atKey.contributions(out.Rows, i, j, false)
		replaced := in.QueryBases[i].kind == schema.Replacement
		reference := float64(in.Key.Score)
		if replaced {
			reference = in.scoreOf(fixedQueries[i].whole(), in.Key.Vector)
		}
		out.close(reference, t.Score)
		if in.Baseline != nil {
			t.Baseline = atBaseline.contributions(out.Rows, i, j, false)
			reference := float64(in.Baseline.Score)
			if replaced {
				reference = in.scoreOf(fixedQueries[i].whole(), in.Baseline.Vector)
			}
			out.close(reference, t.Baseline)
		}
		if in.Mean != nil {
			t.Baseline = in.Mean.contributions(in.AttnScale, fixedQueries[i], j)
			reference := in.Mean.Score
			if replaced {
				reference = dot(fixedQueries[i].whole(), in.Mean.vector) / in.AttnScale
			}
			out.close(reference, t.Baseline)
		}
		out.Tables = append(out.Tables, t)
	}
}

// querySide appends the tables of the query side: the key is fixed, at the key and at the baseline position,
// and split along each key basis.
func querySide[T blas.Float](in *Input[T], out *Output) {
	m := in.maps(schema.Key)
	var fixedKeys, fixedBaselines []fixed
	for j, basis := range in.KeyBases {
		if in.Convention == schema.Notebook && basis.kind() == schema.Replacement {
			// The published code writes it where it is never read, so the key stays the model's.
			basis = KeyBases{}
		}
		fixedKeys = append(fixedKeys, in.splitFixed(&in.Key, m, basis.AtKey))
		if in.Baseline != nil {
			fixedBaselines = append(fixedBaselines, in.splitFixed(in.Baseline, m, basis.AtBaseline))
		}
		if in.Mean != nil {
			fixedBaselines = append(fixedBaselines, in.Mean.split(in.Mean.Parts[j]))
		}
	}
	// Key and baseline are read against the same components, those at the query position, so one pass does
	// both.
	maps := in.fixedMaps(in.maps(schema.Query), &in.Query,
		append(append([]fixed(nil), fixedKeys...), fixedBaselines...))
	atQuery := in.read(maps, &in.Query, queryAxes(in.QueryBases))
	for _, pair := range in.pairs() {
		i, j := pair[0], pair[1]
		if in.QueryBases[i].kind == schema.Replacement {
			continue
		}
		t := Table{Side: schema.Query, QueryBasis: i, KeyBasis: j}
		replaced := in.KeyBases[j].kind() == schema.Replacement && in.Convention == schema.Exact
		t.Score = atQuery.contributions(out.Rows, j, i, true)
		reference := float64(in.Key.Score)
		if replaced {
			reference = in.scoreOf(fixedKeys[j].whole(), in.Query.Vector)
		}
		out.close(reference, t.Score)
		if len(fixedBaselines) > 0 {
			t.Baseline = atQuery.contributions(out.Rows, len(fixedKeys)+j, i, true)
			reference := in.baselineScore()
			if replaced {
				reference = in.scoreOf(fixedBaselines[j].whole(), in.Query.Vector)
			}
			out.close(reference, t.Baseline)
		}
		out.Tables = append(out.Tables, t)
	}
}

// fixedMaps holds what the fixed parts read from the stream of the other side at one position.
type fixedMaps struct {
	columns   [][]float64 // [d_model] n(W f) for each part f that is not zero, turned back from the position
	par, perp []int       // by fixed vector: the column of each part, or -1 where the part is zero
	// By fixed vector: dot products of its par and its perp with the bias of the split side.
	bias [][2]float64
}

// fixedMaps takes the maps of the side that is split, and its position.
func (in *Input[T]) fixedMaps(side sideMaps[T], p *Position[T], vectors []fixed) fixedMaps {
	var m fixedMaps
	b, back := widen(side.bias), frameAt(side, p)
	var parts [][]float64
	for _, f := range vectors {
		column, parBias := -1, 0.0
		if f.par != nil {
			column = len(parts)
			parts = append(parts, back.undo(f.par))
			parBias = dot(b, parts[column])
		}
		m.par = append(m.par, column)
		m.perp = append(m.perp, len(parts))
		perp := back.undo(f.perp)
		parts = append(parts, perp)
		m.bias = append(m.bias, [2]float64{parBias, dot(b, perp)})
	}
	if len(parts) == 0 {
		return m
	}
	// Each W f is a column, centred if the norm centres. The dot product of x with centre(W f) is that of
	// centre(x) with W f, so the components themselves need not be centred.
	wf := products(side.w, len(p.Vector), parts)
	for j := range parts {
		column := make([]float64, wf.Rows)
		for i := range column {
			column[i] = wf.Data[i*wf.Cols+j]
		}
		m.columns = append(m.columns, centred(in.Norm, column))
	}
	return m
}

// reading holds the products of the components at one position with every map and every axis.
type reading struct {
	maps      fixedMaps
	axes      [][][]float64 // [basis][axis][d_model]
	products  table         // [component, maps then axes]
	axisOf    []int         // by basis: the column of its first axis in products
	unit      float64       // sigma attn_scale
	attnScale float64
	bias      bool // there is a row for the bias
}

// read multiplies the components at p with the maps and with the axes of each basis of this position.
func (in *Input[T]) read(m fixedMaps, p *Position[T], axes [][][]float64) reading {
	r := reading{maps: m, axes: axes, unit: float64(p.Scale) * in.AttnScale, attnScale: in.AttnScale,
		bias: in.biased()}
	columns := append([][]float64(nil), m.columns...)
	for _, basis := range axes {
		r.axisOf = append(r.axisOf, len(columns))
		columns = append(columns, basis...)
	}
	if len(columns) > 0 {
		r.products = products(data[T](p.Components), len(p.Stream), columns)
	}
	return r
}

// contributions returns the quadrants of each row, then of the bias if there is one, for one fixed vector and
// one basis of the split side. In the names of quadrants, the split side is the query if splitQuery is set,
// and the key otherwise.
func (r *reading) contributions(rows []int, vector, basis int, splitQuery bool) [][4]float64 {
	// Where each (fixed part, split part) goes.
	place := [2][2]schema.Quadrant{{schema.ParPar, schema.ParPerp}, {schema.PerpPar, schema.PerpPerp}}
	if splitQuery {
		place[0][1], place[1][0] = place[1][0], place[0][1]
	}
	n := len(rows)
	if r.bias {
		n++
	}
	out := make([][4]float64, n)
	for part, column := range [2]int{r.maps.par[vector], r.maps.perp[vector]} {
		if column < 0 {
			continue
		}
		var along []float64 // V^T m
		for _, axis := range r.axes[basis] {
			along = append(along, dot(r.maps.columns[column], axis))
		}
		axis := r.axisOf[basis]
		for i, row := range rows {
			p := r.products.row(row)
			par := 0.0
			for a, m := range along {
				par += m * p[axis+a]
			}
			out[i][place[part][0]] = par / r.unit
			out[i][place[part][1]] = (p[column] - par) / r.unit
		}
		if r.bias { // it counts as perpendicular, and has not been divided by sigma
			out[len(rows)][place[part][1]] = r.maps.bias[vector][part] / r.attnScale
		}
	}
	return out
}

// close records how far contributions are from adding up to the reference score. The score of a replaced
// vector can be far larger than the model's own; its residual counts in proportion.
func (out *Output) close(reference float64, contributions [][4]float64) {
	sum := 0.0
	for _, row := range contributions {
		sum += row[0] + row[1] + row[2] + row[3]
	}
	residual := math.Abs(reference-sum) * (out.scale / schema.ClosureScale(out.scale, reference))
	out.Closure = max(out.Closure, residual) // NaN stays NaN
	out.RelativeClosure = out.Closure / out.scale
}

// scoreOf returns the score of a query and a key vector.
func (in *Input[T]) scoreOf(a []float64, b []T) float64 {
	return dot(a, widen(b)) / in.AttnScale
}

// baselineScore returns the model's own score to the baseline, or NaN if the example has none.
func (in *Input[T]) baselineScore() float64 {
	switch {
	case in.Baseline != nil:
		return float64(in.Baseline.Score)
	case in.Mean != nil:
		return in.Mean.Score
	}
	return math.NaN()
}

func queryAxes(bases []Basis) [][][]float64 {
	axes := make([][][]float64, len(bases))
	for i, b := range bases {
		axes[i] = b.axes
	}
	return axes
}

func keyAxes(bases []KeyBases, atBaseline bool) [][][]float64 {
	axes := make([][][]float64, len(bases))
	for i, b := range bases {
		if axes[i] = b.AtKey.axes; atBaseline {
			axes[i] = b.AtBaseline.axes
		}
	}
	return axes
}
