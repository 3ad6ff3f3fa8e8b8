#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr mode_t kPrivateMode = 0600, kUsualMode = 0666;

// The path that will be replaced: what a symbolic link points to. Only a regular file may be.
Result<std::string> replaceable(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return path;  // nothing there
  std::string target = path;
  if (S_ISLNK(info.st_mode)) {
    char* resolved = ::realpath(path.c_str(), nullptr);
    if (resolved == nullptr) return make_error("{}: a link to nothing: {}", path, std::strerror(errno));
    target = resolved;
    std::free(resolved);
    if (::stat(target.c_str(), &info) != 0) return make_error("{}: {}", target, std::strerror(errno));
  }
  if (S_ISREG(info.st_mode)) return target;
  return make_error("{}: expected a file that may be replaced, or nothing there; it is {}", path,
                    S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe");
}

Error taken(const std::string& path) {
  return make_error("{}: there is something of this name already, which is not overwritten; choose another name", path);
}

std::string temporary_path(const std::string& path) {
  static std::atomic<uint32_t> counter{0};
  return format("{}.part-{}-{}", path, getpid(), counter.fetch_add(1));
}

// What remove_unfinished() needs, in a form that a signal handler may read.
struct NameSlot {
  std::atomic<bool> claimed{false};
  std::atomic<bool> ready{false};  // `path` is whole
  char path[4096];
};
std::array<NameSlot, UnfinishedName::kAtOnceMax> g_names;

}  // namespace

UnfinishedName::UnfinishedName(const std::string& path) {
  if (path.size() >= sizeof NameSlot::path) return;
  for (size_t i = 0; i < g_names.size(); ++i) {
    if (g_names[i].claimed.exchange(true)) continue;
    std::memcpy(g_names[i].path, path.c_str(), path.size() + 1);
    g_names[i].ready.store(true);
    slot_ = static_cast<int>(i);
    return;
  }
}

UnfinishedName::~UnfinishedName() {
  if (slot_ < 0) return;
  NameSlot& slot = g_names[static_cast<size_t>(slot_)];
  slot.ready.store(false);
  slot.claimed.store(false);
}

// The name of a file that is about to be made: allocated before it, so that no lack of memory leaves one behind. Once
// made, the file goes with this object, or with remove_unfinished().
class AtomicFile::TemporaryName {
 public:
  explicit TemporaryName(std::string path) : path_(std::move(path)), unfinished_(path_) {}
  ~TemporaryName() {
    if (made_) ::unlink(path_.c_str());  // nothing is there after a rename
  }
  TemporaryName(const TemporaryName&) = delete;
  TemporaryName& operator=(const TemporaryName&) = delete;
  const std::string& path() const { return path_; }
  void made() { made_ = true; }

 private:
  std::string path_;
  UnfinishedName unfinished_;
  bool made_ = false;
};

void AtomicFile::remove_unfinished() {
  for (const NameSlot& slot : g_names) {
    if (slot.ready.load()) ::unlink(slot.path);
  }
  for (const NameSlot& slot : g_names) {  // folders, which are empty by now
    if (slot.ready.load()) ::rmdir(slot.path);
  }
}

