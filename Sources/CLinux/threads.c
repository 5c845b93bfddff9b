#define _GNU_SOURCE
#include "CLinux.h"

#include <pthread.h>
#include <sys/eventfd.h>

int cs_eventfd(void) { return eventfd(0, EFD_CLOEXEC); }

void cs_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
