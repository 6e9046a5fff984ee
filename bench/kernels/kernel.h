/* What makes one source both a shared library's function and a module's export. Every kernel is
   `int64_t name(int32_t rounds)`: it does its work `rounds` times over, each round on the last one's result so that
   none can be skipped, and returns a checksum that must be the same however it was compiled. */
#ifndef AMBIENT_KERNEL_H
#define AMBIENT_KERNEL_H

#include <stdint.h>

#ifdef __wasm__
#define KERNEL(name) __attribute__((export_name(#name))) int64_t name(int32_t rounds)
#else
#define KERNEL(name) __attribute__((visibility("default"))) int64_t name(int32_t rounds)
#endif

/* Before a short inner loop: four iterations at a time, in both builds. A metered guest pays for each turn of a loop:
   fuel is counted and checked at its head, and as the branch to "out of fuel" is a call that saves no vector
   registers, every floating point or vector value that lives across turns is spilled and loaded again there. */
#define UNROLLED _Pragma("clang loop unroll_count(4)")

/* Numerical Recipes' generator: cheap, and good enough to fill inputs. */
static inline uint32_t next_random(uint32_t *state) { return *state = *state * 1664525u + 1013904223u; }

#endif
