package blas_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"ducklens/engine/blas"
)

// Moments are those of two passes over the numbers, in places that are far from zero too.
func TestMoments(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	const n = 20
	for _, places := range append([]int{0, 4, 20449}, widths...) {
		offset := randomMatrix[float32](rng, 1, places, false, 0).Data
		var numbers, less [][]float32
		alone, differences := blas.NewMoments(places), blas.NewMoments(places)
		for range n {
			x, y := randomMatrix[float32](rng, 1, places, false, 0).Data, randomMatrix[float32](rng, 1, places, false, 0).Data
			for i, o := range offset {
				x[i] += 1000 * o
			}
			numbers, less = append(numbers, x), append(less, y)
			alone.Add(x, nil)
			differences.Add(x, y)
		}
		if alone.N != n || differences.N != n {
			t.Fatalf("%d and %d numbers seen, want %d", alone.N, differences.N, n)
		}
		check := func(what string, m *blas.Moments, number func(i, place int) float64) {
			for place := range places {
				mean, squares := 0.0, 0.0
				for i := range n {
					mean += number(i, place) / n
				}
				for i := range n {
					squares += (number(i, place) - mean) * (number(i, place) - mean)
				}
				if math.Abs(m.Mean[place]-mean) > 1e-12*max(1, math.Abs(mean)) || math.Abs(m.Squares[place]-squares) > 1e-9*squares {
					t.Fatalf("%s: place %d of %d: mean %v and squares %v, want %v and %v", what, place, places, m.Mean[place], m.Squares[place], mean, squares)
				}
			}
		}
		check("numbers", &alone, func(i, place int) float64 { return float64(numbers[i][place]) })
		check("differences", &differences, func(i, place int) float64 { return float64(numbers[i][place]) - float64(less[i][place]) })
	}
}

// A place has the same bits wherever it is among others, in whole vectors or after them.
func TestMomentsBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	const places, n = 37, 5
	all := blas.NewMoments(places)
	single := make([]blas.Moments, places)
	for i := range single {
		single[i] = blas.NewMoments(1)
	}
	for range n {
		x, y := randomMatrix[float32](rng, 1, places, false, 0).Data, randomMatrix[float32](rng, 1, places, false, 0).Data
		all.Add(x, y)
		for i := range single {
			single[i].Add(x[i:i+1], y[i:i+1])
		}
	}
	for i, s := range single {
		if s.Mean[0] != all.Mean[i] || s.Squares[0] != all.Squares[i] {
			t.Errorf("place %d: %v, %v alone, %v, %v among others", i, s.Mean[0], s.Squares[0], all.Mean[i], all.Squares[i])
		}
	}
}
