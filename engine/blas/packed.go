package blas

import (
	"fmt"
	"runtime"

	"ducklens/engine/internal/workers"
)

// Packed is a right operand that is multiplied many times, such as a weight matrix, in the order in which its
// provider reads it. It is immutable and safe for concurrent use.
type Packed[T Float] struct {
	Rows, Cols int
	provider   Provider
	plain      Matrix[T] // if the provider has no order of its own
	panels     *panels   // where it has
	row, col   int       // of the first element of this view in panels
}

// packer is a provider that has its own order for right operands in float32.
type packer interface {
	pack(b Matrix[float32]) *panels
	multiplyPacked(threads int, c, a Matrix[float32], b Packed[float32], e Epilogue[float32])
	multiplyGated(threads int, c, a Matrix[float32], gate, up Packed[float32], e Gated[float32])
}

// Pack returns b in the order of p. If p has no order of its own (see [Packs]), it returns a view of b, which
// must not be changed afterwards, or of a copy if b is transposed.
func Pack[T Float](p Provider, b Matrix[T]) Packed[T] {
	b.check("B")
	w := Packed[T]{Rows: b.Rows, Cols: b.Cols, provider: p}
	if Packs[T](p) && b.Rows > 0 && b.Cols > 0 {
		w.panels = p.(packer).pack(any(b).(Matrix[float32]))
	} else if b.Trans {
		w.plain = transposed(1, b, make([]T, b.Rows*b.Cols))
	} else {
		w.plain = b
	}
	return w
}

// Packs reports whether p has its own order for right operands, so that [Pack] returns a copy.
func Packs[T Float](p Provider) bool {
	_, own := p.(packer)
	_, single := any(T(0)).(float32)
	return own && single
}

// Slice returns the part of w with rows [r0, r1) and columns [c0, c1), without copying.
func (w Packed[T]) Slice(r0, r1, c0, c1 int) Packed[T] {
	if r0 < 0 || r1 < r0 || r1 > w.Rows || c0 < 0 || c1 < c0 || c1 > w.Cols {
		panic(fmt.Sprintf("blas: slice [%d:%d, %d:%d] of a packed matrix [%d %d]", r0, r1, c0, c1, w.Rows,
			w.Cols))
	}
	w.Rows, w.Cols, w.row, w.col = r1-r0, c1-c0, w.row+r0, w.col+c0
	if w.panels == nil {
		w.plain = w.plain.Slice(r0, r1, c0, c1)
	}
	return w
}

// Unpack returns a copy of w, row by row.
func (w Packed[T]) Unpack() Matrix[T] {
	m := NewMatrix(w.Rows, w.Cols, make([]T, w.Rows*w.Cols))
	if w.panels != nil {
		w.panels.unpack(any(m).(Matrix[float32]), w.row, w.col)
		runtime.KeepAlive(w.panels) // its numbers are outside of the Go heap
		return m
	}
	for i := range m.Rows {
		for j := range m.Cols {
			m.Data[i*m.Cols+j] = w.plain.At(i, j)
		}
	}
	return m
}

// Epilogue is what happens to a product before it leaves the cache.
type Epilogue[T Float] struct {
	Bias []T        // added to every row; nil: none
	Act  Activation // then applied to every element
}

// Gated is what happens to the two products of a gated layer.
type Gated[T Float] struct {
	GateBias, Bias []T // added to every row of A gate and of A up; nil: none
	Act            Activation
}

