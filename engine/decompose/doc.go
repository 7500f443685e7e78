// Package decompose splits the attention scores of one head, on one example, into exact contributions of
// the model's components. It is pure: it sees the vectors of one example and knows no model, no file and
// no other example, so that every formula of it can be tested against explicit projections.
//
// # What is split
//
// The residual stream at position p before the head's layer is a sum of components x_c,p, and the norm before
// the layer is linear once its scale sigma_p is held at the value it had for the whole stream, so
//
//	q   = F_d ( sum_c W_Q^T n(x_c,d) / sigma_d + b_Q )      (query position d)
//	k_s = F_s ( sum_c W_K^T n(x_c,s) / sigma_s + b_K )      (key position s, or the baseline position b)
//	score(d, s) = q . k_s / attn_scale
//
// (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits", the QK circuit.) n centres if the
// norm is a LayerNorm and changes nothing otherwise. The frame F of a position is what may lie between the
// maps and the score, all of it linear once QK-norm's scale is held too: the gain of QK-norm and its scale,
// and the rotation of rotary embedding. In GPT-2 it changes nothing. On the key side q is fixed and the sum
// over key components is taken, on the query side the key is fixed. Both sides are further split into the
// part of each vector inside a subspace and the part perpendicular to it (arXiv:2310.04625 does so with the
// unembedding of the key token and the output of MLP0), which makes the four quadrants of [schema.Quadrant].
//
// [Contributions] does the work on an [Input]. A [Basis] is the choice of subspace; [QueryBasis] and
// [KeyBasis] make the ones that have a name, [Span] and [Replace] make any other.
//
// A score is also a sum over pairs of a query component and a key component. [AllFactors] gives what each
// component adds to q and to k, and its coordinates along the axes of every basis, and [Pairs] the inner
// products in quadrants.
//
// What components add to keys does not depend on a query: [Keys] holds it for all positions of a prompt. A query
// takes inner products with it, which split its whole row of scores, or a weighted mean of it: [Mean] is a
// baseline that is no position but a distribution over the other keys, of which everything that is linear in the
// key has its mean.
//
// With one side held fixed, the score is linear in the normalised vector of the other: [QueryLinear] and
// [KeyLinear] give the map. [NewSubstitution] puts other vectors in place of the stream, normalises them anew
// and reads score and attention probability, which is of the capped scores and any attention sink;
// contributions are to the score before its cap. [Project], [ProjectDiff] and [Cosine] say how vectors lie to
// a basis and to the map.
//
// # Precision
//
// Inputs are float32 or float64. Contributions, substitutions and projections accumulate every sum in float64
// and give float64, so that a float32 run differs from a float64 run only by what the forward pass rounded.
// Factors and pairs are matrix products in the number type of their input: they are many, and their rounding
// in float32, a few 1e-7 of the largest, is that of the forward pass.
//
// # Traps
//
// Score terms are not causal effects. Parallel means inside the basis of that side at that position: the
// key and the baseline position each have their own direction. Bias terms always count as perpendicular.
package decompose
