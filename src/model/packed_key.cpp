#include "model/packed_key.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/content_hash.h"
#include "base/strings.h"

namespace andiron {

namespace {
int64_t nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }
}  // namespace

Result<std::vector<FileStamp>> stamp_files(std::span<const std::string> paths) {
  std::vector<FileStamp> stamps;
  for (const std::string& path : paths) {
    struct stat info {};
    const std::unique_ptr<char, decltype(&std::free)> absolute(::realpath(path.c_str(), nullptr), &std::free);
    if (absolute == nullptr || ::stat(absolute.get(), &info) != 0) {
      return make_error("{}: cannot look at it: {}", path, std::strerror(errno));
    }
    stamps.push_back({absolute.get(), static_cast<uint64_t>(info.st_size), nanoseconds(info.st_mtim),
                      nanoseconds(info.st_ctim), info.st_ino, info.st_dev});
  }
  return stamps;
}

uint64_t total_bytes(std::span<const FileStamp> stamps) {
  uint64_t sum = 0;
  for (const FileStamp& stamp : stamps) sum += stamp.bytes;
  return sum;
}

struct FileHasher::State {
  std::vector<FileStamp> stamps;
  std::vector<std::shared_ptr<MappedFile>> files;
  ContentHash hash;
  uint64_t done = 0;     // of all files
  size_t file = 0;       // at hand
  uint64_t in_file = 0;  // done of it
};

FileHasher::FileHasher(std::unique_ptr<State> state) : state_(std::move(state)) {}
FileHasher::FileHasher(FileHasher&&) noexcept = default;
FileHasher::~FileHasher() = default;

Result<FileHasher> FileHasher::create(std::span<const FileStamp> stamps) {
  auto state = std::make_unique<State>();
  state->stamps.assign(stamps.begin(), stamps.end());
  for (const FileStamp& stamp : stamps) {
    TRY_ASSIGN(auto file, MappedFile::open(stamp.path));
    if (file->bytes().size() != stamp.bytes) return make_error("{}: it changed while being read", stamp.path);
    state->files.push_back(std::move(file));
  }
  return FileHasher(std::move(state));
}

void FileHasher::advance(uint64_t bytes) {
  State& s = *state_;
  while (s.done < bytes && s.file < s.files.size()) {
    const auto whole = s.files[s.file]->bytes();
    // The sizes too, so that bytes cannot move from one file to the next unnoticed.
    if (s.in_file == 0) s.hash.add(uint64_t{whole.size()});
    constexpr uint64_t kStep = 4 << 20;  // between two calls that give pages back
    const uint64_t step = std::min({kStep, bytes - s.done, whole.size() - s.in_file});
    const uint8_t* begin = whole.data() + s.in_file;
    s.hash.add({begin, step});
    s.files[s.file]->drop_pages(begin, step);
    s.done += step;
    s.in_file += step;
    if (s.in_file == whole.size()) {
      ++s.file;
      s.in_file = 0;
    }
  }
}

Result<std::string> FileHasher::finish() {
  State& s = *state_;
  advance(total_bytes(s.stamps));
  std::vector<std::string> paths;
  for (size_t i = 0; i < s.files.size(); ++i) {
    TRY(s.files[i]->check_intact());
    paths.push_back(s.stamps[i].path);
  }
  TRY_ASSIGN(const auto now, stamp_files(paths));
  if (now != s.stamps) return make_error("{}: it changed while being read", paths.front());
  return s.hash.digits();
}

}  // namespace andiron
