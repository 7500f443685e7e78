// Package blas multiplies matrices, and holds the row functions of a transformer that cost time beside it:
// activations, softmax, LayerNorm and RMSNorm, rotations.
//
// A [Provider] does the multiplying, on plain slices described by a [Matrix]; [ByName] chooses one:
//
//   - builtin: a C kernel for AVX-512, AVX2 or NEON, whichever the CPU has, and a portable one. It multiplies
//     float32; float64 goes to gonum. The three CPU kernels give the same bits.
//   - gonum: pure Go, slower, and what there is when ducklens is built without cgo.
//
// [Engine] puts a provider behind MatMul of gorgonia.org/tensor.
//
// The row functions use C wherever the build has it, whatever the provider. So do [Dots] and [Combine],
// products with sums in float64 that a decomposition is made of, and [Moments], running means over examples.
//
// Results never depend on the number of threads, nor on the other rows and columns of the matrices: row i
// of A B is the same bits whether A has one row or a thousand. So the numbers of an example do not depend
// on the batch it came in.
package blas
