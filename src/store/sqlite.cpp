#include "store/sqlite.h"

#include <sqlite3.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/strings.h"

namespace andiron {

namespace {

// Closes it whatever happens. A statement that failed fails once more here, which tells nothing new.
using Statement = std::unique_ptr<sqlite3_stmt, decltype([](sqlite3_stmt* s) { sqlite3_finalize(s); })>;

bool is_sync_failure(int code) { return code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC; }

// SQLite says so of a write; of what it does beside (the log's index grows) it tells the system's number alone.
bool is_disk_full(int code, sqlite3* database) {
  if ((code & 0xff) == SQLITE_FULL) return true;
  const int number = sqlite3_system_errno(database);
  return (code & 0xff) == SQLITE_IOERR && !is_sync_failure(code) && (number == ENOSPC || number == EDQUOT);
}

// Of a statement that is wrong, or of values that are too large, nothing is said: that is the caller's to know.
ErrorKind kind_of(int code, sqlite3* database) {
  if (is_disk_full(code, database)) return ErrorKind::kDiskFull;
  const int primary = code & 0xff;
  return primary == SQLITE_ERROR || primary == SQLITE_TOOBIG ? ErrorKind::kOther : ErrorKind::kMachine;
}

std::string input_output_reason(sqlite3* database) {
  const int number = sqlite3_system_errno(database);
  return number == 0 ? sqlite3_errmsg(database) : std::strerror(number);
}

std::string reason(int code, sqlite3* database) {
  if (is_sync_failure(code)) {
    return format(
        "cannot sync to disk: {}; nobody knows now what is on it, so nothing more is written until it is opened anew",
        input_output_reason(database));
  }
  if (is_disk_full(code, database)) return "the disk is full; nothing of this change is kept";
  switch (code == SQLITE_IOERR_NOMEM ? SQLITE_NOMEM : code & 0xff) {
    case SQLITE_READONLY: return "it cannot be written: the file, its folder or its disk is read-only";
    case SQLITE_CORRUPT:
      return "the database is damaged; it is left as it is: keep a copy, and see what sqlite3's .recover saves";
    case SQLITE_NOTADB: return "this is no SQLite database, or a damaged one; it is left as it is";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "another program holds it; try again when that has finished";
    case SQLITE_NOMEM: return "there is not enough memory; nothing of this change is kept";
    case SQLITE_CANTOPEN:
      if (code == SQLITE_CANTOPEN_SYMLINK) return "cannot open it: it is a symbolic link, which is not followed";
      return format("cannot open it: {}", input_output_reason(database));
    case SQLITE_IOERR: return format("cannot read or write it: {}", input_output_reason(database));
    default: return sqlite3_errmsg(database);
  }
}

}  // namespace

bool SqliteRow::expect(int column, int type, const char* what) {
  if (sqlite3_column_type(statement_, column) == type) return true;
  if (problem_.empty()) {
    problem_ = format("\"{}\" is not {}", in_quotes(sqlite3_column_name(statement_, column)), what);
  }
  return false;
}

bool SqliteRow::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

int64_t SqliteRow::integer(int column) {
  return expect(column, SQLITE_INTEGER, "a whole number") ? sqlite3_column_int64(statement_, column) : 0;
}

std::optional<int64_t> SqliteRow::integer_or_null(int column) {
  if (is_null(column)) return std::nullopt;
  return integer(column);
}

double SqliteRow::number(int column) {
  return expect(column, SQLITE_FLOAT, "a number") ? sqlite3_column_double(statement_, column) : 0;
}

std::string SqliteRow::text(int column) {
  if (!expect(column, SQLITE_TEXT, "text")) return "";
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (data == nullptr) {  // no memory to end it with a zero
    problem_ = "there is not enough memory";
    return "";
  }
  return {data, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

std::string SqliteRow::text_or_empty(int column) { return is_null(column) ? "" : text(column); }

std::vector<uint8_t> SqliteRow::blob(int column) {
  if (!expect(column, SQLITE_BLOB, "bytes")) return {};
  const auto* data = static_cast<const uint8_t*>(sqlite3_column_blob(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr) {
    if (size > 0) problem_ = "there is not enough memory";
    return {};
  }
  return {data, data + size};
}

Result<std::unique_ptr<SqliteConnection>> SqliteConnection::open(const std::string& path, const Options& options) {
  // A connection belongs to one thread at a time, so it needs no lock of its own.
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
  flags |= options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (options.create) flags |= SQLITE_OPEN_CREATE;
  sqlite3* database = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &database, flags, options.vfs.empty() ? nullptr : options.vfs.c_str());
  if (database == nullptr) return make_error(ErrorKind::kMachine, "{}: there is not enough memory", path);
  std::unique_ptr<SqliteConnection> connection(new SqliteConnection(path, database));
  if (code != SQLITE_OK) return connection->fail(code);
  sqlite3_busy_timeout(database, options.busy_ms);
  // A database that somebody made may hold triggers and views of any kind; it must not be able to run anything, nor be
  // told to write into itself.
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_wal_hook(
      database,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<SqliteConnection*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
      },
      connection.get());
  return connection;
}

SqliteConnection::~SqliteConnection() { sqlite3_close_v2(database_); }

Error SqliteConnection::fail(int code) {
  Error error = make_error(kind_of(code, database_), "{}: {}", path_, reason(code, database_));
  const int primary = code & 0xff;
  if (is_sync_failure(code) || primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB) {
    if (stopped_.empty()) stopped_ = error.message;
  }
  return error;
}

Status SqliteConnection::bind(sqlite3_stmt* statement, std::initializer_list<SqlValue> values) {
  ANDIRON_CHECK(sqlite3_bind_parameter_count(statement) == static_cast<int>(values.size()));
  int place = 0;
  for (const SqlValue& value : values) {
    ++place;
    int code = SQLITE_OK;
    if (const auto* number = std::get_if<int64_t>(&value)) {
      code = sqlite3_bind_int64(statement, place, *number);
    } else if (const auto* text = std::get_if<std::string_view>(&value)) {
      // A null pointer would be NULL.
      code = sqlite3_bind_text64(statement, place, text->data() == nullptr ? "" : text->data(), text->size(),
                                 SQLITE_STATIC, SQLITE_UTF8);
    } else if (const auto* blob = std::get_if<SqlBlob>(&value)) {
      const void* data = blob->bytes.empty() ? static_cast<const void*>("") : blob->bytes.data();
      code = sqlite3_bind_blob64(statement, place, data, blob->bytes.size(), SQLITE_STATIC);
    }
    if (code != SQLITE_OK) return fail(code);
  }
  return {};
}

Status SqliteConnection::step_all(sqlite3_stmt* statement, const RowReader& read) {
  while (true) {
    const int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) return {};
    if (code != SQLITE_ROW) return fail(code);
    SqliteRow row(statement);
    TRY(read(row));
    if (!row.problem().empty()) {
      return make_error(ErrorKind::kMachine, "{}: {}: the database is damaged", path_, row.problem());
    }
  }
}

Status SqliteConnection::query(std::string_view sql, std::initializer_list<SqlValue> values, const RowReader& read) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v2(database_, sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
  const Statement statement(raw);
  if (code != SQLITE_OK) return fail(code);
  TRY(bind(statement.get(), values));
  return step_all(statement.get(), read);
}

Status SqliteConnection::run(std::string_view sql, std::initializer_list<SqlValue> values) {
  return query(sql, values, [](SqliteRow&) { return Status(); });
}

Status SqliteConnection::run_script(const std::string& sql) {
  const int code = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Status() : Status(fail(code));
}

Result<std::optional<int64_t>> SqliteConnection::find_number(std::string_view sql,
                                                             std::initializer_list<SqlValue> values) {
  std::optional<int64_t> number;
  bool first = true;
  TRY(query(sql, values, [&](SqliteRow& row) {
    if (std::exchange(first, false)) number = row.integer_or_null(0);
    return Status();
  }));
  return number;
}

Result<int64_t> SqliteConnection::number(std::string_view sql, std::initializer_list<SqlValue> values) {
  TRY_ASSIGN(const auto found, find_number(sql, values));
  if (found) return *found;
  return make_error(ErrorKind::kMachine, "{}: expected a number from \"{}\": the database is damaged", path_, sql);
}

int64_t SqliteConnection::last_number() const { return sqlite3_last_insert_rowid(database_); }
int64_t SqliteConnection::changes() const { return sqlite3_changes64(database_); }
bool SqliteConnection::in_transaction() const { return sqlite3_get_autocommit(database_) == 0; }

Result<bool> SqliteConnection::checkpoint(bool truncate) {
  int pages = 0, moved = 0;
  const int code = sqlite3_wal_checkpoint_v2(
      database_, nullptr, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);
  if ((code & 0xff) == SQLITE_BUSY) return false;
  if (code != SQLITE_OK) return fail(code);
  if (pages == moved) wal_pages_ = 0;
  return pages == moved;
}

void SqliteConnection::keep_log_on_close(bool keep) {
  sqlite3_db_config(database_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep ? 1 : 0, nullptr);
}

Result<SqliteTransaction> SqliteTransaction::begin(SqliteConnection& connection, Kind kind) {
  // One that could not even be rolled back, for want of memory.
  if (connection.in_transaction()) TRY(connection.run("ROLLBACK"));
  TRY(connection.run(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN"));
  return SqliteTransaction(connection);
}

SqliteTransaction::~SqliteTransaction() {
  // Some failures have rolled back already. Should this fail too, begin() tries again.
  if (connection_ != nullptr && connection_->in_transaction()) {
    [[maybe_unused]] const Status rolled_back = connection_->run("ROLLBACK");
  }
}

Status SqliteTransaction::commit() {
  TRY(connection_->run("COMMIT"));
  connection_ = nullptr;
  return {};
}

}  // namespace andiron
