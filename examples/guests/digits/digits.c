/* digits: classifies handwritten digits. stdin holds images of 8x8 pixels, row by row, one byte (0..16) each, any
   number of them; stdout gets one digit a line, in the same order. Exit status 1, with the reason on stderr, if an
   image is cut short or a pixel is out of range.

   The network (64-32-10, ReLU) computes in whole numbers, so every machine finds the same digits. No sum can
   overflow: a hidden sum is below 64 * 16 * 127 + |bias| < 2^18, an output below 32 * 2^18 * 127 < 2^31. */
#include <stdint.h>
#include <stdio.h>

#include "weights.h"

enum { PIXELS = 64, HIDDEN = 32, CLASSES = 10, PIXEL_MAX = 16 };

static int classify(const uint8_t *pixels) {
    int32_t hidden[HIDDEN];
    for (int h = 0; h < HIDDEN; h++) hidden[h] = hidden_bias[h];
    for (int p = 0; p < PIXELS; p++) {
        for (int h = 0; h < HIDDEN; h++) hidden[h] += pixels[p] * hidden_weights[p][h];
    }
    int32_t output[CLASSES];
    for (int c = 0; c < CLASSES; c++) output[c] = output_bias[c];
    for (int h = 0; h < HIDDEN; h++) {
        if (hidden[h] < 0) continue;
        for (int c = 0; c < CLASSES; c++) output[c] += hidden[h] * output_weights[h][c];
    }
    int best = 0;
    for (int c = 1; c < CLASSES; c++) {
        if (output[c] > output[best]) best = c;
    }
    return best;
}

static int in_range(const uint8_t *pixels) {
    for (int p = 0; p < PIXELS; p++) {
        if (pixels[p] > PIXEL_MAX) return 0;
    }
    return 1;
}

int main(void) {
    uint8_t pixels[PIXELS];
    for (;;) {
        size_t got = fread(pixels, 1, PIXELS, stdin);
        if (got == 0) return 0;
        if (got < PIXELS) {
            fputs("digits: the last image is cut short; send 64 bytes for each\n", stderr);
            return 1;
        }
        if (!in_range(pixels)) {
            fputs("digits: a pixel is above 16; scale the image to 0..16\n", stderr);
            return 1;
        }
        putchar('0' + classify(pixels));
        putchar('\n');
    }
}
