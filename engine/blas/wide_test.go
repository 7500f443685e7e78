package blas_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"ducklens/engine/blas"
)

// Dots and Combine agree with sums in plain order, and an entry has the same bits whatever else is computed
// with it.
func TestWideProducts(t *testing.T) {
	checkWide[float32](t)
	checkWide[float64](t)
}

func checkWide[T blas.Float](t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, d := range widths {
		for _, size := range [][2]int{{1, 1}, {4, 1}, {7, 1}, {3, 2}, {2, 3}, {5, 4}, {5, 5}, {3, 7}, {0, 3}, {3, 0}} {
			rows, cols := size[0], size[1]
			x := randomMatrix[T](rng, rows, d, false, 0).Data
			columns := make([][]float64, cols)
			for j := range columns {
				columns[j] = randomMatrix[float64](rng, 1, d, false, 0).Data
			}
			dots := blas.Dots(x, d, columns)
			if dots.Rows != rows || dots.Cols != cols {
				t.Fatalf("%d rows and %d columns give [%d %d]", rows, cols, dots.Rows, dots.Cols)
			}
			for r := range rows {
				row := x[r*d : (r+1)*d]
				for j, c := range columns {
					sum, size := 0.0, 0.0
					for i, v := range row {
						sum += float64(v) * c[i]
						size += math.Abs(float64(v) * c[i])
					}
					if got := dots.At(r, j); math.Abs(got-sum) > 1e-15*float64(d)*size {
						t.Errorf("%T: row %d, column %d of length %d: %v, want %v", x, r, j, d, got, sum)
					}
					if alone := blas.Dots(row, d, columns[j:j+1]).At(0, 0); alone != dots.At(r, j) {
						t.Errorf("%T: row %d, column %d of length %d: %v alone, %v among others", x, r, j, d, alone, dots.At(r, j))
					}
				}
			}
			factors := randomMatrix[float64](rng, 1, rows, false, 0).Data
			combined := blas.Combine(x, factors, d)
			for i, got := range combined {
				sum, size := 0.0, 0.0
				for r, f := range factors {
					sum += f * float64(x[r*d+i])
					size += math.Abs(f * float64(x[r*d+i]))
				}
				if math.Abs(got-sum) > 1e-15*float64(rows)*size {
					t.Errorf("%T: %d rows of %d combined: entry %d is %v, want %v", x, rows, d, i, got, sum)
				}
			}
		}
	}
}

// The bits do not depend on the width of the processor's vectors: they are those of eight chains of fused
// multiply-adds, added up in one order, and of one chain down each column.
func TestWideProductsBits(t *testing.T) {
	if p := blas.Providers()[0]; p != "builtin/avx2" && p != "builtin/avx512" && p != "builtin/neon" {
		t.Skipf("needs a processor with AVX2, AVX-512 or NEON, and cgo: the best here is %s", p)
	}
	rng := rand.New(rand.NewPCG(8, 8))
	const rows = 3
	for _, d := range []int{45, 48} { // with and without a rest that fills no vector
		x := randomMatrix[float32](rng, rows, d, false, 0).Data
		g := randomMatrix[float64](rng, 1, d, false, 0).Data
		dots := blas.Dots(x, d, [][]float64{g})
		for r := range rows {
			var lane [8]float64
			for i, v := range x[r*d : (r+1)*d] {
				lane[i%8] = math.FMA(float64(v), g[i], lane[i%8])
			}
			for i := range 4 {
				lane[i] += lane[i+4]
			}
			if want := (lane[0] + lane[2]) + (lane[1] + lane[3]); dots.At(r, 0) != want {
				t.Errorf("row %d of %d: %v, want %v to the bit", r, d, dots.At(r, 0), want)
			}
		}
		for j, got := range blas.Combine(x, g[:rows], d) {
			want := 0.0
			for i, f := range g[:rows] {
				want = math.FMA(f, float64(x[i*d+j]), want)
			}
			if got != want {
				t.Errorf("column %d of %d: %v, want %v to the bit", j, d, got, want)
			}
		}
	}
}

func TestWideProductsPanicOnMisfit(t *testing.T) {
	for name, f := range map[string]func(){
		"rows":    func() { blas.Dots(make([]float32, 7), 3, nil) },
		"column":  func() { blas.Dots(make([]float32, 6), 3, [][]float64{make([]float64, 2)}) },
		"combine": func() { blas.Combine(make([]float32, 7), make([]float64, 3), 2) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
