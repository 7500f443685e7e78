// Package model runs decoder-only transformers and keeps what a decomposition of attention scores needs.
//
// A [Spec] says everything about a decoder except its weights, and [Sources] say where its weights are. There
// is one forward pass for all decoders, and it knows no family. [Load] takes the weights from a checkpoint
// and processes them. [Model.Forward] runs a batch of sequences of different lengths, packed without padding
// and with common beginnings computed once ([Rows]), up to the layer of the heads that are asked for. It
// returns a [Cache], which has, at the positions asked for, what every component wrote into the residual
// stream, the stream before each layer, the scales of the norms, and the queries, keys and attention rows of
// those heads.
//
// Everything is generic over the number type. Weights are processed in float64 and rounded once. Users run
// float32; the same model in float64 tells noise from errors. Angles of rotations and the sums of squares of
// RMS norms are float64 in both.
//
// The names are those of TransformerLens. Formulas: GPT-2 (Radford et al. 2019), LayerNorm
// (arXiv:1607.06450), RMSNorm (arXiv:1910.07467), GELU (arXiv:1606.08415), gated MLPs (arXiv:2002.05202),
// rotary embedding (arXiv:2104.09864), grouped queries (arXiv:2305.13245), the query-key circuit (Elhage et
// al. 2021, "A Mathematical Framework for Transformer Circuits").
package model
