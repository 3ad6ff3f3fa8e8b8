#include "http/response.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "http/errors.h"
#include "http/security.h"

namespace andiron {

namespace {

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (const char c : value) out += static_cast<uint8_t>(c) < 0x20 || c == 0x7f ? ' ' : c;
  out.append("\r\n");
}

}  // namespace

std::string http_date(std::time_t time) {
  // Not strftime(), which speaks the person's language.
  constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm tm{};
  gmtime_r(&time, &tm);
  return format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[static_cast<size_t>(tm.tm_wday)], tm.tm_mday,
                kMonths[static_cast<size_t>(tm.tm_mon)], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

std::string response_head(const ResponseHead& head) {
  std::string out = format("HTTP/1.1 {} {}\r\n", head.status, reason_phrase(head.status));
  append_field(out, "date", http_date(head.now));
  if (!head.content_type.empty()) append_field(out, "content-type", head.content_type);
  if (head.length) append_field(out, "content-length", std::to_string(*head.length));
  if (head.chunked) append_field(out, "transfer-encoding", "chunked");
  if (head.close) append_field(out, "connection", "close");
  for (const auto& [name, value] : usual_headers()) {
    const bool replaced = std::any_of(head.headers.begin(), head.headers.end(),
                                      [&, &usual = name](const auto& field) { return field.first == usual; });
    if (!replaced) append_field(out, name, value);
  }
  for (const auto& [name, value] : head.headers) append_field(out, name, value);
  return out.append("\r\n");
}

std::string chunk_of(std::string_view piece) {
  if (piece.empty()) return "";
  return format("{:x}\r\n{}\r\n", piece.size(), piece);
}

}  // namespace andiron
