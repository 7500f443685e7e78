//go:build cgo

package blas

/*
#cgo CFLAGS: -O3
#cgo linux LDFLAGS: -lm
#cgo noescape dl_pack_b
#cgo nocallback dl_pack_b
#cgo noescape dl_gemm
#cgo nocallback dl_gemm
#cgo noescape dl_gelu
#cgo nocallback dl_gelu
#cgo noescape dl_softmax
#cgo nocallback dl_softmax
#cgo noescape dl_layernorm
#cgo nocallback dl_layernorm
#include "builtin.h"
*/
import "C"

import (
	"slices"
	"sync"

	"ducklens/engine/internal/workers"
)

// builtin is the C kernel of that number, which this CPU has.
type builtin struct{ kernel C.int }

var kernelNames = [C.DL_KERNELS]string{
	C.DL_PORTABLE: "builtin/portable",
	C.DL_NEON:     "builtin/neon",
	C.DL_AVX2:     "builtin/avx2",
	C.DL_AVX512:   "builtin/avx512",
}

// usable lists the kernels of this CPU, the best first.
var usable = sync.OnceValue(func() []builtin {
	var list []builtin
	for k := len(kernelNames) - 1; k >= 0; k-- {
		if C.dl_usable(C.int(k)) != 0 {
			list = append(list, builtin{C.int(k)})
		}
	}
	return list
})

func builtinNames() []string {
	var names []string
	for _, b := range usable() {
		names = append(names, b.Name())
	}
	return names
}

func builtinByName(name string) Provider {
	list := usable()
	return list[slices.IndexFunc(list, func(b builtin) bool { return b.Name() == name })]
}

func (b builtin) Name() string { return kernelNames[b.kernel] }

// Gemm64 is gonum's: float64 serves proofs, not speed.
func (builtin) Gemm64(threads int, c, a, b Matrix[float64], add bool) {
	gonumProvider{}.Gemm64(threads, c, a, b, add)
}

const (
	// partRows and partPanels bound the part of C that one thread takes at a time: 144 rows are what the
	// C side packs at once.
	partRows = 144
	// serialWork is the number of multiplications below which starting goroutines costs more than they gain
	// (about 10 microseconds).
	serialWork = 1 << 19
	// packedFloats bounds the packed copy of B (32 MiB); a wider B is multiplied in strips.
	packedFloats = 8 << 20
)

// Gemm packs B, then multiplies parts of C; both are shared out among the threads. How C is divided does
// not change the sums.
func (b builtin) Gemm(threads int, c, a, bm Matrix[float32], add bool) {
	checkProduct(c, a, bm)
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
	panel := int(C.dl_panel(b.kernel))
	strip := max(panel, packedFloats/k/panel*panel)
	for j := 0; j < n; j += strip {
		end := min(n, j+strip)
		b.strip(threads, c.Slice(0, m, j, end), a, bm.Slice(0, k, j, end), add, panel)
	}
}

func (b builtin) strip(threads int, c, a, bm Matrix[float32], add bool, panel int) {
	m, n, k := c.Rows, c.Cols, a.Cols
	packed := scratchFor[float32](int(C.dl_packed_b(b.kernel, C.long(k), C.long(n))))
	defer packed.release()
	panels := (n + panel - 1) / panel
	colsOf := func(i, parts int) (j0, j1 int) { // part i of the columns, in whole panels
		return panels * i / parts * panel, min(n, panels*(i+1)/parts*panel)
	}
	packParts := min(panels, threads)
	workers.Do(threads, packParts, func(i int) {
		j0, j1 := colsOf(i, packParts)
		C.dl_pack_b(b.kernel, flag(bm.Trans), C.long(k), C.long(n), ptr(bm.Data), C.long(bm.Stride), C.long(j0), C.long(j1), ptr(packed.data))
	})

	rowParts := (m + partRows - 1) / partRows
	colParts := 1
	if threads > 1 { // several parts for each thread, so that one that is held up does not hold up all
		colParts = min(panels, max(1, (4*threads+rowParts-1)/rowParts))
	}
	workers.Do(threads, rowParts*colParts, func(i int) {
		r0, r1 := m*(i/colParts)/rowParts, m*(i/colParts+1)/rowParts
		j0, j1 := colsOf(i%colParts, colParts)
		ap, cp := a.Slice(r0, r1, 0, k), c.Slice(r0, r1, 0, n)
		work := scratchFor[float32](int(C.dl_packed_a(b.kernel, C.long(r1-r0))))
		C.dl_gemm(b.kernel, flag(a.Trans), C.long(r1-r0), C.long(n), C.long(k), ptr(ap.Data), C.long(a.Stride), ptr(packed.data),
			C.long(j0), C.long(j1), ptr(cp.Data), C.long(c.Stride), flag(add), ptr(work.data))
		work.release()
	})
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

func ptr(x []float32) *C.float { return (*C.float)(&x[0]) }

func gelu32(x []float32) bool {
	if len(x) > 0 {
		C.dl_gelu(usable()[0].kernel, C.long(len(x)), ptr(x))
	}
	return true
}

func softmaxCausal32(x []float32, rows, cols, stride, first int, scale float32) bool {
	C.dl_softmax(usable()[0].kernel, C.long(rows), C.long(cols), C.long(stride), C.long(first), C.float(scale), ptr(x))
	return true
}

func layerNorm32(dst, x, scales []float32, width int, eps float32) bool {
	C.dl_layernorm(usable()[0].kernel, C.long(len(scales)), C.long(width), C.float(eps), ptr(dst), ptr(x), ptr(scales))
	return true
}
