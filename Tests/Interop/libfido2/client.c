// A second independent client: libfido2 against a daemon that has been reset and lets the caller do everything.
// Usage: client SOCKET. Prints one line for each check, `ok NAME` or `FAIL NAME: why`; fails if one did.

#include "socket.h"

#include <err.h>
#include <fido/config.h>
#include <fido/credman.h>
#include <fido/es256.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#define PIN "correct horse"
#define NEW_PIN "battery staple"
#define WRONG_PIN "not this one"
#define RP_ID "libfido2.example.com"

enum { USER_PRESENT = 0x01, USER_VERIFIED = 0x04, SALT = 32, KEY = 32 };

static const char *path;
static int failures;

#define CHECK(name, condition) report(name, (condition), #condition)
#define IS(name, call, expected) is(name, (call), (expected), #call)
#define WORKS(name, call) IS(name, call, FIDO_OK)

static int report(const char *name, int good, const char *what) {
  if (good)
    printf("ok %s\n", name);
  else
    printf("FAIL %s: not true: %s\n", name, what);
  failures += !good;
  return good;
}

static int is(const char *name, int result, int expected, const char *call) {
  if (result == expected)
    printf("ok %s\n", name);
  else
    printf("FAIL %s: %s (%#x) instead of %s (%#x): %s\n", name, fido_strerr(result), (unsigned)result,
        fido_strerr(expected), (unsigned)expected, call);
  failures += result != expected;
  return result == expected;
}

// For what every check after it needs.
static void must(int result, const char *what) {
  if (result != FIDO_OK)
    errx(2, "%s: %s", what, fido_strerr(result));
}

static void randomize(unsigned char *data, int count) {
  if (RAND_bytes(data, count) != 1)
    errx(2, "no random bytes");
}

// A credential as a relying party keeps it.
struct account {
  unsigned char id[256];
  size_t id_length;
  es256_pk_t *key;
  unsigned char large_blob_key[KEY];
};

static fido_cred_t *request_credential(const char *rp_id, const char *user, int extensions) {
  unsigned char challenge[32];
  randomize(challenge, sizeof(challenge));
  fido_cred_t *credential = fido_cred_new();
  if (credential == NULL)
    errx(2, "no memory");
  must(fido_cred_set_type(credential, COSE_ES256), "fido_cred_set_type");
  must(fido_cred_set_clientdata_hash(credential, challenge, sizeof(challenge)), "fido_cred_set_clientdata_hash");
  must(fido_cred_set_rp(credential, rp_id, "An example"), "fido_cred_set_rp");
  must(fido_cred_set_user(credential, (const unsigned char *)user, strlen(user), user, "Deployment", NULL),
      "fido_cred_set_user");
  if (extensions != 0)
    must(fido_cred_set_extensions(credential, extensions), "fido_cred_set_extensions");
  return credential;
}

static void keep(const fido_cred_t *credential, struct account *account) {
  account->id_length = fido_cred_id_len(credential);
  if (account->id_length > sizeof(account->id))
    errx(2, "a credential ID of %zu bytes", account->id_length);
  memcpy(account->id, fido_cred_id_ptr(credential), account->id_length);
  account->key = es256_pk_new();
  if (account->key == NULL || es256_pk_from_ptr(account->key, fido_cred_pubkey_ptr(credential),
      fido_cred_pubkey_len(credential)) != FIDO_OK)
    errx(2, "the public key is none");
  if (fido_cred_largeblob_key_len(credential) == KEY)
    memcpy(account->large_blob_key, fido_cred_largeblob_key_ptr(credential), KEY);
}

static fido_assert_t *request_assertion(const char *rp_id, const struct account *account, int extensions) {
  unsigned char challenge[32];
  randomize(challenge, sizeof(challenge));
  fido_assert_t *assertion = fido_assert_new();
  if (assertion == NULL)
    errx(2, "no memory");
  must(fido_assert_set_clientdata_hash(assertion, challenge, sizeof(challenge)), "fido_assert_set_clientdata_hash");
  must(fido_assert_set_rp(assertion, rp_id), "fido_assert_set_rp");
  if (account != NULL)
    must(fido_assert_allow_cred(assertion, account->id, account->id_length), "fido_assert_allow_cred");
  if (extensions != 0)
    must(fido_assert_set_extensions(assertion, extensions), "fido_assert_set_extensions");
  return assertion;
}

