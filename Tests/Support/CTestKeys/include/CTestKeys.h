#pragma once
#include <stddef.h>
#include <stdint.h>

/// Key pairs of OpenSSL for tests: the authenticator side of a statement, without a TPM.

/// `bits`: 256 or 384 for the NIST curves, 2048 for RSA. NULL where OpenSSL refuses.
void *cs_test_key_make(int bits);
void cs_test_key_free(void *key);
/// Signs with SHA-256 (SHA-384 for P-384); length of the signature, or -1.
long cs_test_key_sign(void *key, const uint8_t *message, size_t count, uint8_t *signature, size_t capacity);
/// Writes big-endian coordinates of `count` bytes each; 0, or -1.
int cs_test_key_point(void *key, uint8_t *x, uint8_t *y, size_t count);
/// Writes the modulus of `count` bytes; the exponent is 65537. 0, or -1.
int cs_test_key_modulus(void *key, uint8_t *modulus, size_t count);
