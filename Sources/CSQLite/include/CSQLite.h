#pragma once
#include <sqlite3.h>

/// SQLITE_TRANSIENT is a cast macro, which Swift's importer drops.
int cs_sqlite3_bind_blob_copy(sqlite3_stmt *statement, int index, const void *bytes, int count);
int cs_sqlite3_bind_text_copy(sqlite3_stmt *statement, int index, const char *utf8, int count);

/// sqlite3_db_config is variadic. Refuses SQL from the file itself (views, triggers, defaults) that could harm: the file
/// may come from anyone. SQLITE_OK, or an error.
int cs_sqlite3_distrust_file(sqlite3 *connection);
