#include "CSQLite.h"

#include <stddef.h>

int cs_sqlite3_bind_blob_copy(sqlite3_stmt *statement, int index, const void *bytes, int count) {
  // A NULL pointer would bind SQL NULL in place of an empty blob.
  return sqlite3_bind_blob(statement, index, count == 0 ? "" : bytes, count, SQLITE_TRANSIENT);
}

int cs_sqlite3_bind_text_copy(sqlite3_stmt *statement, int index, const char *utf8, int count) {
  return sqlite3_bind_text(statement, index, count == 0 ? "" : utf8, count, SQLITE_TRANSIENT);
}

int cs_sqlite3_distrust_file(sqlite3 *connection) {
  int status = sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
  if (status == SQLITE_OK) status = sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
  if (status == SQLITE_OK) status = sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, (int *)NULL);
  if (status == SQLITE_OK) status = sqlite3_db_config(connection, SQLITE_DBCONFIG_ENABLE_VIEW, 0, (int *)NULL);
  return status;
}
