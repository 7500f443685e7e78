//go:build cgo

// Matrix product and row functions in float32. The product follows Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008): A and B are copied into panels in the order in which the inner loop
// reads them, and the inner loop keeps a tile of C in registers. One call works on one part of C in one
// thread; builtin.go divides C.

#include "builtin.h"

#include <math.h>
#include <string.h>

// What an instruction set offers.
struct kernel {
    int mr, w, nr; // rows of the tile in registers, floats of a vector, columns of the tile
    void (*block)(long m, long n, long kc, const float *a, const float *b, long width, long depth, long skip, float *c, long ldc,
                  const float *from, long ldfrom, void (*act)(long, float *));
    void (*act[DL_ACTIVATIONS])(long n, float *x);
    void (*gated)(long n, void (*act)(long, float *), float *gate, float *up);
    void (*softmax_row)(long n, float scale, float cap, float sink, float *x);
    void (*layernorm_row)(long n, float eps, float *dst, const float *x, float *scale);
    void (*rmsnorm_row)(long n, double eps, float *dst, const float *x, const float *gain, float *scale);
    void (*rotate_row)(long half, const float *cosine, const float *sine, float *x);
    void (*dots)(long rows, long d, const float *x, long cols, const double *g, double *out);
    void (*combine)(long rows, long cols, const float *w, const double *x, double *out);
    void (*moments)(long n, double share, const float *x, const float *less, double *mean, double *squares);
};

#define CAT2(a, b) a##_##b
#define CAT(a, b) CAT2(a, b)
#define F(name) CAT(name, ISA)

// Portable: vectors of four that the compiler maps to whatever it has. Without fused multiply-add its
// results differ in the last bits from those of the other kernels.
typedef float portable_vec __attribute__((vector_size(16)));
typedef int portable_int __attribute__((vector_size(16)));

static inline portable_vec portable_load(const float *p) {
    portable_vec v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void portable_store(float *p, portable_vec v) { memcpy(p, &v, sizeof v); }
typedef double portable_dvec __attribute__((vector_size(16)));
static inline portable_dvec portable_dload(const double *p) {
    portable_dvec v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void portable_dstore(double *p, portable_dvec v) { memcpy(p, &v, sizeof v); }
static inline portable_vec portable_max(portable_vec a, portable_vec b) {
    portable_int mask = a > b;
    return (portable_vec)((mask & (portable_int)a) | (~mask & (portable_int)b));
}

#define ISA portable
#define TARGET
#define VEC portable_vec
#define W 4
#define SPLAT(x) ((VEC){(x), (x), (x), (x)})
#define LOAD(p) portable_load(p)
#define STORE(p, v) portable_store(p, v)
#define FMA(a, b, c) ((a) * (b) + (c))
#define MAX(a, b) portable_max(a, b)
#define EXP2I(t) ((VEC)(((portable_int)(t) << 23) + 0x3f800000))
#define DVEC portable_dvec
#define DW 2
#define DSPLAT(x) ((DVEC){(x), (x)})
#define DLOAD(p) portable_dload(p)
#define DWIDEN(p) ((DVEC){(p)[0], (p)[1]})
#define DSTORE(p, v) portable_dstore(p, v)
#define DFMA(a, b, c) ((a) * (b) + (c))
#define DFMA1(a, b, c) ((a) * (b) + (c))
#define MR 6
#define NV 2
#include "kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define ISA avx2
#define TARGET __attribute__((target("avx2,fma")))
#define VEC __m256
#define W 8
#define SPLAT(x) _mm256_set1_ps(x)
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define MAX(a, b) _mm256_max_ps(a, b)
#define EXP2I(t) \
    _mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(t), 23), _mm256_set1_epi32(0x3f800000)))
#define DVEC __m256d
#define DW 4
#define DSPLAT(x) _mm256_set1_pd(x)
#define DLOAD(p) _mm256_loadu_pd(p)
#define DWIDEN(p) _mm256_cvtps_pd(_mm_loadu_ps(p))
#define DSTORE(p, v) _mm256_storeu_pd(p, v)
#define DFMA(a, b, c) _mm256_fmadd_pd(a, b, c)
#define DFMA1(a, b, c) fma(a, b, c)
#define MR 6
#define NV 2
#include "kernel.h"

