#pragma once

/// SQLite file systems (sqlite3_vfs) over the default one that fail on demand. Each has a name of its own, so that
/// tests run side by side.

/// Registers a file system. 0, or -1 where there are too many or the name is too long.
int cs_faulty_register(const char *name);

/// What a fault does.
enum {
  /// Every kind of change fails with an I/O error; writes are torn in the middle.
  CS_FAULT_IO = 0,
  /// Writes fail as on a full disk; everything else works.
  CS_FAULT_FULL = 1,
  /// Only fsync fails.
  CS_FAULT_SYNC = 2,
};

/// After `after` more changes (of the kind that the fault concerns) the next `failures` of them fail; -1 means all.
void cs_faulty_arm(const char *name, int fault, long after, long failures);
/// Nothing fails any more.
void cs_faulty_disarm(const char *name);
/// Changes seen since arming, failed ones included.
long cs_faulty_changes(const char *name);
/// Reads seen since arming or disarming.
long cs_faulty_reads(const char *name);
/// 1: files open as on a disk that is mounted read-only.
void cs_faulty_set_read_only(const char *name, int read_only);
