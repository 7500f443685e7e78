// Package decompose splits the attention scores of one head, on one example, into exact contributions of the
// model's components. It is pure: it sees the vectors of one example and knows no model, no file and no other
// example, so that all of its formulas can be tested against explicit projections.
//
// # What is split
//
// The residual stream at position p before the head's layer is a sum of components x_c,p. The norm before the
// layer is linear once its scale sigma_p is held at the value it had for the whole stream, so
//
//	q   = F_d ( sum_c W_Q^T n(x_c,d) / sigma_d + b_Q )      (query position d)
//	k_s = F_s ( sum_c W_K^T n(x_c,s) / sigma_s + b_K )      (key position s, or the baseline position b)
//	score(d, s) = q . k_s / attn_scale
//
// (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits", the QK circuit). n centres if the
// norm is a LayerNorm and changes nothing otherwise. The frame F of a position is whatever is between the
// maps and the score, all of it linear once QK-norm's scale is held too: the gain and the scale of QK-norm,
// and the rotation of rotary embedding. In GPT-2 it changes nothing. The key side fixes q and sums over key
// components; the query side fixes the key. Each side is split further into the part of each vector inside a
// subspace and the part perpendicular to it (arXiv:2310.04625 does so with the unembedding of the key token
// and the output of MLP0), which makes the four quadrants of [schema.Quadrant].
//
// [Contributions] computes them from an [Input]. A [Basis] is the choice of subspace; [QueryBasis] and
// [KeyBasis] make the named ones, [Span] and [Replace] make any other.
//
// A score is also a sum over pairs of a query component and a key component. [AllFactors] returns what each
// component adds to q and to k, and its coordinates along the axes of every basis; [Pairs] returns the inner
// products by quadrant.
//
// What components add to keys does not depend on a query. [Keys] holds it for all positions of a prompt.
// Inner products of a query with it split the query's whole row of scores. A weighted mean of it is a [Mean]:
// a baseline that is not a position but a distribution over the other keys. Whatever is linear in the key has
// its mean there.
//
// With one side fixed, the score is linear in the normalised vector of the other; [QueryLinear] and
// [KeyLinear] return the map. [NewSubstitution] replaces the stream by other vectors, normalises them with
// their own scale and returns the score and the attention probability, which is that of the capped scores and
// any attention sink. (Contributions are to the score before its cap.) [Project], [ProjectDiff] and [Cosine]
// say how vectors lie relative to a basis and to the map.
//
// # Precision
//
// Inputs are float32 or float64. Contributions, substitutions and projections are summed in float64 and
// returned as float64, so that a float32 run differs from a float64 run only by the rounding of the forward
// pass. Factors and pairs are matrix products in the number type of their input. There are many of them, and
// their rounding in float32, a few 1e-7 of the largest, is like that of the forward pass.
//
// # Traps
//
// Contributions are not causal effects. Parallel means inside the basis of that side at that position: the
// key and the baseline position each have their own direction. Biases always count as perpendicular.
package decompose
