package prompts

import (
	"math/bits"

	"gonum.org/v1/gonum/mathext/prng"
)

// drawOffset is added to the seed of a run. Published prompt sets seed with seed + 1218 before they draw the
// names and tokens of their random vectors.
const drawOffset = 1218

// Draws draws a name and a token for each example of a run, with the results of NumPy and PyTorch after
//
//	numpy.random.seed(seed + 1218); numpy.random.choice(names, n)
//	torch.manual_seed(seed + 1218); torch.randint(vocabulary, (n,))
//
// on a CPU. Both use MT19937, seeded by init_genrand (numpy/numpy:numpy/random/src/mt19937/mt19937.c) with
// the low 32 bits of the sum. choice masks outputs to the bit length of the last index until one is no larger
// (numpy/numpy:numpy/random/src/distributions/distributions.c, buffered_bounded_masked_uint32). A token is an
// output modulo the size of the vocabulary (pytorch/pytorch:aten/src/ATen/core/DistributionsHelper.h). The
// first n draws do not depend on the number of draws.
type Draws struct {
	numpy, torch *prng.MT19937
	last         uint32 // index of the last name
	mask         uint32
	names        int
	vocabulary   uint32
}

// NewDraws starts the draws of a seed. names is the number of names and may be 0; the vocabulary has at least
// one token.
func NewDraws(seed int64, names, vocabulary int) *Draws {
	d := &Draws{numpy: prng.NewMT19937(), torch: prng.NewMT19937(), names: names,
		vocabulary: uint32(max(1, vocabulary))}
	d.numpy.Seed(uint64(uint32(seed + drawOffset)))
	d.torch.Seed(uint64(uint32(seed + drawOffset)))
	if names > 0 {
		d.last = uint32(names - 1)
		d.mask = 1<<bits.Len32(d.last) - 1
	}
	return d
}

// Next returns the index of a name, or -1 if there are none, and a token id.
func (d *Draws) Next() (name, token int) {
	token = int(d.torch.Uint32() % d.vocabulary)
	switch d.names {
	case 0:
		return -1, token
	case 1:
		return 0, token // with one name, NumPy draws nothing
	}
	for {
		if v := d.numpy.Uint32() & d.mask; v <= d.last {
			return int(v), token
		}
	}
}
