// See DESIGN.md, "The socket": u32 big-endian length, command byte, payload. Or, where the path is that of a socket of
// packets, the reports of countersign-hid: then libfido2 speaks CTAPHID itself.

#include "socket.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { KEEPALIVE = 0x3b, LARGEST = 65536, REPORT = 64 };

static int send_all(int descriptor, const uint8_t *data, size_t count) {
  while (count > 0) {
    ssize_t sent = send(descriptor, data, count, MSG_NOSIGNAL);
    if (sent <= 0)
      return -1;
    data += sent;
    count -= (size_t)sent;
  }
  return 0;
}

static int receive_all(int descriptor, uint8_t *data, size_t count) {
  while (count > 0) {
    ssize_t received = recv(descriptor, data, count, 0);
    if (received <= 0)
      return -1;
    data += received;
    count -= (size_t)received;
  }
  return 0;
}

static int connect_to(const char *path, int kind) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (strlen(path) >= sizeof(address.sun_path))
    return -1;
  strcpy(address.sun_path, path);
  int descriptor = socket(AF_UNIX, kind | SOCK_CLOEXEC, 0);
  if (descriptor < 0)
    return -1;
  if (connect(descriptor, (struct sockaddr *)&address, sizeof(address)) != 0) {
    close(descriptor);
    return -1;
  }
  return descriptor;
}

static int send_frame(int descriptor, uint8_t command, const uint8_t *payload, size_t length) {
  size_t count = length + 1;
  if (count > LARGEST)
    return -1;
  uint8_t head[] = { 0, (uint8_t)(count >> 16), (uint8_t)(count >> 8), (uint8_t)count, command };
  if (send_all(descriptor, head, sizeof(head)) != 0)
    return -1;
  return send_all(descriptor, payload, length);
}

// The next frame that is no keepalive: its command, and how many bytes of payload there are.
static int receive_frame(int descriptor, uint8_t *command, uint8_t *payload, size_t room) {
  static uint8_t frame[LARGEST];
  for (;;) {
    uint8_t head[4];
    if (receive_all(descriptor, head, sizeof(head)) != 0)
      return -1;
    size_t count = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (head[0] != 0 || count == 0 || count > LARGEST)
      return -1;
    if (receive_all(descriptor, frame, count) != 0)
      return -1;
    *command = frame[0];
    if (*command != KEEPALIVE) {
      if (count - 1 > room)
        return -1;
      memcpy(payload, frame + 1, count - 1);
      return (int)(count - 1);
    }
  }
}

// Whether the socket carries frames, not reports.
static int has_frames(const char *path) {
  int descriptor = connect_to(path, SOCK_STREAM);
  if (descriptor >= 0)
    close(descriptor);
  return descriptor >= 0 || errno != EPROTOTYPE;
}

// What libfido2 holds of a connection: a pointer to its descriptor.
struct connection {
  int descriptor;
};

static void *io_open(const char *path) {
  struct connection *connection = calloc(1, sizeof(*connection));
  if (connection == NULL)
    return NULL;
  connection->descriptor = connect_to(path, has_frames(path) ? SOCK_STREAM : SOCK_SEQPACKET);
  if (connection->descriptor < 0) {
    free(connection);
    return NULL;
  }
  return connection;
}

static void io_close(void *handle) {
  struct connection *connection = handle;
  close(connection->descriptor);
  free(connection);
}

// These two are for reports only: the transport below takes whole messages.
static int io_read(void *handle, unsigned char *data, size_t count, int patience) {
  struct connection *connection = handle;
  struct pollfd state = { .fd = connection->descriptor, .events = POLLIN };
  if (count != REPORT || poll(&state, 1, patience) != 1)
    return -1;
  ssize_t received = recv(connection->descriptor, data, count, 0);
  return received == REPORT ? REPORT : -1;
}

// libfido2 writes the report's number, 0, before it.
static int io_write(void *handle, const unsigned char *data, size_t count) {
  struct connection *connection = handle;
  if (count != REPORT + 1 || send(connection->descriptor, data + 1, REPORT, MSG_NOSIGNAL) != REPORT)
    return -1;
  return (int)count;
}

static int transmit(fido_dev_t *device, uint8_t command, const unsigned char *data, size_t count) {
  struct connection *connection = fido_dev_io_handle(device);
  return send_frame(connection->descriptor, command, data, count);
}

static int receive(fido_dev_t *device, uint8_t command, unsigned char *data, size_t room, int patience) {
  (void)patience;
  struct connection *connection = fido_dev_io_handle(device);
  uint8_t answered = 0;
  int count = receive_frame(connection->descriptor, &answered, data, room);
  return answered == command ? count : -1;
}

fido_dev_t *device_open(const char *path) {
  static const fido_dev_io_t io = { io_open, io_close, io_read, io_write };
  static const fido_dev_transport_t transport = { receive, transmit };
  fido_dev_t *device = fido_dev_new();
  if (device == NULL)
    errx(2, "no memory");
  int result = fido_dev_set_io_functions(device, &io);
  if (result == FIDO_OK && has_frames(path))
    result = fido_dev_set_transport_functions(device, &transport);
  if (result == FIDO_OK)
    result = fido_dev_open(device, path);
  if (result != FIDO_OK)
    errx(2, "%s cannot be opened as a device: %s", path, fido_strerr(result));
  return device;
}

void device_close(fido_dev_t **device) {
  if (*device != NULL)
    fido_dev_close(*device);
  fido_dev_free(device);
}