#define ISA avx512
#define TARGET __attribute__((target("avx512f,fma")))
#define VEC __m512
#define W 16
#define SPLAT(x) _mm512_set1_ps(x)
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define MAX(a, b) _mm512_max_ps(a, b)
#define EXP2I(t) \
    _mm512_castsi512_ps(_mm512_add_epi32(_mm512_slli_epi32(_mm512_castps_si512(t), 23), _mm512_set1_epi32(0x3f800000)))
#define DVEC __m512d
#define DW 8
#define DSPLAT(x) _mm512_set1_pd(x)
#define DLOAD(p) _mm512_loadu_pd(p)
#define DWIDEN(p) _mm512_cvtps_pd(_mm256_loadu_ps(p))
#define DSTORE(p, v) _mm512_storeu_pd(p, v)
#define DFMA(a, b, c) _mm512_fmadd_pd(a, b, c)
#define DFMA1(a, b, c) fma(a, b, c)
#define MR 12
#define NV 2
#include "kernel.h"

#elif defined(__aarch64__)
#include <arm_neon.h>

#define ISA neon
#define TARGET
#define VEC float32x4_t
#define W 4
#define SPLAT(x) vdupq_n_f32(x)
#define LOAD(p) vld1q_f32(p)
#define STORE(p, v) vst1q_f32(p, v)
#define FMA(a, b, c) vfmaq_f32(c, a, b)
#define MAX(a, b) vmaxq_f32(a, b)
#define EXP2I(t) \
    vreinterpretq_f32_s32(vaddq_s32(vshlq_n_s32(vreinterpretq_s32_f32(t), 23), vdupq_n_s32(0x3f800000)))
#define DVEC float64x2_t
#define DW 2
#define DSPLAT(x) vdupq_n_f64(x)
#define DLOAD(p) vld1q_f64(p)
#define DWIDEN(p) vcvt_f64_f32(vld1_f32(p))
#define DSTORE(p, v) vst1q_f64(p, v)
#define DFMA(a, b, c) vfmaq_f64(c, a, b)
#define DFMA1(a, b, c) fma(a, b, c)
#define MR 8
#define NV 2
#include "kernel.h"
#endif

static const struct kernel *const kernels[DL_KERNELS] = {
    [DL_PORTABLE] = &kernel_portable,
#if defined(__x86_64__)
    [DL_AVX2] = &kernel_avx2,
    [DL_AVX512] = &kernel_avx512,
#elif defined(__aarch64__)
    [DL_NEON] = &kernel_neon,
#endif
};

int dl_usable(int kernel) {
    if (kernel < 0 || kernel >= DL_KERNELS || !kernels[kernel]) return 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (kernel == DL_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (kernel == DL_AVX512) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma");
#endif
    return 1;
}

// The tile of C that the inner loop keeps in registers, and the floats of a vector. The parts of C that
// different threads compute begin at multiples of the tile.
long dl_tile_rows(int kernel) { return kernels[kernel]->mr; }
long dl_tile_cols(int kernel) { return kernels[kernel]->nr; }
long dl_vector(int kernel) { return kernels[kernel]->w; }

// The number of floats of a packed B [k, n]: whole vectors, the same for every block of KC rows.
long dl_packed_b(int kernel, long k, long n) {
    long w = kernels[kernel]->w;
    return k * ((n + w - 1) / w * w);
}

enum { MC = 144 }; // rows of A that are packed at once: MC * KC floats stay in the second-level cache

// Floats that dl_gemm needs to pack the A of m rows.
long dl_packed_a(int kernel, long m) {
    long mr = kernels[kernel]->mr, rows = m < MC ? m : MC;
    return (rows + mr - 1) / mr * mr * DL_KC;
}

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (portable_int){__VA_ARGS__})
#endif

