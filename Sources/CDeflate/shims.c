#include "CDeflate.h"
#include <limits.h>
#include <string.h>
#include <zlib.h>

/// Negative: a stream without zlib's header.
enum { RAW_WINDOW = -MAX_WBITS, MEMORY_LEVEL = 8 };

size_t cs_deflate_bound(size_t count) {
  // Stored blocks of at least 16,383 bytes with five bytes each, and some bytes for the last one.
  return count + count / 8192 * 5 + 64;
}

int cs_deflate(const unsigned char *bytes, size_t count, unsigned char *out, size_t room, size_t *out_count) {
  z_stream stream;
  memset(&stream, 0, sizeof stream);
  if (count > UINT_MAX || room > UINT_MAX) return 0;
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, RAW_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
    return 0;
  stream.next_in = (unsigned char *)bytes;
  stream.avail_in = (uInt)count;
  stream.next_out = out;
  stream.avail_out = (uInt)room;
  int status = deflate(&stream, Z_FINISH);
  *out_count = stream.total_out;
  deflateEnd(&stream);
  return status == Z_STREAM_END;
}

int cs_inflate(const unsigned char *bytes, size_t count, unsigned char *out, size_t room, size_t *out_count) {
  z_stream stream;
  unsigned char nothing;
  memset(&stream, 0, sizeof stream);
  if (count > UINT_MAX || room > UINT_MAX) return 0;
  if (inflateInit2(&stream, RAW_WINDOW) != Z_OK) return 0;
  stream.next_in = (unsigned char *)bytes;
  stream.avail_in = (uInt)count;
  // zlib takes no null pointer, not even for no room.
  stream.next_out = room > 0 ? out : &nothing;
  stream.avail_out = (uInt)room;
  int status = inflate(&stream, Z_FINISH);
  *out_count = stream.total_out;
  int is_whole = status == Z_STREAM_END && stream.avail_in == 0;
  inflateEnd(&stream);
  return is_whole;
}
