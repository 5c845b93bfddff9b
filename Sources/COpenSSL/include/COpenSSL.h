#pragma once
#include <openssl/crypto.h>
#include <stddef.h>

/// Whole operations of OpenSSL 3 on plain bytes. OSSL_PARAM keeps pointers to what it is given, so the calls that need
/// one are made in C. Each returns 1 for success and leaves the thread's error queue empty.

/// SHA-2 of `bits` (256 or 384) bits; writes bits / 8 bytes.
int cs_digest(int bits, const unsigned char *bytes, size_t count, unsigned char *out);

/// HMAC-SHA-256 (RFC 2104); writes 32 bytes.
int cs_hmac_sha256(const unsigned char *key, size_t key_count, const unsigned char *bytes, size_t count,
                   unsigned char *out);

/// HKDF-SHA-256 (RFC 5869), extract and expand; an empty salt is the RFC's default one.
int cs_hkdf_sha256(const unsigned char *key, size_t key_count, const unsigned char *salt, size_t salt_count,
                   const unsigned char *info, size_t info_count, unsigned char *out, size_t out_count);

/// AES-256-GCM with a 96-bit nonce; `out` takes count + 16 bytes, the tag last.
int cs_aes256gcm_seal(const unsigned char *key, const unsigned char *nonce, const unsigned char *associated,
                      size_t associated_count, const unsigned char *bytes, size_t count, unsigned char *out);
/// `count` includes the tag; `out` takes count - 16 bytes and holds zeros where the tag is wrong (0 is returned).
int cs_aes256gcm_open(const unsigned char *key, const unsigned char *nonce, const unsigned char *associated,
                      size_t associated_count, const unsigned char *bytes, size_t count, unsigned char *out);

/// ECDSA over P-256 with SHA-256 or P-384 with SHA-384 (`bits`), signature as a DER ECDSA-Sig-Value. `point` is the
/// uncompressed point, 0x04 first. 0 for every other outcome than a valid signature.
int cs_verify_ecdsa(int bits, const unsigned char *point, size_t point_count, const unsigned char *signature,
                    size_t signature_count, const unsigned char *bytes, size_t count);

/// RSASSA-PKCS1-v1_5 with SHA-256. 0 for every other outcome than a valid signature.
int cs_verify_rsa_pkcs1_sha256(const unsigned char *modulus, size_t modulus_count, const unsigned char *exponent,
                               size_t exponent_count, const unsigned char *signature, size_t signature_count,
                               const unsigned char *bytes, size_t count);