// dst[p][r] = a[r][p] for all rows and p < kc, with rows of lda and of stride floats. Squares of four by four go
// through registers, which is three times as fast as one number at a time.
static void transpose(long rows, long kc, const float *a, long lda, float *dst, long stride) {
    long r = 0;
    for (; r + 4 <= rows; r += 4) {
        const float *src = a + r * lda;
        long p = 0;
        for (; p + 4 <= kc; p += 4) {
            const portable_vec x0 = portable_load(src + p), x1 = portable_load(src + lda + p);
            const portable_vec x2 = portable_load(src + 2 * lda + p), x3 = portable_load(src + 3 * lda + p);
            const portable_vec low01 = SHUFFLE(x0, x1, 0, 4, 1, 5), low23 = SHUFFLE(x2, x3, 0, 4, 1, 5);
            const portable_vec high01 = SHUFFLE(x0, x1, 2, 6, 3, 7), high23 = SHUFFLE(x2, x3, 2, 6, 3, 7);
            float *to = dst + p * stride + r;
            portable_store(to, SHUFFLE(low01, low23, 0, 1, 4, 5));
            portable_store(to + stride, SHUFFLE(low01, low23, 2, 3, 6, 7));
            portable_store(to + 2 * stride, SHUFFLE(high01, high23, 0, 1, 4, 5));
            portable_store(to + 3 * stride, SHUFFLE(high01, high23, 2, 3, 6, 7));
        }
        for (; p < kc; p++)
            for (long i = 0; i < 4; i++) dst[p * stride + r + i] = src[i * lda + p];
    }
    for (; r < rows; r++)
        for (long p = 0; p < kc; p++) dst[p * stride + r] = a[r * lda + p];
}

// Packs columns j0..j1 of B [k, n] (stored as [n, k] if trans). j0 is a multiple of the panel width. For each
// block of KC rows, for each panel, for each row: the numbers of the panel, padded with zeros to whole vectors.
void dl_pack_b(int kernel, int trans, long k, long n, const float *b, long ldb, long j0, long j1, float *packed) {
    const long nr = kernels[kernel]->nr, w = kernels[kernel]->w, width = (n + w - 1) / w * w;
    for (long p0 = 0; p0 < k; p0 += DL_KC) {
        const long kc = k - p0 < DL_KC ? k - p0 : DL_KC;
        for (long j = j0; j < j1; j += nr) {
            const long cols = n - j < nr ? n - j : nr, padded = cols > w ? nr : w;
            const long stored = padded < width - j ? padded : width - j;
            float *dst = packed + p0 * width + j * kc;
            if (trans) {
                transpose(cols, kc, b + j * ldb + p0, ldb, dst, stored);
                for (long c = cols; c < stored; c++)
                    for (long p = 0; p < kc; p++) dst[p * stored + c] = 0;
            } else {
                const float *src = b + p0 * ldb + j;
                for (long p = 0; p < kc; p++, src += ldb, dst += stored) {
                    memcpy(dst, src, cols * sizeof(float));
                    for (long c = cols; c < stored; c++) dst[c] = 0;
                }
            }
        }
    }
}

// Packs rows 0..m of a block of A (stored transposed if trans) in panels of mr rows; the last panel has the
// remaining rows.
static void pack_a(long mr, int trans, long m, long kc, const float *a, long lda, float *dst) {
    for (long i = 0; i < m; i += mr) {
        const long rows = m - i < mr ? m - i : mr;
        if (trans) {
            for (long p = 0; p < kc; p++) memcpy(dst + p * rows, a + p * lda + i, rows * sizeof(float));
        } else {
            transpose(rows, kc, a + i * lda, lda, dst, rows);
        }
        dst += rows * kc;
    }
}

