// The store's file: who may reach it, who holds it, and whether it is whole.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "store/sqlite.h"

namespace andiron {

// While this lives, no other process, and no other StoreLock of this one, has the store. It lies beside the database
// and stays there: SQLite's own locks are on the database, and closing any other descriptor of that would drop them.
class StoreLock {
 public:
  static Result<StoreLock> take(const std::string& database);
  StoreLock(StoreLock&& other) noexcept;
  StoreLock& operator=(StoreLock&&) = delete;
  StoreLock(const StoreLock&) = delete;
  ~StoreLock();

 private:
  explicit StoreLock(int fd) : fd_(fd) {}
  int fd_;
};

// Makes the folder that holds the database, mode 0700, or looks at the one that is there: it must be the user's, and
// nobody else may write to it. Others may read it only where `ours` is false; where it is true (a folder that belongs
// to andiron alone) that is taken from them. Gives the path with the links on the way resolved.
Result<std::string> prepare_folder(const std::string& database, bool ours);

// Makes the database's file, empty and of mode 0600, or looks at the one that is there and at what SQLite keeps beside
// it ("-wal", "-shm", "-journal"): regular files and the user's, no links; what others may read of it is taken from
// them. An empty file with a log beside it has lost its content and is refused: SQLite would delete the log.
Status prepare_file(const std::string& database);

// Opens a prepared file, and checks all of it before a byte is written: a store of a known version, whole. Damaged or
// of another kind, it stays as it is, the log beside it too.
Result<std::unique_ptr<SqliteConnection>> open_checked(const std::string& database,
                                                       const SqliteConnection::Options& options);

}  // namespace andiron
