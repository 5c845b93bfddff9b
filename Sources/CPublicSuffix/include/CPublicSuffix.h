#pragma once
#include <libpsl.h>

/// The newest list on this machine: the distribution's file or the one in the library. NULL where there is none.
const psl_ctx_t *cs_public_suffix_list(void);
