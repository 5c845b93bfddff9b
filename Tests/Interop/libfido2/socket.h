// The daemon's socket as a transport of libfido2: its command numbers are those of the frames.

#ifndef COUNTERSIGN_SOCKET_H
#define COUNTERSIGN_SOCKET_H

#include <fido.h>

// A device at the end of a new connection. Ends the program where there is none.
fido_dev_t *device_open(const char *path);
void device_close(fido_dev_t **device);

#endif
