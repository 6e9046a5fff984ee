/* The sieve runs over odd numbers only, one segment at a time, so memory stays fixed (about 70 KB) for
   every limit an i32 can name and the segment stays in the processor's first-level cache. */
#include "primes.h"

enum {
    SEGMENT = 32768,     /* odd numbers per segment, at most: one byte each */
    ROOT_MAX = 46340,    /* floor(sqrt(2^31 - 1)) */
    BASE_PRIMES = 4791,  /* odd primes up to ROOT_MAX */
};

static uint8_t composite[SEGMENT];
static int32_t base[BASE_PRIMES];
static uint32_t next_multiple[BASE_PRIMES]; /* as an index into the current segment, or beyond it */

static int is_odd_prime(int32_t candidate, int32_t known) {
    for (int32_t i = 0; i < known && base[i] * base[i] <= candidate; i++) {
        if (candidate % base[i] == 0) return 0;
    }
    return 1;
}

static int32_t find_base_primes(int32_t limit) {
    int32_t found = 0;
    for (int32_t n = 3; n <= ROOT_MAX && (int64_t)n * n <= limit; n += 2) {
        if (!is_odd_prime(n, found)) continue;
        base[found] = n;
        next_multiple[found] = (uint32_t)(((int64_t)n * n - 3) / 2);
        found++;
    }
    return found;
}

/* Strikes out the multiples of one base prime and returns where the next segment goes on. Four at a time: a metered
   guest pays at each turn of a loop. */
static uint32_t strike_out(uint32_t multiple, uint32_t step, uint32_t size) {
#pragma clang loop unroll_count(4)
    for (; multiple < size; multiple += step) composite[multiple] = 1;
    return multiple - size;
}

/* Counts the primes among the next `size` odd numbers. */
static int32_t count_segment(uint32_t size, int32_t known) {
    for (uint32_t i = 0; i < size; i++) composite[i] = 0;
    for (int32_t i = 0; i < known; i++) {
        /* A prime whose square lies beyond this segment waits for its own. */
        next_multiple[i] = next_multiple[i] < size ? strike_out(next_multiple[i], (uint32_t)base[i], size)
                                                   : next_multiple[i] - size;
    }
    int32_t primes = 0;
    for (uint32_t i = 0; i < size; i++) primes += !composite[i];
    return primes;
}

__attribute__((export_name("count_primes")))
int32_t count_primes(int32_t limit) {
    if (limit < 2) return 0;
    int32_t known = find_base_primes(limit);
    int32_t primes = 1; /* 2, the only even one */
    uint32_t left = ((uint32_t)limit - 1) / 2; /* odd numbers from 3 to limit */
    while (left) {
        uint32_t size = left < SEGMENT ? left : SEGMENT;
        primes += count_segment(size, known);
        left -= size;
    }
    return primes;
}
