// PackedKey: which packed weights belong to a model's files: the hash of all their bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"

namespace andiron {

// What tells, without reading it, that a file is the one of last time.
struct FileStamp {
  std::string path;  // absolute
  uint64_t bytes = 0;
  int64_t modified_ns = 0, changed_ns = 0;  // mtime and ctime
  uint64_t inode = 0, device = 0;

  bool operator==(const FileStamp&) const = default;
};

// In the order of the paths; an Error for one that cannot be looked at.
Result<std::vector<FileStamp>> stamp_files(std::span<const std::string> paths);
uint64_t total_bytes(std::span<const FileStamp> stamps);

// Hashes files in step with their being read by others, so that a cold disk is read once.
class FileHasher {
 public:
  static Result<FileHasher> create(std::span<const FileStamp> stamps);
  FileHasher(FileHasher&&) noexcept;
  FileHasher& operator=(FileHasher&&) = delete;
  ~FileHasher();

  // Hashes until `bytes` of all files together are done.
  void advance(uint64_t bytes);
  // Hashes the rest; 32 hexadecimal digits. An Error when a file changed meanwhile.
  Result<std::string> finish();

 private:
  struct State;
  explicit FileHasher(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace andiron
