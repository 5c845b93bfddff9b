#include "CTSS.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 10, SIZE_AT = 2 };

typedef struct {
  TSS2_TCTI_CONTEXT_COMMON_V2 common;
  int descriptor;
  /// Whether `header` holds the head of a response whose rest has not been read.
  int has_header;
  uint8_t header[HEADER];
} stream_tcti;

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command) {
  stream_tcti *self = (stream_tcti *)context;
  while (size > 0) {
    ssize_t sent = send(self->descriptor, command, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return TSS2_TCTI_RC_IO_ERROR;
    command += sent;
    size -= (size_t)sent;
  }
  return TSS2_RC_SUCCESS;
}

static TSS2_RC read_all(int descriptor, uint8_t *bytes, size_t count) {
  while (count > 0) {
    ssize_t got = recv(descriptor, bytes, count, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return TSS2_TCTI_RC_IO_ERROR;
    bytes += got;
    count -= (size_t)got;
  }
  return TSS2_RC_SUCCESS;
}

/// Blocks. A TPM that never answers is the business of the watchdog, which ends the child and so this read.
static TSS2_RC receive(TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response, int32_t timeout) {
  (void)timeout;
  stream_tcti *self = (stream_tcti *)context;
  if (!self->has_header) {
    TSS2_RC status = read_all(self->descriptor, self->header, HEADER);
    if (status != TSS2_RC_SUCCESS) return status;
    self->has_header = 1;
  }
  const uint8_t *field = self->header + SIZE_AT;
  size_t announced = (size_t)field[0] << 24 | (size_t)field[1] << 16 | (size_t)field[2] << 8 | field[3];
  if (announced < HEADER || announced > TPM2_MAX_RESPONSE_SIZE) return TSS2_TCTI_RC_MALFORMED_RESPONSE;
  if (response == NULL) {
    *size = announced;
    return TSS2_RC_SUCCESS;
  }
  if (*size < announced) return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
  memcpy(response, self->header, HEADER);
  self->has_header = 0;
  *size = announced;
  return read_all(self->descriptor, response + HEADER, announced - HEADER);
}

static void finalize(TSS2_TCTI_CONTEXT *context) { close(((stream_tcti *)context)->descriptor); }

static TSS2_RC cancel(TSS2_TCTI_CONTEXT *context) {
  (void)context;
  return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static TSS2_RC poll_handles(TSS2_TCTI_CONTEXT *context, TSS2_TCTI_POLL_HANDLE *handles, size_t *count) {
  (void)context, (void)handles, (void)count;
  return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static TSS2_RC set_locality(TSS2_TCTI_CONTEXT *context, uint8_t locality) {
  (void)context, (void)locality;
  return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static TSS2_RC make_sticky(TSS2_TCTI_CONTEXT *context, TPM2_HANDLE *handle, uint8_t sticky) {
  (void)context, (void)handle, (void)sticky;
  return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

TSS2_TCTI_CONTEXT *cs_tcti_stream(int descriptor) {
  stream_tcti *self = calloc(1, sizeof *self);
  if (self == NULL) {
    close(descriptor);
    return NULL;
  }
  self->common.v1.magic = 0x434f554e54535452;  // any value that is not another TCTI's
  self->common.v1.version = 2;
  self->common.v1.transmit = transmit;
  self->common.v1.receive = receive;
  self->common.v1.finalize = finalize;
  self->common.v1.cancel = cancel;
  self->common.v1.getPollHandles = poll_handles;
  self->common.v1.setLocality = set_locality;
  self->common.makeSticky = make_sticky;
  self->descriptor = descriptor;
  return (TSS2_TCTI_CONTEXT *)self;
}

void cs_tcti_stream_free(TSS2_TCTI_CONTEXT *context) {
  finalize(context);
  free(context);
}
