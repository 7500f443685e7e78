package engine

import (
	"math"

	"ducklens/schema"
)

// randomName is the prefix of the names of random bases.
const randomName = "random"

// randomDirection returns the direction [d_model] of random basis number of a side for a token: independent
// standard normal entries. Like the unembedding, whose null it is, it is a function of the token: a token has
// the same direction in every example and batch, and the key and the baseline position have their own.
func randomDirection(seed int64, side schema.Side, number, token, dModel int) []float64 {
	g := gaussian{}
	for _, word := range []uint64{uint64(seed), uint64(side), uint64(number), uint64(token)} {
		g.state = mix(g.state ^ word)
	}
	v := make([]float64, dModel)
	for i := range v {
		v[i] = g.next()
	}
	return v
}

// gaussian draws standard normal numbers by the Box-Muller transform of pairs of uniform ones, which are the
// upper 53 bits of SplitMix64's outputs (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
// generators"). It is our own so that a seed means the same in every release of ducklens and of Go.
type gaussian struct {
	state uint64
	spare float64
	saved bool
}

func (g *gaussian) next() float64 {
	if g.saved {
		g.saved = false
		return g.spare
	}
	radius := math.Sqrt(-2 * math.Log(1-g.uniform())) // 1 - u is never zero
	sin, cos := math.Sincos(2 * math.Pi * g.uniform())
	g.spare, g.saved = radius*sin, true
	return radius * cos
}

// uniform returns the next number in [0, 1).
func (g *gaussian) uniform() float64 {
	out := mix(g.state)
	g.state += golden
	return float64(out>>11) / (1 << 53)
}

// golden is 2^64 divided by the golden ratio, SplitMix64's increment.
const golden = 0x9e3779b97f4a7c15

// mix returns SplitMix64's output for a state.
func mix(z uint64) uint64 {
	z += golden
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
