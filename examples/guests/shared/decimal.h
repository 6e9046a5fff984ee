/* Whole numbers as decimal text without printf, whose float formatting would add 17 KB to every module. */
#ifndef AMBIENT_DECIMAL_H
#define AMBIENT_DECIMAL_H

#include <stdint.h>

enum { DECIMAL_SIZE = 21 }; /* the 20 digits of 2^64 - 1 and the end of the string */

/* Writes `value` into the end of `buffer` and returns where its first digit is. */
static inline const char *decimal(uint64_t value, char buffer[DECIMAL_SIZE]) {
    char *at = buffer + DECIMAL_SIZE - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return at;
}

#endif
