package prompts

// PyRandom exports pyRandom.
type PyRandom = pyRandom

var NewPyRandom = newPyRandom

func (r *pyRandom) Bits(k int) uint32       { return r.bits(k) }
func (r *pyRandom) Below(n int) int         { return r.below(n) }
func (r *pyRandom) Shuffle(list []int)      { shuffle(r, list) }
func (r *pyRandom) Choice(list []byte) byte { return choice(r, list) }
