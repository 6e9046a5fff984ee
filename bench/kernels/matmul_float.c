/* Floating point multiply and add: the product of two 96 x 96 matrices of doubles. Compiled without contraction, so
   that no fused operation makes the native result differ from the guest's. */
#include "kernel.h"

enum { SIDE = 96 };

static double left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];

/* Four rows of `right` at a time: each sum is then loaded and stored a quarter as often. */
static void multiply(void) {
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) product[i][j] = 0;
        for (int k = 0; k < SIDE; k += 4) {
            double a = left[i][k], b = left[i][k + 1], c = left[i][k + 2], d = left[i][k + 3];
            UNROLLED
            for (int j = 0; j < SIDE; j++) {
                product[i][j] += a * right[k][j] + b * right[k + 1][j] + c * right[k + 2][j] + d * right[k + 3][j];
            }
        }
    }
}

/* A number from -1 to 1. */
static double fraction(uint32_t *state) { return (double)next_random(state) / 2147483648.0 - 1; }

KERNEL(matmul_float) {
    uint32_t state = 1;
    double sum = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        left[i / SIDE][i % SIDE] = fraction(&state);
        right[i / SIDE][i % SIDE] = fraction(&state);
    }
    for (int32_t round = 0; round < rounds; round++) {
        multiply();
        left[round % SIDE][0] = product[SIDE - 1][SIDE - 1] / SIDE;
        sum += product[round % SIDE][SIDE - 1];
    }
    union {
        double number;
        int64_t bits;
    } checksum = {sum};
    return checksum.bits;
}
