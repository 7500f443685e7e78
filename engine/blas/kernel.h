// The kernels for one instruction set. builtin.c includes this file once for each, after defining these
// macros, which it undefines again at its end:
//
//   ISA                 its name; F(name) is then a name of its own for each
//   TARGET              the attribute that lets a function use it
//   VEC, W              vector of float and its width
//   SPLAT, LOAD, STORE  one number in all lanes; unaligned memory
//   FMA(a, b, c)        a*b + c, rounded once (portable: twice)
//   MAX(a, b)           the larger; b where a lane of b is NaN
//   EXP2I(t)            2^n for the integers n whose bits are the low bits of the lanes of t
//   DVEC, DW            vector of double and its width; 8 is a multiple of it
//   DSPLAT, DLOAD, DSTORE, DFMA  the same of doubles; DFMA1 of single numbers
//   DWIDEN              a vector of doubles from floats in memory
//   MR, NV              the tile of C that a loop keeps in registers: MR rows of NV vectors
//
// Products are written with FMA and never as x*y + z, which some compilers fuse and some do not: the same
// bits must result from every vector width and every compiler.

#define INLINE static inline __attribute__((always_inline))

// The last vector of a row: only its first n lanes are in C.
TARGET static void F(store_part)(float *c, long n, VEC r, const float *from) {
    float t[W];
    STORE(t, r);
    for (long i = 0; i < n; i++) c[i] = from ? t[i] + from[i] : t[i];
}

// C[mr][cols] = from[mr][cols] + A[kc][mr] B[kc][nv*W], with A and B packed; from may be NULL, C itself, or one
// row (ldfrom 0). mr and nv are constants after inlining.
TARGET INLINE void F(tile)(const int mr, const int nv, long kc, const float *a, const float *b, float *c, long ldc,
                           long cols, const float *from, long ldfrom) {
    VEC r[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) r[i][j] = SPLAT(0.0f);
    for (; kc > 0; kc--, a += mr, b += nv * W) {
        VEC bv[NV];
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) bv[j] = LOAD(b + j * W);
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++) {
            const VEC av = SPLAT(a[i]);
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) r[i][j] = FMA(av, bv[j], r[i][j]);
        }
    }
    if (cols == nv * W) {
#pragma GCC unroll 16
        for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) {
                float *p = c + i * ldc + j * W;
                VEC v = r[i][j];
                if (from) v = v + LOAD(from + i * ldfrom + j * W);
                STORE(p, v);
            }
        return;
    }
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) {
            long left = cols - j * W;
            const float *f = from ? from + i * ldfrom + j * W : from;
            if (left > 0) F(store_part)(c + i * ldc + j * W, left < W ? left : W, r[i][j], f);
        }
}

typedef void F(tile_fn)(long, const float *, const float *, float *, long, long, const float *, long);

#define TILE_OF(name, mr, nv)                                                                                \
    TARGET static void F(name##mr)(long kc, const float *a, const float *b, float *c, long ldc, long cols,   \
                                   const float *from, long ldfrom) {                                         \
        F(tile)(mr, nv, kc, a, b, c, ldc, cols, from, ldfrom);                                               \
    }
#define TILE(mr) TILE_OF(wide, mr, NV) TILE_OF(narrow, mr, 1)
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#if MR >= 8
TILE(7) TILE(8)
#endif
#if MR >= 12
TILE(9) TILE(10) TILE(11) TILE(12)
#endif
#undef TILE
#undef TILE_OF

static F(tile_fn) *const F(tiles)[2][MR + 1] = {{0, F(narrow1), F(narrow2), F(narrow3), F(narrow4), F(narrow5), F(narrow6),
#if MR >= 8
                                                 F(narrow7), F(narrow8),
#endif
#if MR >= 12
                                                 F(narrow9), F(narrow10), F(narrow11), F(narrow12)
#endif
                                                },
                                                {0, F(wide1), F(wide2), F(wide3), F(wide4), F(wide5), F(wide6),
#if MR >= 8
                                                 F(wide7), F(wide8),
#endif
#if MR >= 12
                                                 F(wide9), F(wide10), F(wide11), F(wide12)
#endif
                                                }};