static int lists(char **names, size_t count, const char *wanted) {
  for (size_t index = 0; index < count; index++)
    if (strcmp(names[index], wanted) == 0)
      return 1;
  return 0;
}

// 1, 0, or -1 where the option is not there.
static int option(const fido_cbor_info_t *info, const char *wanted) {
  char **names = fido_cbor_info_options_name_ptr(info);
  for (size_t index = 0; index < fido_cbor_info_options_len(info); index++)
    if (strcmp(names[index], wanted) == 0)
      return fido_cbor_info_options_value_ptr(info)[index];
  return -1;
}

static fido_cbor_info_t *get_info(fido_dev_t *device) {
  fido_cbor_info_t *info = fido_cbor_info_new();
  if (info == NULL)
    errx(2, "no memory");
  must(fido_dev_get_cbor_info(device, info), "fido_dev_get_cbor_info");
  return info;
}

static int has_option(fido_dev_t *device, const char *wanted) {
  fido_cbor_info_t *info = get_info(device);
  int value = option(info, wanted);
  fido_cbor_info_free(&info);
  return value;
}

static void check_info(fido_dev_t *device) {
  CHECK("it is a FIDO2 device", fido_dev_is_fido2(device));
  CHECK("it has CBOR and MSG", (fido_dev_flags(device) & (FIDO_CAP_CBOR | FIDO_CAP_NMSG)) == FIDO_CAP_CBOR);
  CHECK("it supports a PIN", fido_dev_supports_pin(device) && !fido_dev_has_pin(device));
  CHECK("it supports credential management", fido_dev_supports_credman(device));
  CHECK("it supports credential protection", fido_dev_supports_cred_prot(device));
  CHECK("it supports permissions", fido_dev_supports_permissions(device));
  fido_cbor_info_t *info = get_info(device);
  char **extensions = fido_cbor_info_extensions_ptr(info);
  size_t count = fido_cbor_info_extensions_len(info);
  CHECK("info lists the extensions",
      lists(extensions, count, "hmac-secret") && lists(extensions, count, "credProtect") &&
      lists(extensions, count, "largeBlobKey") && lists(extensions, count, "credBlob") &&
      lists(extensions, count, "minPinLength"));
  char **versions = fido_cbor_info_versions_ptr(info);
  count = fido_cbor_info_versions_len(info);
  CHECK("info lists the versions", lists(versions, count, "FIDO_2_0") && lists(versions, count, "FIDO_2_1") &&
      lists(versions, count, "U2F_V2"));
  CHECK("info lists both PIN protocols", fido_cbor_info_protocols_len(info) == 2);
  CHECK("info has the sizes", fido_cbor_info_maxlargeblob(info) >= 1024 && fido_cbor_info_maxcredbloblen(info) >= 32 &&
      fido_cbor_info_minpinlen(info) == 4 && fido_cbor_info_maxrpid_minpinlen(info) > 0 &&
      fido_cbor_info_rk_remaining(info) > 0);
  CHECK("info has the options", option(info, "rk") == 1 && option(info, "clientPin") == 0 &&
      option(info, "pinUvAuthToken") == 1 && option(info, "largeBlobs") == 1 && option(info, "authnrCfg") == 1 &&
      option(info, "alwaysUv") == 0 && option(info, "credMgmt") == 1 && option(info, "setMinPINLength") == 1);
  fido_cbor_info_free(&info);
}

static void check_pin(fido_dev_t *device) {
  int left = -1;
  WORKS("set a PIN", fido_dev_set_pin(device, NEW_PIN, NULL));
  CHECK("the PIN is set", has_option(device, "clientPin") == 1);
  WORKS("get the PIN retries", fido_dev_get_retry_count(device, &left));
  CHECK("all retries are left", left == 8);
  IS("a wrong PIN is refused", fido_dev_set_pin(device, PIN, WRONG_PIN), FIDO_ERR_PIN_INVALID);
  must(fido_dev_get_retry_count(device, &left), "fido_dev_get_retry_count");
  CHECK("a wrong PIN costs a retry", left == 7);
  IS("a short PIN is refused", fido_dev_set_pin(device, "123", NEW_PIN), FIDO_ERR_PIN_POLICY_VIOLATION);
  WORKS("change the PIN", fido_dev_set_pin(device, PIN, NEW_PIN));
  must(fido_dev_get_retry_count(device, &left), "fido_dev_get_retry_count");
  CHECK("the right PIN gives the retries back", left == 8);
}

static const unsigned char blob[] = "thirty-two bytes for a credBlob.";

