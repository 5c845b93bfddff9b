#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
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

// Pages that the kernel locks, leaves out of core dumps and wipes in forked children.
static void *map_locked(size_t count) {
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

// Locked memory is scarce (RLIMIT_MEMLOCK), and every connection may hold several secrets: small ones share pages.
enum { slot_size = 128, slot_count = 32, page_size = slot_size * slot_count };

struct secret_page {
  struct secret_page *next;
  unsigned char *base;
  // One bit for each slot.
  uint32_t used;
};

static pthread_mutex_t secret_lock = PTHREAD_MUTEX_INITIALIZER;
static struct secret_page *secret_pages;

static struct secret_page *page_with_room(void) {
  struct secret_page *page = secret_pages;
  while (page != NULL && page->used == UINT32_MAX) page = page->next;
  if (page != NULL) return page;
  page = malloc(sizeof *page);
  if (page == NULL) return NULL;
  page->base = map_locked(page_size);
  if (page->base == NULL) {
    int reason = errno;
    free(page);
    errno = reason;
    return NULL;
  }
  page->used = 0;
  page->next = secret_pages;
  secret_pages = page;
  return page;
}

void *cs_secret_allocate(size_t count) {
  if (count > slot_size) return map_locked(count);
  pthread_mutex_lock(&secret_lock);
  struct secret_page *page = page_with_room();
  void *address = NULL;
  if (page != NULL) {
    int slot = __builtin_ctz(~page->used);
    page->used |= UINT32_C(1) << slot;
    address = page->base + slot * slot_size;
  }
  pthread_mutex_unlock(&secret_lock);
  return address;
}

static void free_slot(unsigned char *address) {
  pthread_mutex_lock(&secret_lock);
  struct secret_page **link = &secret_pages;
  while (*link != NULL && (address < (*link)->base || address >= (*link)->base + page_size)) link = &(*link)->next;
  struct secret_page *page = *link;
  if (page == NULL) abort();
  page->used &= ~(UINT32_C(1) << ((address - page->base) / slot_size));
  // One page stays, so that a single secret that comes and goes does not map one each time.
  if (page->used == 0 && (page != secret_pages || page->next != NULL)) {
    *link = page->next;
    munmap(page->base, page_size);
    free(page);
  }
  pthread_mutex_unlock(&secret_lock);
}

void cs_secret_free(void *address, size_t count) {
  explicit_bzero(address, count);
  if (count > slot_size) {
    munmap(address, count);
  } else {
    free_slot(address);
  }
}

void cs_wipe(void *address, size_t count) { explicit_bzero(address, count); }

int cs_compare(const void *a, const void *b, size_t count) {
  const volatile unsigned char *left = a, *right = b;
  unsigned char difference = 0;
  for (size_t i = 0; i < count; i++) difference |= left[i] ^ right[i];
  return difference;
}

void cs_bound_heaps(void) { mallopt(M_ARENA_MAX, 2); }

// Whether the dynamic linker has written into what is read-only afterwards (text relocations).
static int is_relocated_in_place(const struct dl_phdr_info *object, const ElfW(Phdr) * dynamic) {
  const ElfW(Dyn) *entry = (const void *)(object->dlpi_addr + dynamic->p_vaddr);
  for (; entry->d_tag != DT_NULL; entry++) {
    if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && entry->d_un.d_val & DF_TEXTREL)) return 1;
  }
  return 0;
}

// Of one program or library: its code and constants. What can be written, also before relocations were done (RELRO),
// is in other segments.
static int release_code(struct dl_phdr_info *object, size_t size, void *page) {
  (void)size;
  const uintptr_t mask = *(const uintptr_t *)page - 1;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];
    if (part->p_type == PT_DYNAMIC && is_relocated_in_place(object, part)) return 0;
  }
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || part->p_flags & PF_W) continue;
    const uintptr_t begin = (object->dlpi_addr + part->p_vaddr + mask) & ~mask;
    const uintptr_t end = (object->dlpi_addr + part->p_vaddr + part->p_filesz) & ~mask;
    // The mapping is private, backed by the file and never written to: nothing can be lost.
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
  }
  return 0;
}

void cs_release_startup_memory(void) {
  malloc_trim(0);
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  dl_iterate_phdr(release_code, &page);
}
