#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>

#include "base/strings.h"

namespace andiron {

namespace {

// What the signal handler needs, in a form it may read: fixed storage and atomics only.
struct Slot {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};  // 0: free. Written last on open, first on close.
  std::atomic<bool> damaged{false};
};

constexpr int kSlotsMax = 1024;  // open mapped files at once; a model has at most some hundred shards
std::array<Slot, kSlotsMax> g_slots;
std::mutex g_slots_mutex;
struct sigaction g_previous_action;

// Puts a page of zeros where the file used to be. mmap is not on POSIX's async-signal-safe list; the plain system call
// is safe, and is not replaced under the thread sanitizer, which would take a new page for a write that races with
// other threads' reads. Nothing else here allocates or locks.
void on_sigbus(int signal, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (auto& slot : g_slots) {
    const uintptr_t end = slot.end.load(std::memory_order_acquire);
    if (address < slot.begin.load(std::memory_order_relaxed) || address >= end) continue;
    const auto page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const uintptr_t page = address & ~(page_size - 1);
    if (syscall(SYS_mmap, page, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == -1) break;
    slot.damaged.store(true, std::memory_order_release);
    return;
  }
  if ((g_previous_action.sa_flags & SA_SIGINFO) != 0 && g_previous_action.sa_sigaction != nullptr) {
    g_previous_action.sa_sigaction(signal, info, context);
    return;
  }
  std::signal(SIGBUS, SIG_DFL);  // not ours: die as the default would, on return
}

void install_handler_once() {
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, &g_previous_action) == 0;
  }();
  (void)installed;
}

int64_t modified_ns(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

int claim_slot(uintptr_t begin, size_t size) {
  const std::lock_guard lock(g_slots_mutex);
  for (int i = 0; i < kSlotsMax; ++i) {
    Slot& slot = g_slots[static_cast<size_t>(i)];
    if (slot.end.load(std::memory_order_relaxed) != 0) continue;
    slot.damaged.store(false, std::memory_order_relaxed);
    slot.begin.store(begin, std::memory_order_relaxed);
    slot.end.store(begin + size, std::memory_order_release);
    return i;
  }
  return -1;
}

}  // namespace

Result<std::shared_ptr<MappedFile>> MappedFile::open(const std::string& path) {
  install_handler_once();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return make_error("{}: cannot open it: {}", path, std::strerror(errno));
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) {
    ::close(fd);
    return make_error("{}: expected a file with something in it, got {}", path,
                      S_ISDIR(info.st_mode)   ? "a folder"
                      : S_ISREG(info.st_mode) ? "an empty file"
                                              : "a special file");
  }
  const auto size = static_cast<size_t>(info.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    const int map_errno = errno;
    ::close(fd);
    return make_error("{}: cannot map {} bytes: {}", path, size, std::strerror(map_errno));
  }
  // The handler's range is whole pages: the last page of the file may be lost as a whole.
  const auto page_size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const int slot = claim_slot(reinterpret_cast<uintptr_t>(data), (size + page_size - 1) / page_size * page_size);
  if (slot < 0) {
    munmap(data, size);
    ::close(fd);
    return make_error("{}: more than {} files are open at once", path, kSlotsMax);
  }
  return std::shared_ptr<MappedFile>(
      new MappedFile(path, fd, static_cast<const uint8_t*>(data), size, modified_ns(info), slot));
}

MappedFile::~MappedFile() {
  const std::lock_guard lock(g_slots_mutex);
  g_slots[static_cast<size_t>(slot_)].end.store(0, std::memory_order_release);
  munmap(const_cast<uint8_t*>(data_), size_);
  ::close(fd_);
}

bool MappedFile::damaged() const { return g_slots[static_cast<size_t>(slot_)].damaged.load(std::memory_order_acquire); }

Status MappedFile::check_intact() const {
  // What is lost within the last page reads as zeros without a signal: the length tells.
  struct stat info {};
  const bool whole = fstat(fd_, &info) == 0 && static_cast<uint64_t>(info.st_size) >= size_;
  if (!whole || damaged()) {
    return make_error("{}: the file was cut short while in use; put it back and open it again", path_);
  }
  if (static_cast<uint64_t>(info.st_size) == size_ && modified_ns(info) == modified_ns_) return {};
  return make_error("{}: the file was changed while in use; open it again", path_);
}

void MappedFile::drop_pages(const void* begin, uint64_t size) const {
  // A damaged mapping holds anonymous pages of zeros; dropping one would only make it fault again.
  if (damaged()) return;
  const auto page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first = (reinterpret_cast<uintptr_t>(begin) + page_size - 1) & ~(page_size - 1);
  const uintptr_t last = (reinterpret_cast<uintptr_t>(begin) + size) & ~(page_size - 1);
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace andiron
