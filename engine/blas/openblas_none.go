//go:build !cgo || !unix

package blas

import "fmt"

func loadOpenBLAS() (Provider, error) {
	return nil, fmt.Errorf("this build cannot load openblas: %w", ErrProvider)
}
