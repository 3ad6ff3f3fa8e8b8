// AtomicFile: a file that appears whole or not at all.
//
// Bytes go to a file without a name in the target's folder; commit() syncs it, names it, renames it over the target and
// syncs the folder. Without commit() (an error, a signal, the destructor) the target is untouched and nothing is left
// behind. On file systems without nameless files it is a temporary one with ".part-" in its name, which the destructor
// removes, or remove_unfinished(). While it is being written the file is locked (flock), so that one left by a crash
// can be told. A symbolic link stays one: what it points to is replaced. Devices, pipes and folders are refused. One
// owner, one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace andiron {

// What commit() does with what has come to be there: replaces it, or fails with the Error of check_free().
enum class Existing { kReplaced, kKept };

// While this lives, AtomicFile::remove_unfinished() removes what has this name: a file, or a folder in which it has
// removed everything.
class UnfinishedName {
 public:
  static constexpr size_t kAtOnceMax = 128;  // beyond so many at a time, a signal leaves the file

  explicit UnfinishedName(const std::string& path);
  ~UnfinishedName();
  UnfinishedName(const UnfinishedName&) = delete;
  UnfinishedName& operator=(const UnfinishedName&) = delete;

 private:
  int slot_ = -1;
};

class AtomicFile {
 public:
  // `private_to_user`: mode 0600 instead of the user's default.
  static Result<AtomicFile> create(const std::string& path, bool private_to_user = false);
  // As create() where the file system has no nameless files.
  static Result<AtomicFile> create_named(const std::string& path, bool private_to_user = false);
  // Removes the temporary files and folders of this process, which must end now. May be called by a signal handler.
  static void remove_unfinished();
  // Whether a temporary file is left over: nobody is writing it. "No" where the file system cannot tell.
  static bool is_abandoned(const std::string& temporary);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  AtomicFile(const AtomicFile&) = delete;
  ~AtomicFile();

  Status write(std::span<const uint8_t> bytes);  // appends
  Status write(std::string_view text);
  Status write_at(uint64_t offset, std::span<const uint8_t> bytes);  // does not move the append position
  Status pad_to(uint64_t multiple);  // zeros until the append position is a multiple of `multiple`
  uint64_t offset() const { return offset_; }
  // Changes the name, in the same folder, under which the file will appear.
  void rename_to(std::string path) { path_ = std::move(path); }
  Status commit(Existing existing = Existing::kReplaced);
  // As commit(), but leaves the syncing to the system, for a file that can be made again: after a crash of the machine
  // (not of the process) it may be there and hold anything.
  Status commit_unsynced(Existing existing = Existing::kReplaced);

 private:
  class TemporaryName;  // in the file system
  AtomicFile(std::string path, std::unique_ptr<TemporaryName> temporary, int fd);

  std::string path_;
  std::unique_ptr<TemporaryName> temporary_;  // null while nameless
  int fd_ = -1;
  uint64_t offset_ = 0;
};

// Of a call that failed with this errno while something was being written: kDiskFull where there is no room, be it the
// disk's or the user's share of it, else kOther.
ErrorKind kind_of_write_error(int number);

// The whole of a small text file; more than `limit` bytes is an error.
Result<std::string> read_text_file(const std::string& path, uint64_t limit = uint64_t{256} << 20);
Status write_text_file(const std::string& path, std::string_view text, bool private_to_user = false);

// The folder that holds what this path names: "." where it has no slash.
std::string parent_of(const std::string& path);
// Puts on disk what was made, renamed or removed in a folder; where the file system cannot, nothing is done.
Status sync_folder(const std::string& path);

// An Error where there is something of any kind, a link to nothing too, or where that cannot be told.
Status check_free(const std::string& path);
// Gives what is at `from` the name `to`, which must be free; otherwise the Error of check_free().
Status rename_to_free(const std::string& from, const std::string& to);

bool file_exists(const std::string& path);  // of any kind, a folder too
// Bytes that can still be written to the disk of this folder.
Result<uint64_t> free_bytes(const std::string& folder);
bool is_folder(const std::string& path);

}  // namespace andiron
