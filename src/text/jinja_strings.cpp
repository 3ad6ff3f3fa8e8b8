#include "text/jinja_strings.h"

#include <algorithm>

#include "base/strings.h"
#include "text/jinja_case.h"
#include "text/jinja_lexer.h"
#include "text/unicode.h"

namespace andiron::jinja {

bool is_printable(uint32_t code_point) {
  if (code_point < 0x7f) return code_point >= 0x20;
  switch (category_of(code_point)) {
    case Category::kZs:
    case Category::kZl:
    case Category::kZp:
    case Category::kCc:
    case Category::kCf:
    case Category::kCs:
    case Category::kCo:
    case Category::kCn: return false;
    default: return true;
  }
}

namespace {

// Calls visit(code_point, begin, end) for every character; whatever it does not claim (by returning false) is appended
// as it is, in runs.
template <typename Visit>
void append_mapped(TextBuilder& out, const Text& text, Visit visit) {
  size_t run = 0;
  size_t replaced = 0;
  out.spend(text.size() / 32);
  for (size_t at = 0; at < text.size() && !out.failed();) {
    const size_t start = at;
    const uint32_t code_point = next_code_point(text.view(), at);
    const std::optional<std::string> replacement = visit(code_point);
    if (!replacement) continue;
    if (++replaced % 8 == 0) out.spend(1);
    out.append_slice(text, run, start);
    out.append(*replacement, text.is_tainted_at(start));
    run = at;
  }
  if (!out.failed()) out.append_slice(text, run, text.size());
}

}  // namespace

void append_string_repr(TextBuilder& out, const Text& text) {
  const bool has_single = text.view().find('\'') != std::string_view::npos;
  const bool has_double = text.view().find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  out.append(std::string_view(&quote, 1));
  append_mapped(out, text, [&](uint32_t c) -> std::optional<std::string> {
    if (c == static_cast<uint8_t>(quote) || c == '\\') return std::string("\\") + static_cast<char>(c);
    if (c == '\n') return "\\n";
    if (c == '\r') return "\\r";
    if (c == '\t') return "\\t";
    if (is_printable(c)) return std::nullopt;
    return c < 0x100 ? format("\\x{:02x}", c) : c < 0x10000 ? format("\\u{:04x}", c) : format("\\U{:08x}", c);
  });
  out.append(std::string_view(&quote, 1));
}

void append_json_string(TextBuilder& out, const Text& text, bool ensure_ascii) {
  out.append("\"");
  append_mapped(out, text, [&](uint32_t c) -> std::optional<std::string> {
    switch (c) {
      case '"': return "\\\"";
      case '\\': return "\\\\";
      case '\n': return "\\n";
      case '\r': return "\\r";
      case '\t': return "\\t";
      case '\b': return "\\b";
      case '\f': return "\\f";
      default: break;
    }
    if (c < 0x20 || (ensure_ascii && c >= 0x7f && c < 0x10000)) return format("\\u{:04x}", c);
    if (!ensure_ascii || c < 0x10000) return std::nullopt;
    return format("\\u{:04x}\\u{:04x}", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
  });
  out.append("\"");
}

void append_escaped(TextBuilder& out, const Text& text) {
  append_mapped(out, text, [](uint32_t c) -> std::optional<std::string> {
    switch (c) {
      case '&': return "&amp;";
      case '<': return "&lt;";
      case '>': return "&gt;";
      case '\'': return "&#39;";
      case '"': return "&#34;";
      default: return std::nullopt;
    }
  });
}

namespace {

// The start of the character that ends before `end`.
size_t previous_start(std::string_view text, size_t end) {
  do {
    --end;
  } while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80);
  return end;
}

uint32_t code_point_at(std::string_view text, size_t at) { return next_code_point(text, at); }

}  // namespace

Span strip(std::string_view text, std::optional<std::string_view> chars, Sides sides) {
  std::vector<bool> set;  // by code point
  for (size_t at = 0; chars && at < chars->size();) {
    const uint32_t code_point = next_code_point(*chars, at);
    if (code_point >= set.size()) set.resize(code_point + 1);
    set[code_point] = true;
  }
  const auto goes = [&](uint32_t code_point) {
    return chars ? code_point < set.size() && set[code_point] : is_python_space(code_point);
  };
  Span out{0, text.size()};
  while (sides != Sides::kRight && out.begin < out.end) {
    size_t next = out.begin;
    if (!goes(next_code_point(text, next))) break;
    out.begin = next;
  }
  while (sides != Sides::kLeft && out.begin < out.end) {
    const size_t last = previous_start(text, out.end);
    if (!goes(code_point_at(text, last))) break;
    out.end = last;
  }
  return out;
}

namespace {

std::vector<Span> split_at_space(std::string_view text, int64_t limit, uint64_t pieces_max) {
  std::vector<Span> out;
  size_t at = 0;
  while (out.size() <= pieces_max) {
    at += strip(text.substr(at), std::nullopt, Sides::kLeft).begin;
    if (at == text.size()) break;
    if (limit >= 0 && static_cast<uint64_t>(limit) == out.size()) {
      out.push_back({at, text.size()});
      break;
    }
    const size_t start = at;
    while (at < text.size()) {
      size_t next = at;
      if (is_python_space(next_code_point(text, next))) break;
      at = next;
    }
    out.push_back({start, at});
  }
  return out;
}

std::vector<Span> split_at_space_from_right(std::string_view text, int64_t limit, uint64_t pieces_max) {
  std::vector<Span> out;
  size_t end = text.size();
  while (out.size() <= pieces_max) {
    end = strip(text.substr(0, end), std::nullopt, Sides::kRight).end;
    if (end == 0) break;
    if (limit >= 0 && static_cast<uint64_t>(limit) == out.size()) {
      out.push_back({0, end});
      break;
    }
    size_t begin = end;
    while (begin > 0) {
      const size_t last = previous_start(text, begin);
      if (is_python_space(code_point_at(text, last))) break;
      begin = last;
    }
    out.push_back({begin, end});
    end = begin;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

bool may_split(int64_t limit, size_t made, uint64_t pieces_max) {
  return made <= pieces_max && (limit < 0 || made < static_cast<uint64_t>(limit));
}

}  // namespace

std::vector<Span> split(std::string_view text, std::optional<std::string_view> separator, int64_t limit,
                        uint64_t pieces_max) {
  if (!separator) return split_at_space(text, limit, pieces_max);
  std::vector<Span> out;
  size_t at = 0;
  while (may_split(limit, out.size(), pieces_max)) {
    const size_t found = find_text(text, *separator, at);
    if (found == std::string_view::npos) break;
    out.push_back({at, found});
    at = found + separator->size();
  }
  out.push_back({at, text.size()});
  return out;
}

std::vector<Span> split_from_right(std::string_view text, std::optional<std::string_view> separator, int64_t limit,
                                   uint64_t pieces_max) {
  if (!separator) return split_at_space_from_right(text, limit, pieces_max);
  std::vector<Span> out;
  size_t end = text.size();
  while (may_split(limit, out.size(), pieces_max)) {
    const size_t found = find_text_last(text, *separator, end);
    if (found == std::string_view::npos) break;
    out.push_back({found + separator->size(), end});
    end = found;
  }
  out.push_back({0, end});
  std::reverse(out.begin(), out.end());
  return out;
}

namespace {

// Python's line boundaries (str.splitlines).
bool is_line_break(uint32_t c) {
  return (c >= '\n' && c <= '\r') || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

}  // namespace

std::vector<Span> split_lines(std::string_view text, bool keep_ends, uint64_t pieces_max) {
  std::vector<Span> out;
  size_t start = 0;
  for (size_t at = 0; at < text.size() && out.size() <= pieces_max;) {
    const size_t end = at;
    const uint32_t c = next_code_point(text, at);
    if (!is_line_break(c)) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    out.push_back({start, keep_ends ? at : end});
    start = at;
  }
  if (start < text.size()) out.push_back({start, text.size()});
  return out;
}

void append_replaced(TextBuilder& out, const Text& text, const Text& old_text, const Text& new_text, int64_t count) {
  const auto limit = count < 0 ? UINT64_MAX : static_cast<uint64_t>(count);
  uint64_t done = 0;
  size_t at = 0;
  if (old_text.empty()) {  // between all characters
    out.spend(text.size() / 16);
    while (done < limit && !out.failed()) {
      out.append(new_text);
      ++done;
      if (at == text.size()) return;
      const size_t start = at;
      next_code_point(text.view(), at);
      out.append_slice(text, start, at);
    }
  }
  while (done < limit && !old_text.empty() && !out.failed()) {
    const size_t found = find_text(text.view(), old_text.view(), at);
    if (found == std::string_view::npos) break;
    out.append_slice(text, at, found);
    out.append(new_text);
    at = found + old_text.size();
    if (++done % 8 == 0) out.spend(1);
  }
  if (!out.failed()) out.append_slice(text, at, text.size());
}

void append_capitalized(TextBuilder& out, const Text& text) {
  size_t first = 0;
  if (!text.empty()) next_code_point(text.view(), first);
  append_case(out, text, 0, first, Case::kTitle);
  append_case(out, text, first, text.size(), Case::kLower);
}

void append_title(TextBuilder& out, const Text& text) {
  bool in_word = false;
  for (size_t at = 0; at < text.size() && !out.failed();) {
    const size_t start = at;
    const uint32_t code_point = next_code_point(text.view(), at);
    append_case(out, text, start, at, in_word ? Case::kLower : Case::kTitle);
    in_word = is_cased(code_point);
  }
}

}  // namespace andiron::jinja
