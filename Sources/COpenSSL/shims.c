#include "COpenSSL.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <pthread.h>
#include <unistd.h>

enum { TAG = 16, NONCE = 12, KEY = 32, BLOCK = 16, COORDINATE = 32, POINT = 1 + 2 * COORDINATE };

/// What every function ends with: OpenSSL's error queue is the thread's, and nobody reads it later.
static int finish(int ok) {
  if (!ok) ERR_clear_error();
  return ok;
}

/// What every signature needs, looked up once and kept: OpenSSL searches its providers by name each time otherwise.
static struct {
  EVP_MD *sha256, *sha384;
  EVP_KDF *hkdf;
} algorithms;

static void fetch_algorithms(void) {
  algorithms.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
  algorithms.sha384 = EVP_MD_fetch(NULL, "SHA384", NULL);
  algorithms.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
  ERR_clear_error();
}

/// Where one is missing it stays NULL, and what needs it fails.
static void find_algorithms(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, fetch_algorithms);
}

int cs_digest(int bits, const unsigned char *bytes, size_t count, unsigned char *out) {
  find_algorithms();
  const EVP_MD *algorithm = bits == 256 ? algorithms.sha256 : algorithms.sha384;
  return finish(algorithm != NULL && EVP_Digest(bytes, count, out, NULL, algorithm, NULL) == 1);
}

int cs_digest_file(int descriptor, size_t limit, unsigned char *out) {
  unsigned char buffer[65536];
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
  size_t total = 0;
  while (good) {
    ssize_t count = read(descriptor, buffer, sizeof buffer);
    if (count == -1 && errno == EINTR) continue;
    if (count == 0) break;
    good = count > 0 && (total += (size_t)count) <= limit && EVP_DigestUpdate(context, buffer, (size_t)count) == 1;
  }
  good = good && EVP_DigestFinal_ex(context, out, NULL) == 1;
  EVP_MD_CTX_free(context);
  return finish(good);
}

int cs_hmac_sha256(const unsigned char *key, size_t key_count, const unsigned char *bytes, size_t count,
                   unsigned char *out) {
  size_t written = 0;
  // A NULL message asks EVP_Q_mac for the size only.
  const unsigned char *message = count == 0 ? (const unsigned char *)"" : bytes;
  unsigned char *result =
      EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, key_count, message, count, out, 32, &written);
  return finish(result != NULL && written == 32);
}

int cs_hkdf_sha256(const unsigned char *key, size_t key_count, const unsigned char *salt, size_t salt_count,
                   const unsigned char *info, size_t info_count, unsigned char *out, size_t out_count) {
  find_algorithms();
  int ok = 0;
  EVP_KDF_CTX *context = algorithms.hkdf == NULL ? NULL : EVP_KDF_CTX_new(algorithms.hkdf);
  if (context == NULL) goto end;
  OSSL_PARAM parameters[5], *next = parameters;
  *next++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0);
  *next++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_count);
  if (salt_count > 0) {
    *next++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_count);
  }
  if (info_count > 0) {
    *next++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_count);
  }
  *next = OSSL_PARAM_construct_end();
  ok = EVP_KDF_derive(context, out, out_count, parameters) == 1;
end:
  EVP_KDF_CTX_free(context);
  return finish(ok);
}

int cs_aes256gcm_seal(const unsigned char *key, const unsigned char *nonce, const unsigned char *associated,
                      size_t associated_count, const unsigned char *bytes, size_t count, unsigned char *out) {
  if (associated_count > INT_MAX || count > INT_MAX - TAG) return 0;
  int ok = 0, written = 0, rest = 0;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context == NULL) goto end;
  if (EVP_EncryptInit_ex2(context, EVP_aes_256_gcm(), key, nonce, NULL) != 1) goto end;
  if (associated_count > 0 &&
      EVP_EncryptUpdate(context, NULL, &written, associated, (int)associated_count) != 1) goto end;
  written = 0;
  if (count > 0 && EVP_EncryptUpdate(context, out, &written, bytes, (int)count) != 1) goto end;
  if (EVP_EncryptFinal_ex(context, out + written, &rest) != 1) goto end;
  if ((size_t)written + (size_t)rest != count) goto end;
  ok = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, out + count) == 1;
end:
  EVP_CIPHER_CTX_free(context);
  return finish(ok);
}

