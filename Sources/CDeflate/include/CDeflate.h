#pragma once
#include <stddef.h>

/// DEFLATE (RFC 1951) without a header or a checksum. Each returns 1 for success.

/// The most bytes that `count` bytes become.
size_t cs_deflate_bound(size_t count);
/// `room` bytes must be as many as cs_deflate_bound says.
int cs_deflate(const unsigned char *bytes, size_t count, unsigned char *out, size_t room, size_t *out_count);
/// 0 for what is malformed, goes on after its end or is longer than `room` bytes.
int cs_inflate(const unsigned char *bytes, size_t count, unsigned char *out, size_t room, size_t *out_count);
