/* Integer multiply and add: the product of two 96 x 96 matrices of 32-bit numbers, modulo 2^32. */
#include "kernel.h"

enum { SIDE = 96 };

static uint32_t left[SIDE][SIDE], right[SIDE][SIDE], product[SIDE][SIDE];

/* Four rows of `right` at a time: each sum is then loaded and stored a quarter as often. */
static void multiply(void) {
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) product[i][j] = 0;
        for (int k = 0; k < SIDE; k += 4) {
            uint32_t a = left[i][k], b = left[i][k + 1], c = left[i][k + 2], d = left[i][k + 3];
            UNROLLED
            for (int j = 0; j < SIDE; j++) {
                product[i][j] += a * right[k][j] + b * right[k + 1][j] + c * right[k + 2][j] + d * right[k + 3][j];
            }
        }
    }
}

KERNEL(matmul_int) {
    uint32_t state = 1, sum = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        left[i / SIDE][i % SIDE] = next_random(&state);
        right[i / SIDE][i % SIDE] = next_random(&state);
    }
    for (int32_t round = 0; round < rounds; round++) {
        multiply();
        left[round % SIDE][0] ^= product[SIDE - 1][SIDE - 1];
        sum ^= product[round % SIDE][SIDE - 1];
    }
    return sum;
}