int cs_aes256gcm_open(const unsigned char *key, const unsigned char *nonce, const unsigned char *associated,
                      size_t associated_count, const unsigned char *bytes, size_t count, unsigned char *out) {
  if (associated_count > INT_MAX || count > INT_MAX || count < TAG) return 0;
  int ok = 0, written = 0, rest = 0;
  size_t plain = count - TAG;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context == NULL) goto end;
  if (EVP_DecryptInit_ex2(context, EVP_aes_256_gcm(), key, nonce, NULL) != 1) goto end;
  if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, (void *)(bytes + plain)) != 1) goto end;
  if (associated_count > 0 &&
      EVP_DecryptUpdate(context, NULL, &written, associated, (int)associated_count) != 1) goto end;
  written = 0;
  if (plain > 0 && EVP_DecryptUpdate(context, out, &written, bytes, (int)plain) != 1) goto end;
  // An empty message leaves `out` without an address; GCM writes nothing here.
  unsigned char none[TAG];
  ok = EVP_DecryptFinal_ex(context, plain > 0 ? out + written : none, &rest) == 1;
end:
  EVP_CIPHER_CTX_free(context);
  if (!ok && plain > 0) OPENSSL_cleanse(out, plain);
  return finish(ok);
}

static int cbc(int encrypting, const unsigned char *key, size_t key_count, const unsigned char *vector,
               const unsigned char *bytes, size_t count, unsigned char *out) {
  if (key_count != 16 && key_count != KEY) return 0;
  if (count == 0 || count % BLOCK != 0 || count > INT_MAX) return 0;
  const EVP_CIPHER *cipher = key_count == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
  int ok = 0, written = 0, rest = 0;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context == NULL) goto end;
  if (EVP_CipherInit_ex2(context, cipher, key, vector, encrypting, NULL) != 1) goto end;
  if (EVP_CIPHER_CTX_set_padding(context, 0) != 1) goto end;
  if (EVP_CipherUpdate(context, out, &written, bytes, (int)count) != 1) goto end;
  // Whole blocks are through by now: this writes nothing, and fails if some are not.
  unsigned char none[BLOCK];
  ok = EVP_CipherFinal_ex(context, none, &rest) == 1 && (size_t)written == count && rest == 0;
end:
  EVP_CIPHER_CTX_free(context);
  if (!ok) OPENSSL_cleanse(out, count);
  return finish(ok);
}

int cs_aescbc_encrypt(const unsigned char *key, size_t key_count, const unsigned char *vector,
                      const unsigned char *bytes, size_t count, unsigned char *out) {
  return cbc(1, key, key_count, vector, bytes, count, out);
}

int cs_aescbc_decrypt(const unsigned char *key, size_t key_count, const unsigned char *vector,
                      const unsigned char *bytes, size_t count, unsigned char *out) {
  return cbc(0, key, key_count, vector, bytes, count, out);
}

static int verify(EVP_PKEY *key, const EVP_MD *digest, const unsigned char *signature, size_t signature_count,
                  const unsigned char *bytes, size_t count) {
  // The default padding of RSA is PKCS #1 v1.5, so both algorithms are set up alike.
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int ok = context != NULL && EVP_DigestVerifyInit(context, NULL, digest, NULL, key) == 1 &&
           EVP_DigestVerify(context, signature, signature_count, bytes, count) == 1;
  EVP_MD_CTX_free(context);
  return ok;
}

static EVP_PKEY *import_key(const char *type, int selection, OSSL_PARAM *parameters) {
  EVP_PKEY *key = NULL;
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
  if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
      EVP_PKEY_fromdata(context, &key, selection, parameters) != 1) {
    key = NULL;
  }
  EVP_PKEY_CTX_free(context);
  return key;
}

/// Importing refuses points that are not on the curve. Both curves have cofactor 1: no further check is needed.
static EVP_PKEY *import_point(int bits, const unsigned char *point, size_t point_count) {
  const char *curve = bits == 256 ? "P-256" : "P-384";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve, 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, point_count),
      OSSL_PARAM_construct_end(),
  };
  return import_key("EC", EVP_PKEY_PUBLIC_KEY, parameters);
}

int cs_verify_ecdsa(int bits, const unsigned char *point, size_t point_count, const unsigned char *signature,
                    size_t signature_count, const unsigned char *bytes, size_t count) {
  EVP_PKEY *key = import_point(bits, point, point_count);
  int ok = key != NULL &&
           verify(key, bits == 256 ? EVP_sha256() : EVP_sha384(), signature, signature_count, bytes, count);
  EVP_PKEY_free(key);
  return finish(ok);
}

