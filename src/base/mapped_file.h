// MappedFile: a whole file, read-only, in memory without a copy.
//
// If the file shrinks while it is mapped, reading the lost part would normally kill the process with
// SIGBUS. Here such a page reads as zeros instead and `damaged()` turns true for good: whoever computes
// from the bytes asks after each step and reports an error for that file, and the process lives on. The same question
// tells of bytes that others changed in place. A file replaced by another under its name goes on as it was.
// Thread-safe to read; the object itself belongs to one owner (shared_ptr).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace andiron {

class MappedFile {
 public:
  // Fails when the file is missing, unreadable, not a regular file, or empty.
  static Result<std::shared_ptr<MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  bool damaged() const;
  // An Error that says so when the file shrank or was written to after it was opened.
  Status check_intact() const;

  // A hint, never needed for correctness: the pages of [begin, begin + size) are no longer wanted.
  void drop_pages(const void* begin, uint64_t size) const;

 private:
  MappedFile(std::string path, int fd, const uint8_t* data, size_t size, int64_t modified_ns, int slot)
      : path_(std::move(path)), fd_(fd), data_(data), size_(size), modified_ns_(modified_ns), slot_(slot) {}

  std::string path_;
  int fd_;  // kept, to ask what has become of the file
  const uint8_t* data_;
  size_t size_;
  int64_t modified_ns_;  // when it was opened
  int slot_;             // index in the table that the SIGBUS handler reads
};

}  // namespace andiron
