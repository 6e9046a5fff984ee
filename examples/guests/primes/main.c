/* primes LIMIT: prints the number of primes up to LIMIT. Exit status 2 if LIMIT is not a number in 0..2147483647. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "decimal.h"
#include "primes.h"

int main(int argc, char **argv) {
    if (argc != 2) {
        fputs("usage: primes LIMIT\n", stderr);
        return 2;
    }
    char *end;
    errno = 0;
    long long limit = strtoll(argv[1], &end, 10);
    if (errno || end == argv[1] || *end || limit < 0 || limit > INT32_MAX) {
        fputs("primes: LIMIT must be a whole number from 0 to 2147483647\n", stderr);
        return 2;
    }
    char text[DECIMAL_SIZE];
    puts(decimal((uint64_t)count_primes((int32_t)limit), text));
    return 0;
}
