// Text that remembers which of its bytes came from outside the template.
//
// Every string of a template is a Text: UTF-8 bytes and the ranges of them that are tainted, that is, taken from
// messages, tools or other data of a request. Slicing, joining and replacing keep the ranges exact; what cannot be
// tracked byte for byte is tainted as a whole as soon as any input is. Two texts with equal bytes are equal whatever
// their taint.
//
// Invariants: the bytes are valid UTF-8 (checked where text enters); ranges are sorted, not empty, do not overlap or
// touch, and lie inside the bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace andiron::jinja {

struct TaintRange {
  size_t begin = 0;
  size_t end = 0;  // one past the last byte
  bool operator==(const TaintRange&) const = default;
};

class Text {
 public:
  Text() = default;
  explicit Text(std::string bytes, bool tainted = false);

  const std::string& bytes() const { return bytes_; }
  std::string_view view() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }

  const std::vector<TaintRange>& tainted() const { return tainted_; }
  bool is_tainted() const { return !tainted_.empty(); }
  bool is_tainted_at(size_t byte) const;

  void append(std::string_view bytes, bool tainted);
  void append(const Text& other) { append_slice(other, 0, other.size()); }
  // Bytes [begin, end) of `other` with their taint. Requires begin <= end <= other.size().
  void append_slice(const Text& other, size_t begin, size_t end);
  Text slice(size_t begin, size_t end) const;

  void reserve(size_t bytes) { bytes_.reserve(bytes); }

  // Taints every byte: for results whose parts cannot be told apart.
  void taint_all();

  // Bytes of memory beyond the object itself.
  size_t memory() const { return bytes_.capacity() + tainted_.capacity() * sizeof(TaintRange); }

 private:
  void add_range(size_t begin, size_t end);

  std::string bytes_;
  std::vector<TaintRange> tainted_;
};

// Code points in valid UTF-8.
size_t code_point_count(std::string_view text);
// Byte offset of code point `index`; text.size() when there are fewer.
size_t code_point_offset(std::string_view text, size_t index);

// First occurrence of `needle` at or after byte `from`, or npos; time is linear in both lengths, whatever they hold.
size_t find_text(std::string_view text, std::string_view needle, size_t from = 0);
// Last occurrence that ends at or before byte `end`, or npos; linear too.
size_t find_text_last(std::string_view text, std::string_view needle, size_t end = std::string_view::npos);

}  // namespace andiron::jinja