// 2^x e = exp(x), |x| < 87: 2^n times the Taylor polynomial of the rest, |r| <= ln 2 / 2, whose first
// missing term is below 6e-9.
TARGET INLINE VEC F(exp)(VEC x) {
    const VEC magic = SPLAT(12582912.0f); // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    VEC t = FMA(x, SPLAT(1.44269504088896341f), magic);
    VEC n = t - magic;
    VEC r = FMA(n, SPLAT(-0.693359375f), x); // ln 2 in two parts; the first is exact in 10 bits
    r = FMA(n, SPLAT(2.12194440054690583e-4f), r);
    VEC p = SPLAT(1.0f / 5040);
    p = FMA(p, r, SPLAT(1.0f / 720));
    p = FMA(p, r, SPLAT(1.0f / 120));
    p = FMA(p, r, SPLAT(1.0f / 24));
    p = FMA(p, r, SPLAT(1.0f / 6));
    p = FMA(p, r, SPLAT(0.5f));
    p = FMA(p, r, SPLAT(1.0f));
    p = FMA(p, r, SPLAT(1.0f));
    return p * EXP2I(t);
}

// The tanh form of GELU: 0.5 x (1 + tanh u) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3).
TARGET INLINE VEC F(gelu1)(VEC x) {
    x = MAX(SPLAT(-20.0f), x); // below it there is nothing left, and the clamped exp would not do for a huge x
    VEC inner = FMA(x * x, SPLAT(0.044715f), SPLAT(1.0f));
    VEC v = x * inner * SPLAT(-1.59576912160573071f); // -2 sqrt(2/pi)
    v = MAX(SPLAT(-87.0f), v);
    v = -MAX(SPLAT(-87.0f), -v);
    return x / (SPLAT(1.0f) + F(exp)(v));
}

// The erf form: 0.5 x (1 + erf(x / sqrt 2)) = max(x, 0) - |x| / 2 erfc(|x| / sqrt 2), with erfc as in Abramowitz
// and Stegun 7.1.26, to 1.5e-7.
TARGET INLINE VEC F(gelu_erf1)(VEC x) {
    const VEC size = MAX(x, -x), z = size * SPLAT(0.707106781186547524f);
    const VEC t = SPLAT(1.0f) / FMA(SPLAT(0.3275911f), z, SPLAT(1.0f));
    VEC p = SPLAT(1.061405429f);
    p = FMA(p, t, SPLAT(-1.453152027f));
    p = FMA(p, t, SPLAT(1.421413741f));
    p = FMA(p, t, SPLAT(-0.284496736f));
    p = FMA(p, t, SPLAT(0.254829592f));
    const VEC tail = p * t * F(exp)(MAX(SPLAT(-87.0f), -(z * z)));
    return FMA(size * SPLAT(-0.5f), tail, MAX(SPLAT(0.0f), x));
}

// SiLU: x / (1 + exp(-x)).
TARGET INLINE VEC F(silu1)(VEC x) {
    x = MAX(SPLAT(-87.0f), x); // below it there is nothing left, and exp would not do
    return x / (SPLAT(1.0f) + F(exp)(MAX(SPLAT(-87.0f), -x)));
}

TARGET INLINE VEC F(relu1)(VEC x) { return MAX(SPLAT(0.0f), x); }

