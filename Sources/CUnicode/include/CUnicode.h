#pragma once
#include <stddef.h>

/// Normalization form C (Unicode Standard Annex #15) of UTF-8, for texts that are secrets: the result lies in memory of
/// the caller's, and what libunistring leaves on the stack is overwritten.
///
/// `out` must have room for three times `count` bytes, so that libunistring needs no memory of its own. 0 where the
/// text is not UTF-8, or has more combining characters in a row than anybody types.
int cs_normalize_nfc(const unsigned char *text, size_t count, unsigned char *out, size_t room, size_t *out_count);
