#pragma once
#include <stddef.h>
#include <sys/types.h>

/// Shows a prompt on the controlling terminal (/dev/tty) and reads one line from it without echo, the line end left
/// out. SIGINT, SIGTERM, SIGHUP and SIGQUIT meanwhile put the terminal back as it was before they do what they do;
/// SIGTSTP waits for the end of the line.
///
/// The length of the line, which may be more than `room` (then its beginning is written); -1 with errno, ENXIO where
/// there is no terminal, EIO after a signal that did not end the process, EPIPE at the end of input.
ssize_t cs_read_secret_line(const char *prompt, unsigned char *out, size_t room);
