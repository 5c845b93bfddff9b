#pragma once
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// What Glibc's Swift module hides behind _GNU_SOURCE or composed macros. The definition of _GNU_SOURCE stays in
/// the .c files: in a header it breaks the other modules.

/// Fills `bytes` from the kernel's generator; 0, or -1 with errno.
int cs_random(void *bytes, size_t count);

/// `count` zero bytes of memory that is locked, left out of core dumps and wiped in a forked child. Any thread.
/// NULL with errno where the kernel refuses.
void *cs_secret_allocate(size_t count);
/// Wipes and frees what cs_secret_allocate gave for the same count.
void cs_secret_free(void *address, size_t count);
/// Overwrites memory in a way that the optimiser keeps.
void cs_wipe(void *address, size_t count);
/// 0 if equal; time depends on `count` only.
int cs_compare(const void *a, const void *b, size_t count);

/// flock(2) for one holder, without waiting; -1 with errno EWOULDBLOCK where another descriptor holds the lock. In Swift
/// the function is hidden by the structure of the same name.
int cs_lock_exclusively(int descriptor);
/// Ends that lock at once, whoever else has a copy of the descriptor.
void cs_unlock(int descriptor);
/// renameat2(2) with RENAME_NOREPLACE.
int cs_rename_exclusively(const char *from, const char *to);

/// Sets a file's access list (acl(5)) to these bytes, which have the form of the extended attribute; -1 with errno.
int cs_set_access_list(const char *path, const void *list, size_t count);

/// eventfd(2) with EFD_CLOEXEC; -1 with errno.
int cs_eventfd(void);
/// Names the calling thread; at most 15 bytes count.
void cs_name_thread(const char *name);

/// Unix sockets. A path that begins with '@' names the abstract namespace. Every descriptor is made with CLOEXEC;
/// -1 with errno is failure.

/// A stream socket connected to `path`, or a SOCK_SEQPACKET one where `packets` is not 0.
int cs_unix_connect(const char *path, int packets, int nonblocking);
/// A non-blocking socket of either kind bound to `path`, whose file never has more permissions than `mode`.
int cs_unix_bind(const char *path, int packets, mode_t mode);
/// accept4(2), the new socket non-blocking.
int cs_accept(int listener);
/// The next packet of a SOCK_SEQPACKET socket, without waiting: how long it was, which may be more than `room` (the rest
/// is gone). -1 with errno EPIPE at the end, which an empty packet is not, and with EAGAIN where none is there.
ssize_t cs_receive_packet(int descriptor, void *bytes, size_t room);
/// One datagram to `path`; 0 when sent.
int cs_unix_send_datagram(const char *path, const void *bytes, size_t count);
/// A non-blocking datagram socket connected to `path`.
int cs_unix_connect_datagram(const char *path);
/// Whether the descriptor is a listening Unix stream socket: 1, 0, or -1 with errno.
int cs_is_listening_unix_stream(int descriptor);
/// SO_PEERCRED.
int cs_peer_credentials(int descriptor, pid_t *process, uid_t *user, gid_t *group);
/// SO_PEERGROUPS: how many there are, which may be more than `room` (then nothing was written).
int cs_peer_groups(int descriptor, gid_t *groups, int room);
/// SO_PEERPIDFD (Linux 6.5).
int cs_peer_pidfd(int descriptor);

/// struct uhid_event of <linux/uhid.h>, which is packed: where its parts are. The numbers are checked against that header
/// where this is compiled. Offsets are from the begin of the event, whose first four bytes are its type.
enum {
  CS_UHID_DESTROY = 1,
  CS_UHID_START = 2,
  CS_UHID_STOP = 3,
  CS_UHID_OPEN = 4,
  CS_UHID_CLOSE = 5,
  CS_UHID_OUTPUT = 6,
  CS_UHID_GET_REPORT = 9,
  CS_UHID_GET_REPORT_REPLY = 10,
  CS_UHID_CREATE2 = 11,
  CS_UHID_INPUT2 = 12,
  CS_UHID_SET_REPORT = 13,
  CS_UHID_SET_REPORT_REPLY = 14,

  CS_UHID_EVENT_SIZE = 4380,
  CS_UHID_DATA_SIZE = 4096,

  CS_UHID_CREATE2_NAME = 4,
  CS_UHID_CREATE2_PHYS = 132,
  CS_UHID_CREATE2_UNIQ = 196,
  CS_UHID_CREATE2_DESCRIPTOR_SIZE = 260,
  CS_UHID_CREATE2_BUS = 262,
  CS_UHID_CREATE2_VENDOR = 264,
  CS_UHID_CREATE2_PRODUCT = 268,
  CS_UHID_CREATE2_VERSION = 272,
  CS_UHID_CREATE2_COUNTRY = 276,
  CS_UHID_CREATE2_DESCRIPTOR = 280,

  CS_UHID_INPUT2_SIZE = 4,
  CS_UHID_INPUT2_DATA = 6,

  CS_UHID_OUTPUT_DATA = 4,
  CS_UHID_OUTPUT_SIZE = 4100,
  CS_UHID_OUTPUT_TYPE = 4102,

  /// Of UHID_GET_REPORT, UHID_SET_REPORT and their replies.
  CS_UHID_REPORT_ID = 4,
  CS_UHID_REPORT_NUMBER = 8,
  CS_UHID_REPORT_TYPE = 9,
  CS_UHID_REPLY_ERROR = 8,
  CS_UHID_SET_REPORT_SIZE = 10,
  CS_UHID_SET_REPORT_DATA = 12,
  CS_UHID_GET_REPORT_REPLY_SIZE = 10,

  CS_UHID_OUTPUT_REPORT = 1,
  /// BUS_USB of <linux/input.h>.
  CS_UHID_BUS_USB = 3,
};

/// epoll(7).
#define CS_EVENT_READ 0x001u
#define CS_EVENT_PRIORITY 0x002u
#define CS_EVENT_WRITE 0x004u
#define CS_EVENT_ERROR 0x008u
#define CS_EVENT_HANGUP 0x010u
/// The most events that one cs_epoll_wait gives.
#define CS_EVENTS 128
struct cs_event {
  uint64_t data;
  uint32_t events;
};
int cs_epoll_create(void);
int cs_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t data);
int cs_epoll_change(int epoll, int descriptor, uint32_t events, uint64_t data);
int cs_epoll_remove(int epoll, int descriptor);
int cs_epoll_wait(int epoll, struct cs_event *out, int room, int milliseconds);

/// signalfd(2), non-blocking.
int cs_signalfd(const sigset_t *signals);
/// The next pending signal, or -1 with errno.
int cs_signalfd_read(int descriptor);
/// posix_spawnp(3) with no signal blocked or ignored, a process group of its own, and `descriptors[i]` as descriptor
/// i and nothing else open. Every number in `descriptors` must be at least `count`. 0, or an errno.
int cs_spawn(const char *file, char *const arguments[], const int *descriptors, int count, pid_t *process);
/// The same for a child that gets SIGTERM when the calling thread ends, however it ends (PR_SET_PDEATHSIG).
int cs_spawn_tied(const char *file, char *const arguments[], const int *descriptors, int count, pid_t *process);
/// pidfd_open(2) (Linux 5.3), which closes on exec; -1 with errno.
int cs_pidfd_open(pid_t process);
/// Bounds the heaps that threads get. Call it before there are threads.
void cs_bound_heaps(void);
/// Gives back what only the start needed: free heap, and the code and constants of the program and its libraries, whose
/// pages come from the page cache or the file again if they are needed after all.
void cs_release_startup_memory(void);
