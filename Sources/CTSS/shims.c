#include "CTSS.h"

#include <pthread.h>
#include <stdlib.h>

static void quieten(void) { setenv("TSS2_LOG", "all+NONE", 0); }

void cs_tss_quieten(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, quieten);
}
