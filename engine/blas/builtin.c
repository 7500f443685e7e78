//go:build cgo

// Matrix product and row functions in float32. The product follows Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008): A and B are copied into panels in the order in which the inner loop
// reads them, and the inner loop keeps a tile of C in registers. One call works on one part of C in one
// thread; builtin.go divides C.

#include "builtin.h"

#include <math.h>
#include <string.h>

// What an instruction set has to offer.
struct kernel {
    int mr, w, nr; // rows of the tile in registers, floats of a vector, columns of the tile
    void (*block)(long m, long n, long kc, const float *a, const float *b, float *c, long ldc, int add);
    void (*gelu)(long n, float *x);
    void (*softmax_row)(long n, float scale, float *x);
    void (*layernorm_row)(long n, float eps, float *dst, const float *x, float *scale);
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

// Columns of a panel of B. The parts of C that different threads work on begin at multiples of it.
long dl_panel(int kernel) { return kernels[kernel]->nr; }

// Floats of a packed B [k, n]: whole vectors, and for every block of KC rows the same.
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

// Packs columns j0..j1 of B [k, n] (stored [n, k] where trans). j0 is a multiple of the panel. For each block of KC
// rows, for each panel, for each row: the numbers of the panel, filled up to whole vectors with zeros.
void dl_pack_b(int kernel, int trans, long k, long n, const float *b, long ldb, long j0, long j1, float *packed) {
    const long nr = kernels[kernel]->nr, w = kernels[kernel]->w, width = (n + w - 1) / w * w;
    for (long p0 = 0; p0 < k; p0 += DL_KC) {
        const long kc = k - p0 < DL_KC ? k - p0 : DL_KC;
        for (long j = j0; j < j1; j += nr) {
            const long cols = n - j < nr ? n - j : nr, padded = cols > w ? nr : w;
            const long stored = padded < width - j ? padded : width - j;
            float *dst = packed + p0 * width + j * kc;
            if (trans) {
                for (long c = 0; c < cols; c++) {
                    const float *src = b + (j + c) * ldb + p0;
                    for (long p = 0; p < kc; p++) dst[p * stored + c] = src[p];
                }
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

// Packs rows 0..m of a block of A (stored transposed where trans) in panels of mr rows; the last panel has as many
// rows as are left.
static void pack_a(long mr, int trans, long m, long kc, const float *a, long lda, float *dst) {
    for (long i = 0; i < m; i += mr) {
        const long rows = m - i < mr ? m - i : mr;
        if (trans) {
            for (long p = 0; p < kc; p++, dst += rows) memcpy(dst, a + p * lda + i, rows * sizeof(float));
        } else {
            for (long r = 0; r < rows; r++) {
                const float *src = a + (i + r) * lda;
                for (long p = 0; p < kc; p++) dst[p * rows + r] = src[p];
            }
            dst += rows * kc;
        }
    }
}

// Columns j0..j1 of C [m, n] = A B, or C += A B where add. B [k, n] is packed, A is not; work has room for
// dl_packed_a(m). Every element of C is a sum of sums over KC products, in order.
void dl_gemm(int kernel, int trans, long m, long n, long k, const float *a, long lda, const float *packed, long j0,
             long j1, float *c, long ldc, int add, float *work) {
    const struct kernel *kn = kernels[kernel];
    const long w = kn->w, width = (n + w - 1) / w * w;
    for (long p0 = 0; p0 < k; p0 += DL_KC) {
        const long kc = k - p0 < DL_KC ? k - p0 : DL_KC;
        const float *b = packed + p0 * width + j0 * kc;
        for (long i = 0; i < m; i += MC) {
            const long rows = m - i < MC ? m - i : MC;
            const float *src = trans ? a + p0 * lda + i : a + i * lda + p0;
            pack_a(kn->mr, trans, rows, kc, src, lda, work);
            kn->block(rows, j1 - j0, kc, work, b, c + i * ldc + j0, ldc, add || p0 > 0);
        }
    }
}

void dl_gelu(int kernel, long n, float *x) { kernels[kernel]->gelu(n, x); }

void dl_softmax(int kernel, long rows, long cols, long stride, long first, float scale, float *x) {
    for (long r = 0; r < rows; r++) {
        kernels[kernel]->softmax_row(first + r, scale, x + r * stride);
        memset(x + r * stride + first + r, 0, (cols - first - r) * sizeof(float));
    }
}

void dl_layernorm(int kernel, long rows, long width, float eps, float *dst, const float *x, float *scales) {
    for (long r = 0; r < rows; r++) kernels[kernel]->layernorm_row(width, eps, dst + r * width, x + r * width, scales + r);
}
