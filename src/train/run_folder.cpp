#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/strings.h"

namespace andiron {

RunFolder::~RunFolder() {
  if (fd_ >= 0) ::close(fd_);
  if (!made_) return;
  for (const std::string& folder : {file("checkpoints"), path_}) ::rmdir(folder.c_str());  // fails unless empty
}

Status RunFolder::open(bool resume) {
  std::error_code error;
  made_ = std::filesystem::create_directories(path_, error);
  if (error) return make_error("{}: the folder cannot be made: {}", path_, error.message());
  const bool has_run = file_exists(file("run.json"));
  if (has_run && !resume) {
    return make_error("{}: there is a run in this folder; --resume goes on with it, or choose another", path_);
  }
  if (!has_run && resume) return make_error("{}: there is no run to resume in this folder", path_);
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors", "model.gguf", "loss.csv", "loss.svg"}) {
    if (!has_run && file_exists(file(name))) {
      return make_error("{}: there is a {} in this folder already, and no run; choose another", path_, name);
    }
  }
  if (!has_run && file_exists(file("checkpoints")) && !std::filesystem::is_empty(file("checkpoints"), error)) {
    return make_error("{}: there are checkpoints in this folder already, and no run; choose another", path_);
  }
  fd_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd_ < 0) return make_error("{}: cannot open this folder: {}", path_, std::strerror(errno));
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return {};
  if (errno == EWOULDBLOCK) return make_error("{}: another process is training in this folder", path_);
  return make_error("{}: cannot lock this folder against other processes: {}", path_, std::strerror(errno));
}

std::string RunFolder::file(std::string_view name) const { return format("{}/{}", path_, name); }

}  // namespace andiron
