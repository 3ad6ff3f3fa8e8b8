#include "cli/columns.h"

#include <algorithm>

#include "base/strings.h"

namespace andiron {

namespace {

size_t code_points(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) next_code_point(text, at);
  return count;
}

// Appends a line without line ends.
void wrap_line(std::string_view line, size_t width, std::vector<std::string>& out) {
  std::string current;
  size_t used = 0;     // code points in it
  size_t word_at = 0;  // bytes of it before its last word
  for (size_t at = 0; at < line.size();) {
    const size_t begin = at;
    next_code_point(line, at);
    const std::string_view one = line[begin] == '\t' ? " " : line.substr(begin, at - begin);
    if (used == width) {
      // The last word goes on in the next line, unless it is all there is; a space at the seam is the seam.
      std::string rest;
      if (one != " " && word_at > 0) rest = current.substr(word_at);
      current.resize(current.size() - rest.size());
      current.resize(current.find_last_not_of(' ') + 1);
      out.push_back(std::move(current));
      current = std::move(rest);
      used = code_points(current);
      word_at = 0;
      if (one == " ") continue;
    }
    current += one;
    ++used;
    if (one == " ") word_at = current.size();
  }
  out.push_back(std::move(current));
}

}  // namespace

std::vector<std::string> wrap_text(std::string_view text, size_t width) {
  std::vector<std::string> out;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    wrap_line(text.substr(at, end - at), width, out);
    at = end + 1;
  }
  return out;
}

std::string side_by_side(std::string_view left, std::string_view right, size_t width, std::string_view divider) {
  const size_t column = (std::max<size_t>(width, 20) - code_points(divider)) / 2;
  const auto a = wrap_text(left, column), b = wrap_text(right, column);
  std::string out;
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const std::string& one = i < a.size() ? a[i] : "";
    out += one + std::string(column - code_points(one), ' ') + std::string(divider);
    if (i < b.size()) out += b[i];
    out.resize(out.find_last_not_of(' ') + 1);
    out += '\n';
  }
  return out;
}

}  // namespace andiron
