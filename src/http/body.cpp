#include "http/body.h"

#include <algorithm>

#include "base/strings.h"
#include "http/errors.h"

namespace andiron {

namespace {

// "1a" or "1a;anything": hexadecimal digits and no sign, at most 8 of them.
bool read_chunk_size(std::string_view line, uint64_t& size) {
  const std::string_view digits = line.substr(0, line.find(';'));
  if (digits.empty() || digits.size() > 8) return false;
  size = 0;
  for (const char c : digits) {
    const bool decimal = c >= '0' && c <= '9', small = c >= 'a' && c <= 'f', large = c >= 'A' && c <= 'F';
    if (!decimal && !small && !large) return false;
    size = size * 16 + static_cast<uint64_t>(decimal ? c - '0' : (small ? c - 'a' : c - 'A') + 10);
  }
  const auto shown = [](char c) { return c == '\t' || (c >= 0x20 && c < 0x7f); };
  return std::all_of(line.begin(), line.end(), shown);
}

}  // namespace

BodyReader::BodyReader(const RequestHead& head, Limit most, const Limits& limits)
    : most_(most),
      bytes_max_(limits.bytes(most)),
      line_max_(limits.bytes(Limit::kChunkLineBytes)),
      chunked_(head.chunked),
      part_(head.chunked ? Part::kSizeLine : (head.has_body ? Part::kData : Part::kDone)),
      left_(head.content_length) {}

HttpFault BodyReader::too_large() const {
  return beyond(most_, format("the request's body is larger than {} bytes", bytes_max_));
}

std::variant<size_t, HttpFault> BodyReader::read(std::string_view bytes) {
  if (left_ > bytes_max_ - std::min<uint64_t>(bytes_max_, body_.size())) return too_large();
  size_t taken = 0;
  while (taken < bytes.size() && !done()) {
    if (part_ != Part::kData) {
      auto line = read_line(bytes.substr(taken));
      if (std::holds_alternative<HttpFault>(line)) return line;
      taken += std::get<size_t>(line);
      continue;
    }
    const size_t some = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size() - taken));
    body_.append(bytes.substr(taken, some));
    taken += some;
    left_ -= some;
    if (left_ == 0) part_ = chunked_ ? Part::kChunkEnd : Part::kDone;
  }
  return taken;
}

// Bytes of a line: each must be what may stand there, so that a wrong one is told before the line's end.
std::variant<size_t, HttpFault> BodyReader::read_line(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const bool after_cr = line_.ends_with('\r');
    if (after_cr != (bytes[i] == '\n')) return HttpFault{400, "a line between chunks does not end in CR LF"};
    if (bytes[i] == '\n') {
      line_.pop_back();
      auto next = end_of_line(line_);
      line_.clear();
      if (auto* fault = std::get_if<HttpFault>(&next)) return std::move(*fault);
      part_ = std::get<Part>(next);
      return i + 1;
    }
    if (line_.size() >= line_max_) {
      return beyond(Limit::kChunkLineBytes, format("the line before a chunk has more than {} bytes", line_max_));
    }
    if (part_ != Part::kSizeLine && bytes[i] != '\r') {
      return HttpFault{400, part_ == Part::kChunkEnd ? "a chunk is longer than its size says"
                                                     : "headers behind a chunked body (trailers) are not taken"};
    }
    line_ += bytes[i];
  }
  return bytes.size();
}

std::variant<BodyReader::Part, HttpFault> BodyReader::end_of_line(std::string_view line) {
  switch (part_) {
    case Part::kChunkEnd: return Part::kSizeLine;
    case Part::kLastLine: return Part::kDone;
    default: break;
  }
  if (!read_chunk_size(line, left_)) {
    return HttpFault{400, "the size of a chunk must be one to eight hexadecimal digits"};
  }
  if (left_ > bytes_max_ - body_.size()) return too_large();
  return left_ == 0 ? Part::kLastLine : Part::kData;
}

// No deeper than Limit::kJsonDepth.
uint64_t json_bytes(const Json& json) {
  uint64_t bytes = 0;
  if (json.is_array()) {
    bytes = sizeof(Json::Array) + json.items().capacity() * sizeof(Json);
    for (const Json& item : json.items()) bytes += json_bytes(item);
  }
  if (json.is_object()) {
    bytes = sizeof(Json::Object) + json.members().capacity() * sizeof(Json::Member);
    for (const auto& [name, value] : json.members()) bytes += json_bytes(value);
  }
  return bytes;
}

}  // namespace andiron
