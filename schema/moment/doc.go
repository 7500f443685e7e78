// Package moment computes count, mean, variance and quantiles of numbers without storing them. Its state
// consists of integers that are added up. It depends neither on the order of the numbers nor on how they are
// distributed among processes: merging the states of two parts of a corpus gives the same bits as the whole.
//
// A sum is exact: a 256-bit integer, in units of 2^-128. Contributions are float32. Those above 1e-32 are
// multiples of that unit, and so are the squares of those above 1e-12; smaller bits are cut off. Mean and
// variance are computed from the sums with arbitrary precision and rounded once. Quantiles come from counts
// by magnitude, with eight buckets for each power of two. A quantile that is neither the smallest nor the
// largest number has a relative error of at most a sixteenth, or an absolute error of at most 1e-6.
package moment
