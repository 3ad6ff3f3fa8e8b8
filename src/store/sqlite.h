// Thin ownership over SQLite's C interface: a connection, the rows of a query, a transaction. What fails is an Error
// that names the file, gives the reason and has a kind: kDiskFull, kMachine, or kOther for a statement that is wrong.
//
// A connection belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace andiron {

struct SqlBlob {
  std::span<const uint8_t> bytes;
};

// What stands for a "?": NULL, a whole number, text, bytes. Text and bytes must live until the query has ended.
using SqlValue = std::variant<std::nullptr_t, int64_t, std::string_view, SqlBlob>;

// The number, or NULL.
inline SqlValue sql_number(std::optional<int64_t> number) { return number ? SqlValue(*number) : SqlValue(nullptr); }

// One row of a query. A value of another type than is asked for reads as nothing, and fails the query afterwards: only
// a damaged database holds such.
class SqliteRow {
 public:
  explicit SqliteRow(sqlite3_stmt* statement) : statement_(statement) {}

  bool is_null(int column) const;
  int64_t integer(int column);
  std::optional<int64_t> integer_or_null(int column);
  double number(int column);
  std::string text(int column);
  std::string text_or_empty(int column);  // "" for NULL
  std::vector<uint8_t> blob(int column);

  const std::string& problem() const { return problem_; }

 private:
  bool expect(int column, int type, const char* what);

  sqlite3_stmt* statement_;
  std::string problem_;
};

class SqliteConnection {
 public:
  struct Options {
    bool create = false;
    bool read_only = false;
    std::string vfs{};   // the name of a registered one; "": the system's
    int busy_ms = 5000;  // how long to wait for another program's lock
  };

  // Opens without reading a byte. Symbolic links are not followed. ":memory:" is a database of its own.
  static Result<std::unique_ptr<SqliteConnection>> open(const std::string& path, const Options& options);
  ~SqliteConnection();
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  const std::string& path() const { return path_; }

  // Runs one statement; `read` gets its rows in order, and its Error ends it.
  using RowReader = std::function<Status(SqliteRow&)>;
  Status query(std::string_view sql, std::initializer_list<SqlValue> values, const RowReader& read);
  // One that gives no rows, or none that matter.
  Status run(std::string_view sql, std::initializer_list<SqlValue> values = {});
  // Statements one after the other, without values.
  Status run_script(const std::string& sql);

  // The number in the first column of the first row; nothing where there is no row, or NULL in it.
  Result<std::optional<int64_t>> find_number(std::string_view sql, std::initializer_list<SqlValue> values = {});
  // The same where there must be one.
  Result<int64_t> number(std::string_view sql, std::initializer_list<SqlValue> values = {});

  int64_t last_number() const;  // of the row that was inserted last
  int64_t changes() const;      // rows that the last statement changed
  bool in_transaction() const;

  // Moves what the write-ahead log holds into the database, as far as readers let it; `truncate`: all of it, and cuts
  // the log to nothing. Whether all was done.
  Result<bool> checkpoint(bool truncate);
  // Pages in the log after the last commit.
  int wal_pages() const { return wal_pages_; }
  // Without it, closing the last connection moves the log into the database.
  void keep_log_on_close(bool keep);

  // Why nothing may be written any more: a sync that failed, after which nobody knows what is on disk, or damage that
  // was met. "" while all is well.
  const std::string& stopped() const { return stopped_; }

 private:
  SqliteConnection(std::string path, sqlite3* database) : path_(std::move(path)), database_(database) {}
  Error fail(int code);
  Status bind(sqlite3_stmt* statement, std::initializer_list<SqlValue> values);
  Status step_all(sqlite3_stmt* statement, const RowReader& read);

  std::string path_;
  sqlite3* database_;
  int wal_pages_ = 0;
  std::string stopped_;
};

// Rolls back unless commit() was called and went well.
class SqliteTransaction {
 public:
  enum class Kind { kRead, kWrite };
  static Result<SqliteTransaction> begin(SqliteConnection& connection, Kind kind);
  SqliteTransaction(SqliteTransaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  SqliteTransaction& operator=(SqliteTransaction&&) = delete;
  SqliteTransaction(const SqliteTransaction&) = delete;
  ~SqliteTransaction();

  // Ok: it is on disk, and stays there whatever happens.
  Status commit();

 private:
  explicit SqliteTransaction(SqliteConnection& connection) : connection_(&connection) {}
  SqliteConnection* connection_;
};

}  // namespace andiron