// Applies a function to every number, with the last few of a row in their own vector.
#define EACH(name)                                                                                           \
    TARGET static void F(name)(long n, float *x) {                                                           \
        long i = 0;                                                                                          \
        for (; i + W <= n; i += W) STORE(x + i, F(name##1)(LOAD(x + i)));                                    \
        if (i < n) {                                                                                         \
            float t[W] = {0};                                                                                \
            memcpy(t, x + i, (n - i) * sizeof(float));                                                       \
            STORE(t, F(name##1)(LOAD(t)));                                                                   \
            memcpy(x + i, t, (n - i) * sizeof(float));                                                       \
        }                                                                                                    \
    }
EACH(gelu)
EACH(gelu_erf)
EACH(silu)
EACH(relu)
#undef EACH

// up *= act(gate), where act is applied to every number, or is NULL.
TARGET static void F(gated)(long n, void (*act)(long, float *), float *gate, float *up) {
    if (act) act(n, gate);
    long i = 0;
    for (; i + W <= n; i += W) STORE(up + i, LOAD(up + i) * LOAD(gate + i));
    for (; i < n; i++) up[i] *= gate[i];
}

// Multiplies one block of A [m, kc] by columns 0..n of B, both packed: every panel of B, in the cache, by every
// panel of A. The panels of B are depth rows deep, of which those from skip on are used, and together width
// columns wide, which is at least n. While a tile is computed, its part of C and a share of the next panel of B
// are prefetched, which the processor would not do by itself. The result of a panel goes through act, if any,
// before it leaves the cache.
TARGET static void F(block)(long m, long n, long kc, const float *a, const float *b, long width, long depth, long skip, float *c,
                            long ldc, const float *from, long ldfrom, void (*act)(long, float *)) {
    const long nr = NV * W, line = 64 / sizeof(float), all = kc * nr / ((m + MR - 1) / MR), share = all < 1024 ? all : 1024;
    for (long j = 0; j < n; j += nr) {
        const long cols = n - j < nr ? n - j : nr;
        const int wide = width - j > W;
        const float *panel = b + j * depth + skip * (wide ? nr : W), *next = j + nr < n ? panel + depth * nr : 0;
        for (long i = 0; i < m; i += MR) {
            const long rows = m - i < MR ? m - i : MR;
            for (long r = 0; r < rows; r++)
                for (long l = 0; l < cols; l += line) __builtin_prefetch(c + (i + r) * ldc + j + l, 1);
            if (next)
                for (const float *end = next + share; next < end; next += line) __builtin_prefetch(next, 0, 2);
            F(tiles)[wide][rows](kc, a + i * kc, panel, c + i * ldc + j, ldc, cols, from ? from + i * ldfrom + j : from, ldfrom);
        }
        if (act)
            for (long i = 0; i < m; i++) act(cols, c + i * ldc + j);
    }
}

// Sums use 16 lanes whatever the vector width, and the lanes are always added up in the same order.
static float F(total)(const float *t) {
    float s[8];
    for (int i = 0; i < 8; i++) s[i] = t[i] + t[i + 8];
    for (int i = 0; i < 4; i++) s[i] += s[i + 4];
    return (s[0] + s[2]) + (s[1] + s[3]);
}

// x = cap tanh(scale x / cap): (1 - t) / (1 + t) with t = exp(-2 scale x / cap).
TARGET static void F(soft_cap)(long n, float scale, float cap, float *x) {
    const VEC rate = SPLAT(-2 * (scale / cap)), low = SPLAT(-87.0f), one = SPLAT(1.0f);
    for (long i = 0; i < n; i += W) {
        float t[W] = {0}, *p = x + i;
        const long left = n - i;
        if (left < W) p = memcpy(t, p, left * sizeof(float));
        const VEC e = F(exp)(-MAX(low, -MAX(low, LOAD(p) * rate)));
        STORE(p, (one - e) / (one + e) * SPLAT(cap));
        if (left < W) memcpy(x + i, t, left * sizeof(float));
    }
}

// Softmax of scale * x[0..n-1] or, if cap is not 0, of cap tanh(scale x / cap), with one more column, sink, that
// is dropped afterwards (-INFINITY: none). If the sum is NaN, the whole row becomes NaN.
TARGET static void F(softmax_row)(long n, float scale, float cap, float sink, float *x) {
    float largest = sink;
    if (cap > 0) {
        F(soft_cap)(n, scale, cap, x);
        scale = 1;
    }
    for (long i = 0; i < n; i++) {
        x[i] *= scale;
        if (x[i] > largest) largest = x[i];
    }
    const VEC top = SPLAT(largest), low = SPLAT(-87.0f);
    VEC sum[16 / W];
    for (int l = 0; l < 16 / W; l++) sum[l] = SPLAT(0.0f);
    for (long i = 0; i < n; i += 16) {
        float t[16], *p = x + i;
        long left = n - i < 16 ? n - i : 16;
        if (left < 16) {
            memcpy(t, p, left * sizeof(float));
            for (long j = left; j < 16; j++) t[j] = largest;
            p = t;
        }
        for (int l = 0; l < 16 / W; l++) STORE(p + l * W, F(exp)(MAX(low, LOAD(p + l * W) - top)));
        if (left < 16) {
            for (long j = left; j < 16; j++) t[j] = 0;
            memcpy(x + i, t, left * sizeof(float));
        }
        for (int l = 0; l < 16 / W; l++) sum[l] += LOAD(p + l * W);
    }
    float t[16];
    for (int l = 0; l < 16 / W; l++) STORE(t + l * W, sum[l]);
    float total = F(total)(t);
    if (sink > -INFINITY) {
        for (int l = 0; l < W; l++) t[l] = sink;
        STORE(t, F(exp)(MAX(low, LOAD(t) - top)));
        total += t[0];
    }
    for (long i = 0; i < n; i++) x[i] /= total;
}

TARGET static void F(layernorm_row)(long n, float eps, float *dst, const float *x, float *scale) {
    VEC sum[16 / W];
    float t[16];
    long whole = n - n % 16;
    for (int l = 0; l < 16 / W; l++) sum[l] = SPLAT(0.0f);
    for (long i = 0; i < whole; i += 16)
        for (int l = 0; l < 16 / W; l++) sum[l] += LOAD(x + i + l * W);
    for (int l = 0; l < 16 / W; l++) STORE(t + l * W, sum[l]);
    for (long i = whole; i < n; i++) t[i - whole] += x[i];
    const float mean = F(total)(t) / n;

    for (int l = 0; l < 16 / W; l++) sum[l] = SPLAT(0.0f);
    for (long i = 0; i < whole; i += 16)
        for (int l = 0; l < 16 / W; l++) {
            VEC d = LOAD(x + i + l * W) - SPLAT(mean);
            sum[l] = FMA(d, d, sum[l]);
        }
    for (int l = 0; l < 16 / W; l++) STORE(t + l * W, sum[l]);
    for (long i = whole; i < n; i++) t[i - whole] = fmaf(x[i] - mean, x[i] - mean, t[i - whole]);
    *scale = sqrtf(F(total)(t) / n + eps);

    const float inverse = 1.0f / *scale;
    for (long i = 0; i < n; i++) dst[i] = (x[i] - mean) * inverse;
}

enum { F(LANES) = 8 / DW }; // vectors that make up the eight lanes of a sum of doubles

// Divides x by its scale sqrt(mean(x^2) + eps), with the sum in double, and multiplies by gain, if any.
TARGET static void F(rmsnorm_row)(long n, double eps, float *dst, const float *x, const float *gain, float *scale) {
    DVEC sum[F(LANES)];
    double t[8];
    const long whole = n - n % 8;
    for (int l = 0; l < F(LANES); l++) sum[l] = DSPLAT(0.0);
    for (long i = 0; i < whole; i += 8)
        for (int l = 0; l < F(LANES); l++) {
            const DVEC v = DWIDEN(x + i + l * DW);
            sum[l] = DFMA(v, v, sum[l]);
        }
    for (int l = 0; l < F(LANES); l++) DSTORE(t + l * DW, sum[l]);
    for (long i = whole; i < n; i++) t[i - whole] = DFMA1((double)x[i], (double)x[i], t[i - whole]);
    for (int l = 0; l < 4; l++) t[l] += t[l + 4];
    const double root = sqrt(((t[0] + t[2]) + (t[1] + t[3])) / n + eps);
    *scale = (float)root;

    const float inverse = (float)(1 / root);
    if (gain)
        for (long i = 0; i < n; i++) dst[i] = x[i] * inverse * gain[i];
    else
        for (long i = 0; i < n; i++) dst[i] = x[i] * inverse;
}

// Rotates the planes (x[i], x[half+i]) by the angles with the given cosines and sines.
TARGET static void F(rotate_row)(long half, const float *cosine, const float *sine, float *x) {
    float *y = x + half;
    long i = 0;
    for (; i + W <= half; i += W) {
        const VEC a = LOAD(x + i), b = LOAD(y + i), c = LOAD(cosine + i), s = LOAD(sine + i);
        STORE(x + i, FMA(a, c, -(b * s)));
        STORE(y + i, FMA(b, c, a * s));
    }
    if (i < half) {
        const size_t left = (half - i) * sizeof(float);
        float a[W] = {0}, b[W] = {0}, c[W] = {0}, s[W] = {0};
        memcpy(a, x + i, left);
        memcpy(b, y + i, left);
        memcpy(c, cosine + i, left);
        memcpy(s, sine + i, left);
        const VEC va = LOAD(a), vb = LOAD(b), vc = LOAD(c), vs = LOAD(s);
        STORE(a, FMA(va, vc, -(vb * vs)));
        STORE(b, FMA(vb, vc, va * vs));
        memcpy(x + i, a, left);
        memcpy(y + i, b, left);
    }
}

// The dot products of nr rows of d floats with nc columns of d doubles; the lanes are always added up in the same
// order. nr and nc are constants after inlining.
TARGET INLINE void F(dots_tile)(const int nr, const int nc, long d, const float *x, const double *g, double *out, long ldout) {
    DVEC s[6][F(LANES)];
#pragma GCC unroll 6
    for (int k = 0; k < nr * nc; k++)
#pragma GCC unroll 4
        for (int l = 0; l < F(LANES); l++) s[k][l] = DSPLAT(0.0);
    const long whole = d - d % 8;
    for (long p = 0; p < whole; p += 8)
#pragma GCC unroll 4
        for (int l = 0; l < F(LANES); l++) {
            DVEC column[3];
#pragma GCC unroll 3
            for (int j = 0; j < nc; j++) column[j] = DLOAD(g + j * d + p + l * DW);
#pragma GCC unroll 4
            for (int i = 0; i < nr; i++) {
                const DVEC row = DWIDEN(x + i * d + p + l * DW);
#pragma GCC unroll 3
                for (int j = 0; j < nc; j++) s[i * nc + j][l] = DFMA(row, column[j], s[i * nc + j][l]);
            }
        }
#pragma GCC unroll 4
    for (int i = 0; i < nr; i++)
#pragma GCC unroll 3
        for (int j = 0; j < nc; j++) {
            double t[8];
            if (whole == d && F(LANES) > 1) { // the same sums, as vectors
#pragma GCC unroll 4
                for (int l = 0; l < F(LANES) / 2; l++) DSTORE(t + l * DW, s[i * nc + j][l] + s[i * nc + j][l + F(LANES) / 2]);
            } else {
#pragma GCC unroll 4
                for (int l = 0; l < F(LANES); l++) DSTORE(t + l * DW, s[i * nc + j][l]);
                for (long p = whole; p < d; p++) t[p - whole] = DFMA1((double)x[i * d + p], g[j * d + p], t[p - whole]);
                for (int l = 0; l < 4; l++) t[l] += t[l + 4];
            }
            out[i * ldout + j] = (t[0] + t[2]) + (t[1] + t[3]);
        }
}

// Columns are taken in threes, and four in twos: more do not fit into the registers.
TARGET static void F(dots)(long rows, long d, const float *x, long cols, const double *g, double *out) {
#define DOTS(nr, nc)                                                                                         \
    for (; r + nr <= rows; r += nr) F(dots_tile)(nr, nc, d, x + r * d, g + j * d, out + r * cols + j, cols)
    for (long j = 0, nc; j < cols; j += nc) {
        const long left = cols - j;
        long r = 0;
        nc = left == 3 || left > 4 ? 3 : left > 1 ? 2 : 1;
        if (nc == 3) {
            DOTS(2, 3);
            DOTS(1, 3);
        } else if (nc == 2) {
            DOTS(2, 2);
            DOTS(1, 2);
        } else {
            DOTS(4, 1);
            DOTS(1, 1);
        }
    }
#undef DOTS
}

TARGET static void F(combine)(long rows, long cols, const float *w, const double *x, double *out) {
    memset(out, 0, cols * sizeof(double));
    for (long i = 0; i < rows; i++, w += cols) {
        const DVEC v = DSPLAT(x[i]);
        long j = 0;
        for (; j + DW <= cols; j += DW) DSTORE(out + j, DFMA(v, DWIDEN(w + j), DLOAD(out + j)));
        for (; j < cols; j++) out[j] = DFMA1(x[i], (double)w[j], out[j]);
    }
}

// Updates the mean and the squares of every place by the number x - less, or by x if less is NULL; share is 1
// divided by the number of numbers so far.
TARGET static void F(moments)(long n, double share, const float *x, const float *less, double *mean, double *squares) {
    const DVEC s = DSPLAT(share);
    long i = 0;
    for (; i + DW <= n; i += DW) {
        DVEC v = DWIDEN(x + i);
        if (less) v = v - DWIDEN(less + i);
        const DVEC old = DLOAD(mean + i), d = v - old, m = DFMA(d, s, old);
        DSTORE(mean + i, m);
        DSTORE(squares + i, DFMA(d, v - m, DLOAD(squares + i)));
    }
    for (; i < n; i++) {
        const double v = less ? (double)x[i] - (double)less[i] : (double)x[i], d = v - mean[i];
        mean[i] = DFMA1(d, share, mean[i]);
        squares[i] = DFMA1(d, v - mean[i], squares[i]);
    }
}

static const struct kernel F(kernel) = {
    MR, W, NV * W, F(block),
    {0, F(gelu), F(gelu_erf), F(silu), F(relu)}, // in the order of DL_NONE, DL_GELU_TANH, ...
    F(gated), F(softmax_row), F(layernorm_row), F(rmsnorm_row), F(rotate_row), F(dots), F(combine), F(moments),
};

#undef INLINE
#undef ISA
#undef TARGET
#undef VEC
#undef W
#undef SPLAT
#undef LOAD
#undef STORE
#undef FMA
#undef MAX
#undef EXP2I
#undef DVEC
#undef DW
#undef DSPLAT
#undef DLOAD
#undef DWIDEN
#undef DSTORE
#undef DFMA
#undef DFMA1
#undef MR
#undef NV