// C [m, j1-j0] = A [m, k1-k0] times rows k0..k1 and columns j0..j1 of the packed B [k, n], plus C if add, or
// plus bias [j1-j0] in every row if bias is not NULL (not both); then the activation act of kernel row. j0 is a
// multiple of the tile. A is not packed; work has room for dl_packed_a(m). Every element of C is a sum of sums
// over at most KC products, in order.
void dl_gemm(int kernel, int trans, long m, const float *a, long lda, const float *packed, long k, long n, long k0, long k1, long j0,
             long j1, float *c, long ldc, int add, const float *bias, int row, int act, float *work) {
    const struct kernel *kn = kernels[kernel];
    const long w = kn->w, width = (n + w - 1) / w * w;
    for (long p = k0; p < k1;) {
        const long start = p / DL_KC * DL_KC, depth = k - start < DL_KC ? k - start : DL_KC;
        const long end = start + depth < k1 ? start + depth : k1, kc = end - p;
        const float *b = packed + start * width + j0 * depth;
        for (long i = 0; i < m; i += MC) {
            const long rows = m - i < MC ? m - i : MC;
            float *to = c + i * ldc;
            const int more = add || p > k0;
            pack_a(kn->mr, trans, rows, kc, trans ? a + (p - k0) * lda + i : a + i * lda + p - k0, lda, work);
            kn->block(rows, j1 - j0, kc, work, b, width - j0, depth, p - start, to, ldc, more ? to : bias, more ? ldc : 0,
                      end == k1 ? kernels[row]->act[act] : 0);
        }
        p = end;
    }
}

// C [m, j1-j0] = act(A gate + gate_bias) * (A up + up_bias), for columns j0..j1 of the packed gate and up
// [k, n], as two calls of dl_gemm would compute it. g [m, j1-j0] receives the gate's product. In the last block
// of k, gate and up alternate panel by panel, so that both products are still in the cache when they are
// multiplied.
void dl_gemm_gated(int kernel, int trans, long m, const float *a, long lda, const float *gate, const float *up, long k, long n, long j0,
                   long j1, float *c, long ldc, float *g, const float *gate_bias, const float *up_bias, int row, int act, float *work) {
    const struct kernel *kn = kernels[kernel];
    const long w = kn->w, width = (n + w - 1) / w * w, ldg = j1 - j0;
    for (long p = 0; p < k; p += DL_KC) {
        const long depth = k - p < DL_KC ? k - p : DL_KC, step = p + depth < k ? ldg : kn->nr;
        const int more = p > 0;
        for (long i = 0; i < m; i += MC) {
            const long rows = m - i < MC ? m - i : MC;
            pack_a(kn->mr, trans, rows, depth, trans ? a + p * lda + i : a + i * lda + p, lda, work);
            for (long j = 0; j < ldg; j += step) {
                const long cols = ldg - j < step ? ldg - j : step, at = p * width + (j0 + j) * depth;
                float *to_g = g + i * ldg + j, *to_c = c + i * ldc + j;
                const float *from_g = more ? to_g : gate_bias ? gate_bias + j : 0, *from_c = more ? to_c : up_bias ? up_bias + j : 0;
                kn->block(rows, cols, depth, work, gate + at, width - j0 - j, depth, 0, to_g, ldg, from_g, more ? ldg : 0, 0);
                kn->block(rows, cols, depth, work, up + at, width - j0 - j, depth, 0, to_c, ldc, from_c, more ? ldc : 0, 0);
                if (p + depth == k)
                    for (long r = 0; r < rows; r++)
                        kernels[row]->gated(cols, kernels[row]->act[act], to_g + r * ldg, to_c + r * ldc);
            }
        }
    }
}

// Causal attention of adjacent heads, computed like dl_gemm and like dl_softmax of kernel row: z [rows,
// heads*dh] from q [rows, heads*dh] and k, v [seen, kv_heads*dh]. heads/kv_heads neighbours share a key-value
// head. Row r looks at the first first+r positions, or at the last window of them. sinks [heads] may be NULL.
// work has room for dl_attention_work.
void dl_attention(int kernel, int row, long heads, long kv_heads, long dh, long rows, long seen, long first, long window, float scale,
                  float cap, const float *sinks, const float *q, long ldq, const float *k, long ldk, const float *v, long ldv, float *z,
                  long ldz, float *work) {
    float *scores = work, *left = scores + rows * seen, *keys = left + dl_packed_a(kernel, rows);
    float *values = keys + dl_packed_b(kernel, dh, seen);
    for (long h = 0; h < heads; h++, q += dh, z += dh) {
        if (h % (heads / kv_heads) == 0) {
            dl_pack_b(kernel, 1, dh, seen, k, ldk, 0, seen, keys);
            dl_pack_b(kernel, 0, seen, dh, v, ldv, 0, dh, values);
            k += dh;
            v += dh;
        }
        dl_gemm(kernel, 0, rows, q, ldq, keys, dh, seen, 0, dh, 0, seen, scores, seen, 0, 0, row, DL_NONE, left);
        dl_softmax(row, rows, seen, seen, first, window, scale, cap, sinks ? sinks[h] : -INFINITY, scores);
        dl_gemm(kernel, 0, rows, scores, seen, values, seen, dh, 0, seen, 0, dh, z, ldz, 0, 0, row, DL_NONE, left);
    }
}

