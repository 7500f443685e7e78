//go:build !cgo

package blas

// Without cgo there is no builtin provider, and the row functions run in Go.

func builtinNames() []string { return nil }

func builtinByName(name string) Provider { panic("blas: provider " + name + " in a build without cgo") }

func gelu32(x []float32) bool { return false }

func softmaxCausal32(x []float32, rows, cols, stride, first int, scale float32) bool { return false }

func layerNorm32(dst, x, scales []float32, width int, eps float32) bool { return false }

func dots32(out []float64, x []float32, d int, columns []float64) bool { return false }

func combine32(out []float64, w []float32, x []float64) bool { return false }

func moments32(mean, squares []float64, x, less []float32, share float64) bool { return false }
