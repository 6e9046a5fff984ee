/* The host's cryptography, for guests in C. Every call returns 0, or the WASI error number of a bad call (a pointer
   outside memory, a message too long); `ed25519_verify` also AMBIENT_NOT_VALID. The host charges fuel by length,
   far less than the same work in the guest would cost. */
#ifndef AMBIENT_CRYPTO_H
#define AMBIENT_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#define AMBIENT_CRYPTO(name) __attribute__((import_module("ambient_crypto"), import_name(#name)))

enum {
    AMBIENT_SHA256_SIZE = 32,
    AMBIENT_SHA512_SIZE = 64,
    AMBIENT_PUBLIC_KEY_SIZE = 32,
    AMBIENT_SIGNATURE_SIZE = 64,
    AMBIENT_NOT_VALID = 1000, /* the call was good, the signature is not */
};

AMBIENT_CRYPTO(sha256)
int32_t ambient_sha256(const void *data, size_t size, uint8_t out[AMBIENT_SHA256_SIZE]);

AMBIENT_CRYPTO(sha512)
int32_t ambient_sha512(const void *data, size_t size, uint8_t out[AMBIENT_SHA512_SIZE]);

AMBIENT_CRYPTO(hmac_sha256)
int32_t ambient_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
                            uint8_t out[AMBIENT_SHA256_SIZE]);

/* RFC 8032: 0 if `signature` is `public_key`'s over the data. */
AMBIENT_CRYPTO(ed25519_verify)
int32_t ambient_ed25519_verify(const uint8_t public_key[AMBIENT_PUBLIC_KEY_SIZE], const void *data, size_t size,
                               const uint8_t signature[AMBIENT_SIGNATURE_SIZE]);

#endif
