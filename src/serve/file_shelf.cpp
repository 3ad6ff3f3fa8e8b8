#include "serve/file_shelf.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <utility>

#include "base/atomic_file.h"
#include "base/atomic_folder.h"
#include "base/strings.h"
#include "data/find_files.h"
#include "store/records.h"

namespace andiron {

namespace {

constexpr std::string_view kPrefix = "file-";
constexpr const char* kAbout = "about.json";
constexpr uint64_t kAboutBytesMax = 64 << 10;

bool is_id(std::string_view id) {
  return id.size() == kPrefix.size() + 32 && id.starts_with(kPrefix) &&
         id.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

// What a file of this name is kept as: only the ending tells data's kind.
std::string content_name(std::string_view name) {
  switch (kind_of_name(name)) {
    case FileKind::kJson: return name.ends_with(".json") || name.ends_with(".JSON") ? "content.json" : "content.jsonl";
    case FileKind::kMarkdown: return "content.md";
    case FileKind::kPlain:
    case FileKind::kUnknown: break;
  }
  return "content.txt";
}

std::string last_part(std::string_view name) {
  const size_t slash = name.find_last_of("/\\");
  return std::string(slash == std::string_view::npos ? name : name.substr(slash + 1));
}

Status check_name(const std::string& name) {
  const bool shown =
      std::none_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (!name.empty() && name.size() <= FileShelf::kNameBytesMax && shown && is_valid_utf8(name)) return {};
  return make_error("the name of a file must be 1 to {} bytes of text, not \"{}\"", FileShelf::kNameBytesMax,
                    andiron::in_quotes(name));
}

// What a process that was killed has left: of a file that came, or of one that went (see remove()).
void remove_halves(const std::string& folder) {
  const auto names = list_folder(folder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string id = name.substr(0, name.find('.'));
    if (!is_id(id)) continue;
    const std::string path = format("{}/{}", folder, id);
    if (id != name) remove_unfinished_folders(path);
    std::error_code ignored;
    if (id == name && !file_exists(format("{}/{}", path, kAbout))) {
      std::filesystem::remove_all(path, ignored);
    }
  }
}

}  // namespace

Status make_private_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return make_error("{}: the folder cannot be made: {}", path, error.message());
  if (::chmod(path.c_str(), 0700) == 0) return {};
  return make_error("{}: the folder cannot be closed to others: {}", path, std::strerror(errno));
}

Result<std::shared_ptr<ShelfReader>> ShelfReader::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) {
    return make_error(errno == ENOENT ? ErrorKind::kNotFound : ErrorKind::kMachine, "{}: cannot open it: {}", path,
                      std::strerror(errno));
  }
  std::shared_ptr<ShelfReader> reader(new ShelfReader(path, fd, 0));
  struct stat facts {};
  if (::fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    return make_error(ErrorKind::kMachine, "{}: cannot read it: expected a file", path);
  }
  reader->bytes_ = static_cast<uint64_t>(facts.st_size);
  return reader;
}

ShelfReader::~ShelfReader() { ::close(fd_); }

Result<std::string> ShelfReader::read(size_t most) {
  std::string out(most, '\0');
  ssize_t got = 0;
  do {
    got = ::read(fd_, out.data(), out.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) return make_error(ErrorKind::kMachine, "{}: cannot read it: {}", path_, std::strerror(errno));
  out.resize(static_cast<size_t>(got));
  return out;
}

Result<FileShelf> FileShelf::open(std::string folder) {
  TRY(make_private_folder(folder));
  remove_halves(folder);
  return FileShelf(std::move(folder));
}

Status FileShelf::check(std::string_view sent_name, std::string_view content) {
  const std::string name = last_part(sent_name);
  TRY(check_name(name));
  if (is_blank(content)) return make_error("{}: there is nothing in this file", andiron::in_quotes(name));
  const std::string why = why_not_text(content, name);
  if (why.empty()) return {};
  return make_error("{}: only text can be learned from, and this is {}", andiron::in_quotes(name), why);
}

Result<ShelfFile> FileShelf::add(std::string_view name, std::string_view content) const {
  TRY(check(name, content));
  ShelfFile file;
  file.name = last_part(name);
  TRY_ASSIGN(const auto there, list());
  if (there.size() >= kFilesMax) {
    return make_error(ErrorKind::kConflict, "there are {} files here, and no more are kept; remove some of them first",
                      there.size());
  }
  TRY_ASSIGN(file.id, new_id());
  file.id.insert(0, kPrefix);
  file.bytes = content.size();
  file.created = std::time(nullptr);
  file.content = content_name(file.name);
  TRY_ASSIGN(AtomicFolder folder, AtomicFolder::create(folder_of(file.id)));
  TRY(write_text_file(folder.file(file.content), content, true));
  TRY(write_text_file(folder.file(kAbout), to_json(file).dump() + "\n", true));
  TRY(folder.commit(Existing::kKept));
  return file;
}

std::optional<ShelfFile> FileShelf::find(std::string_view id) const {
  if (!is_id(id)) return std::nullopt;
  const auto text = read_text_file(folder_of(id) + "/" + kAbout, kAboutBytesMax);
  if (!text.ok()) return std::nullopt;
  const auto json = parse_json(*text, kAbout);
  ShelfFile file;
  // The content's name is a path's part: nothing but what add() writes.
  if (!json.ok() || !from_json(*json, file) || file.id != id || file.content != content_name(file.content)) {
    return std::nullopt;
  }
  return file;
}

Result<std::vector<ShelfFile>> FileShelf::list() const {
  TRY_ASSIGN(const auto names, list_folder(folder_));
  std::vector<ShelfFile> out;
  for (const std::string& name : names) {
    if (auto file = find(name)) out.push_back(std::move(*file));
  }
  std::sort(out.begin(), out.end(), [](const ShelfFile& a, const ShelfFile& b) {
    return std::pair(a.created, std::string_view(a.id)) < std::pair(b.created, std::string_view(b.id));
  });
  return out;
}

std::string FileShelf::path_of(const ShelfFile& file) const { return folder_of(file.id) + "/" + file.content; }

Result<bool> FileShelf::remove(std::string_view id) const {
  const auto file = find(id);
  if (!file) return false;
  // What is said of it goes first: a shelf knows nothing of a content without.
  std::error_code error;
  for (const std::string& path : {folder_of(id) + "/" + kAbout, path_of(*file), folder_of(id)}) {
    std::filesystem::remove(path, error);
    if (error) return make_error("{}: cannot be removed: {}", path, error.message());
  }
  TRY(sync_folder(folder_));
  return true;
}

}  // namespace andiron
