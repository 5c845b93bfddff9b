#define _GNU_SOURCE
#include "CLinux.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

_Static_assert(CS_EVENT_READ == EPOLLIN && CS_EVENT_WRITE == EPOLLOUT && CS_EVENT_ERROR == EPOLLERR &&
                   CS_EVENT_HANGUP == EPOLLHUP,
               "the constants of CLinux.h are epoll's");

int cs_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static int control(int epoll, int operation, int descriptor, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data = {.u64 = data}};
  return epoll_ctl(epoll, operation, descriptor, &event);
}

int cs_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t data) {
  return control(epoll, EPOLL_CTL_ADD, descriptor, events, data);
}

int cs_epoll_change(int epoll, int descriptor, uint32_t events, uint64_t data) {
  return control(epoll, EPOLL_CTL_MOD, descriptor, events, data);
}

int cs_epoll_remove(int epoll, int descriptor) { return control(epoll, EPOLL_CTL_DEL, descriptor, 0, 0); }

int cs_epoll_wait(int epoll, struct cs_event *out, int room, int milliseconds) {
  struct epoll_event events[CS_EVENTS];
  int count = epoll_wait(epoll, events, room < CS_EVENTS ? room : CS_EVENTS, milliseconds);
  for (int i = 0; i < count; i++) {
    out[i].events = events[i].events;
    out[i].data = events[i].data.u64;
  }
  return count;
}

int cs_signalfd(const sigset_t *signals) { return signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK); }

int cs_signalfd_read(int descriptor) {
  struct signalfd_siginfo info;
  if (read(descriptor, &info, sizeof info) != (ssize_t)sizeof info) return -1;
  return (int)info.ssi_signo;
}
