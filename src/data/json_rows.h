// Cuts a JSON file into its rows without reading more than one: lines (jsonl), the items of one list, or objects one
// after another over several lines.
//
// What is broken stays a row of its own, so that it can be counted, and cutting goes on behind it as well as it can be
// guessed: on the next line. Takes time linear in the file, whatever is in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace andiron {

class JsonRows {
 public:
  // A longer row is not read: no conversation is, and parsing takes several times as much memory.
  static constexpr size_t kMaxRowBytes = 16 << 20;

  explicit JsonRows(std::string_view text);

  struct Row {
    std::string_view text;
    int64_t line = 1;
    std::string problem;  // why this is no row, or ""
  };
  // The next row, or nothing at the end.
  std::optional<Row> next();

 private:
  enum class Layout { kLines, kList, kObjects };

  std::optional<Row> next_line();
  std::optional<Row> next_item();
  std::optional<Row> next_object();
  Row scan_value();
  std::optional<Row> rest(std::string problem);
  void skip_space();
  Row make_row(size_t begin, int64_t line, std::string problem) const;

  std::string_view text_;
  size_t at_ = 0;
  int64_t line_ = 1;  // of at_
  Layout layout_;
  bool list_ended_ = false;
};

}  // namespace andiron
