#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

// "@name" is the abstract namespace, as in sd_notify(3).
static int address(const char *path, struct sockaddr_un *out, socklen_t *length) {
  size_t count = strlen(path);
  if (count == 0 || (count == 1 && path[0] == '@')) {
    errno = EINVAL;
    return -1;
  }
  if (count >= sizeof out->sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memset(out, 0, sizeof *out);
  out->sun_family = AF_UNIX;
  memcpy(out->sun_path, path, count);
  int abstract = path[0] == '@';
  if (abstract) out->sun_path[0] = 0;
  *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + count + (abstract ? 0 : 1));
  return 0;
}

static int fail(int descriptor) {
  int reason = errno;
  close(descriptor);
  errno = reason;
  return -1;
}

static int kind(int packets) { return (packets ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC; }

int cs_unix_connect(const char *path, int packets, int nonblocking) {
  struct sockaddr_un name;
  socklen_t length;
  if (address(path, &name, &length) != 0) return -1;
  int made = socket(AF_UNIX, kind(packets) | (nonblocking ? SOCK_NONBLOCK : 0), 0);
  if (made < 0) return -1;
  if (connect(made, (struct sockaddr *)&name, length) != 0) return fail(made);
  return made;
}

int cs_unix_bind(const char *path, int packets, mode_t mode) {
  struct sockaddr_un name;
  socklen_t length;
  if (address(path, &name, &length) != 0) return -1;
  int made = socket(AF_UNIX, kind(packets) | SOCK_NONBLOCK, 0);
  if (made < 0) return -1;
  // The file gets its mode from the socket's inode and the umask: it is never more open than it is meant to be.
  if (fchmod(made, mode) != 0 || bind(made, (struct sockaddr *)&name, length) != 0) return fail(made);
  return made;
}

int cs_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }

ssize_t cs_receive_packet(int descriptor, void *bytes, size_t room) {
  ssize_t count = recv(descriptor, bytes, room, MSG_DONTWAIT | MSG_TRUNC);
  if (count != 0) return count;
  // Of an empty packet recv(2) says the same as of the end.
  struct pollfd state = {.fd = descriptor, .events = POLLRDHUP};
  if (poll(&state, 1, 0) <= 0 || (state.revents & (POLLRDHUP | POLLHUP)) == 0) return 0;
  errno = EPIPE;
  return -1;
}

int cs_unix_send_datagram(const char *path, const void *bytes, size_t count) {
  struct sockaddr_un name;
  socklen_t length;
  if (address(path, &name, &length) != 0) return -1;
  int made = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (made < 0) return -1;
  ssize_t sent = sendto(made, bytes, count, MSG_NOSIGNAL, (struct sockaddr *)&name, length);
  if (sent < 0) return fail(made);
  close(made);
  return 0;
}

int cs_unix_connect_datagram(const char *path) {
  struct sockaddr_un name;
  socklen_t length;
  if (address(path, &name, &length) != 0) return -1;
  int made = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (made < 0) return -1;
  if (connect(made, (struct sockaddr *)&name, length) != 0) return fail(made);
  return made;
}

static int option(int descriptor, int name, int *value) {
  socklen_t length = sizeof *value;
  return getsockopt(descriptor, SOL_SOCKET, name, value, &length);
}

int cs_is_listening_unix_stream(int descriptor) {
  int domain, type, listening;
  if (option(descriptor, SO_DOMAIN, &domain) != 0 || option(descriptor, SO_TYPE, &type) != 0 ||
      option(descriptor, SO_ACCEPTCONN, &listening) != 0)
    return errno == ENOTSOCK ? 0 : -1;
  return domain == AF_UNIX && type == SOCK_STREAM && listening;
}

int cs_peer_credentials(int descriptor, pid_t *process, uid_t *user, gid_t *group) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -1;
  *process = peer.pid;
  *user = peer.uid;
  *group = peer.gid;
  return 0;
}

int cs_peer_groups(int descriptor, gid_t *groups, int room) {
  socklen_t length = (socklen_t)((size_t)room * sizeof *groups);
  int status = getsockopt(descriptor, SOL_SOCKET, SO_PEERGROUPS, groups, &length);
  int count = (int)(length / sizeof *groups);
  if (status == 0) return count;
  return errno == ERANGE && count > room ? count : -1;
}

int cs_peer_pidfd(int descriptor) {
  int pidfd;
  socklen_t length = sizeof pidfd;
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) != 0) return -1;
  return pidfd;
}

