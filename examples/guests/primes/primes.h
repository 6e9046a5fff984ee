/* Counts primes with a segmented sieve of Eratosthenes. */
#ifndef AMBIENT_PRIMES_H
#define AMBIENT_PRIMES_H

#include <stdint.h>

/* The number of primes p with 2 <= p <= limit; 0 for any limit below 2.
   Pure: no state survives a call, so an instance may be called again. */
int32_t count_primes(int32_t limit);

#endif
