#define _GNU_SOURCE
#include "CLinux.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/xattr.h>

int cs_lock_exclusively(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB); }

void cs_unlock(int descriptor) { flock(descriptor, LOCK_UN); }

int cs_set_access_list(const char *path, const void *list, size_t count) {
  return setxattr(path, "system.posix_acl_access", list, count, 0);
}

int cs_rename_exclusively(const char *from, const char *to) {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}
