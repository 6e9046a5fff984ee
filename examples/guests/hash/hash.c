/* hash sha256 | sha512 | hmac KEY | verify PUBLIC_KEY SIGNATURE: asks the host's `ambient_crypto` about stdin.

   Prints the digest in hexadecimal (KEY is taken as text), or, for an Ed25519 signature (key and signature in
   hexadecimal), `valid` or `not valid`. Exit status 2 for bad arguments, 1 if stdin or a host call fails. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ambient_crypto.h"
#include "input.h"

static void fail(int status, const char *reason) {
    fputs("hash: ", stderr);
    fputs(reason, stderr);
    fputs("\n", stderr);
    exit(status);
}

static void print_hex(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        putchar("0123456789abcdef"[bytes[i] >> 4]);
        putchar("0123456789abcdef"[bytes[i] & 15]);
    }
    putchar('\n');
}

static int hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    fail(2, "key and signature must be hexadecimal, in lower case");
    return 0;
}

static void parse_hex(const char *text, uint8_t *out, size_t size) {
    if (strlen(text) != 2 * size) fail(2, "a key has 32 bytes (64 digits), a signature 64 bytes (128 digits)");
    for (size_t i = 0; i < size; i++) out[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
}

static input_t input_or_fail(void) {
    input_t input = read_input();
    if (!input.bytes) fail(1, "stdin cannot be read or does not fit in memory; raise memory_mb");
    return input;
}

static void print_digest(int wide, const char *key) {
    input_t input = input_or_fail();
    uint8_t digest[AMBIENT_SHA512_SIZE];
    int32_t error = key    ? ambient_hmac_sha256(key, strlen(key), input.bytes, input.size, digest)
                    : wide ? ambient_sha512(input.bytes, input.size, digest)
                           : ambient_sha256(input.bytes, input.size, digest);
    if (error) fail(1, "the host refused the call");
    print_hex(digest, wide ? AMBIENT_SHA512_SIZE : AMBIENT_SHA256_SIZE);
}

static void print_validity(const char *key_hex, const char *signature_hex) {
    uint8_t key[AMBIENT_PUBLIC_KEY_SIZE], signature[AMBIENT_SIGNATURE_SIZE];
    parse_hex(key_hex, key, sizeof key);
    parse_hex(signature_hex, signature, sizeof signature);
    input_t input = input_or_fail();
    int32_t answer = ambient_ed25519_verify(key, input.bytes, input.size, signature);
    if (answer && answer != AMBIENT_NOT_VALID) fail(1, "the host refused the call; the message may be too long");
    puts(answer ? "not valid" : "valid");
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (argc == 2 && !strcmp(what, "sha256")) {
        print_digest(0, NULL);
    } else if (argc == 2 && !strcmp(what, "sha512")) {
        print_digest(1, NULL);
    } else if (argc == 3 && !strcmp(what, "hmac")) {
        print_digest(0, argv[2]);
    } else if (argc == 4 && !strcmp(what, "verify")) {
        print_validity(argv[2], argv[3]);
    } else {
        fail(2, "usage: hash sha256 | sha512 | hmac KEY | verify PUBLIC_KEY SIGNATURE");
    }
    return 0;
}
