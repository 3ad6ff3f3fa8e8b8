// Work on text that several filters and string methods share. Positions are byte offsets; taint is kept byte for byte.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/jinja_runtime.h"
#include "text/jinja_text.h"

namespace andiron::jinja {

// Python's repr of a string: quotes, escapes for what does not print.
void append_string_repr(TextBuilder& out, const Text& text);
// A JSON string as Python's json.dumps writes it.
void append_json_string(TextBuilder& out, const Text& text, bool ensure_ascii);
// HTML's special characters as entities, as markupsafe writes them.
void append_escaped(TextBuilder& out, const Text& text);

struct Span {
  size_t begin = 0;
  size_t end = 0;
};

enum class Sides : uint8_t { kLeft, kRight, kBoth };
// What is left after removing `chars` (white space when unset) from the sides. Callers spend for both lengths.
Span strip(std::string_view text, std::optional<std::string_view> chars, Sides sides);

// str.split and str.rsplit; a negative `limit` means none. Without a separator runs of white space separate. The
// separator must not be empty. At most `pieces_max` + 1 spans are made; more is out of memory for the caller.
std::vector<Span> split(std::string_view text, std::optional<std::string_view> separator, int64_t limit,
                        uint64_t pieces_max);
std::vector<Span> split_from_right(std::string_view text, std::optional<std::string_view> separator, int64_t limit,
                                   uint64_t pieces_max);
// str.splitlines; with `keep_ends` each line has its line break.
std::vector<Span> split_lines(std::string_view text, bool keep_ends, uint64_t pieces_max);

// str.replace; a negative `count` means all.
void append_replaced(TextBuilder& out, const Text& text, const Text& old_text, const Text& new_text, int64_t count);

// str.capitalize and str.title.
void append_capitalized(TextBuilder& out, const Text& text);
void append_title(TextBuilder& out, const Text& text);

// What Python prints as it is (str.isprintable).
bool is_printable(uint32_t code_point);

}  // namespace andiron::jinja
