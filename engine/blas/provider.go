package blas

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Provider multiplies matrices. Implementations are stateless and safe for concurrent use.
type Provider interface {
	// Name says what computes, such as builtin/avx512. Results depend on it, so a run records it.
	Name() string
	// Gemm sets C = A B, or C += A B if add is set, on at most threads goroutines. C must not be transposed
	// and must not share memory with A or B. Gemm panics if shapes do not fit.
	Gemm(threads int, c, a, b Matrix[float32], add bool)
	// Gemm64 is Gemm in float64.
	Gemm64(threads int, c, a, b Matrix[float64], add bool)
}

// Gemm sets C = A B, or C += A B if add is set, with p, for either number type.
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

// ByName returns the provider called name: "auto" is the fastest available, "builtin" the C kernel that suits
// this CPU, "gonum" pure Go, "openblas" the machine's OpenBLAS. Names such as "builtin/avx2" select one
// kernel, so that a machine can repeat what another has computed. ByName accepts the Name of every provider.
func ByName(name string) (Provider, error) {
	known := Providers()
	switch {
	case name == "openblas" || strings.HasPrefix(name, "openblas/"):
		p, err := loadOpenBLAS()
		if err == nil && name != "openblas" && name != p.Name() {
			return nil, fmt.Errorf("provider %q, and this machine has %s: %w", name, p.Name(), ErrProvider)
		}
		return p, err
	case name == "auto" || name == "":
		name = known[0]
	case name == "builtin" && strings.HasPrefix(known[0], "builtin/"):
		name = known[0]
	}
	if !slices.Contains(known, name) {
		return nil,
			fmt.Errorf("provider %q, want auto, builtin, openblas or one of %s: %w", name,
				strings.Join(known, ", "), ErrProvider)
	}
	if name == "gonum" {
		return gonumProvider{}, nil
	}
	return builtinByName(name), nil
}

// Providers returns the names of the providers that this build contains and that run on this CPU, the fastest
// first. Their results depend neither on the machine nor on the batch. OpenBLAS is not among them: it must be
// installed and asked for by name.
func Providers() []string { return append(builtinNames(), "gonum") }
