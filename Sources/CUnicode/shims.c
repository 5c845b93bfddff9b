#include "CUnicode.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

/// libunistring sorts up to 64 combining characters in a row on its stack, more of them on the heap.
enum { MOST_COMBINING = 16 };

static int has_long_run(const uint8_t *text, size_t count) {
  int run = 0;
  while (count > 0) {
    ucs4_t character;
    int length = u8_mbtouc(&character, text, count);
    run = uc_combining_class(character) == UC_CCC_NR ? 0 : run + 1;
    if (run > MOST_COMBINING) return 1;
    text += length;
    count -= (size_t)length;
  }
  return 0;
}

/// Overwrites the part of the stack that the calls before have used.
__attribute__((noinline)) static void wipe_stack(void) {
  unsigned char used[8192];
  explicit_bzero(used, sizeof used);
}

int cs_normalize_nfc(const unsigned char *text, size_t count, unsigned char *out, size_t room, size_t *out_count) {
  int is_done = 0;
  if (u8_check(text, count) == NULL && !has_long_run(text, count) && room / 3 >= count) {
    size_t length = room;
    uint8_t *result = u8_normalize(UNINORM_NFC, text, count, out, &length);
    if (result == out) {
      *out_count = length;
      is_done = 1;
    } else if (result != NULL) {
      explicit_bzero(result, length);
      free(result);
    }
  }
  wipe_stack();
  return is_done;
}
