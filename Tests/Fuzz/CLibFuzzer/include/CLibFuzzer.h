#ifndef COUNTERSIGN_CLIBFUZZER_H
#define COUNTERSIGN_CLIBFUZZER_H

#include <stddef.h>
#include <stdint.h>

// libFuzzer's library interface, which comes with the compiler and without a header.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));

#endif