int cs_verify_rsa_pkcs1_sha256(const unsigned char *modulus, size_t modulus_count, const unsigned char *exponent,
                               size_t exponent_count, const unsigned char *signature, size_t signature_count,
                               const unsigned char *bytes, size_t count) {
  if (modulus_count > 4096 || exponent_count > 4096) return 0;
  int ok = 0;
  EVP_PKEY *key = NULL;
  OSSL_PARAM *parameters = NULL;
  OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
  BIGNUM *n = BN_bin2bn(modulus, (int)modulus_count, NULL), *e = BN_bin2bn(exponent, (int)exponent_count, NULL);
  if (builder == NULL || n == NULL || e == NULL) goto end;
  // A bound on work for hostile keys, and no keys that anyone could factor. An even modulus is no RSA key at all.
  if (BN_num_bits(n) < 2048 || BN_num_bits(n) > 8192 || !BN_is_odd(n)) goto end;
  if (BN_num_bits(e) < 2 || BN_num_bits(e) > 64 || !BN_is_odd(e)) goto end;
  if (OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) != 1) goto end;
  parameters = OSSL_PARAM_BLD_to_param(builder);
  if (parameters == NULL) goto end;
  key = import_key("RSA", EVP_PKEY_PUBLIC_KEY, parameters);
  ok = key != NULL && verify(key, EVP_sha256(), signature, signature_count, bytes, count);
end:
  EVP_PKEY_free(key);
  OSSL_PARAM_free(parameters);
  OSSL_PARAM_BLD_free(builder);
  BN_free(n);
  BN_free(e);
  return finish(ok);
}

EVP_PKEY *cs_p256_generate(void) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  finish(key != NULL);
  return key;
}

EVP_PKEY *cs_p256_import(const unsigned char *secret) {
  // OpenSSL imports a pair only and does not compute the public half itself.
  EVP_PKEY *key = NULL;
  OSSL_PARAM *parameters = NULL;
  OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
  EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
  EC_POINT *point = group == NULL ? NULL : EC_POINT_new(group);
  BIGNUM *scalar = BN_secure_new();
  unsigned char octets[POINT];
  if (builder == NULL || point == NULL || scalar == NULL || BN_bin2bn(secret, COORDINATE, scalar) == NULL) goto end;
  if (BN_cmp(scalar, EC_GROUP_get0_order(group)) >= 0) goto end;
  if (EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) != 1) goto end;
  // Zero has the point at infinity, which is one byte long.
  if (EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, octets, POINT, NULL) != POINT) goto end;
  if (OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, octets, POINT) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, scalar) != 1) goto end;
  parameters = OSSL_PARAM_BLD_to_param(builder);
  if (parameters != NULL) key = import_key("EC", EVP_PKEY_KEYPAIR, parameters);
end:
  // The builder puts numbers from secure memory there again, and OSSL_PARAM_free wipes that.
  OSSL_PARAM_free(parameters);
  OSSL_PARAM_BLD_free(builder);
  BN_clear_free(scalar);
  EC_POINT_free(point);
  EC_GROUP_free(group);
  finish(key != NULL);
  return key;
}

void cs_p256_free(EVP_PKEY *key) {
  EVP_PKEY_free(key);
}

int cs_p256_public(EVP_PKEY *key, unsigned char *x, unsigned char *y) {
  BIGNUM *across = NULL, *up = NULL;
  int ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &across) == 1 &&
           EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &up) == 1 &&
           BN_bn2binpad(across, x, COORDINATE) == COORDINATE && BN_bn2binpad(up, y, COORDINATE) == COORDINATE;
  BN_free(across);
  BN_free(up);
  return finish(ok);
}

int cs_p256_agree(EVP_PKEY *key, const unsigned char *point, size_t point_count, unsigned char *out) {
  int ok = 0;
  size_t written = COORDINATE;
  EVP_PKEY_CTX *context = NULL;
  // A compressed point, or one zero byte for the point at infinity, would be imported too.
  EVP_PKEY *peer = point_count == POINT && point[0] == 0x04 ? import_point(256, point, point_count) : NULL;
  if (peer == NULL) goto end;
  context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
  if (context == NULL || EVP_PKEY_derive_init(context) != 1) goto end;
  // With its check of the peer's key (SP 800-56A section 5.6.2.3.3).
  if (EVP_PKEY_derive_set_peer_ex(context, peer, 1) != 1) goto end;
  ok = EVP_PKEY_derive(context, out, &written) == 1 && written == COORDINATE;
end:
  EVP_PKEY_CTX_free(context);
  EVP_PKEY_free(peer);
  if (!ok) OPENSSL_cleanse(out, COORDINATE);
  return finish(ok);
}