static void check_registration(fido_dev_t *device, struct account *account) {
  int extensions = FIDO_EXT_HMAC_SECRET | FIDO_EXT_CRED_PROTECT | FIDO_EXT_LARGEBLOB_KEY | FIDO_EXT_CRED_BLOB;
  fido_cred_t *credential = request_credential(RP_ID, "deploy", 0);
  must(fido_cred_set_rk(credential, FIDO_OPT_TRUE), "fido_cred_set_rk");
  IS("a discoverable credential needs the PIN", fido_dev_make_cred(device, credential, NULL), FIDO_ERR_PIN_REQUIRED);
  fido_cred_free(&credential);

  credential = request_credential(RP_ID, "deploy", extensions);
  must(fido_cred_set_rk(credential, FIDO_OPT_TRUE), "fido_cred_set_rk");
  must(fido_cred_set_prot(credential, FIDO_CRED_PROT_UV_OPTIONAL_WITH_ID), "fido_cred_set_prot");
  must(fido_cred_set_blob(credential, blob, 32), "fido_cred_set_blob");
  if (!WORKS("make a credential with all extensions", fido_dev_make_cred(device, credential, PIN)))
    errx(2, "nothing to go on with");
  WORKS("the registration verifies", fido_cred_verify_self(credential));
  CHECK("the user is verified", (fido_cred_flags(credential) & USER_VERIFIED) != 0);
  CHECK("the protection is as asked", fido_cred_prot(credential) == FIDO_CRED_PROT_UV_OPTIONAL_WITH_ID);
  CHECK("there is a large-blob key", fido_cred_largeblob_key_len(credential) == KEY);
  keep(credential, account);
  fido_cred_free(&credential);

  credential = request_credential(RP_ID, "another", 0);
  must(fido_cred_exclude(credential, account->id, account->id_length), "fido_cred_exclude");
  IS("an excluded one is not made", fido_dev_make_cred(device, credential, PIN), FIDO_ERR_CREDENTIAL_EXCLUDED);
  fido_cred_free(&credential);
}

// One assertion with hmac-secret; its outputs.
static int evaluate(fido_dev_t *device, const struct account *account, const unsigned char *salts, size_t count,
    const char *pin, unsigned char *outputs) {
  fido_assert_t *assertion = request_assertion(RP_ID, account, FIDO_EXT_HMAC_SECRET);
  must(fido_assert_set_hmac_salt(assertion, salts, count * SALT), "fido_assert_set_hmac_salt");
  int result = fido_dev_get_assert(device, assertion, pin);
  if (result == FIDO_OK)
    result = fido_assert_verify(assertion, 0, COSE_ES256, account->key);
  if (result == FIDO_OK && fido_assert_hmac_secret_len(assertion, 0) != count * SALT)
    result = FIDO_ERR_INVALID_LENGTH;
  if (result == FIDO_OK && ((fido_assert_flags(assertion, 0) & USER_VERIFIED) != 0) != (pin != NULL))
    result = FIDO_ERR_INVALID_PARAM;
  if (result == FIDO_OK)
    memcpy(outputs, fido_assert_hmac_secret_ptr(assertion, 0), count * SALT);
  fido_assert_free(&assertion);
  return result;
}

static void check_secrets(fido_dev_t *device, const struct account *account) {
  unsigned char salts[2 * SALT], one[SALT], again[SALT], both[2 * SALT], verified[2 * SALT];
  randomize(salts, sizeof(salts));
  WORKS("hmac-secret of one salt", evaluate(device, account, salts, 1, NULL, one));
  WORKS("hmac-secret of one salt again", evaluate(device, account, salts, 1, NULL, again));
  WORKS("hmac-secret of two salts", evaluate(device, account, salts, 2, NULL, both));
  WORKS("hmac-secret of two salts with the PIN", evaluate(device, account, salts, 2, PIN, verified));
  CHECK("the same salt gives the same secret", memcmp(one, again, SALT) == 0 && memcmp(one, both, SALT) == 0);
  CHECK("another salt gives another secret", memcmp(both, both + SALT, SALT) != 0);
  CHECK("verification gives other secrets", memcmp(both, verified, SALT) != 0 &&
      memcmp(both + SALT, verified + SALT, SALT) != 0);
  WORKS("hmac-secret of one salt with the PIN", evaluate(device, account, salts, 1, PIN, again));
  CHECK("with verification they are the same again", memcmp(again, verified, SALT) == 0);
}

