//go:build cgo && unix

package blas

/*
#cgo linux LDFLAGS: -ldl
#cgo noescape dl_openblas_sgemm
#cgo nocallback dl_openblas_sgemm
#include <stdlib.h>
#include "openblas.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"ducklens/engine/internal/workers"
)

// openBLAS is the OpenBLAS of the machine, loaded when it is first asked for. It computes each call on one thread;
// the threads are ours. Unlike the other providers it may round a row differently beside other rows: its
// kernels depend on the CPU, on its version and on the shape.
type openBLAS struct{ name string }

// openBLASFiles are the names a system may have it under. A plain libblas is not among them: it may be the slow reference.
func openBLASFiles() []string {
	if runtime.GOOS == "darwin" {
		return []string{"libopenblas.dylib", "/opt/homebrew/opt/openblas/lib/libopenblas.dylib", "/usr/local/opt/openblas/lib/libopenblas.dylib"}
	}
	return []string{"libopenblas.so.0", "libopenblas.so"}
}

var loadOpenBLAS = sync.OnceValues(func() (Provider, error) {
	files := openBLASFiles()
	for _, file := range files {
		name := C.CString(file)
		found := C.dl_openblas_load(name) != 0
		C.free(unsafe.Pointer(name))
		if !found {
			continue
		}
		// OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH NO_AFFINITY Zen MAX_THREADS=64
		config := C.GoString(C.dl_openblas_config())
		words := strings.Fields(config)
		if strings.Contains(config, "USE64BITINT") || len(words) < 2 {
			return nil, fmt.Errorf("blas: %s is %q, want one with 32-bit integers: %w", file, config, ErrProvider)
		}
		return openBLAS{"openblas/" + words[1] + "/" + C.GoString(C.dl_openblas_core())}, nil
	}
	return nil, fmt.Errorf("blas: none of %s can be loaded: %w", strings.Join(files, ", "), ErrProvider)
})

func (o openBLAS) Name() string { return o.name }

// Gemm64 is gonum's: float64 serves proofs, not speed.
func (openBLAS) Gemm64(threads int, c, a, b Matrix[float64], add bool) {
	gonumProvider{}.Gemm64(threads, c, a, b, add)
}

// Gemm shares the rows of C out among the threads.
func (openBLAS) Gemm(threads int, c, a, b Matrix[float32], add bool) {
	checkProduct(c, a, b)
	m, n, k := c.Rows, c.Cols, a.Cols
	if m == 0 || n == 0 {
		return
	}
	if k == 0 {
		c.clearUnless(add)
		return
	}
	if m*n*k < serialWork {
		threads = 1
	}
	parts := 1
	if threads > 1 { // several for each thread, so that one that is held up does not hold up all; each packs all of B
		parts = min(3*threads, (m+63)/64)
	}
	beta := C.float(0)
	if add {
		beta = 1
	}
	workers.Do(threads, parts, func(i int) {
		from, to := m*i/parts, m*(i+1)/parts
		ap, cp := a.Slice(from, to, 0, k), c.Slice(from, to, 0, n)
		C.dl_openblas_sgemm(flag(a.Trans), flag(b.Trans), C.int(to-from), C.int(n), C.int(k), ptr(ap.Data), C.int(a.Stride),
			ptr(b.Data), C.int(b.Stride), beta, ptr(cp.Data), C.int(c.Stride))
	})
}
