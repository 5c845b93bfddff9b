#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

int cs_random(void *bytes, size_t count) {
  unsigned char *next = bytes;
  while (count > 0) {
    ssize_t got = getrandom(next, count, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return -1;
    }
    next += got;
    count -= (size_t)got;
  }
  return 0;
}

void *cs_secret_map(size_t count) {
  void *address = mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) return NULL;
  if (mlock(address, count) != 0 || madvise(address, count, MADV_DONTDUMP) != 0 ||
      madvise(address, count, MADV_WIPEONFORK) != 0) {
    int reason = errno;
    munmap(address, count);
    errno = reason;
    return NULL;
  }
  return address;
}

void cs_secret_unmap(void *address, size_t count) {
  explicit_bzero(address, count);
  munmap(address, count);
}

void cs_wipe(void *address, size_t count) { explicit_bzero(address, count); }

int cs_compare(const void *a, const void *b, size_t count) {
  const volatile unsigned char *left = a, *right = b;
  unsigned char difference = 0;
  for (size_t i = 0; i < count; i++) difference |= left[i] ^ right[i];
  return difference;
}

void cs_bound_heaps(void) { mallopt(M_ARENA_MAX, 2); }

// Set by the linker: where this program's own code begins and ends.
extern char __executable_start[], etext[];

void cs_release_startup_memory(void) {
  malloc_trim(0);
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t begin = ((uintptr_t)__executable_start + page - 1) & ~(page - 1);
  uintptr_t end = (uintptr_t)etext & ~(page - 1);
  // The mapping is private, backed by the file and never written to: nothing can be lost.
  if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}
