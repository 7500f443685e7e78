// Package blas multiplies matrices. It also has the row functions of a transformer that cost time:
// activations, softmax, LayerNorm and RMSNorm, rotations.
//
// A [Provider] multiplies plain slices that a [Matrix] describes. [ByName] returns one:
//
//   - builtin: a C kernel for AVX-512, AVX2 or NEON, whichever the CPU has, and a portable one. It multiplies
//     float32; float64 goes to gonum. The three CPU kernels give the same bits.
//   - gonum: pure Go, slower, and the only one if ducklens is built without cgo.
//
// [Engine] puts a provider behind MatMul of gorgonia.org/tensor.
//
// The row functions use C if the build has it, whatever the provider. So do [Dots] and [Combine], the
// products with float64 sums that a decomposition consists of, and [Moments], running means over examples.
//
// Results never depend on the number of threads, nor on the other rows and columns of the matrices: row i of
// A B has the same bits whether A has one row or a thousand. So the numbers of an example do not depend on
// its batch.
package blas
