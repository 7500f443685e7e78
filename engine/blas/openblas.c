//go:build cgo && unix

#include "openblas.h"

#include <dlfcn.h>
#include <stddef.h>

// The values of CBLAS_ORDER and CBLAS_TRANSPOSE, which are part of the binary interface.
enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

static void (*sgemm)(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
static char *(*config)(void);
static char *(*core)(void);

int dl_openblas_load(const char *file) {
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library) return 0;
    void (*set_threads)(int);
    *(void **)&sgemm = dlsym(library, "cblas_sgemm");
    *(void **)&config = dlsym(library, "openblas_get_config");
    *(void **)&core = dlsym(library, "openblas_get_corename");
    *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
    if (!sgemm || !config || !core || !set_threads) {
        dlclose(library);
        return 0;
    }
    set_threads(1);
    return 1;
}

const char *dl_openblas_config(void) { return config(); }
const char *dl_openblas_core(void) { return core(); }

void dl_openblas_sgemm(int transA, int transB, int m, int n, int k, const float *a, int lda, const float *b, int ldb, float beta,
                       float *c, int ldc) {
    sgemm(ROW_MAJOR, transA ? TRANS : NO_TRANS, transB ? TRANS : NO_TRANS, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}