static void check_assertions(fido_dev_t *device, const struct account *account) {
  fido_assert_t *assertion = request_assertion(RP_ID, NULL, 0);
  IS("protection hides it from the unverified", fido_dev_get_assert(device, assertion, NULL), FIDO_ERR_NO_CREDENTIALS);
  fido_assert_free(&assertion);

  assertion = request_assertion(RP_ID, NULL, FIDO_EXT_CRED_BLOB | FIDO_EXT_LARGEBLOB_KEY);
  if (WORKS("an assertion by PIN without a list", fido_dev_get_assert(device, assertion, PIN))) {
    WORKS("the assertion verifies", fido_assert_verify(assertion, 0, COSE_ES256, account->key));
    CHECK("the user is present and verified in it",
        (fido_assert_flags(assertion, 0) & (USER_PRESENT | USER_VERIFIED)) == (USER_PRESENT | USER_VERIFIED));
    CHECK("it has the blob", fido_assert_blob_len(assertion, 0) == 32 &&
        memcmp(fido_assert_blob_ptr(assertion, 0), blob, 32) == 0);
    CHECK("it has the large-blob key", fido_assert_largeblob_key_len(assertion, 0) == KEY &&
        memcmp(fido_assert_largeblob_key_ptr(assertion, 0), account->large_blob_key, KEY) == 0);
    CHECK("it names the user", fido_assert_user_id_len(assertion, 0) == 6 &&
        memcmp(fido_assert_user_id_ptr(assertion, 0), "deploy", 6) == 0);
  }
  fido_assert_free(&assertion);

  assertion = request_assertion(RP_ID, account, 0);
  WORKS("an assertion without the PIN", fido_dev_get_assert(device, assertion, NULL));
  CHECK("the user is present in it, not verified",
      (fido_assert_flags(assertion, 0) & (USER_PRESENT | USER_VERIFIED)) == USER_PRESENT);
  fido_assert_free(&assertion);

  assertion = request_assertion(RP_ID, account, 0);
  must(fido_assert_set_up(assertion, FIDO_OPT_FALSE), "fido_assert_set_up");
  WORKS("an assertion without presence", fido_dev_get_assert(device, assertion, NULL));
  CHECK("nobody is present in it", fido_assert_flags(assertion, 0) == 0);
  fido_assert_free(&assertion);
}

static void check_management(fido_dev_t *device, const struct account *account) {
  fido_cred_t *second = request_credential("second." RP_ID, "second", 0);
  must(fido_cred_set_rk(second, FIDO_OPT_TRUE), "fido_cred_set_rk");
  WORKS("make a second credential", fido_dev_make_cred(device, second, PIN));

  fido_credman_metadata_t *metadata = fido_credman_metadata_new();
  WORKS("get the metadata", fido_credman_get_dev_metadata(device, metadata, PIN));
  CHECK("two credentials are counted",
      fido_credman_rk_existing(metadata) == 2 && fido_credman_rk_remaining(metadata) > 0);
  fido_credman_metadata_free(&metadata);

  fido_credman_rp_t *parties = fido_credman_rp_new();
  WORKS("list the relying parties", fido_credman_get_dev_rp(device, parties, PIN));
  CHECK("two relying parties are listed", fido_credman_rp_count(parties) == 2);
  fido_credman_rp_free(&parties);

  fido_credman_rk_t *listed = fido_credman_rk_new();
  if (WORKS("list the credentials", fido_credman_get_dev_rk(device, RP_ID, listed, PIN)) &&
      CHECK("one credential is listed", fido_credman_rk_count(listed) == 1)) {
    const fido_cred_t *found = fido_credman_rk(listed, 0);
    CHECK("it is the first", fido_cred_id_len(found) == account->id_length &&
        memcmp(fido_cred_id_ptr(found), account->id, account->id_length) == 0);
    CHECK("it is listed with its user", strcmp(fido_cred_user_name(found), "deploy") == 0);
    CHECK("it is listed with its protection", fido_cred_prot(found) == FIDO_CRED_PROT_UV_OPTIONAL_WITH_ID);
    CHECK("it is listed with its large-blob key", fido_cred_largeblob_key_len(found) == KEY &&
        memcmp(fido_cred_largeblob_key_ptr(found), account->large_blob_key, KEY) == 0);
  }
  fido_credman_rk_free(&listed);

  metadata = fido_credman_metadata_new();
  IS("a wrong PIN lists nothing", fido_credman_get_dev_metadata(device, metadata, WRONG_PIN), FIDO_ERR_PIN_INVALID);
  fido_credman_metadata_free(&metadata);

  fido_cred_t *renamed = fido_cred_new();
  must(fido_cred_set_id(renamed, fido_cred_id_ptr(second), fido_cred_id_len(second)), "fido_cred_set_id");
  must(fido_cred_set_user(renamed, (const unsigned char *)"second", 6, "renamed", "Renamed", NULL),
      "fido_cred_set_user");
  WORKS("rename a user", fido_credman_set_dev_rk(device, renamed, PIN));
  listed = fido_credman_rk_new();
  WORKS("list the renamed", fido_credman_get_dev_rk(device, "second." RP_ID, listed, PIN));
  CHECK("the user is renamed", fido_credman_rk_count(listed) == 1 &&
      strcmp(fido_cred_user_name(fido_credman_rk(listed, 0)), "renamed") == 0);
  fido_credman_rk_free(&listed);
  fido_cred_free(&renamed);

  WORKS("delete a credential",
      fido_credman_del_dev_rk(device, fido_cred_id_ptr(second), fido_cred_id_len(second), PIN));
  listed = fido_credman_rk_new();
  IS("it is gone", fido_credman_get_dev_rk(device, "second." RP_ID, listed, PIN), FIDO_ERR_NO_CREDENTIALS);
  fido_credman_rk_free(&listed);
  fido_cred_free(&second);
}

