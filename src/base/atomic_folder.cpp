#include "base/atomic_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/check.h"
#include "base/strings.h"

namespace andiron {

namespace {

// The folder that a path with links means; the path itself where there is nothing.
Result<std::string> resolved(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return path;
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  if (real == nullptr) return make_error("{}: a link to nothing: {}", path, std::strerror(errno));
  if (!is_folder(real.get())) return make_error("{}: expected a folder, or nothing there; it is a file", path);
  return std::string(real.get());
}

struct FolderCloser {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

void remove_folder(const std::string& path) {
  const auto names = list_folder(path);
  if (!names.ok()) return;
  for (const std::string& name : *names) ::unlink(format("{}/{}", path, name).c_str());
  ::rmdir(path.c_str());
}

}  // namespace

void remove_unfinished_folders(const std::string& path) {
  const auto names = list_folder(parent_of(path));
  if (!names.ok()) return;
  const std::string prefix = path.substr(path.rfind('/') + 1) + ".part-";
  for (const std::string& name : *names) {
    if (!name.starts_with(prefix)) continue;
    const long process = std::strtol(name.c_str() + prefix.size(), nullptr, 10);
    if (process <= 0 || ::kill(static_cast<pid_t>(process), 0) == 0 || errno != ESRCH) continue;
    remove_folder(format("{}/{}", parent_of(path), name));
  }
}

Result<std::string> hide_folder(const std::string& path) {
  static std::atomic<uint32_t> counter{0};
  std::string hidden = format("{}.part-{}-{}-removed", path, getpid(), counter.fetch_add(1));
  std::error_code error;
  std::filesystem::rename(path, hidden, error);
  if (error) return make_error("{}: cannot be removed: {}", path, error.message());
  return hidden;
}

Status remove_whole_folder(const std::string& path) {
  TRY_ASSIGN(const std::string hidden, hide_folder(path));
  std::error_code error;
  std::filesystem::remove_all(hidden, error);
  if (error) return make_error("{}: cannot be removed: {}", path, error.message());
  return {};
}

void remove_removed_folders(const std::string& folder) {
  const auto names = list_folder(folder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (name.find(".part-") == std::string::npos || !name.ends_with("-removed")) continue;
    const std::string path = format("{}/{}", folder, name);
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) continue;
    // Not by the number in its name: that may be another process's by now, or, in a container, our own.
    const bool busy = ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    std::error_code ignored;
    if (!busy) std::filesystem::remove_all(path, ignored);
    ::close(fd);
  }
}

Result<std::vector<std::string>> list_folder(const std::string& path) {
  const std::unique_ptr<DIR, FolderCloser> folder(::opendir(path.c_str()));
  if (folder == nullptr) return make_error("{}: cannot list the folder: {}", path, std::strerror(errno));
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return make_error("{}: cannot list the folder: {}", path, std::strerror(errno));
  std::sort(names.begin(), names.end());
  return names;
}

Result<AtomicFolder> AtomicFolder::create(const std::string& wanted) {
  static std::atomic<uint32_t> counter{0};
  TRY_ASSIGN(std::string path, resolved(wanted));
  remove_unfinished_folders(path);
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string temporary = format("{}.part-{}-{}", path, getpid(), counter.fetch_add(1));
    if (::mkdir(temporary.c_str(), 0777) == 0) return AtomicFolder(std::move(path), std::move(temporary));
    if (errno != EEXIST) break;
  }
  return make_error(kind_of_write_error(errno), "{}: cannot make a folder beside it: {}", path, std::strerror(errno));
}

AtomicFolder::AtomicFolder(std::string path, std::string temporary)
    : path_(std::move(path)), temporary_(std::move(temporary)) {
  unfinished_.push_back(std::make_unique<UnfinishedName>(temporary_));
}

AtomicFolder::AtomicFolder(AtomicFolder&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, std::string())),
      unfinished_(std::move(other.unfinished_)) {}

AtomicFolder::~AtomicFolder() {
  if (!temporary_.empty()) remove_folder(temporary_);
}

std::string AtomicFolder::file(std::string_view name) const {
  ANDIRON_CHECK(!name.empty() && name.find('/') == std::string_view::npos && !temporary_.empty());
  std::string path = format("{}/{}", temporary_, name);
  unfinished_.push_back(std::make_unique<UnfinishedName>(path));
  return path;
}

Status AtomicFolder::commit(Existing existing) {
  TRY(sync_folder(temporary_));
  struct stat info {};
  if (existing == Existing::kKept) {
    TRY(rename_to_free(temporary_, path_));
  } else if (::stat(path_.c_str(), &info) == 0) {
    ::chmod(temporary_.c_str(), info.st_mode & 07777);  // an exchanged folder keeps its mode
    TRY(replace_folder());
  } else if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return make_error(kind_of_write_error(errno), "{}: cannot put it in place: {}", path_, std::strerror(errno));
  }
  temporary_.clear();
  unfinished_.clear();
  return sync_folder(parent_of(path_));
}

Status AtomicFolder::replace_folder() {
  TRY_ASSIGN(const auto fresh, list_folder(temporary_));
  TRY_ASSIGN(const auto old, list_folder(path_));
  if (std::includes(fresh.begin(), fresh.end(), old.begin(), old.end()) &&
      ::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) == 0) {
    remove_folder(temporary_);  // now the old one
    return {};
  }
  // Others are in it, or the file system cannot exchange.
  for (const std::string& name : fresh) {
    const std::string target = path_ + "/" + name;
    if (::rename((temporary_ + "/" + name).c_str(), target.c_str()) != 0) {
      return make_error(kind_of_write_error(errno), "{}: cannot put it in place: {}", target, std::strerror(errno));
    }
  }
  ::rmdir(temporary_.c_str());
  return sync_folder(path_);
}

}  // namespace andiron
