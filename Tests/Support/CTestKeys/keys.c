#include "CTestKeys.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

void *cs_test_key_make(int bits) {
  if (bits == 2048) return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
  return EVP_PKEY_Q_keygen(NULL, NULL, "EC", bits == 384 ? "P-384" : "P-256");
}

void cs_test_key_free(void *key) { EVP_PKEY_free(key); }

long cs_test_key_sign(void *key, const uint8_t *message, size_t count, uint8_t *signature, size_t capacity) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  const char *digest = EVP_PKEY_get_bits(key) == 384 ? "SHA384" : "SHA256";
  size_t written = capacity;
  int ok = context && EVP_DigestSignInit_ex(context, NULL, digest, NULL, NULL, key, NULL) == 1 &&
           EVP_DigestSign(context, signature, &written, message, count) == 1;
  EVP_MD_CTX_free(context);
  return ok ? (long)written : -1;
}

static int parameter(void *key, const char *name, uint8_t *bytes, size_t count) {
  BIGNUM *number = NULL;
  int ok = EVP_PKEY_get_bn_param(key, name, &number) == 1 && BN_bn2binpad(number, bytes, (int)count) == (int)count;
  BN_free(number);
  return ok ? 0 : -1;
}

int cs_test_key_point(void *key, uint8_t *x, uint8_t *y, size_t count) {
  if (parameter(key, OSSL_PKEY_PARAM_EC_PUB_X, x, count) != 0) return -1;
  return parameter(key, OSSL_PKEY_PARAM_EC_PUB_Y, y, count);
}

int cs_test_key_modulus(void *key, uint8_t *modulus, size_t count) {
  return parameter(key, OSSL_PKEY_PARAM_RSA_N, modulus, count);
}
