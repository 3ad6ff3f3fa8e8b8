// For tests only: a SQLite VFS over the system's whose calls fail, or end the process, where a test says so. Syncs are
// counted and not done: what is written stays in the system's memory, which outlives a process, and tests are quick.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <string>

namespace andiron {

class FaultyVfs {
 public:
  enum Call : uint8_t { kRead, kWrite, kSync, kTruncate, kOpen, kDelete, kCalls };

  struct Fault {
    std::array<bool, kCalls> calls{};  // which are counted
    int64_t at = 0;                    // the number of the first that fails, from 1; 0: none does
    bool persistent = false;           // all after it fail too
    bool full = false;                 // a write that fails says that the disk is full
    bool kill = false;                 // SIGKILL instead of a failure
    bool torn = false;                 // half of the write is done first
  };

  explicit FaultyVfs(std::string name) : name_(std::move(name)), real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.zName = name_.c_str();
    vfs_.pNext = nullptr;
    vfs_.pAppData = this;
    vfs_.xOpen = open;
    vfs_.xDelete = remove;
    vfs_.xAccess = [](sqlite3_vfs* vfs, const char* path, int flags, int* out) {
      return of(vfs).real_->xAccess(of(vfs).real_, path, flags, out);
    };
    vfs_.xFullPathname = [](sqlite3_vfs* vfs, const char* path, int size, char* out) {
      return of(vfs).real_->xFullPathname(of(vfs).real_, path, size, out);
    };
    EXPECT_EQ(sqlite3_vfs_register(&vfs_, 0), SQLITE_OK);
  }
  ~FaultyVfs() { sqlite3_vfs_unregister(&vfs_); }
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  const std::string& name() const { return name_; }
  void set(const Fault& fault) {
    fault_ = fault;
    count_ = 0;
  }
  // How many of the counted calls there were since set().
  int64_t count() const { return count_; }

 private:
  struct File {
    sqlite3_file base;  // first: SQLite knows only this
    FaultyVfs* vfs;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static FaultyVfs& of(sqlite3_vfs* vfs) { return *static_cast<FaultyVfs*>(vfs->pAppData); }
  static File* of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }

  // Whether this call is to fail. `torn` does half of it.
  bool fails(Call call, const std::function<void()>& torn = {}) {
    if (!fault_.calls[call]) return false;
    const int64_t number = ++count_;
    if (fault_.at == 0 || number < fault_.at || (number > fault_.at && !fault_.persistent)) return false;
    if (fault_.torn && torn) torn();
    if (fault_.kill) ::raise(SIGKILL);
    return true;
  }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* base, int flags, int* out) {
    File* file = of(base);
    file->base.pMethods = nullptr;
    file->vfs = &of(vfs);
    if (file->vfs->fails(kOpen)) return SQLITE_CANTOPEN;
    const int code = file->vfs->real_->xOpen(file->vfs->real_, path, file->real(), flags, out);
    if (file->real()->pMethods != nullptr) file->base.pMethods = methods();
    return code;
  }

  static int remove(sqlite3_vfs* vfs, const char* path, int) {
    if (of(vfs).fails(kDelete)) return SQLITE_IOERR_DELETE;
    return of(vfs).real_->xDelete(of(vfs).real_, path, 0);
  }

  static int read(sqlite3_file* file, void* data, int size, sqlite3_int64 at) {
    if (of(file)->vfs->fails(kRead)) return SQLITE_IOERR_READ;
    return of(file)->real()->pMethods->xRead(of(file)->real(), data, size, at);
  }

  static int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 at) {
    const auto write_some = [&](int bytes) {
      return of(file)->real()->pMethods->xWrite(of(file)->real(), data, bytes, at);
    };
    FaultyVfs& vfs = *of(file)->vfs;
    if (vfs.fails(kWrite, [&] { write_some(size / 2); })) return vfs.fault_.full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    return write_some(size);
  }

  static const sqlite3_io_methods* methods() {
    // Version 2: without mapped pages, which would pass the calls above by.
    static const sqlite3_io_methods table = {
        2,
        [](sqlite3_file* f) { return of(f)->real()->pMethods->xClose(of(f)->real()); },
        read,
        write,
        [](sqlite3_file* f, sqlite3_int64 size) {
          if (of(f)->vfs->fails(kTruncate)) return SQLITE_IOERR_TRUNCATE;
          return of(f)->real()->pMethods->xTruncate(of(f)->real(), size);
        },
        [](sqlite3_file* f, int) { return of(f)->vfs->fails(kSync) ? SQLITE_IOERR_FSYNC : SQLITE_OK; },
        [](sqlite3_file* f, sqlite3_int64* size) { return of(f)->real()->pMethods->xFileSize(of(f)->real(), size); },
        [](sqlite3_file* f, int lock) { return of(f)->real()->pMethods->xLock(of(f)->real(), lock); },
        [](sqlite3_file* f, int lock) { return of(f)->real()->pMethods->xUnlock(of(f)->real(), lock); },
        [](sqlite3_file* f, int* out) { return of(f)->real()->pMethods->xCheckReservedLock(of(f)->real(), out); },
        [](sqlite3_file* f, int op, void* arg) {
          return of(f)->real()->pMethods->xFileControl(of(f)->real(), op, arg);
        },
        [](sqlite3_file* f) { return of(f)->real()->pMethods->xSectorSize(of(f)->real()); },
        // Nothing that the disk does by itself is relied on.
        [](sqlite3_file*) { return 0; },
        [](sqlite3_file* f, int page, int size, int extend, void volatile** out) {
          return of(f)->real()->pMethods->xShmMap(of(f)->real(), page, size, extend, out);
        },
        [](sqlite3_file* f, int offset, int n, int flags) {
          return of(f)->real()->pMethods->xShmLock(of(f)->real(), offset, n, flags);
        },
        [](sqlite3_file* f) { of(f)->real()->pMethods->xShmBarrier(of(f)->real()); },
        [](sqlite3_file* f, int remove) { return of(f)->real()->pMethods->xShmUnmap(of(f)->real(), remove); },
        nullptr,
        nullptr,
    };
    return &table;
  }

  std::string name_;
  sqlite3_vfs* real_;
  sqlite3_vfs vfs_;
  Fault fault_;
  std::atomic<int64_t> count_{0};
};

}  // namespace andiron
