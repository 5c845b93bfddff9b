#include "COpenSSL.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

/// Bits of security below which keys and signatures of a path count for nothing: 112, that is RSA of 2048 bits.
enum { SECURITY_LEVEL = 2 };

static X509 *certificate(const unsigned char *der, size_t count) {
  if (count > LONG_MAX) return NULL;
  const unsigned char *end = der;
  X509 *made = d2i_X509(NULL, &end, (long)count);
  if (made != NULL && end == der + count) return made;
  X509_free(made);
  return NULL;
}

static X509_CRL *revocation_list(const unsigned char *der, size_t count) {
  if (count > LONG_MAX) return NULL;
  const unsigned char *end = der;
  X509_CRL *made = d2i_X509_CRL(NULL, &end, (long)count);
  if (made != NULL && end == der + count) return made;
  X509_CRL_free(made);
  return NULL;
}

int cs_x509_is_certificate(const unsigned char *der, size_t count) {
  X509 *made = certificate(der, count);
  X509_free(made);
  ERR_clear_error();
  return made != NULL;
}

int cs_x509_is_revocation_list(const unsigned char *der, size_t count) {
  X509_CRL *made = revocation_list(der, count);
  X509_CRL_free(made);
  ERR_clear_error();
  return made != NULL;
}

/// An anchor is trusted because it is configured, and ends to be when it is taken away: it needs no list.
static int excuse_anchor(int ok, X509_STORE_CTX *context) {
  if (ok || X509_STORE_CTX_get_error(context) != X509_V_ERR_UNABLE_TO_GET_CRL) return ok;
  STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(context);
  if (X509_STORE_CTX_get_error_depth(context) != sk_X509_num(path) - 1) return 0;
  X509_STORE_CTX_set_error(context, X509_V_OK);
  return 1;
}

/// The end of the path among the anchors; -1 where it is none of them.
static int find_anchor(X509_STORE_CTX *context, STACK_OF(X509) *anchors) {
  STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(context);
  X509 *last = sk_X509_value(path, sk_X509_num(path) - 1);
  for (int index = 0; index < sk_X509_num(anchors); index++) {
    if (X509_cmp(last, sk_X509_value(anchors, index)) == 0) return index;
  }
  return -1;
}

int cs_x509_verify(const unsigned char *parts, const size_t *counts, size_t intermediates, size_t anchors,
                   size_t lists, long long time, int strict, size_t *anchor) {
  int result = -1, found = -1;
  X509 *leaf = certificate(parts, *counts);
  STACK_OF(X509) *others = sk_X509_new_null(), *trusted = sk_X509_new_null();
  X509_STORE *store = X509_STORE_new();
  X509_STORE_CTX *context = X509_STORE_CTX_new();
  if (leaf == NULL || others == NULL || trusted == NULL || store == NULL || context == NULL) goto end;
  parts += *counts++;
  for (size_t index = 0; index < intermediates + anchors; parts += *counts++, index++) {
    X509 *next = certificate(parts, *counts);
    if (next == NULL) goto end;
    if (sk_X509_push(index < intermediates ? others : trusted, next) <= 0) {
      X509_free(next);
      goto end;
    }
    if (index >= intermediates && X509_STORE_add_cert(store, next) != 1) goto end;
  }
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN | (strict ? X509_V_FLAG_X509_STRICT : 0);
  if (lists > 0) flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
  for (size_t index = 0; index < lists; parts += *counts++, index++) {
    X509_CRL *list = revocation_list(parts, *counts);
    int added = list != NULL && X509_STORE_add_crl(store, list) == 1;
    X509_CRL_free(list);
    if (!added) goto end;
  }
  if (X509_STORE_CTX_init(context, store, leaf, others) != 1) goto end;
  X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_auth_level(parameters, SECURITY_LEVEL);
  if (X509_VERIFY_PARAM_set_flags(parameters, flags) != 1) goto end;
  X509_VERIFY_PARAM_set_time(parameters, (time_t)time);
  X509_STORE_CTX_set_verify_cb(context, excuse_anchor);
  int ok = X509_verify_cert(context) == 1;
  result = X509_STORE_CTX_get_error(context);
  if (ok) found = find_anchor(context, trusted);
  // Not reached by any path of OpenSSL's: an error without a number, or a good path that ends nowhere.
  if (result == X509_V_OK && found < 0) result = X509_V_ERR_UNSPECIFIED;
  if (found >= 0) *anchor = (size_t)found;
end:
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  sk_X509_pop_free(trusted, X509_free);
  sk_X509_pop_free(others, X509_free);
  X509_free(leaf);
  ERR_clear_error();
  return result;
}

const char *cs_x509_reason(int error) {
  return X509_verify_cert_error_string(error);
}
