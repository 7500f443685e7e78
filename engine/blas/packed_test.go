package blas_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"ducklens/engine/blas"
)

// A packed operand gives the bits of Gemm, plus bias and activation as separate steps, for every view of it.
// Views that do not begin with a panel, and rows that are added up in other blocks than those of the whole,
// are among them.
func TestPackedGivesTheBitsOfGemm(t *testing.T) {
	const k, n = 600, 150
	for _, p := range providers(t) {
		t.Run(p.Name(), func(t *testing.T) {
			t.Parallel()
			checkPacked[float32](t, p, k, n)
			checkPacked[float64](t, p, k, n)
		})
	}
}

func checkPacked[T blas.Float](t *testing.T, p blas.Provider, k, n int) {
	rng := rand.New(rand.NewPCG(4, 4))
	bias := randomMatrix[T](rng, 1, n, false, 0).Data
	for _, trans := range []bool{false, true} {
		w := randomMatrix[T](rng, k, n, trans, 3)
		packed := blas.Pack(p, w)
		for _, part := range [][4]int{{0, k, 0, n}, {0, k, 32, 96}, {0, k, 32, 49}, {0, k, 96, n}, {256, k, 0, n}, {64, 128, 0, n}, {512, 600, 64, 70},
			{0, k, 7, 40}, {200, 300, 0, n}, {10, 11, 149, 150}, {3, 3, 0, n}, {0, k, 5, 5}} {
			view, want := packed.Slice(part[0], part[1], part[2], part[3]), w.Slice(part[0], part[1], part[2], part[3])
			if view.Rows != want.Rows || view.Cols != want.Cols {
				t.Fatalf("view %v is [%d %d]", part, view.Rows, view.Cols)
			}
			if got := view.Unpack(); !equalMatrix(got, want) {
				t.Fatalf("%T: unpacking %v (transposed %t) gives other numbers", w.Data, part, trans)
			}
			for _, m := range []int{1, 13, 200} {
				a := randomMatrix[T](rng, m, want.Rows, m == 13, 1)
				for _, e := range []blas.Epilogue[T]{{}, {Bias: bias[part[2]:part[3]]}, {Act: blas.GELUTanh}, {Bias: bias[part[2]:part[3]], Act: blas.SiLU}} {
					c, threads := randomMatrix[T](rng, m, want.Cols, false, 2), 1+m%3
					expect := blas.NewMatrix(m, want.Cols, make([]T, m*want.Cols))
					for i := range m {
						copy(expect.Row(i), e.Bias)
					}
					blas.Gemm(p, 1, expect, a, want, true)
					for i := range m {
						blas.Activate(expect.Row(i), e.Act)
					}
					view.Multiply(threads, c, a, e)
					if !equalMatrix(c, expect) {
						t.Fatalf("%T: view %v (transposed %t), %d rows, bias %t, activation %d: other bits than Gemm", w.Data, part, trans, m, e.Bias != nil, e.Act)
					}
				}
			}
		}
	}
}

func equalMatrix[T blas.Float](x, y blas.Matrix[T]) bool {
	for i := range x.Rows {
		for j := range x.Cols {
			if x.At(i, j) != y.At(i, j) {
				return false
			}
		}
	}
	return x.Rows == y.Rows && x.Cols == y.Cols
}

func TestPackedPanicsOnMisfit(t *testing.T) {
	for _, p := range providers(t) {
		w := blas.Pack(p, blas.NewMatrix(2, 3, make([]float32, 6)))
		square := blas.NewMatrix(2, 2, make([]float32, 4))
		wide := blas.NewMatrix(2, 3, make([]float32, 6))
		for name, f := range map[string]func(){
			"shape":      func() { w.Multiply(1, square, square, blas.Epilogue[float32]{}) },
			"transposed": func() { w.Multiply(1, blas.NewMatrix(3, 2, make([]float32, 6)).T(), square, blas.Epilogue[float32]{}) },
			"bias":       func() { w.Multiply(1, wide, square, blas.Epilogue[float32]{Bias: make([]float32, 2)}) },
			"slice":      func() { w.Slice(0, 3, 0, 3) },
			"short":      func() { blas.Pack(p, blas.Matrix[float32]{Rows: 2, Cols: 2, Stride: 2, Data: make([]float32, 3)}) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: %s: no panic", p.Name(), name)
					}
				}()
				f()
			}()
		}
	}
}