long dl_attention_work(int kernel, long dh, long rows, long seen) {
    return rows * seen + dl_packed_a(kernel, rows) + dl_packed_b(kernel, dh, seen) + dl_packed_b(kernel, seen, dh);
}

void dl_activate(int kernel, int act, long n, float *x) {
    if (act != DL_NONE) kernels[kernel]->act[act](n, x);
}

// Row r becomes the softmax of its first first+r entries or, if window is not 0, of the last window of these;
// the rest becomes 0.
void dl_softmax(int kernel, long rows, long cols, long stride, long first, long window, float scale, float cap, float sink, float *x) {
    for (long r = 0; r < rows; r++, x += stride) {
        const long end = first + r, start = window > 0 && end > window ? end - window : 0;
        memset(x, 0, start * sizeof(float));
        kernels[kernel]->softmax_row(end - start, scale, cap, sink, x + start);
        memset(x + end, 0, (cols - end) * sizeof(float));
    }
}

void dl_layernorm(int kernel, long rows, long width, float eps, float *dst, const float *x, float *scales) {
    for (long r = 0; r < rows; r++) kernels[kernel]->layernorm_row(width, eps, dst + r * width, x + r * width, scales + r);
}

// Normalises each group of width consecutive numbers in the rows of x; gain [width], if any, is the same for all
// groups.
void dl_rmsnorm(int kernel, long rows, long groups, long width, double eps, float *dst, long lddst, const float *x, long ldx,
                const float *gain, float *scales) {
    for (long r = 0; r < rows; r++)
        for (long g = 0; g < groups; g++)
            kernels[kernel]->rmsnorm_row(width, eps, dst + r * lddst + g * width, x + r * ldx + g * width, gain, scales + r * groups + g);
}

// Rotates the first 2*half numbers of each of the heads of dh numbers in row r by row at[r] of the table, which
// has half cosines, then half sines: numbers i and half+i together, or adjacent ones if pairs.
void dl_rotate(int kernel, long rows, long heads, long dh, long half, int pairs, float *x, long ldx, const float *table, const int64_t *at) {
    for (long r = 0; r < rows; r++, x += ldx) {
        const float *cosine = table + at[r] * 2 * half, *sine = cosine + half;
        for (long h = 0; h < heads; h++) {
            float *v = x + h * dh;
            if (!pairs) {
                kernels[kernel]->rotate_row(half, cosine, sine, v);
                continue;
            }
            for (long i = 0; i < half; i++) {
                const float a = v[2 * i], b = v[2 * i + 1], across = b * sine[i], along = a * sine[i];
                v[2 * i] = fmaf(a, cosine[i], -across);
                v[2 * i + 1] = fmaf(b, cosine[i], along);
            }
        }
    }
}

// out[r][j] = x[r] . g[j] in double, for rows of d floats and cols columns of d doubles.
void dl_dots(int kernel, long rows, long d, const float *x, long cols, const double *g, double *out) {
    kernels[kernel]->dots(rows, d, x, cols, g, out);
}

// out[j] = sum over rows i of x[i] w[i][j] in double.
void dl_combine(int kernel, long rows, long cols, const float *w, const double *x, double *out) {
    kernels[kernel]->combine(rows, cols, w, x, out);
}

// Welford's running mean and squares, place by place.
void dl_moments(int kernel, long n, double share, const float *x, const float *less, double *mean, double *squares) {
    kernels[kernel]->moments(n, share, x, less, mean, squares);
}
