// The lock that training holds while it works in a folder (train/run_folder.h).
#pragma once

#include <string>

namespace andiron {

// Takes it where it is free, and holds it until the end.
class FolderLock {
 public:
  explicit FolderLock(const std::string& path);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();
  // By somebody else.
  bool is_taken() const { return taken_; }

 private:
  int fd_;
  bool taken_;
};

}  // namespace andiron
