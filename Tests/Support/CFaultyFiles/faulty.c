#include "CFaultyFiles.h"

#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

enum { SYSTEMS = 128, NAME = 32 };

typedef struct {
  sqlite3_vfs vfs;
  char name[NAME];
  int fault;
  long after, failures, changes, reads;
  int read_only;
} faulty_system;

typedef struct {
  sqlite3_file file;
  faulty_system *system;
  sqlite3_file *real;
} faulty_file;

static faulty_system systems[SYSTEMS];
static int used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static faulty_system *find(const char *name) {
  for (int i = 0; i < used; i++) {
    if (strcmp(systems[i].name, name) == 0) return &systems[i];
  }
  return NULL;
}

enum kind { WRITE, SYNC, OTHER };

/// Counts one change; whether it is to fail.
static int fails(faulty_system *system, enum kind kind) {
  pthread_mutex_lock(&lock);
  int result = 0;
  int concerned = system->fault == CS_FAULT_IO || (system->fault == CS_FAULT_FULL && kind == WRITE) ||
                  (system->fault == CS_FAULT_SYNC && kind == SYNC);
  if (concerned) {
    system->changes++;
    if (system->changes > system->after && system->failures != 0) {
      if (system->failures > 0) system->failures--;
      result = 1;
    }
  }
  pthread_mutex_unlock(&lock);
  return result;
}

#define REAL(f) (((faulty_file *)(f))->real)
#define SYSTEM(f) (((faulty_file *)(f))->system)
#define CALL(f, method, ...) (REAL(f)->pMethods->method(REAL(f), __VA_ARGS__))

static int f_close(sqlite3_file *f) {
  int status = REAL(f)->pMethods->xClose(REAL(f));
  sqlite3_free(REAL(f));
  return status;
}
static int f_read(sqlite3_file *f, void *bytes, int count, sqlite3_int64 at) {
  pthread_mutex_lock(&lock);
  SYSTEM(f)->reads++;
  pthread_mutex_unlock(&lock);
  return CALL(f, xRead, bytes, count, at);
}
static int f_write(sqlite3_file *f, const void *bytes, int count, sqlite3_int64 at) {
  if (!fails(SYSTEM(f), WRITE)) return CALL(f, xWrite, bytes, count, at);
  if (SYSTEM(f)->fault == CS_FAULT_FULL) return SQLITE_FULL;
  CALL(f, xWrite, bytes, count / 2, at);
  return SQLITE_IOERR_WRITE;
}
static int f_truncate(sqlite3_file *f, sqlite3_int64 size) {
  return fails(SYSTEM(f), OTHER) ? SQLITE_IOERR_TRUNCATE : CALL(f, xTruncate, size);
}
static int f_sync(sqlite3_file *f, int flags) {
  return fails(SYSTEM(f), SYNC) ? SQLITE_IOERR_FSYNC : CALL(f, xSync, flags);
}
static int f_size(sqlite3_file *f, sqlite3_int64 *size) { return CALL(f, xFileSize, size); }
static int f_lock(sqlite3_file *f, int level) { return CALL(f, xLock, level); }
static int f_unlock(sqlite3_file *f, int level) { return CALL(f, xUnlock, level); }
static int f_check(sqlite3_file *f, int *result) { return CALL(f, xCheckReservedLock, result); }
static int f_control(sqlite3_file *f, int operation, void *argument) { return CALL(f, xFileControl, operation, argument); }
static int f_sector(sqlite3_file *f) { return REAL(f)->pMethods->xSectorSize(REAL(f)); }
static int f_characteristics(sqlite3_file *f) { return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f)); }

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = f_close,
    .xRead = f_read,
    .xWrite = f_write,
    .xTruncate = f_truncate,
    .xSync = f_sync,
    .xFileSize = f_size,
    .xLock = f_lock,
    .xUnlock = f_unlock,
    .xCheckReservedLock = f_check,
    .xFileControl = f_control,
    .xSectorSize = f_sector,
    .xDeviceCharacteristics = f_characteristics,
};

static int v_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *out_flags) {
  faulty_file *file = (faulty_file *)f;
  faulty_system *system = vfs->pAppData;
  sqlite3_vfs *real = sqlite3_vfs_find("unix");
  memset(file, 0, sizeof *file);
  if (system->read_only && (flags & SQLITE_OPEN_READWRITE)) {
    if (!(flags & SQLITE_OPEN_MAIN_DB)) return SQLITE_CANTOPEN;
    flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
  }
  if ((flags & SQLITE_OPEN_CREATE) && fails(system, OTHER)) return SQLITE_CANTOPEN;
  sqlite3_file *inner = sqlite3_malloc(real->szOsFile);
  if (inner == NULL) return SQLITE_NOMEM;
  memset(inner, 0, (size_t)real->szOsFile);
  int status = real->xOpen(real, name, inner, flags, out_flags);
  if (status != SQLITE_OK) {
    sqlite3_free(inner);
    return status;
  }
  file->file.pMethods = &methods;
  file->system = system;
  file->real = inner;
  return SQLITE_OK;
}

static int v_delete(sqlite3_vfs *vfs, const char *name, int synchronise) {
  if (fails(vfs->pAppData, OTHER)) return SQLITE_IOERR_DELETE;
  sqlite3_vfs *real = sqlite3_vfs_find("unix");
  return real->xDelete(real, name, synchronise);
}

int cs_faulty_register(const char *name) {
  sqlite3_vfs *real = sqlite3_vfs_find("unix");
  pthread_mutex_lock(&lock);
  int status = -1;
  if (used < SYSTEMS && strlen(name) < NAME) {
    faulty_system *system = &systems[used++];
    strcpy(system->name, name);
    system->vfs = *real;
    system->vfs.szOsFile = sizeof(faulty_file);
    system->vfs.pNext = NULL;
    system->vfs.zName = system->name;
    system->vfs.pAppData = system;
    system->vfs.xOpen = v_open;
    system->vfs.xDelete = v_delete;
    status = sqlite3_vfs_register(&system->vfs, 0) == SQLITE_OK ? 0 : -1;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

void cs_faulty_arm(const char *name, int fault, long after, long failures) {
  pthread_mutex_lock(&lock);
  faulty_system *system = find(name);
  system->fault = fault;
  system->after = after;
  system->failures = failures;
  system->changes = 0;
  system->reads = 0;
  pthread_mutex_unlock(&lock);
}

void cs_faulty_disarm(const char *name) { cs_faulty_arm(name, CS_FAULT_IO, 0, 0); }

long cs_faulty_changes(const char *name) {
  pthread_mutex_lock(&lock);
  long changes = find(name)->changes;
  pthread_mutex_unlock(&lock);
  return changes;
}

long cs_faulty_reads(const char *name) {
  pthread_mutex_lock(&lock);
  long reads = find(name)->reads;
  pthread_mutex_unlock(&lock);
  return reads;
}

void cs_faulty_set_read_only(const char *name, int read_only) {
  pthread_mutex_lock(&lock);
  find(name)->read_only = read_only;
  pthread_mutex_unlock(&lock);
}
