#include "COpenSSL.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

int cs_aes128cfb_encrypt(const unsigned char *key, const unsigned char *bytes, size_t count, unsigned char *out) {
  static const unsigned char vector[16];
  if (count == 0 || count > INT_MAX) return 0;
  int written = 0, rest = 0;
  unsigned char none[16];
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  int ok = context != NULL && EVP_EncryptInit_ex2(context, EVP_aes_128_cfb128(), key, vector, NULL) == 1 &&
           EVP_EncryptUpdate(context, out, &written, bytes, (int)count) == 1 &&
           EVP_EncryptFinal_ex(context, none, &rest) == 1 && (size_t)written == count && rest == 0;
  EVP_CIPHER_CTX_free(context);
  ERR_clear_error();
  return ok;
}

int cs_rsa_oaep_sha256(const unsigned char *spki, size_t spki_count, const unsigned char *label, size_t label_count,
                       const unsigned char *bytes, size_t count, unsigned char *out, size_t *out_count) {
  if (spki_count > LONG_MAX) return 0;
  int ok = 0;
  const unsigned char *end = spki;
  EVP_PKEY *key = d2i_PUBKEY(NULL, &end, (long)spki_count);
  EVP_PKEY_CTX *context = key == NULL || !EVP_PKEY_is_a(key, "RSA") ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
  if (context == NULL || EVP_PKEY_encrypt_init(context) != 1) goto end;
  if (EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) != 1 ||
      EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) != 1 ||
      EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) != 1) goto end;
  // The context frees its label.
  void *copy = OPENSSL_memdup(label, label_count);
  if (copy == NULL) goto end;
  if (EVP_PKEY_CTX_set0_rsa_oaep_label(context, copy, (int)label_count) != 1) {
    OPENSSL_free(copy);
    goto end;
  }
  ok = EVP_PKEY_encrypt(context, out, out_count, bytes, count) == 1;
end:
  EVP_PKEY_CTX_free(context);
  EVP_PKEY_free(key);
  ERR_clear_error();
  return ok;
}

int cs_p256_sign(EVP_PKEY *key, const unsigned char *bytes, size_t count, unsigned char *out, size_t *out_count) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int ok = context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
           EVP_DigestSign(context, out, out_count, bytes, count) == 1;
  EVP_MD_CTX_free(context);
  ERR_clear_error();
  return ok;
}

int cs_p256_write(EVP_PKEY *key, const unsigned char *passphrase, size_t passphrase_count, unsigned char *out,
                  size_t *out_count) {
  if (passphrase_count == 0 || passphrase_count > INT_MAX) return 0;
  int ok = 0;
  BIO *memory = BIO_new(BIO_s_mem());
  if (memory != NULL && PEM_write_bio_PKCS8PrivateKey(memory, key, EVP_aes_256_cbc(), (const char *)passphrase,
                                                      (int)passphrase_count, NULL, NULL) == 1) {
    char *text = NULL;
    long length = BIO_get_mem_data(memory, &text);
    if (length > 0 && (size_t)length <= *out_count) {
      memcpy(out, text, (size_t)length);
      *out_count = (size_t)length;
      ok = 1;
    }
  }
  BIO_free(memory);
  ERR_clear_error();
  return ok;
}

struct passphrase {
  const unsigned char *bytes;
  size_t count;
};

static int give(char *buffer, int size, int writing, void *given) {
  (void)writing;
  const struct passphrase *passphrase = given;
  if (passphrase->count > (size_t)size) return -1;
  memcpy(buffer, passphrase->bytes, passphrase->count);
  return (int)passphrase->count;
}

EVP_PKEY *cs_p256_read(const unsigned char *pem, size_t count, const unsigned char *passphrase,
                       size_t passphrase_count) {
  if (count > INT_MAX) return NULL;
  struct passphrase given = {passphrase, passphrase_count};
  BIO *memory = BIO_new_mem_buf(pem, (int)count);
  EVP_PKEY *key = memory == NULL ? NULL : PEM_read_bio_PrivateKey(memory, NULL, give, &given);
  char group[32] = "";
  if (key != NULL && (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 ||
                      strcmp(group, "prime256v1") != 0)) {
    EVP_PKEY_free(key);
    key = NULL;
  }
  BIO_free(memory);
  ERR_clear_error();
  return key;
}
