package moment

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
)

// Largest bounds the absolute value of the numbers.
const Largest = 1 << 50

// mostNumbers bounds the count in a state that is parsed.
const mostNumbers = 1 << 27

// Moments holds the moments of some numbers. The zero value has no numbers, and stores no quantiles.
type Moments struct {
	n            int64
	sum, squares sum
	counts       *counts // nil: no quantiles
}

// WithQuantiles returns moments of no numbers that also store quantiles.
func WithQuantiles() Moments { return Moments{counts: &counts{}} }

// Add adds a number, which must be finite and smaller than [Largest].
func (m *Moments) Add(x float64) error {
	if !(math.Abs(x) < Largest) {
		return fmt.Errorf("moments of %g, want numbers below %g", x, float64(Largest))
	}
	m.n++
	m.sum.add(x)
	square := x * x
	m.squares.add(square)
	m.squares.add(math.FMA(x, x, -square)) // the rounding error of square
	if m.counts != nil {
		m.counts.add(float32(x))
	}
	return nil
}

// Merge adds the numbers of o. Quantiles are kept if both have them.
func (m *Moments) Merge(o *Moments) {
	if o.n == 0 {
		return
	}
	if m.n == 0 && o.counts != nil {
		m.counts = &counts{}
	}
	m.sum.merge(&o.sum)
	m.squares.merge(&o.squares)
	if m.n += o.n; m.counts != nil && o.counts != nil {
		m.counts.merge(o.counts)
	} else {
		m.counts = nil
	}
}

// N returns the count.
func (m *Moments) N() int64 { return m.n }

// Mean returns the mean, or NaN if there are no numbers.
func (m *Moments) Mean() float64 {
	if m.n == 0 {
		return math.NaN()
	}
	return quotient(m.sum.units(), new(big.Int).Lsh(big.NewInt(m.n), unitBits))
}

// Variance returns the sample variance, or NaN for fewer than two numbers.
func (m *Moments) Variance() float64 {
	if m.n < 2 {
		return math.NaN()
	}
	// (n sum of squares - square of the sum) / (n (n-1)). The first sum is in units of 2^-128, the square in
	// their squares.
	s := m.sum.units()
	over := m.squares.units()
	over.Mul(over, big.NewInt(m.n)).Lsh(over, unitBits)
	over.Sub(over, s.Mul(s, s))
	if over.Sign() < 0 {
		return 0 // possible because squares are cut off
	}
	under := new(big.Int).Mul(big.NewInt(m.n), big.NewInt(m.n-1))
	return quotient(over, under.Lsh(under, 2*unitBits))
}

// quotient divides and rounds once.
func quotient(over, under *big.Int) float64 {
	f, _ := new(big.Rat).SetFrac(over, under).Float64()
	return f
}

// Quantile returns the number below which a share (0 to 1) of the numbers lies, or NaN if quantiles are not
// stored.
func (m *Moments) Quantile(share float64) float32 {
	if m.n == 0 || m.counts == nil {
		return float32(math.NaN())
	}
	return m.counts.quantile(share, m.n)
}

// AppendTo appends the state to b.
func (m *Moments) AppendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(m.n))
	if m.n == 0 {
		return b
	}
	b = m.squares.appendTo(m.sum.appendTo(b))
	if m.counts == nil {
		return append(b, 0)
	}
	return m.counts.appendTo(append(b, 1))
}

// Parse is the inverse of [Moments.AppendTo]. It returns the rest of b.
func (m *Moments) Parse(b []byte) (rest []byte, err error) {
	n, width := binary.Uvarint(b)
	if width <= 0 || n > mostNumbers {
		return nil, errState
	}
	*m = Moments{n: int64(n)}
	if b = b[width:]; n == 0 {
		return b, nil
	}
	if b, err = m.sum.parse(b); err == nil {
		b, err = m.squares.parse(b)
	}
	if err != nil || len(b) == 0 {
		return nil, errState
	}
	if b[0] == 0 {
		return b[1:], nil
	}
	m.counts = &counts{}
	return m.counts.parse(b[1:], m.n)
}
