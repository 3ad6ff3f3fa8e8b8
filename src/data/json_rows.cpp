#include "data/json_rows.h"

#include <algorithm>

#include "base/strings.h"

namespace andiron {

JsonRows::JsonRows(std::string_view text) : text_(text) {
  skip_space();
  layout_ = Layout::kLines;
  if (at_ == text_.size()) return;
  const std::string_view line = text_.substr(at_, std::min(text_.find('\n', at_), text_.size()) - at_);
  if (text_[at_] == '[') {
    layout_ = Layout::kList;
    ++at_;
  } else if (text_[at_] == '{' && is_blank(line.substr(1))) {
    layout_ = Layout::kObjects;  // written for people: no line of jsonl is a single brace
  }
}

std::optional<JsonRows::Row> JsonRows::next() {
  switch (layout_) {
    case Layout::kList: return next_item();
    case Layout::kObjects: return next_object();
    case Layout::kLines: break;
  }
  return next_line();
}

void JsonRows::skip_space() {
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '\n') {
      ++line_;
    } else if (c != ' ' && c != '\t' && c != '\r') {
      return;
    }
  }
}

JsonRows::Row JsonRows::make_row(size_t begin, int64_t line, std::string problem) const {
  Row row{text_.substr(begin, at_ - begin), line, std::move(problem)};
  if (row.text.size() > kMaxRowBytes) {
    row.problem =
        format("the row has {}; at most {} are read", human_bytes(row.text.size()), human_bytes(kMaxRowBytes));
  }
  return row;
}

std::optional<JsonRows::Row> JsonRows::next_line() {
  skip_space();
  if (at_ == text_.size()) return std::nullopt;
  const size_t begin = at_;
  at_ = std::min(text_.find('\n', at_), text_.size());
  return make_row(begin, line_, "");
}

std::optional<JsonRows::Row> JsonRows::next_object() {
  skip_space();
  if (at_ == text_.size()) return std::nullopt;
  return scan_value();
}

std::optional<JsonRows::Row> JsonRows::next_item() {
  skip_space();
  if (list_ended_) return at_ == text_.size() ? std::nullopt : rest("there is text after the end of the list");
  while (at_ < text_.size() && text_[at_] == ',') {
    ++at_;
    skip_space();
  }
  if (at_ == text_.size()) {
    list_ended_ = true;
    return Row{{}, line_, "the file ends before its list does"};
  }
  if (text_[at_] == ']') {
    ++at_;
    list_ended_ = true;
    return next_item();
  }
  return scan_value();
}

// All that remains as one row.
std::optional<JsonRows::Row> JsonRows::rest(std::string problem) {
  const size_t begin = at_;
  const int64_t line = line_;
  at_ = text_.size();
  return make_row(begin, line, std::move(problem));
}

// From a value's first byte to its last: to the bracket that closes the first, or, of what is no object or list, to the
// end of the line or item.
JsonRows::Row JsonRows::scan_value() {
  const size_t begin = at_;
  const int64_t line = line_;
  if (text_[at_] != '{' && text_[at_] != '[') {
    at_ = std::min(text_.find_first_of(",]\n", at_ + 1), text_.size());
    return make_row(begin, line, "");
  }
  int64_t depth = 0;
  bool in_string = false;
  std::string problem;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '\n') {
      ++line_;
      // Strings do not go over lines: a quote is missing or too many. The next line is taken as it stands.
      if (in_string) problem = format("not valid JSON: a string without an end (line {})", line_ - 1);
      in_string = false;
    } else if (in_string) {
      if (c == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n') ++at_;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      ++at_;
      return make_row(begin, line, std::move(problem));
    }
  }
  list_ended_ = true;
  return make_row(begin, line, problem.empty() ? "the file ends within this row" : std::move(problem));
}

}  // namespace andiron
