package blas

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Provider multiplies matrices. Implementations are stateless and safe for concurrent use.
type Provider interface {
	// Name says what computes, e.g. builtin/avx512; results depend on it, so a run records it.
	Name() string
	// Gemm sets C = A B, or C += A B where add, on at most threads goroutines. C is not transposed and
	// shares no memory with A or B. It panics when shapes do not fit.
	Gemm(threads int, c, a, b Matrix[float32], add bool)
	// Gemm64 is Gemm in float64.
	Gemm64(threads int, c, a, b Matrix[float64], add bool)
}

// Gemm sets C = A B, or C += A B where add, with p, whatever the number type.
func Gemm[T Float](p Provider, threads int, c, a, b Matrix[T], add bool) {
	switch c := any(c).(type) {
	case Matrix[float32]:
		p.Gemm(threads, c, any(a).(Matrix[float32]), any(b).(Matrix[float32]), add)
	case Matrix[float64]:
		p.Gemm64(threads, c, any(a).(Matrix[float64]), any(b).(Matrix[float64]), add)
	}
}

// ErrProvider is returned for a provider that does not exist in this build or on this CPU.
var ErrProvider = errors.New("no such matrix-multiply provider")

// ByName gives the provider called name: "auto" is the fastest there is, "builtin" the C kernel that
// suits this CPU, "gonum" pure Go. "builtin/avx2" and the like ask for one kernel, so that a
// machine can repeat what another has computed.
func ByName(name string) (Provider, error) {
	known := Providers()
	switch {
	case name == "auto" || name == "":
		name = known[0]
	case name == "builtin" && strings.HasPrefix(known[0], "builtin/"):
		name = known[0]
	}
	if !slices.Contains(known, name) {
		return nil, fmt.Errorf("blas: provider %q, want auto, builtin or one of %s: %w", name, strings.Join(known, ", "), ErrProvider)
	}
	if name == "gonum" {
		return gonumProvider{}, nil
	}
	return builtinByName(name), nil
}

// Providers lists the providers of this build that run on this CPU, the fastest first.
func Providers() []string { return append(builtinNames(), "gonum") }
