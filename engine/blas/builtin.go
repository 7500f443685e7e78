//go:build cgo

package blas

/*
#cgo CFLAGS: -O3
#cgo linux LDFLAGS: -lm
#cgo noescape dl_pack_b
#cgo nocallback dl_pack_b
#cgo noescape dl_gemm
#cgo nocallback dl_gemm
#cgo noescape dl_attention
#cgo nocallback dl_attention
#cgo noescape dl_gemm_gated
#cgo nocallback dl_gemm_gated
#cgo noescape dl_activate
#cgo nocallback dl_activate
#cgo noescape dl_softmax
#cgo nocallback dl_softmax
#cgo noescape dl_layernorm
#cgo nocallback dl_layernorm
#cgo noescape dl_rmsnorm
#cgo nocallback dl_rmsnorm
#cgo noescape dl_rotate
#cgo nocallback dl_rotate
#cgo noescape dl_dots
#cgo nocallback dl_dots
#cgo noescape dl_combine
#cgo nocallback dl_combine
#cgo noescape dl_moments
#cgo nocallback dl_moments
#include <stdlib.h>
#include "builtin.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"ducklens/engine/internal/workers"
)

// builtin is the C kernel with that number. The CPU can run it.
type builtin struct{ kernel C.int }

var kernelNames = [C.DL_KERNELS]string{
	C.DL_PORTABLE: "builtin/portable",
	C.DL_NEON:     "builtin/neon",
	C.DL_AVX2:     "builtin/avx2",
	C.DL_AVX512:   "builtin/avx512",
}

// usable returns the kernels that this CPU can run, the best first.
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

// Gemm64 calls gonum: float64 serves proofs, not speed.
func (builtin) Gemm64(threads int, c, a, b Matrix[float64], add bool) {
	gonumProvider{}.Gemm64(threads, c, a, b, add)
}

const (
	// partRows and partCols bound the part of C that one thread takes at a time: as many rows as the C side
	// packs at once, and as many columns as fit beside them into the second-level cache.
	partRows = 144
	partCols = 1536
	// serialWork is the number of multiplications below which starting goroutines costs more than it gains
	// (about 10 microseconds).
	serialWork = 1 << 19
	// packedFloats bounds the packed copy of B (32 MiB). A wider B is multiplied in strips.
	packedFloats = 8 << 20
)

// Gemm packs B, then multiplies parts of C. Both are distributed over the threads. The way in which C is
// divided does not change the sums.
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
	tile := int(C.dl_tile_cols(b.kernel))
	strip := max(tile, packedFloats/k/tile*tile)
	for j := 0; j < n; j += strip {
		end := min(n, j+strip)
		packed := b.panels(k, end-j)
		buf := scratchFor[float32](packed.len())
		packed.data = buf.data
		b.fill(threads, packed, bm.Slice(0, k, j, end))
		b.multiply(threads, c.Slice(0, m, j, end), a, packed, 0, 0, add, Epilogue[float32]{})
		buf.release()
	}
}

// panels returns the layout of a packed matrix [k, n], without its numbers.
func (b builtin) panels(k, n int) *panels {
	return &panels{rows: k, cols: n, depth: C.DL_KC, width: int(C.dl_tile_cols(b.kernel)),
		vector: int(C.dl_vector(b.kernel))}
}

func (p *panels) len() int { return panelsLen(p.rows, p.cols, p.vector) }

// fill packs all of m.
func (b builtin) fill(threads int, p *panels, m Matrix[float32]) {
	tiles := (p.cols + p.width - 1) / p.width
	parts := min(tiles, threads)
	workers.Do(threads, parts, func(i int) {
		j0, j1 := tiles*i/parts*p.width, min(p.cols, tiles*(i+1)/parts*p.width)
		C.dl_pack_b(b.kernel, flag(m.Trans), C.long(p.rows), C.long(p.cols), ptr(m.Data), C.long(m.Stride),
			C.long(j0), C.long(j1), ptr(p.data))
	})
}

// part is one thread's share of a product: rows [r0, r1) and columns [j0, j1) of C.
type part struct{ r0, r1, j0, j1 int }

// parts divides C [m, n] of a product with panels of that width.
func (b builtin) parts(threads, m, n, width int) []part {
	tileRows := int(C.dl_tile_rows(b.kernel))
	rowTiles, colTiles := (m+tileRows-1)/tileRows, (n+width-1)/width
	rowParts, colParts := (m+partRows-1)/partRows, (n+partCols-1)/partCols
	// Several parts for each thread, so that one slow thread does not hold up all.
	if threads > 1 {
		colParts = min(colTiles, max(colParts, (4*threads+rowParts-1)/rowParts))
	}
	list := make([]part, 0, rowParts*colParts)
	for r := range rowParts {
		r0, r1 := rowTiles*r/rowParts*tileRows, min(m, rowTiles*(r+1)/rowParts*tileRows)
		for s := range colParts {
			list = append(list,
				part{r0, r1, colTiles * s / colParts * width, min(n, colTiles*(s+1)/colParts*width)})
		}
	}
	return list
}

// multiply multiplies by the part of p that begins at (row, col) and has the shape that a and c call for.
func (b builtin) multiply(
	threads int, c, a Matrix[float32], p *panels, row, col int, add bool, e Epilogue[float32],
) {
	k := a.Cols
	list := b.parts(threads, c.Rows, c.Cols, p.width)
	workers.Do(threads, len(list), func(i int) {
		t := list[i]
		ap, cp := a.Slice(t.r0, t.r1, 0, k), c.Slice(t.r0, t.r1, t.j0, t.j1)
		work := scratchFor[float32](int(C.dl_packed_a(b.kernel, C.long(t.r1-t.r0))))
		C.dl_gemm(b.kernel, flag(a.Trans), C.long(t.r1-t.r0), ptr(ap.Data), C.long(a.Stride), ptr(p.data),
			C.long(p.rows), C.long(p.cols),
			C.long(row), C.long(row+k), C.long(col+t.j0), C.long(col+t.j1), ptr(cp.Data), C.long(c.Stride),
			flag(add), from(e.Bias, t.j0),
			rowKernel(), C.int(e.Act), ptr(work.data))
		work.release()
	})
}

// multiplyGated multiplies by whole matrices.
func (b builtin) multiplyGated(
	threads int, c, a Matrix[float32], gate, up Packed[float32], e Gated[float32],
) {
	k, n := a.Cols, c.Cols
	if c.Rows*n*k < serialWork {
		threads = 1
	}
	list := b.parts(threads, c.Rows, n, gate.panels.width)
	workers.Do(threads, len(list), func(i int) {
		t := list[i]
		ap, cp := a.Slice(t.r0, t.r1, 0, k), c.Slice(t.r0, t.r1, t.j0, t.j1)
		packed := int(C.dl_packed_a(b.kernel, C.long(t.r1-t.r0)))
		work := scratchFor[float32](packed + (t.r1-t.r0)*(t.j1-t.j0))
		C.dl_gemm_gated(b.kernel, flag(a.Trans), C.long(t.r1-t.r0), ptr(ap.Data), C.long(a.Stride),
			ptr(gate.panels.data), ptr(up.panels.data),
			C.long(k), C.long(n), C.long(t.j0), C.long(t.j1), ptr(cp.Data), C.long(c.Stride),
			ptr(work.data[packed:]),
			from(e.GateBias, t.j0), from(e.Bias, t.j0), rowKernel(), C.int(e.Act), ptr(work.data))
		work.release()
	})
	runtime.KeepAlive(gate.panels)
	runtime.KeepAlive(up.panels)
}

// from returns a pointer to x[i], or nil if x is nil.
func from(x []float32, i int) *C.float {
	if x == nil {
		return nil
	}
	return ptr(x[i:])
}

// pack copies m to memory outside of the Go heap. Weights are most of what a process holds, and the garbage
// collector would let the heap grow by as much again before it runs.
func (b builtin) pack(m Matrix[float32]) *panels {
	p := b.panels(m.Rows, m.Cols)
	const line = 64 // bytes; vectors then do not cross cache lines
	block := C.malloc(C.size_t(4*p.len() + line))
	if block == nil {
		panic(fmt.Sprintf("blas: no memory for a matrix [%d %d]", m.Rows, m.Cols))
	}
	p.data = unsafe.Slice((*float32)(unsafe.Add(block, -uintptr(block)%line)), p.len())
	runtime.AddCleanup(p, func(block unsafe.Pointer) { C.free(block) }, block)
	b.fill(1, p, m)
	return p
}

func (b builtin) multiplyPacked(threads int, c, a Matrix[float32], w Packed[float32], e Epilogue[float32]) {
	switch {
	case a.Cols == 0 || !w.panels.starts(w.row, w.col, w.Rows):
		multiplyPlain(b, threads, c, a, w.Unpack(), e)
	case c.Rows*c.Cols*a.Cols < serialWork:
		b.multiply(1, c, a, w.panels, w.row, w.col, false, e)
	default:
		b.multiply(threads, c, a, w.panels, w.row, w.col, false, e)
	}
	runtime.KeepAlive(w.panels)
}

func (b builtin) attention(z, q, k, v Matrix[float32], h Heads[float32], c Causal[float32]) {
	dh := z.Cols / h.Query
	work := scratchFor[float32](
		int(C.dl_attention_work(b.kernel, C.long(dh), C.long(q.Rows), C.long(k.Rows))))
	defer work.release()
	C.dl_attention(b.kernel, rowKernel(), C.long(h.Query), C.long(h.KV), C.long(dh), C.long(q.Rows),
		C.long(k.Rows), C.long(c.First), C.long(c.Window),
		C.float(c.Scale), C.float(c.Cap), from(h.Sinks, 0), ptr(q.Data), C.long(q.Stride), ptr(k.Data),
		C.long(k.Stride), ptr(v.Data), C.long(v.Stride),
		ptr(z.Data), C.long(z.Stride), ptr(work.data))
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

func ptr(x []float32) *C.float { return (*C.float)(&x[0]) }

// rowKernel returns the kernel of the row functions, whatever the provider.
func rowKernel() C.int { return usable()[0].kernel }

func activate32(x []float32, act Activation) bool {
	if len(x) > 0 {
		C.dl_activate(rowKernel(), C.int(act), C.long(len(x)), ptr(x))
	}
	return true
}

func softmaxCausal32(x Matrix[float32], c Causal[float32], sink float32) bool {
	C.dl_softmax(rowKernel(), C.long(x.Rows), C.long(x.Cols), C.long(x.Stride), C.long(c.First),
		C.long(c.Window), C.float(c.Scale), C.float(c.Cap),
		C.float(sink), ptr(x.Data))
	return true
}

func rmsNorm32(dst, x Matrix[float32], scales []float32, groups int, gain []float32, eps float64) bool {
	C.dl_rmsnorm(rowKernel(), C.long(x.Rows), C.long(groups), C.long(x.Cols/groups), C.double(eps),
		ptr(dst.Data), C.long(dst.Stride),
		ptr(x.Data), C.long(x.Stride), from(gain, 0), ptr(scales))
	return true
}

func rotate32(x Matrix[float32], heads, dims int, pairs bool, table []float32, at []int64) bool {
	C.dl_rotate(rowKernel(), C.long(x.Rows), C.long(heads), C.long(x.Cols/heads), C.long(dims/2), flag(pairs),
		ptr(x.Data), C.long(x.Stride),
		ptr(table), (*C.int64_t)(&at[0]))
	return true
}

func layerNorm32(dst, x, scales []float32, width int, eps float32) bool {
	C.dl_layernorm(rowKernel(), C.long(len(scales)), C.long(width), C.float(eps), ptr(dst), ptr(x),
		ptr(scales))
	return true
}

func dots32(out []float64, x []float32, d int, columns []float64) bool {
	C.dl_dots(rowKernel(), C.long(len(x)/d), C.long(d), ptr(x), C.long(len(columns)/d),
		(*C.double)(&columns[0]), (*C.double)(&out[0]))
	return true
}

func combine32(out []float64, w []float32, x []float64) bool {
	C.dl_combine(rowKernel(), C.long(len(x)), C.long(len(out)), ptr(w), (*C.double)(&x[0]),
		(*C.double)(&out[0]))
	return true
}

func moments32(mean, squares []float64, x, less []float32, share float64) bool {
	var from *C.float
	if less != nil {
		from = ptr(less)
	}
	C.dl_moments(rowKernel(), C.long(len(x)), C.double(share), ptr(x), from, (*C.double)(&mean[0]),
		(*C.double)(&squares[0]))
	return true
}