static void check_large_blobs(fido_dev_t *device, const struct account *account) {
  static unsigned char text[20000];
  for (size_t index = 0; index < sizeof(text); index++)
    text[index] = (unsigned char)(index * index >> 3);
  unsigned char *found = NULL, *array = NULL;
  size_t length = 0, array_length = 0;
  IS("there is no large blob", fido_dev_largeblob_get(device, account->large_blob_key, KEY, &found, &length),
      FIDO_ERR_NOTFOUND);
  WORKS("set a large blob",
      fido_dev_largeblob_set(device, account->large_blob_key, KEY, text, sizeof(text), PIN));
  WORKS("get the large blob", fido_dev_largeblob_get(device, account->large_blob_key, KEY, &found, &length));
  CHECK("it is the same", length == sizeof(text) && found != NULL && memcmp(found, text, length) == 0);
  free(found);
  WORKS("get the whole array", fido_dev_largeblob_get_array(device, &array, &array_length));
  WORKS("remove the large blob", fido_dev_largeblob_remove(device, account->large_blob_key, KEY, PIN));
  found = NULL;
  IS("it is removed", fido_dev_largeblob_get(device, account->large_blob_key, KEY, &found, &length), FIDO_ERR_NOTFOUND);
  WORKS("set the whole array", fido_dev_largeblob_set_array(device, array, array_length, PIN));
  WORKS("the large blob is back", fido_dev_largeblob_get(device, account->large_blob_key, KEY, &found, &length));
  free(found);
  free(array);
  IS("a wrong PIN writes nothing",
      fido_dev_largeblob_remove(device, account->large_blob_key, KEY, WRONG_PIN), FIDO_ERR_PIN_INVALID);
}

// A device whose settings have changed has to be looked at again.
static void reopen(fido_dev_t **device) {
  device_close(device);
  *device = device_open(path);
}

