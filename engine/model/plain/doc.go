// Package plain is the reference implementation of the decoder, for tests only: a forward pass and a
// decomposition in float64, written from their definitions with loops over [][]float64. It is slow on
// purpose. It shares nothing with the fast engine except [model.Spec] and [model.Sources], so that the two
// can be compared on any model.
//
// Comments give shapes: n tokens, d = d_model, dh = d_head, H heads, K key-value heads, L layers, V
// vocabulary. A matrix is [outputs][inputs].
package plain
