package blas

import "fmt"

// Moments are running statistics of many places at once, such as the entries of a table over examples. They
// use the method of Welford (1962), which has sums of squares without cancellation. The zero value has no
// places.
type Moments struct {
	N       int       // numbers that each place has seen
	Mean    []float64 // of each place
	Squares []float64 // sum of squared distances from the mean
}

// NewMoments returns the statistics of n places, without any numbers yet.
func NewMoments(n int) Moments { return Moments{Mean: make([]float64, n), Squares: make([]float64, n)} }

// Add adds one number for each place: x, or x - less unless less is nil.
func (m *Moments) Add(x, less []float32) {
	if len(x) != len(m.Mean) || less != nil && len(less) != len(x) {
		panic(fmt.Sprintf("blas: %d numbers less %d for the moments of %d places", len(x), len(less),
			len(m.Mean)))
	}
	m.N++
	if len(x) == 0 {
		return
	}
	share := 1 / float64(m.N)
	if moments32(m.Mean, m.Squares, x, less, share) {
		return
	}
	for i, v := range x {
		v := float64(v)
		if less != nil {
			v -= float64(less[i])
		}
		distance := v - m.Mean[i]
		m.Mean[i] += distance * share
		m.Squares[i] += distance * (v - m.Mean[i])
	}
}
