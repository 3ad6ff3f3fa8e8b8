#include "store/store_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "store/schema.h"

namespace andiron {

namespace {

constexpr mode_t kFolderMode = 0700, kFileMode = 0600;

Error system_error(const std::string& path, std::string_view what) {
  return make_error("{}: {}: {}", path, what, std::strerror(errno));
}

// Who holds the lock, as far as the file says.
std::string holder(int fd) {
  char text[32] = {};
  const ssize_t size = ::pread(fd, text, sizeof text - 1, 0);
  const std::string_view digits = trimmed(std::string_view(text, size > 0 ? static_cast<size_t>(size) : 0));
  return digits.empty() ? "" : format(" (process {})", in_quotes(digits));
}

// A regular file of the user's under this name, or nothing. `size`: its bytes, -1 for nothing.
Status check_own_file(const std::string& path, int64_t& size) {
  size = -1;
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? Status() : Status(system_error(path, "cannot look at it"));
  }
  if (S_ISLNK(info.st_mode)) return make_error("{}: it is a symbolic link, which is not followed", path);
  if (!S_ISREG(info.st_mode)) return make_error("{}: expected a file; it is a folder, a device or a pipe", path);
  if (info.st_uid != ::geteuid()) return make_error("{}: it belongs to another user", path);
  // Nobody else may write to the folder, so it is the same file still.
  if ((info.st_mode & 077) != 0 && ::chmod(path.c_str(), kFileMode) != 0) {
    return system_error(path, "others may read it, and that cannot be changed");
  }
  size = static_cast<int64_t>(info.st_size);
  return {};
}

// Everything that a failure of the machine can do to pages and their order; reads the whole file.
Status check_whole(SqliteConnection& connection) {
  std::string problem;
  TRY(connection.query("PRAGMA quick_check(1)", {}, [&](SqliteRow& row) {
    problem = row.text(0);
    return Status();
  }));
  if (problem == "ok") return {};
  return make_error(
      "{}: the database is damaged ({}); it is left as it is: keep a copy, and see what sqlite3's .recover saves",
      connection.path(), andiron::in_quotes(problem));
}

}  // namespace

Result<StoreLock> StoreLock::take(const std::string& database) {
  const std::string path = database + "-lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kFileMode);
  if (fd < 0) return system_error(path, errno == ELOOP ? "a symbolic link is not followed" : "cannot open it");
  StoreLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error(path, "cannot lock it");
    return make_error("{}: another andiron{} has it open; only one at a time may", database, holder(fd));
  }
  // For the message above. On a full disk it stays empty.
  const std::string self = format("{}\n", ::getpid());
  if (::ftruncate(fd, 0) == 0) [[maybe_unused]]
    const ssize_t written = ::pwrite(fd, self.data(), self.size(), 0);
  return lock;
}

StoreLock::StoreLock(StoreLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

StoreLock::~StoreLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::string> prepare_folder(const std::string& database, bool ours) {
  const std::string folder = parent_of(database);
  if (!file_exists(folder)) {
    std::error_code error;
    std::filesystem::create_directories(parent_of(folder), error);
    if (::mkdir(folder.c_str(), kFolderMode) != 0 && errno != EEXIST) {
      return system_error(folder, "the folder cannot be made");
    }
  }
  char* resolved = ::realpath(folder.c_str(), nullptr);
  if (resolved == nullptr) return system_error(folder, "cannot find this folder");
  const std::string path = resolved;
  std::free(resolved);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return make_error("{}: this is no folder", path);
  if (info.st_uid != ::geteuid()) return make_error("{}: the folder belongs to another user", path);
  if ((info.st_mode & 022) != 0 && !ours) {
    return make_error("{}: others may write to this folder; chats need one of your own: chmod go-w {}", path, path);
  }
  if ((info.st_mode & 077) != 0 && ours && ::chmod(path.c_str(), kFolderMode) != 0) {
    return system_error(path, "others may see into the folder, and that cannot be changed");
  }
  return path + "/" + database.substr(database.rfind('/') + 1);
}

Status prepare_file(const std::string& database) {
  int64_t size = -1, log = -1, ignored = -1;
  TRY(check_own_file(database, size));
  TRY(check_own_file(database + "-wal", log));
  TRY(check_own_file(database + "-shm", ignored));
  TRY(check_own_file(database + "-journal", ignored));
  if (size <= 1 && log > 0) {
    return make_error(
        "{}: the database is {}, but {}-wal beside it holds {}; something has damaged it. Both are left as they are: "
        "bring the database back, or move the log away to begin anew",
        database, size < 0 ? "gone" : "empty", database, human_bytes(static_cast<uint64_t>(log)));
  }
  if (size >= 0) return {};
  const int fd = ::open(database.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kFileMode);
  if (fd < 0) return system_error(database, "cannot make it");
  ::close(fd);
  return sync_folder(parent_of(database));
}

Result<std::unique_ptr<SqliteConnection>> open_checked(const std::string& database,
                                                       const SqliteConnection::Options& options) {
  TRY_ASSIGN(auto connection, SqliteConnection::open(database, options));
  connection->keep_log_on_close(true);
  // Temporary tables would hold what people wrote, outside the folder. A mapped file that shrinks kills the process.
  TRY(connection->run_script("PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON"));
  TRY(check_version(*connection, store_migrations()));
  TRY(check_whole(*connection));
  return connection;
}

}  // namespace andiron
