// Package model runs GPT-2-style transformers and keeps what a decomposition of attention scores needs.
//
// [Load] takes the weights from a checkpoint and processes them; [Model.Forward] runs a batch of sequences
// of different lengths, packed without padding and with common beginnings computed once ([Rows]), up to the layer of the heads asked for, and gives a [Cache]: at the positions
// asked for, what every component wrote into the residual stream, the stream before each layer, the LayerNorm
// scales, and the queries, keys and attention rows of those heads.
//
// Everything is generic over the number type. Weights are processed in float64 and rounded once; float32 is
// what users run, and the same model in float64 tells noise from errors.
//
// The names are those of TransformerLens. Formulas: GPT-2 (Radford et al. 2019), LayerNorm (arXiv:1607.06450), GELU
// (arXiv:1606.08415), the query-key circuit (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits").
package model
