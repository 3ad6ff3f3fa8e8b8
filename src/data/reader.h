// Reads files and folders as Examples, one after the other.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/example.h"
#include "data/find_files.h"
#include "data/report.h"

namespace andiron {

// Takes the examples in order; its Error ends the reading.
using ExampleSink = std::function<Status(Example&&)>;

// How much of `text` the next piece of at most `bytes_max` (8 or more) takes: to the last line end before which it fits
// and behind which a word begins, so that the cut falls between tokens; failing that, to the last whole character.
size_t piece_size(std::string_view text, size_t bytes_max);

// The format that a file's content has; `name` decides between text and Markdown, and that what is called .json is no
// text. An Error says why there is none.
Result<DataFormat> detect_format(std::string_view bytes, std::string_view name);

// What a file of find_files() is read as: `format` where it is given, otherwise what the content says. An Error says
// why it is not read; of a file that was not given itself it is no fault.
Result<DataFormat> format_of(const FoundFile& file, std::string_view bytes, std::optional<DataFormat> format);

class DataReader {
 public:
  // The report gets the files, their bad rows and duplicates, and what was skipped. It must outlive this.
  // Once `stop` (may be null; it must outlive this) is set, reading ends with an Error before the next row, piece or
  // file.
  DataReader(DataReport& report, ExampleSink sink, const std::atomic<bool>* stop = nullptr)
      : report_(report), sink_(std::move(sink)), stop_(stop) {}

  // Files, and folders with all that is below them. With `format` everything is read as that; otherwise each file's
  // content decides, and in folders files are skipped that are no text, are JSON of no known form, or have names that
  // end otherwise than data's do. An Error: a path that does not exist, a file given by name that is no data.
  Status read(const std::vector<std::string>& paths, std::optional<DataFormat> format);

  // One file's bytes. `path` stands in messages. With `alike` rows that look like another format than the file's are
  // bad; without, they are read as far as they can be.
  Status read_bytes(std::string_view bytes, const std::string& path, DataFormat format, bool alike);

 private:
  using ContentHash = std::array<uint64_t, 2>;

  Status read_rows(std::string_view text, bool alike, DataFile& file);
  Status read_text(std::string_view bytes, std::string_view text, DataFile& file);
  bool is_new(std::string_view content);
  Status check_stop() const;

  DataReport& report_;
  ExampleSink sink_;
  const std::atomic<bool>* stop_;
  std::set<ContentHash> seen_;
};

}  // namespace andiron
