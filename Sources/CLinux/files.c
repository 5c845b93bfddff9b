#define _GNU_SOURCE
#include "CLinux.h"

#include <sys/file.h>

int cs_lock_exclusively(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB); }

void cs_unlock(int descriptor) { flock(descriptor, LOCK_UN); }
