/* The whole of stdin in memory. */
#ifndef AMBIENT_INPUT_H
#define AMBIENT_INPUT_H

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
    uint8_t *bytes; /* NULL if stdin could not be read or did not fit in memory */
    size_t size;
} input_t;

static inline input_t read_input(void) {
    size_t capacity = 1 << 16;
    input_t input = {malloc(capacity), 0};
    while (input.bytes) {
        ssize_t got = read(STDIN_FILENO, input.bytes + input.size, capacity - input.size);
        if (got == 0) return input;
        if (got < 0) break;
        input.size += (size_t)got;
        if (input.size < capacity) continue;
        capacity *= 2;
        uint8_t *larger = realloc(input.bytes, capacity);
        if (!larger) break;
        input.bytes = larger;
    }
    free(input.bytes);
    return (input_t){NULL, 0};
}

#endif
