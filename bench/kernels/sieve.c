/* Byte stores at growing strides: the sieve of Eratosthenes over 128 KiB, as many bytes as most second-level caches
   hold without effort. */
#include "kernel.h"

enum { LIMIT = 1 << 17 };

static uint8_t composite[LIMIT];

static int32_t sieve_once(void) {
    for (uint32_t n = 0; n < LIMIT; n++) composite[n] = n < 2;
    for (uint32_t n = 2; n * n < LIMIT; n++) {
        if (composite[n]) continue;
        UNROLLED
        for (uint32_t multiple = n * n; multiple < LIMIT; multiple += n) composite[multiple] = 1;
    }
    int32_t primes = 0;
    for (uint32_t n = 0; n < LIMIT; n++) primes += !composite[n];
    return primes;
}

KERNEL(sieve) {
    int64_t sum = 0;
    for (int32_t round = 0; round < rounds; round++) sum += sieve_once();
    return sum;
}
