//go:build !cgo

package blas

// Without cgo there is no builtin provider, and the row functions run in Go.

func builtinNames() []string { return nil }

func builtinByName(name string) Provider { panic("blas: provider " + name + " in a build without cgo") }

func activate32(x []float32, act Activation) bool { return false }

func softmaxCausal32(x Matrix[float32], c Causal[float32], sink float32) bool { return false }

func rmsNorm32(dst, x Matrix[float32], scales []float32, groups int, gain []float32, eps float64) bool {
	return false
}

func rotate32(x Matrix[float32], heads, dims int, pairs bool, table []float32, at []int64) bool {
	return false
}

func layerNorm32(dst, x, scales []float32, width int, eps float32) bool { return false }

func dots32(out []float64, x []float32, d int, columns []float64) bool { return false }

func combine32(out []float64, w []float32, x []float64) bool { return false }

func moments32(mean, squares []float64, x, less []float32, share float64) bool { return false }
