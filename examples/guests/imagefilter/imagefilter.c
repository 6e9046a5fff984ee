/* imagefilter [edges|blur|gray]: reads a binary PGM (P5) or PPM (P6) image with values up to 255 on stdin and writes
   a PGM: the image's edges (default; Sobel, |gx| + |gy|, at most 255), the image blurred by a 5x5 binomial kernel, or
   the plain grey image. Colour becomes grey by (77 R + 150 G + 29 B + 128) / 256. Beyond its border an image goes on
   as its nearest pixel. All arithmetic is in whole numbers, so the result is the same on every machine.

   Exit status 2 for a bad argument, 1 for a bad image, with the reason on stderr. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"

enum { SIDE_MAX = 16384 }; /* keeps width * height * 3 far below what 32 bits can address */

typedef struct {
    int32_t width, height;
    uint8_t *pixels;
} image_t;

typedef uint8_t filter_t(const image_t *image, int32_t x, int32_t y);

static void fail(int status, const char *reason) {
    fputs("imagefilter: ", stderr);
    fputs(reason, stderr);
    fputs("\n", stderr);
    exit(status);
}

static int is_space(int byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

/* The next number of a header: white space and comments (# to the end of the line) may stand before it. It ends with
   exactly one byte of white space, which is taken too: after the last number, pixels follow at once. */
static int32_t header_number(int32_t largest) {
    int byte = getchar();
    while (is_space(byte) || byte == '#') {
        if (byte == '#') {
            while (byte != '\n' && byte != EOF) byte = getchar();
        } else {
            byte = getchar();
        }
    }
    int32_t value = 0, digits = 0;
    for (; byte >= '0' && byte <= '9'; byte = getchar(), digits++) {
        value = value * 10 + (byte - '0');
        if (value > largest) break;
    }
    if (!digits || value < 1 || value > largest || !is_space(byte)) {
        fail(1, "the header needs width and height from 1 to 16384 and a largest value from 1 to 255");
    }
    return value;
}

static void to_gray(uint8_t *pixels, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *rgb = pixels + 3 * i;
        pixels[i] = (uint8_t)((77 * rgb[0] + 150 * rgb[1] + 29 * rgb[2] + 128) >> 8);
    }
}

static image_t read_image(void) {
    char magic[2];
    if (fread(magic, 1, 2, stdin) != 2 || magic[0] != 'P' || (magic[1] != '5' && magic[1] != '6')) {
        fail(1, "the image must be a binary PGM (P5) or PPM (P6)");
    }
    image_t image = {.width = header_number(SIDE_MAX), .height = header_number(SIDE_MAX)};
    header_number(255);
    size_t count = (size_t)image.width * (size_t)image.height, channels = magic[1] == '6' ? 3 : 1;
    image.pixels = malloc(count * channels);
    if (!image.pixels) fail(1, "the image does not fit in memory; raise memory_mb or send a smaller one");
    if (fread(image.pixels, channels, count, stdin) != count) fail(1, "the image has fewer pixels than it says");
    if (channels == 3) to_gray(image.pixels, count);
    return image;
}

static int32_t clamp(int32_t value, int32_t largest) {
    return value < 0 ? 0 : value > largest ? largest : value;
}

static int32_t at(const image_t *image, int32_t x, int32_t y) {
    return image->pixels[clamp(y, image->height - 1) * image->width + clamp(x, image->width - 1)];
}

static uint8_t gray(const image_t *image, int32_t x, int32_t y) { return (uint8_t)at(image, x, y); }

static uint8_t edges(const image_t *image, int32_t x, int32_t y) {
    int32_t gx = 0, gy = 0;
    for (int32_t step = -1; step <= 1; step++) {
        int32_t weight = step ? 1 : 2;
        gx += weight * (at(image, x + 1, y + step) - at(image, x - 1, y + step));
        gy += weight * (at(image, x + step, y + 1) - at(image, x + step, y - 1));
    }
    return (uint8_t)clamp(abs(gx) + abs(gy), 255);
}

static uint8_t blur(const image_t *image, int32_t x, int32_t y) {
    static const int32_t weights[5] = {1, 4, 6, 4, 1};
    int32_t sum = 128; /* half of 256: rounds to nearest */
    for (int32_t dy = -2; dy <= 2; dy++) {
        for (int32_t dx = -2; dx <= 2; dx++) sum += weights[dy + 2] * weights[dx + 2] * at(image, x + dx, y + dy);
    }
    return (uint8_t)(sum >> 8);
}

static void write_filtered(const image_t *image, filter_t *filter) {
    char width[DECIMAL_SIZE], height[DECIMAL_SIZE];
    fputs("P5\n", stdout);
    fputs(decimal((uint64_t)image->width, width), stdout);
    putchar(' ');
    puts(decimal((uint64_t)image->height, height));
    puts("255");
    for (int32_t y = 0; y < image->height; y++) {
        for (int32_t x = 0; x < image->width; x++) putchar(filter(image, x, y));
    }
    if (fflush(stdout)) fail(1, "the result cannot be written");
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "edges";
    filter_t *filter = !strcmp(name, "edges") ? edges : !strcmp(name, "blur") ? blur : !strcmp(name, "gray") ? gray : NULL;
    if (argc > 2 || !filter) fail(2, "the one argument is a filter: edges, blur or gray");
    image_t image = read_image();
    write_filtered(&image, filter);
    return 0;
}
