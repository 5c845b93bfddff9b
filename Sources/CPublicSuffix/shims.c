#include "CPublicSuffix.h"

const psl_ctx_t *cs_public_suffix_list(void) {
  const psl_ctx_t *list = psl_latest(NULL);
  return list ? list : psl_builtin();
}