static void check_configuration(fido_dev_t **device, const struct account *account) {
  WORKS("turn alwaysUv on", fido_dev_toggle_always_uv(*device, PIN));
  reopen(device);
  CHECK("alwaysUv is on", has_option(*device, "alwaysUv") == 1);
  fido_assert_t *assertion = request_assertion(RP_ID, account, 0);
  IS("now an assertion needs the PIN", fido_dev_get_assert(*device, assertion, NULL), FIDO_ERR_PIN_REQUIRED);
  WORKS("with the PIN there is one", fido_dev_get_assert(*device, assertion, PIN));
  fido_assert_free(&assertion);
  WORKS("turn alwaysUv off", fido_dev_toggle_always_uv(*device, PIN));
  reopen(device);
  CHECK("alwaysUv is off", has_option(*device, "alwaysUv") == 0);

  const char *told[] = { RP_ID };
  WORKS("name who is told the minimum length", fido_dev_set_pin_minlen_rpid(*device, told, 1, PIN));
  WORKS("set the minimum length", fido_dev_set_pin_minlen(*device, 6, PIN));
  fido_cred_t *credential = request_credential(RP_ID, "told", 0);
  must(fido_cred_set_pin_minlen(credential, 6), "fido_cred_set_pin_minlen");
  WORKS("a registration is told the minimum length", fido_dev_make_cred(*device, credential, PIN));
  WORKS("that registration verifies", fido_cred_verify_self(credential));
  CHECK("the minimum length is told", fido_cred_pin_minlen(credential) == 6);
  fido_cred_free(&credential);
  IS("it gets no shorter", fido_dev_set_pin_minlen(*device, 4, PIN), FIDO_ERR_PIN_POLICY_VIOLATION);

  WORKS("force a change of the PIN", fido_dev_force_pin_change(*device, PIN));
  fido_cbor_info_t *info = get_info(*device);
  CHECK("a change is wanted", fido_cbor_info_new_pin_required(info));
  CHECK("info has the new minimum length", fido_cbor_info_minpinlen(info) == 6);
  fido_cbor_info_free(&info);
  fido_credman_metadata_t *metadata = fido_credman_metadata_new();
  CHECK("until then the PIN opens nothing", fido_credman_get_dev_metadata(*device, metadata, PIN) != FIDO_OK);
  WORKS("the PIN is changed", fido_dev_set_pin(*device, NEW_PIN, PIN));
  WORKS("the new PIN opens", fido_credman_get_dev_metadata(*device, metadata, NEW_PIN));
  fido_credman_metadata_free(&metadata);
}

static void check_u2f(fido_dev_t **device) {
  struct account account = { .key = NULL };
  reopen(device);
  fido_dev_force_u2f(*device);
  CHECK("it is a U2F device too", !fido_dev_is_fido2(*device));
  fido_cred_t *credential = request_credential(RP_ID, "u2f", 0);
  if (!WORKS("register by U2F", fido_dev_make_cred(*device, credential, NULL)))
    errx(2, "nothing to go on with");
  CHECK("the format is U2F's", strcmp(fido_cred_fmt(credential), "fido-u2f") == 0);
  WORKS("the U2F registration verifies", fido_cred_verify(credential));
  keep(credential, &account);
  fido_cred_free(&credential);

  fido_assert_t *assertion = request_assertion(RP_ID, &account, 0);
  WORKS("authenticate by U2F", fido_dev_get_assert(*device, assertion, NULL));
  WORKS("the U2F signature verifies", fido_assert_verify(assertion, 0, COSE_ES256, account.key));
  fido_assert_free(&assertion);

  struct account unknown = account;
  unknown.id[0] ^= 1;
  assertion = request_assertion(RP_ID, &unknown, 0);
  CHECK("an unknown key handle is refused", fido_dev_get_assert(*device, assertion, NULL) != FIDO_OK);
  fido_assert_free(&assertion);

  reopen(device);
  assertion = request_assertion(RP_ID, &account, 0);
  WORKS("the U2F credential signs in CTAP2", fido_dev_get_assert(*device, assertion, NULL));
  WORKS("that signature verifies", fido_assert_verify(assertion, 0, COSE_ES256, account.key));
  fido_assert_free(&assertion);
  es256_pk_free(&account.key);
}

static void check_reset(fido_dev_t **device, const struct account *account) {
  WORKS("reset", fido_dev_reset(*device));
  reopen(device);
  CHECK("the PIN is gone", !fido_dev_has_pin(*device));
  fido_assert_t *assertion = request_assertion(RP_ID, account, 0);
  IS("the credentials are gone", fido_dev_get_assert(*device, assertion, NULL), FIDO_ERR_NO_CREDENTIALS);
  fido_assert_free(&assertion);
  fido_cbor_info_t *info = get_info(*device);
  CHECK("the settings are gone", fido_cbor_info_minpinlen(info) == 4 && !fido_cbor_info_new_pin_required(info));
  fido_cbor_info_free(&info);
}

int main(int count, char **arguments) {
  if (count != 2)
    errx(2, "usage: client SOCKET");
  path = arguments[1];
  setvbuf(stdout, NULL, _IOLBF, 0);
  fido_init(0);

  struct account account = { .key = NULL };
  fido_dev_t *device = device_open(path);
  check_info(device);
  check_pin(device);
  reopen(&device);
  check_registration(device, &account);
  check_secrets(device, &account);
  check_assertions(device, &account);
  check_management(device, &account);
  check_large_blobs(device, &account);
  check_configuration(&device, &account);
  check_u2f(&device);
  check_reset(&device, &account);
  es256_pk_free(&account.key);
  device_close(&device);
  return failures > 0;
}
