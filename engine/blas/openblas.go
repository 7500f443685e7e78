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

// openBLAS is the OpenBLAS of the machine, loaded when it is first asked for. Each of its calls computes on
// one thread; the threads are our own. Unlike the other providers it may round a row differently depending on
// the other rows, as its kernels depend on the CPU, its version and the shape.
type openBLAS struct{ name string }

// openBLASFiles returns the file names under which a system may have it. A plain libblas is not one of them,
// because it may be the slow reference implementation.
func openBLASFiles() []string {
	if runtime.GOOS == "darwin" {
		return []string{"libopenblas.dylib", "/opt/homebrew/opt/openblas/lib/libopenblas.dylib",
			"/usr/local/opt/openblas/lib/libopenblas.dylib"}
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
			return nil, fmt.Errorf("%s is %q, want one with 32-bit integers: %w", file, config, ErrProvider)
		}
		return openBLAS{"openblas/" + words[1] + "/" + C.GoString(C.dl_openblas_core())}, nil
	}
	return nil, fmt.Errorf("none of %s can be loaded: %w", strings.Join(files, ", "), ErrProvider)
})

func (o openBLAS) Name() string { return o.name }

// Gemm64 calls gonum: float64 serves proofs, not speed.
func (openBLAS) Gemm64(threads int, c, a, b Matrix[float64], add bool) {
	gonumProvider{}.Gemm64(threads, c, a, b, add)
}

// Gemm distributes the rows of C over the threads.
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
	// Several parts for each thread, so that one slow thread does not hold up all. Each call packs all of B.
	if threads > 1 {
		parts = min(3*threads, (m+63)/64)
	}
	beta := C.float(0)
	if add {
		beta = 1
	}
	workers.Do(threads, parts, func(i int) {
		from, to := m*i/parts, m*(i+1)/parts
		ap, cp := a.Slice(from, to, 0, k), c.Slice(from, to, 0, n)
		C.dl_openblas_sgemm(flag(a.Trans), flag(b.Trans), C.int(to-from), C.int(n), C.int(k), ptr(ap.Data),
			C.int(a.Stride),
			ptr(b.Data), C.int(b.Stride), beta, ptr(cp.Data), C.int(c.Stride))
	})
}
