#pragma once
#include <openssl/crypto.h>
#include <openssl/types.h>
#include <openssl/x509_vfy.h>
#include <stddef.h>

/// Whole operations of OpenSSL 3 on plain bytes. OSSL_PARAM keeps pointers to what it is given, so the calls that need
/// one are made in C. Each returns 1 for success and leaves the thread's error queue empty.

/// SHA-2 of `bits` (256 or 384) bits; writes bits / 8 bytes.
int cs_digest(int bits, const unsigned char *bytes, size_t count, unsigned char *out);

/// SHA-256 of what a file has from where it stands to its end, at most `limit` bytes; writes 32 bytes. 1 when done.
int cs_digest_file(int descriptor, size_t limit, unsigned char *out);

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

/// AES-CBC without padding: AES-256, or AES-128 for a `key_count` of 16. `count` is a positive multiple of 16, and `out`
/// takes as many; it holds zeros where 0 is returned.
int cs_aescbc_encrypt(const unsigned char *key, size_t key_count, const unsigned char *vector,
                      const unsigned char *bytes, size_t count, unsigned char *out);
int cs_aescbc_decrypt(const unsigned char *key, size_t key_count, const unsigned char *vector,
                      const unsigned char *bytes, size_t count, unsigned char *out);

/// A new key pair on P-256; NULL where OpenSSL refuses. `cs_p256_free` wipes the private half.
EVP_PKEY *cs_p256_generate(void);
/// The key pair of a private key of 32 bytes, big-endian; NULL where it is not from 1 to the order less 1.
EVP_PKEY *cs_p256_import(const unsigned char *secret);
void cs_p256_free(EVP_PKEY *key);
/// Writes coordinates of 32 bytes each, big-endian.
int cs_p256_public(EVP_PKEY *key, unsigned char *x, unsigned char *y);
/// ECDH (SP 800-56A section 5.7.1.2): writes the 32 bytes of the common point's x coordinate. `point` is the
/// uncompressed point of the peer; 0 where it is not on the curve.
int cs_p256_agree(EVP_PKEY *key, const unsigned char *point, size_t point_count, unsigned char *out);

/// ECDSA over P-256 with SHA-256 or P-384 with SHA-384 (`bits`), signature as a DER ECDSA-Sig-Value. `point` is the
/// uncompressed point, 0x04 first. 0 for every other outcome than a valid signature.
int cs_verify_ecdsa(int bits, const unsigned char *point, size_t point_count, const unsigned char *signature,
                    size_t signature_count, const unsigned char *bytes, size_t count);

/// RSASSA-PKCS1-v1_5 with SHA-256. 0 for every other outcome than a valid signature.
int cs_verify_rsa_pkcs1_sha256(const unsigned char *modulus, size_t modulus_count, const unsigned char *exponent,
                               size_t exponent_count, const unsigned char *signature, size_t signature_count,
                               const unsigned char *bytes, size_t count);

/// Whether the bytes are one X.509 certificate, or one certificate revocation list, to the last byte.
int cs_x509_is_certificate(const unsigned char *der, size_t count);
int cs_x509_is_revocation_list(const unsigned char *der, size_t count);

/// Builds a path from the first certificate to an anchor and validates it (RFC 5280 section 6), at `time` (seconds since
/// 1970). `parts` holds, one after the other and as long as `counts` says: the certificate, `intermediates` further
/// ones, `anchors` trusted ones, `lists` revocation lists. Where there are lists, every certificate below the anchor
/// needs one. `strict` adds the formalities of RFC 5280 section 4 (X509_V_FLAG_X509_STRICT). Only an anchor ends a path;
/// it need not be self-signed, since only the caller's own certificates are anchors.
///
/// 0 (X509_V_OK), and `anchor` is the number of the anchor; else OpenSSL's X509_V_ERR_ number, or -1 where the parts
/// cannot be read.
int cs_x509_verify(const unsigned char *parts, const size_t *counts, size_t intermediates, size_t anchors,
                   size_t lists, long long time, int strict, size_t *anchor);
/// What an X509_V_ERR_ number means; never NULL.
const char *cs_x509_reason(int error);

/// AES-128-CFB with segments of a whole block and a vector of zeros, as TPMs protect their parameters; `out` takes as many
/// bytes as there are.
int cs_aes128cfb_encrypt(const unsigned char *key, const unsigned char *bytes, size_t count, unsigned char *out);

/// RSAES-OAEP with SHA-256 for hash and mask, for the key of a DER SubjectPublicKeyInfo; `out` takes `*out_count` bytes at
/// most, and `*out_count` is what it took.
int cs_rsa_oaep_sha256(const unsigned char *spki, size_t spki_count, const unsigned char *label, size_t label_count,
                       const unsigned char *bytes, size_t count, unsigned char *out, size_t *out_count);

/// ECDSA with SHA-256, as a DER ECDSA-Sig-Value of at most 72 bytes.
int cs_p256_sign(EVP_PKEY *key, const unsigned char *bytes, size_t count, unsigned char *out, size_t *out_count);

/// The private key as PEM: PKCS #8 encrypted by AES-256-CBC under a key from the passphrase. `out` takes `*out_count` bytes
/// at most.
int cs_p256_write(EVP_PKEY *key, const unsigned char *passphrase, size_t passphrase_count, unsigned char *out,
                  size_t *out_count);
/// The inverse; NULL for another passphrase, and for what is no P-256 key.
EVP_PKEY *cs_p256_read(const unsigned char *pem, size_t count, const unsigned char *passphrase, size_t passphrase_count);