// Attention gives the bits of its steps, head after head, and whatever rows are computed together.
func TestAttentionGivesTheBitsOfItsSteps(t *testing.T) {
	for _, p := range providers(t) {
		t.Run(p.Name(), func(t *testing.T) {
			t.Parallel()
			checkAttention[float32](t, p)
			checkAttention[float64](t, p)
		})
	}
}

func checkAttention[T blas.Float](t *testing.T, p blas.Provider) {
	rng := rand.New(rand.NewPCG(6, 6))
	for _, s := range []struct {
		heads, kv, dh, rows, seen int
		window                    int
		limit                     T
		sinks                     bool
	}{
		{heads: 1, kv: 1, dh: 1, rows: 1, seen: 1}, {heads: 3, kv: 3, dh: 14, rows: 5, seen: 5}, {heads: 12, kv: 12, dh: 64, rows: 17, seen: 17},
		{heads: 2, kv: 2, dh: 64, rows: 64, seen: 200}, {heads: 2, kv: 2, dh: 300, rows: 7, seen: 9}, {heads: 1, kv: 1, dh: 8, rows: 20, seen: 600},
		{heads: 9, kv: 3, dh: 64, rows: 17, seen: 40}, {heads: 4, kv: 1, dh: 24, rows: 33, seen: 33, window: 5}, {heads: 4, kv: 2, dh: 24, rows: 9, seen: 30, limit: 2},
		{heads: 6, kv: 2, dh: 16, rows: 12, seen: 50, window: 20, limit: 50, sinks: true}, {heads: 2, kv: 2, dh: 16, rows: 3, seen: 3, sinks: true},
	} {
		first, d, kv := s.seen-s.rows+1, s.heads*s.dh, s.kv*s.dh
		q, k, v := randomMatrix[T](rng, s.rows, d, false, 5), randomMatrix[T](rng, s.seen, kv, false, 2), randomMatrix[T](rng, s.seen, kv, false, 0)
		want := blas.NewMatrix(s.rows, d, make([]T, s.rows*d))
		heads, causal := blas.Heads[T]{Query: s.heads, KV: s.kv}, blas.Causal[T]{First: first, Window: s.window, Scale: 0.125, Cap: s.limit}
		if s.sinks {
			heads.Sinks = randomMatrix[T](rng, 1, s.heads, false, 0).Data
		}
		attentionInSteps(p, want, q, k, v, heads, causal)
		z := randomMatrix[T](rng, s.rows, d, false, 1)
		outside := slices.Clone(z.Data)
		blas.Attention(p, z, q, k, v, heads, causal)
		if !equalMatrix(z, want) {
			t.Errorf("%T: %+v: other bits than step by step", z.Data, s)
		}
		if s.rows > 1 && z.Data[d] != outside[d] {
			t.Errorf("%T: %+v: wrote between the rows", z.Data, s)
		}
		last := blas.NewMatrix(1, d, make([]T, d))
		causal.First = s.seen
		blas.Attention(p, last, q.Slice(s.rows-1, s.rows, 0, d), k, v, heads, causal)
		if !slices.Equal(last.Data, want.Row(s.rows-1)) {
			t.Errorf("%T: %+v: the last row alone has other bits", z.Data, s)
		}
	}
}

// attentionInSteps is the oracle: head after head, with calls for the products and the softmax.
func attentionInSteps[T blas.Float](p blas.Provider, z, q, k, v blas.Matrix[T], heads blas.Heads[T], causal blas.Causal[T]) {
	dh := z.Cols / heads.Query
	scores := blas.NewMatrix(q.Rows, k.Rows, make([]T, q.Rows*k.Rows))
	for h := range heads.Query {
		part := func(m blas.Matrix[T], h int) blas.Matrix[T] { return m.Slice(0, m.Rows, h*dh, (h+1)*dh) }
		kv, sink := h/(heads.Query/heads.KV), T(math.Inf(-1))
		if heads.Sinks != nil {
			sink = heads.Sinks[h]
		}
		blas.Gemm(p, 1, scores, part(q, h), part(k, kv).T(), false)
		blas.SoftmaxCausal(scores, causal, sink)
		blas.Gemm(p, 1, part(z, h), scores, part(v, kv), false)
	}
}

// The two products of a gated layer, multiplied, have the bits of the products by themselves.
func TestGatedGivesTheBitsOfItsSteps(t *testing.T) {
	for _, p := range providers(t) {
		checkGated[float32](t, p)
		checkGated[float64](t, p)
	}
}

