// FileShelf: the files that people have sent to be learned from, in a folder that its user alone can enter, each in a
// folder of its own: what is said of it (about.json) and its content, mode 0600. They stay until they are removed.
//
// Not in the store: that keeps files by their hash and of at most 16 MiB, for messages, and drops those that no message
// has; and training reads files. Any thread: a file appears whole and goes at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_fields.h"
#include "base/result.h"

namespace andiron {

struct ShelfFile {
  std::string id;    // "file-" and 32 hexadecimal digits
  std::string name;  // as its sender calls it, without folders
  uint64_t bytes = 0;
  int64_t created = 0;  // seconds since 1970
  std::string content;  // the file's name in its folder, whose ending tells its kind
};

template <FieldsOf<ShelfFile> F, typename Fields>
void fields(F& file, Fields&& at) {
  at("id", file.id);
  at("name", file.name);
  at("bytes", file.bytes);
  at("created", file.created);
  at("content", file.content);
}

// The content of a file as it is when this is made, whoever removes the file meanwhile. One thread at a time.
class ShelfReader {
 public:
  // Kind kNotFound where the file is not there.
  static Result<std::shared_ptr<ShelfReader>> open(const std::string& path);
  ~ShelfReader();
  ShelfReader(const ShelfReader&) = delete;
  ShelfReader& operator=(const ShelfReader&) = delete;

  uint64_t bytes() const { return bytes_; }
  // What follows, at most so many bytes; "" at the end.
  Result<std::string> read(size_t most);

 private:
  ShelfReader(std::string path, int fd, uint64_t bytes) : path_(std::move(path)), fd_(fd), bytes_(bytes) {}

  std::string path_;
  int fd_;
  uint64_t bytes_;
};

class FileShelf {
 public:
  static constexpr size_t kFilesMax = 1000;
  static constexpr size_t kNameBytesMax = 255;

  // The folder is made where it is not there, and closed to others. What a process that was killed has left of a file
  // goes.
  static Result<FileShelf> open(std::string folder);

  // Whether it could be learned from: it has a name, and it is text with something in it.
  static Status check(std::string_view name, std::string_view content);
  // An Error says why it cannot be kept: check(), too many already (kConflict), no room on the disk (kDiskFull), or
  // what else the disk has done.
  Result<ShelfFile> add(std::string_view name, std::string_view content) const;
  // The oldest first. What is no file of this shelf is left out.
  Result<std::vector<ShelfFile>> list() const;
  // None where there is none of this id, whatever the id looks like.
  std::optional<ShelfFile> find(std::string_view id) const;
  std::string path_of(const ShelfFile& file) const;
  // Whether there was one.
  Result<bool> remove(std::string_view id) const;

 private:
  explicit FileShelf(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_of(std::string_view id) const { return folder_ + "/" + std::string(id); }

  std::string folder_;
};

// Makes a folder that its user alone may enter. Those above it that are missing are made as the user's others are.
Status make_private_folder(const std::string& path);

}  // namespace andiron