// MultiplyGated sets C = act(A gate) * (A up), element by element, with the biases of e, with the same rules
// as [Packed.Multiply].
func MultiplyGated[T Float](threads int, c, a Matrix[T], gate, up Packed[T], e Gated[T]) {
	if gate.Rows != up.Rows || gate.Cols != up.Cols {
		panic(fmt.Sprintf("blas: gate [%d %d] of up [%d %d]", gate.Rows, gate.Cols, up.Rows, up.Cols))
	}
	up.checkMultiply(c, a, e.Bias)
	gate.checkMultiply(c, a, e.GateBias)
	if c.Rows == 0 || c.Cols == 0 {
		return
	}
	if gate.whole() && up.whole() && a.Cols > 0 {
		any(gate.provider).(packer).multiplyGated(threads, any(c).(Matrix[float32]), any(a).(Matrix[float32]),
			any(gate).(Packed[float32]), any(up).(Packed[float32]), any(e).(Gated[float32]))
		return
	}
	buf := scratchFor[T](c.Rows * c.Cols)
	defer buf.release()
	g := NewMatrix(c.Rows, c.Cols, buf.data)
	gate.Multiply(threads, g, a, Epilogue[T]{Bias: e.GateBias, Act: e.Act})
	up.Multiply(threads, c, a, Epilogue[T]{Bias: e.Bias})
	for i := range c.Rows {
		row := c.Row(i)
		for j, v := range g.Row(i) {
			row[j] *= v
		}
	}
}

// whole reports whether w is all of a packed matrix.
func (w Packed[T]) whole() bool {
	return w.panels != nil && w.Rows == w.panels.rows && w.Cols == w.panels.cols
}

// Multiply sets C = A w and applies e, on at most threads goroutines. C must not be transposed and must not
// share memory with A. Multiply panics if shapes do not fit.
func (w Packed[T]) Multiply(threads int, c, a Matrix[T], e Epilogue[T]) {
	w.checkMultiply(c, a, e.Bias)
	if c.Rows == 0 || c.Cols == 0 {
		return
	}
	if w.panels == nil {
		multiplyPlain(w.provider, threads, c, a, w.plain, e)
		return
	}
	own, single := w.provider.(packer), any(w).(Packed[float32])
	own.multiplyPacked(threads, any(c).(Matrix[float32]), any(a).(Matrix[float32]), single,
		any(e).(Epilogue[float32]))
}

func (w Packed[T]) checkMultiply(c, a Matrix[T], bias []T) {
	a.check("A")
	c.check("C")
	if a.Cols != w.Rows || c.Rows != a.Rows || c.Cols != w.Cols || c.Trans || bias != nil &&
		len(bias) != c.Cols {
		panic(fmt.Sprintf("blas: C [%d %d] (transposed %t) = A [%d %d] B [%d %d] + bias [%d]",
			c.Rows, c.Cols, c.Trans, a.Rows, a.Cols, w.Rows, w.Cols, len(bias)))
	}
}

// multiplyPlain computes the product and then applies e step by step.
func multiplyPlain[T Float](p Provider, threads int, c, a, b Matrix[T], e Epilogue[T]) {
	if e.Bias != nil {
		for i := range c.Rows {
			copy(c.Row(i), e.Bias)
		}
	}
	Gemm(p, threads, c, a, b, e.Bias != nil)
	if e.Act != NoActivation {
		workers.Do(threads, c.Rows, func(i int) { Activate(c.Row(i), e.Act) })
	}
}

// panels is a matrix [rows, cols] in the order of a packing provider: for every block of depth rows, for
// every panel of width columns, row after row. The last panel is padded with zeros to whole vectors.
type panels struct {
	rows, cols           int
	depth, width, vector int
	data                 []float32
}

// panelsLen returns the number of floats of a packed matrix [rows, cols].
func panelsLen(rows, cols, vector int) int { return rows * roundUp(cols, vector) }

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

// unpack fills m with the part of p that begins at (row, col).
func (p *panels) unpack(m Matrix[float32], row, col int) {
	padded := roundUp(p.cols, p.vector)
	for i := range m.Rows {
		block := (row + i) / p.depth * p.depth
		depth := min(p.depth, p.rows-block)
		for j := 0; j < m.Cols; {
			panel := (col + j) / p.width * p.width
			stored := min(p.width, padded-panel)
			within := col + j - panel
			at := block*padded + panel*depth + (row+i-block)*stored + within
			j += copy(m.Row(i)[j:], p.data[at:at+stored-within])
		}
	}
}

// starts reports whether a view that begins at (row, col) and has that many rows begins with a panel and is
// summed in the same order as a matrix of its own: it must be within one block of rows, or begin with a
// block.
func (p *panels) starts(row, col, rows int) bool {
	return col%p.width == 0 && (row%p.depth == 0 || row/p.depth == (row+rows-1)/p.depth)
}