func checkGated[T blas.Float](t *testing.T, p blas.Provider) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, s := range []struct{ rows, k, n int }{{1, 1, 1}, {5, 42, 100}, {13, 256, 64}, {200, 600, 150}, {301, 300, 33}} {
		gate, up := blas.Pack(p, randomMatrix[T](rng, s.k, s.n, true, 3)), blas.Pack(p, randomMatrix[T](rng, s.k, s.n, false, 0))
		a := randomMatrix[T](rng, s.rows, s.k, false, 1)
		bias := randomMatrix[T](rng, 2, s.n, false, 0)
		for i, e := range []blas.Gated[T]{{Act: blas.SiLU}, {Act: blas.GELUTanh, Bias: bias.Row(0)}, {Act: blas.GELU, GateBias: bias.Row(1), Bias: bias.Row(0)}, {GateBias: bias.Row(1)}} {
			got, want, g := randomMatrix[T](rng, s.rows, s.n, false, 2), randomMatrix[T](rng, s.rows, s.n, false, 0), randomMatrix[T](rng, s.rows, s.n, false, 0)
			blas.MultiplyGated(1+i, got, a, gate, up, e)
			gate.Multiply(1, g, a, blas.Epilogue[T]{Bias: e.GateBias, Act: e.Act})
			up.Multiply(1, want, a, blas.Epilogue[T]{Bias: e.Bias})
			for j, v := range g.Data {
				want.Data[j] *= v
			}
			if !equalMatrix(got, want) {
				t.Errorf("%s: %T %+v, %d: other bits than step by step", p.Name(), got.Data, s, i)
			}
		}
	}
}

func TestAttentionPanicsOnMisfit(t *testing.T) {
	m := func(rows, cols int) blas.Matrix[float32] {
		return blas.NewMatrix(rows, cols, make([]float32, rows*cols))
	}
	many := func(n int) blas.Heads[float32] { return blas.Heads[float32]{Query: n, KV: n} }
	for _, p := range providers(t) {
		for name, f := range map[string]func(){
			"groups": func() {
				blas.Attention(p, m(2, 6), m(2, 6), m(2, 4), m(2, 4), blas.Heads[float32]{Query: 3, KV: 2}, blas.Causal[float32]{First: 1})
			},
			"sinks": func() {
				blas.Attention(p, m(2, 4), m(2, 4), m(2, 4), m(2, 4), blas.Heads[float32]{Query: 2, KV: 2, Sinks: []float32{1}}, blas.Causal[float32]{First: 1})
			},
			"heads": func() {
				blas.Attention(p, m(2, 4), m(2, 4), m(2, 4), m(2, 4), many(3), blas.Causal[float32]{First: 1, Scale: 1})
			},
			"width": func() {
				blas.Attention(p, m(2, 4), m(2, 4), m(2, 6), m(2, 4), many(2), blas.Causal[float32]{First: 1, Scale: 1})
			},
			"values": func() {
				blas.Attention(p, m(2, 4), m(2, 4), m(3, 4), m(2, 4), many(2), blas.Causal[float32]{First: 1, Scale: 1})
			},
			"looks far": func() {
				blas.Attention(p, m(2, 4), m(2, 4), m(2, 4), m(2, 4), many(2), blas.Causal[float32]{First: 2, Scale: 1})
			},
			"none seen": func() {
				blas.Attention(p, m(2, 4), m(2, 4), m(2, 4), m(2, 4), many(2), blas.Causal[float32]{First: 0, Scale: 1})
			},
			"transposed": func() {
				blas.Attention(p, m(2, 2).T(), m(2, 2), m(2, 2), m(2, 2), many(1), blas.Causal[float32]{First: 1, Scale: 1})
			},
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: %s: no panic", p.Name(), name)
					}
				}()
				f()
			}()
		}
		blas.Attention(p, m(0, 4), m(0, 4), m(2, 4), m(2, 4), many(2), blas.Causal[float32]{First: 1, Scale: 1})
	}
}

func ExamplePacked() {
	p, err := blas.ByName("auto")
	if err != nil {
		fmt.Println(err)
		return
	}
	w := blas.Pack(p, blas.NewMatrix(2, 3, []float32{1, 2, 3, 4, 5, 6}))
	c := blas.NewMatrix(1, 2, make([]float32, 2))
	w.Slice(0, 2, 1, 3).Multiply(1, c, blas.NewMatrix(1, 2, []float32{10, 1}), blas.Epilogue[float32]{Bias: []float32{100, 200}})
	fmt.Println(c.Data)
	// Output: [125 236]
}
