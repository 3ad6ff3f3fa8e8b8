// The folder of a run, in which one process works at a time.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace andiron {

class RunFolder {
 public:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;
  // One that open() made and in which nothing was left is removed.
  ~RunFolder();

  // Makes the folder. Without `resume` one that holds a run, or what only a run with a record leaves (a model, an
  // adapter, losses, checkpoints), is refused; what pretraining makes before its record (initial.gguf, tokens/) is not,
  // so that one killed that early begins again. With `resume` one that holds no run is refused; and one in which
  // another process is at work always.
  Status open(bool resume);

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const;

 private:
  std::string path_;
  int fd_ = -1;
  bool made_ = false;
};

}  // namespace andiron
