#include "data/find_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

namespace fs = std::filesystem;

// Deeper folders and more files than anybody keeps by hand: a wrong path ("/") ends here and not in the swap.
constexpr int kMaxDepth = 64;
constexpr size_t kMaxFiles = 1'000'000;

class Walker {
 public:
  Walker(std::vector<FoundFile>& found, RowProblems& skipped) : found_(found), skipped_(skipped) {}

  Status walk(const fs::path& folder, int depth) {
    std::error_code error;
    std::vector<fs::path> entries;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      entries.push_back(it->path());
      if (entries.size() + found_.size() > kMaxFiles) {
        return make_error("{}: more than {} files; give a smaller folder", in_quotes(folder.string(), 200), kMaxFiles);
      }
    }
    if (error) skipped_.add(folder.string(), 0, format("cannot read the folder: {}", error.message()));
    std::sort(entries.begin(), entries.end());
    for (const fs::path& path : entries) {
      if (!path.filename().string().starts_with('.')) TRY(visit(path, depth));
    }
    return {};
  }

 private:
  Status visit(const fs::path& path, int depth) {
    std::error_code error;
    const bool link = fs::is_symlink(path, error);
    const fs::file_status status = fs::status(path, error);
    if (fs::is_directory(status)) {
      if (link) {  // may lead back up
        skipped_.add(path.string(), 0, "a link to a folder");
      } else if (depth >= kMaxDepth) {
        skipped_.add(path.string(), 0, format("more than {} folders deep", kMaxDepth));
      } else {
        return walk(path, depth + 1);
      }
    } else if (fs::is_regular_file(status)) {
      found_.push_back({path.string(), false});
    } else {
      skipped_.add(path.string(), 0, "not a file");
    }
    return {};
  }

  std::vector<FoundFile>& found_;
  RowProblems& skipped_;
};

struct Magic {
  std::string_view bytes;
  std::string_view what;
};

constexpr Magic kMagics[] = {
    {"PK\x03\x04", "a zip archive or an office document: unpack it, or save it as text"},
    {"%PDF", "a PDF: save it as text (pdftotext FILE)"},
    {"PAR1", "a Parquet file: save it as jsonl"},
    {"BZh", "compressed: unpack it first (bunzip2 -k FILE)"},
    {"\xfd"
     "7zXZ",
     "compressed: unpack it first (unxz -k FILE)"},
    {"\x28\xb5\x2f\xfd", "compressed: unpack it first (unzstd FILE)"},
    {"GGUF", "a model, not data"},
};

}  // namespace

FileKind kind_of_name(std::string_view name) {
  constexpr std::pair<std::string_view, FileKind> kEndings[] = {
      {".json", FileKind::kJson},         {".jsonl", FileKind::kJson},
      {".ndjson", FileKind::kJson},       {".md", FileKind::kMarkdown},
      {".markdown", FileKind::kMarkdown}, {".txt", FileKind::kPlain},
      {".text", FileKind::kPlain},        {"", FileKind::kPlain}};
  std::string ending = fs::path(name).extension().string();
  for (char& c : ending) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  for (const auto& [known, kind] : kEndings) {
    if (ending == known) return kind;
  }
  return FileKind::kUnknown;
}

Result<std::vector<FoundFile>> find_files(const std::vector<std::string>& paths, RowProblems& skipped) {
  std::vector<FoundFile> found;
  for (const std::string& path : paths) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) {
      return make_error("{}: {}", in_quotes(path, 200), error ? error.message() : "no such file or folder");
    }
    if (fs::is_directory(status)) {
      TRY(Walker(found, skipped).walk(path, 0));
    } else {
      found.push_back({path, true});
    }
  }
  return found;
}

std::string why_not_text(std::string_view bytes, std::string_view path) {
  if (bytes.starts_with("\x1f\x8b")) return format("compressed: unpack it first: gunzip -k '{}'", in_quotes(path, 200));
  for (const Magic& magic : kMagics) {
    if (bytes.starts_with(magic.bytes)) return std::string(magic.what);
  }
  if (bytes.starts_with("\xff\xfe") || bytes.starts_with("\xfe\xff")) {
    return format("UTF-16: convert it first: iconv -f UTF-16 -t UTF-8 '{}' > NEW", in_quotes(path, 200));
  }
  if (bytes.substr(0, 64 << 10).find('\0') != std::string_view::npos) return "a binary file";
  return "";
}

}  // namespace andiron
