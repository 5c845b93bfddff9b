#define _GNU_SOURCE
#include "CTerminal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

static int say(int terminal, const char *text) {
  size_t count = strlen(text);
  while (count > 0) {
    ssize_t done = write(terminal, text, count);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return -1;
    text += done;
    count -= (size_t)done;
  }
  return 0;
}

/// One byte at a time, so that no more is taken from the terminal than the line and nothing lies in a buffer.
static ssize_t read_line(int terminal, int signals, unsigned char *out, size_t room) {
  size_t count = 0;
  while (1) {
    struct pollfd ready[2] = {{.fd = signals, .events = POLLIN}, {.fd = terminal, .events = POLLIN}};
    if (poll(ready, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return -1;
    }
    if (ready[0].revents) {
      // Not EINTR, after which callers try again.
      errno = EIO;
      return -1;
    }
    unsigned char byte = 0;
    ssize_t got = read(terminal, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) {
      errno = EPIPE;
      return -1;
    }
    if (byte == '\n') return (ssize_t)count;
    if (count < room) out[count] = byte;
    count++;
    explicit_bzero(&byte, sizeof byte);
  }
}

ssize_t cs_read_secret_line(const char *prompt, unsigned char *out, size_t room) {
  int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return -1;
  ssize_t count = -1;
  int code = 0;
  sigset_t ending, held, before;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGHUP);
  sigaddset(&ending, SIGQUIT);
  held = ending;
  sigaddset(&held, SIGTSTP);
  // Pending signals do their work when the mask is as before, and by then the terminal is.
  pthread_sigmask(SIG_BLOCK, &held, &before);
  int signals = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
  struct termios usual;
  if (signals < 0 || tcgetattr(terminal, &usual) != 0) {
    code = errno;
  } else {
    struct termios silent = usual;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    silent.c_lflag |= ICANON | ISIG;
    // What was typed before the prompt is dropped: it was not meant for it.
    if (tcsetattr(terminal, TCSAFLUSH, &silent) != 0) {
      code = errno;
    } else {
      if (say(terminal, prompt) == 0) count = read_line(terminal, signals, out, room);
      code = errno;
      tcsetattr(terminal, TCSAFLUSH, &usual);
      say(terminal, "\n");
    }
  }
  if (signals >= 0) close(signals);
  close(terminal);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = code;
  return count;
}
