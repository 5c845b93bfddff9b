#include "CCalmExit.h"

#include <dirent.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CALM_LOOKS = 3, LOOKS = 10000 };

/// How many other threads there are; -1 where one of them is at work.
static int sleepers(void) {
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL) return -1;
  int count = 0, is_calm = 1;
  for (struct dirent *task; is_calm && (task = readdir(tasks)) != NULL;) {
    if (task->d_name[0] == '.' || atoi(task->d_name) == getpid()) continue;
    char path[sizeof task->d_name + 32], line[512];
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", task->d_name);
    FILE *file = fopen(path, "re");
    // The name before it, in parentheses, may be anything.
    const char *state = file != NULL && fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    is_calm = state != NULL && strncmp(state, ") S", 3) == 0;
    if (file != NULL) fclose(file);
    count++;
  }
  closedir(tasks);
  return is_calm ? count : -1;
}

/// At the latest after LOOKS milliseconds it lets the process end as it is.
static void await_calm(void) {
  for (int look = 0, before = -1, calm = 0; look < LOOKS && calm < CALM_LOOKS; look++) {
    int now = sleepers();
    calm = now >= 0 && now == before ? calm + 1 : 0;
    before = now;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
}

/// At exit(3) OpenSSL frees what it keeps for each thread and forgets the rest. A thread that ends after that frees the
/// same once more, or leaves what LeakSanitizer then finds: tests end while threads that they have used still do. What is
/// registered last is called first, so OpenSSL comes before this here.
__attribute__((constructor)) static void end_in_calm(void) {
  OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
  atexit(await_calm);
}
