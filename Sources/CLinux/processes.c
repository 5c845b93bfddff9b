#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int actions_for(posix_spawn_file_actions_t *actions, const int *descriptors, int count) {
  int status = 0;
  // The sources were moved above every target by the caller, so that no dup2 overwrites a source.
  for (int target = 0; target < count && status == 0; target++)
    status = posix_spawn_file_actions_adddup2(actions, descriptors[target], target);
  // Libraries open descriptors without FD_CLOEXEC.
  if (status == 0) status = posix_spawn_file_actions_addclosefrom_np(actions, count);
  return status;
}

int cs_spawn(const char *file, char *const arguments[], const int *descriptors, int count, pid_t *process) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int status = posix_spawn_file_actions_init(&actions);
  if (status != 0) return status;
  status = posix_spawnattr_init(&attributes);
  if (status != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return status;
  }
  sigset_t none, every;
  sigemptyset(&none);
  sigfillset(&every);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &every);
  // A group of its own: ^C at the terminal is for the parent, which ends the child in order.
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  status = actions_for(&actions, descriptors, count);
  if (status == 0) status = posix_spawnp(process, file, &actions, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return status;
}

// In the child of a process with threads: nothing but what signal-safety(7) lists, and execvp, which here looks PATH up
// without allocating.
static void become(const char *file, char *const arguments[], const int *descriptors, int count, int report) {
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setpgid(0, 0);
  for (int target = 0; target < count; target++)
    if (dup2(descriptors[target], target) < 0) return;
  if (report > count) close_range((unsigned)count, (unsigned)report - 1, 0);
  close_range((unsigned)report + 1, ~0U, 0);
  execvp(file, arguments);
}

int cs_spawn_tied(const char *file, char *const arguments[], const int *descriptors, int count, pid_t *process) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return errno;
  // Above every target, like the descriptors of the caller.
  int raised = fcntl(report[1], F_DUPFD_CLOEXEC, count + 3);
  int status = raised < 0 ? errno : 0;
  close(report[1]);
  pid_t parent = getpid();
  // A handler must not run in the child before its signals are reset.
  sigset_t every, before;
  sigfillset(&every);
  pthread_sigmask(SIG_BLOCK, &every, &before);
  pid_t child = status == 0 ? fork() : -1;
  if (child == 0) {
    // The parent may have gone before it could be named.
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent)
      become(file, arguments, descriptors, count, raised);
    int reason = errno;
    if (write(raised, &reason, sizeof reason) < 0) _exit(126);
    _exit(127);
  }
  if (child < 0 && status == 0) status = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (raised >= 0) close(raised);
  if (child > 0) {
    ssize_t got;
    while ((got = read(report[0], &status, sizeof status)) < 0 && errno == EINTR) {
    }
    if (got <= 0) status = 0;
    if (status == 0)
      *process = child;
    else
      while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
      }
  }
  close(report[0]);
  return status;
}

int cs_pidfd_open(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }
