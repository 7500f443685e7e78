// OpenBLAS, loaded at run time so that a build does not need it. See openblas.go.
#ifndef DUCKLENS_BLAS_OPENBLAS_H
#define DUCKLENS_BLAS_OPENBLAS_H

// Loads file and sets its threads to one. Returns 0 if the file does not exist or is not an OpenBLAS.
int dl_openblas_load(const char *file);
const char *dl_openblas_config(void);
const char *dl_openblas_core(void);

// C [m, n] = A B + beta C, row by row; A or B is stored transposed if asked.
void dl_openblas_sgemm(int transA, int transB, int m, int n, int k, const float *a, int lda, const float *b, int ldb, float beta,
                       float *c, int ldc);

#endif
