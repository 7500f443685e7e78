package prompts

import (
	"math/bits"

	"gonum.org/v1/gonum/mathext/prng"
)

// pyRandom draws like CPython's random.Random: MT19937 seeded by init_by_array
// (python/cpython:Modules/_randommodule.c, random_seed), with getrandbits and the rejection sampling of
// python/cpython:Lib/random.py, _randbelow_with_getrandbits. The sequence is the same on every platform and
// in every Python since 3.2.
type pyRandom struct{ mt *prng.MT19937 }

// newPyRandom is random.seed(seed) for an int. CPython seeds with |seed|.
func newPyRandom(seed int64) *pyRandom {
	n := uint64(seed)
	if seed < 0 {
		n = -n // correct for the smallest int64 too
	}
	keys := []uint32{uint32(n)}
	if high := uint32(n >> 32); high != 0 {
		keys = append(keys, high)
	}
	mt := prng.NewMT19937()
	mt.SeedFromKeys(keys)
	return &pyRandom{mt: mt}
}

// bits is getrandbits(k), 1 <= k <= 32.
func (r *pyRandom) bits(k int) uint32 { return r.mt.Uint32() >> (32 - k) }

// below is _randbelow(n), 1 <= n < 2^31: draws of n's bit length until one is below n.
func (r *pyRandom) below(n int) int {
	k := bits.Len(uint(n))
	for {
		if v := int(r.bits(k)); v < n {
			return v
		}
	}
}

// choice is random.choice(list). The list must not be empty.
func choice[T any](r *pyRandom, list []T) T { return list[r.below(len(list))] }

// shuffle is random.shuffle(list): exchanges from the end.
func shuffle[T any](r *pyRandom, list []T) {
	for i := len(list) - 1; i > 0; i-- {
		j := r.below(i + 1)
		list[i], list[j] = list[j], list[i]
	}
}
