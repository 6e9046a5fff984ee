/* The sieve runs over odd numbers only, one segment at a time, so memory stays fixed (about 60 KB) for
   every limit an i32 can name and the segment stays in the processor's first-level cache. */
#include "primes.h"

enum {
    SEGMENT = 32768,     /* odd numbers per segment: one byte each */
    ROOT_MAX = 46340,    /* floor(sqrt(2^31 - 1)) */
    BASE_PRIMES = 4791,  /* odd primes up to ROOT_MAX */
};

static uint8_t composite[SEGMENT];
static int32_t base[BASE_PRIMES];
static int64_t next_multiple[BASE_PRIMES];

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
        next_multiple[found] = (int64_t)n * n;
        found++;
    }
    return found;
}

/* Counts the primes among the odd numbers low, low + 2, ... up to limit, at most SEGMENT of them. */
static int32_t count_segment(int64_t low, int64_t limit, int32_t known) {
    int64_t end = low + 2 * SEGMENT;
    for (int32_t i = 0; i < SEGMENT; i++) composite[i] = 0;
    for (int32_t i = 0; i < known && (int64_t)base[i] * base[i] < end; i++) {
        int64_t multiple = next_multiple[i];
        for (; multiple < end; multiple += 2 * base[i]) composite[(multiple - low) >> 1] = 1;
        next_multiple[i] = multiple;
    }
    int32_t size = limit < end ? (int32_t)((limit - low) / 2 + 1) : SEGMENT;
    int32_t primes = 0;
    for (int32_t i = 0; i < size; i++) primes += !composite[i];
    return primes;
}

__attribute__((export_name("count_primes")))
int32_t count_primes(int32_t limit) {
    if (limit < 2) return 0;
    int32_t known = find_base_primes(limit);
    int32_t primes = 1; /* 2, the only even one */
    for (int64_t low = 3; low <= limit; low += 2 * SEGMENT) {
        primes += count_segment(low, limit, known);
    }
    return primes;
}
