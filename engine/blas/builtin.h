// The builtin provider's C side. See builtin.c for what each function does.
#ifndef DUCKLENS_BLAS_BUILTIN_H
#define DUCKLENS_BLAS_BUILTIN_H

#include <stdint.h>

// Kernels, the best last. A kernel is unusable if it was not compiled for this target or the CPU lacks it.
enum { DL_PORTABLE, DL_NEON, DL_AVX2, DL_AVX512, DL_KERNELS };

// KC is the length of the inner sums: the products of KC consecutive k are added up in a register, then to
// C. It is part of the result (rounding), so it is the same for every kernel.
enum { DL_KC = 256 };

// Functions that can be applied to a product's elements, numbered like blas.Activation.
enum { DL_NONE, DL_GELU_TANH, DL_GELU, DL_SILU, DL_RELU, DL_ACTIVATIONS };

int dl_usable(int kernel);
long dl_packed_b(int kernel, long k, long n);
long dl_packed_a(int kernel, long m);
long dl_tile_rows(int kernel);
long dl_tile_cols(int kernel);
long dl_vector(int kernel);
void dl_pack_b(int kernel, int trans, long k, long n, const float *b, long ldb, long j0, long j1, float *packed);
void dl_gemm(int kernel, int trans, long m, const float *a, long lda, const float *packed, long k, long n, long k0, long k1, long j0,
             long j1, float *c, long ldc, int add, const float *bias, int row, int act, float *work);
void dl_gemm_gated(int kernel, int trans, long m, const float *a, long lda, const float *gate, const float *up, long k, long n, long j0,
                   long j1, float *c, long ldc, float *g, const float *gate_bias, const float *up_bias, int row, int act, float *work);
long dl_attention_work(int kernel, long dh, long rows, long seen);
void dl_attention(int kernel, int row, long heads, long kv_heads, long dh, long rows, long seen, long first, long window, float scale,
                  float cap, const float *sinks, const float *q, long ldq, const float *k, long ldk, const float *v, long ldv, float *z,
                  long ldz, float *work);
void dl_activate(int kernel, int act, long n, float *x);
void dl_softmax(int kernel, long rows, long cols, long stride, long first, long window, float scale, float cap, float sink, float *x);
void dl_layernorm(int kernel, long rows, long width, float eps, float *dst, const float *x, float *scales);
void dl_rmsnorm(int kernel, long rows, long groups, long width, double eps, float *dst, long lddst, const float *x, long ldx,
                const float *gain, float *scales);
void dl_rotate(int kernel, long rows, long heads, long dh, long half, int pairs, float *x, long ldx, const float *table, const int64_t *at);
void dl_dots(int kernel, long rows, long d, const float *x, long cols, const double *g, double *out);
void dl_combine(int kernel, long rows, long cols, const float *w, const double *x, double *out);
void dl_moments(int kernel, long n, double share, const float *x, const float *less, double *mean, double *squares);

#endif