bool AtomicFile::is_abandoned(const std::string& temporary) {
  const int fd = ::open(temporary.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  const bool abandoned = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  ::close(fd);
  return abandoned;
}

Result<AtomicFile> AtomicFile::create(const std::string& wanted, bool private_to_user) {
  TRY_ASSIGN(std::string path, replaceable(wanted));
  // A file without a name cannot be left behind, whatever ends the process.
  const int fd =
      ::open(parent_of(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, private_to_user ? kPrivateMode : kUsualMode);
  if (fd < 0) return create_named(wanted, private_to_user);  // some file systems have no such files
  return AtomicFile(std::move(path), nullptr, fd);
}

Result<AtomicFile> AtomicFile::create_named(const std::string& wanted, bool private_to_user) {
  TRY_ASSIGN(std::string path, replaceable(wanted));
  // Not mkostemp: it gives mode 0600 always, and the user's own mask can be read only by changing it for the whole
  // process.
  for (int attempt = 0; attempt < 100; ++attempt) {
    auto temporary = std::make_unique<TemporaryName>(temporary_path(path));
    const int fd = ::open(temporary->path().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                          private_to_user ? kPrivateMode : kUsualMode);
    if (fd >= 0) {
      temporary->made();
      return AtomicFile(std::move(path), std::move(temporary), fd);
    }
    if (errno != EEXIST) break;
  }
  return make_error(kind_of_write_error(errno), "{}: cannot create a file beside it: {}", path, std::strerror(errno));
}

AtomicFile::AtomicFile(std::string path, std::unique_ptr<TemporaryName> temporary, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {
  ::flock(fd_, LOCK_EX | LOCK_NB);  // a refusal does no harm
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::exchange(other.fd_, -1)),
      offset_(other.offset_) {}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status AtomicFile::write(std::span<const uint8_t> bytes) {
  TRY(write_at(offset_, bytes));
  offset_ += bytes.size();
  return {};
}

Status AtomicFile::write(std::string_view text) {
  return write(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

Status AtomicFile::write_at(uint64_t offset, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) {
      return make_error(done == 0 ? ErrorKind::kDiskFull : kind_of_write_error(errno),
                        "{}: cannot write {} bytes: {}; the old file, if any, is untouched", path_, bytes.size(),
                        done == 0 ? "the disk took nothing" : std::strerror(errno));
    }
    bytes = bytes.subspan(static_cast<size_t>(done));
    offset += static_cast<uint64_t>(done);
  }
  return {};
}

Status AtomicFile::pad_to(uint64_t multiple) {
  const std::vector<uint8_t> zeros((multiple - offset_ % multiple) % multiple, 0);
  return write(zeros);
}

Status AtomicFile::commit_unsynced(Existing existing) {
  if (temporary_ == nullptr) {
    const std::string self = format("/proc/self/fd/{}", fd_);
    const auto link_to = [&](const std::string& name) {  // its errno, or 0
      return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
    };
    int link_errno = link_to(path_);
    if (link_errno == 0) {  // nothing was there yet
      ::close(std::exchange(fd_, -1));
      return {};
    }
    if (link_errno == EEXIST && existing == Existing::kKept) return taken(path_);
    if (link_errno == EEXIST) {  // a name beside the target, for the moment until it is renamed over it
      auto temporary = std::make_unique<TemporaryName>(temporary_path(path_));
      link_errno = link_to(temporary->path());
      if (link_errno == 0) {
        temporary->made();
        temporary_ = std::move(temporary);
      }
    }
    if (link_errno != 0) {
      return make_error(kind_of_write_error(link_errno),
                        "{}: cannot give it a name: {}; the old file, if any, is untouched", path_,
                        std::strerror(link_errno));
    }
  }
  if (existing == Existing::kKept) {
    TRY(rename_to_free(temporary_->path(), path_));
  } else if (::rename(temporary_->path().c_str(), path_.c_str()) != 0) {
    return make_error(kind_of_write_error(errno), "{}: cannot put it in place: {}; the old file, if any, is untouched",
                      path_, std::strerror(errno));
  }
  temporary_.reset();
  ::close(std::exchange(fd_, -1));
  return {};
}

Status AtomicFile::commit(Existing existing) {
  if (fsync(fd_) != 0) {
    return make_error(kind_of_write_error(errno), "{}: cannot sync it to disk: {}; the old file, if any, is untouched",
                      path_, std::strerror(errno));
  }
  TRY(commit_unsynced(existing));
  return sync_folder(parent_of(path_));
}

ErrorKind kind_of_write_error(int number) {
  return number == ENOSPC || number == EDQUOT ? ErrorKind::kDiskFull : ErrorKind::kOther;
}

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

Status sync_folder(const std::string& path) {
  const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return make_error("{}: cannot open this folder: {}", path, std::strerror(errno));
  const int synced = fsync(folder);
  const int sync_errno = errno;
  ::close(folder);
  // Some file systems cannot sync a folder (EINVAL); what was done in it has been done.
  if (synced == 0 || sync_errno == EINVAL) return {};
  return make_error(kind_of_write_error(sync_errno), "{}: cannot sync this folder: {}", path,
                    std::strerror(sync_errno));
}

Result<std::string> read_text_file(const std::string& path, uint64_t limit) {
  // Without O_NONBLOCK a pipe that nobody writes to would be waited for here.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return make_error("{}: cannot open it: {}", path, std::strerror(errno));
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return make_error("{}: cannot read it: expected a file; it is {}", path,
                      S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe");
  }
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int read_errno = errno;
      ::close(fd);
      return make_error("{}: cannot read it: {}", path, std::strerror(read_errno));
    }
    if (got == 0) break;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > limit) {
      ::close(fd);
      return make_error("{}: larger than the {} allowed here", path, human_bytes(limit));
    }
  }
  ::close(fd);
  return text;
}

Status write_text_file(const std::string& path, std::string_view text, bool private_to_user) {
  TRY_ASSIGN(AtomicFile file, AtomicFile::create(path, private_to_user));
  TRY(file.write(text));
  return file.commit();
}

Status check_free(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) return taken(path);
  if (errno == ENOENT) return {};
  return make_error("{}: cannot see whether there is something of this name: {}", path, std::strerror(errno));
}

Status rename_to_free(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  // Some file systems know no such renaming. A second link never replaces; a folder can have none, but is renamed only
  // over a folder in which there is nothing.
  if (errno == EINVAL || errno == ENOSYS) {
    const bool moved = is_folder(from) ? ::rename(from.c_str(), to.c_str()) == 0
                                       : ::link(from.c_str(), to.c_str()) == 0 && ::unlink(from.c_str()) == 0;
    if (moved) return {};
  }
  if (errno == EEXIST || errno == ENOTEMPTY) return taken(to);
  return make_error(kind_of_write_error(errno), "{}: cannot put it in place: {}", to, std::strerror(errno));
}

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Result<uint64_t> free_bytes(const std::string& folder) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) {
    return make_error("{}: cannot ask for its free space: {}", folder, std::strerror(errno));
  }
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

bool is_folder(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace andiron
