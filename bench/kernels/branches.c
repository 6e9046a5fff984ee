/* Unpredictable branches and dependent loads, as interpreters and parsers have them: steps of a small stack machine
   whose program is a random table of operations. */
#include "kernel.h"

enum { OPERATIONS = 4096, STEPS = 4096 };

static uint8_t program[OPERATIONS];

static uint32_t run_once(uint32_t accumulator) {
    uint32_t at = 0, other = 1;
    UNROLLED
    for (int step = 0; step < STEPS; step++) {
        switch (program[at]) {
        case 0: accumulator += other; break;
        case 1: accumulator ^= other << 3; break;
        case 2: other = accumulator >> 5; break;
        case 3: accumulator = accumulator * 2654435761u + 1; break;
        case 4: at += accumulator & 7; break;
        case 5: if (accumulator & 1) other++; else accumulator--; break;
        case 6: other -= accumulator; break;
        default: accumulator = accumulator >> 7 | accumulator << 25; break;
        }
        at = (at + 1) % OPERATIONS;
    }
    return accumulator ^ other;
}

KERNEL(branches) {
    uint32_t state = 1, accumulator = 1;
    for (int i = 0; i < OPERATIONS; i++) program[i] = (uint8_t)(next_random(&state) >> 29);
    for (int32_t round = 0; round < rounds; round++) accumulator = run_once(accumulator);
    return accumulator;
}
