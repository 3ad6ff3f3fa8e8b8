#include "http/head.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "http/errors.h"

namespace andiron {

namespace {

HttpFault bad(std::string message) { return {400, std::move(message)}; }

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_token_char(char c) {
  return is_lower(c) || is_upper(c) || is_digit(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string::npos;
}

// Text, blanks and what is beyond ASCII.
bool is_value_char(char c) { return c == '\t' || (static_cast<uint8_t>(c) >= 0x20 && c != 0x7f); }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// One line without its CR LF, taken from the front of `rest`, which ends in one.
std::string_view take_line(std::string_view& rest) {
  const size_t end = rest.find("\r\n");
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 2);
  return line;
}

// Fields of which there must not be two: what decides where a request ends, and who may ask.
constexpr std::array<std::string_view, 9> kSingle = {"host",   "content-length", "transfer-encoding",
                                                     "origin", "content-type",   "authorization",
                                                     "expect", "x-api-key",      "sec-fetch-site"};

std::optional<HttpFault> read_field(std::string_view line, RequestHead& head) {
  if (line.front() == ' ' || line.front() == '\t') return bad("a header line begins with a blank (folded lines)");
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return bad("a header line has no colon");
  const std::string_view name = line.substr(0, colon);
  if (!is_token(name)) return bad("a header's name is empty or has a character that no name may have");
  const std::string_view value = without_blanks(line.substr(colon + 1));
  if (!std::all_of(value.begin(), value.end(), is_value_char)) return bad("a header's value has a control character");
  std::string key = lowered(name);
  const bool single = std::find(kSingle.begin(), kSingle.end(), key) != kSingle.end();
  const auto same = [&](const auto& field) { return field.first == key; };
  if (single && std::any_of(head.headers.begin(), head.headers.end(), same)) {
    return bad(format("there are two {} headers", key));
  }
  head.headers.emplace_back(std::move(key), value);
  return std::nullopt;
}

std::optional<HttpFault> read_query(std::string_view text, RequestHead& head) {
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decoded(pair.substr(0, equals), true);
    auto value = percent_decoded(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) return bad("the query has a wrong % or is not UTF-8 text");
    head.query.emplace_back(std::move(*name), std::move(*value));
  }
  return std::nullopt;
}

std::optional<HttpFault> read_target(std::string_view target, const Limits& limits, RequestHead& head) {
  if (target.size() > limits.bytes(Limit::kTargetBytes)) {
    return beyond(Limit::kTargetBytes,
                  format("the address has {} bytes; at most {} are taken", target.size(), limits[Limit::kTargetBytes]));
  }
  if (!target.starts_with('/')) return bad("the request's target must be a path: it begins with /");
  const auto shown = [](char c) { return c > 0x20 && c < 0x7f && c != '#'; };
  if (!std::all_of(target.begin(), target.end(), shown))
    return bad("the request's target has a character that none may have");
  const size_t question = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(1, question - 1);
  for (bool more = true; more;) {
    const size_t slash = path.find('/');
    more = slash != std::string_view::npos;
    auto segment = percent_decoded(path.substr(0, slash), false);
    if (!segment) return bad("the path has a wrong % or is not UTF-8 text");
    head.path += "/" + *segment;
    head.segments.push_back(std::move(*segment));
    if (more) path.remove_prefix(slash + 1);
  }
  return read_query(target.substr(std::min(question + 1, target.size())), head);
}

std::optional<HttpFault> read_request_line(std::string_view line, const Limits& limits, RequestHead& head) {
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return bad("the request line must be METHOD TARGET HTTP/1.1");
  const std::string_view method = line.substr(0, first), version = line.substr(last + 1);
  if (method.empty() || method.size() > 16 || !std::all_of(method.begin(), method.end(), is_upper)) {
    return bad("the request's method must be a word in capital letters");
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    const bool other = version.size() == 8 && version.starts_with("HTTP/");
    return HttpFault{other ? 505 : 400, "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  }
  head.method = method;
  head.http10 = version == "HTTP/1.0";
  return read_target(line.substr(first + 1, last - first - 1), limits, head);
}

std::optional<HttpFault> read_length(RequestHead& head) {
  const auto find = [&](std::string_view name) {
    return std::find_if(head.headers.begin(), head.headers.end(), [&](const auto& one) { return one.first == name; });
  };
  const auto length = find("content-length"), coding = find("transfer-encoding");
  const bool has_length = length != head.headers.end(), has_coding = coding != head.headers.end();
  if (has_length && has_coding) return bad("there is both a content-length and a transfer-encoding");
  if (has_coding) {
    if (head.http10) return bad("HTTP/1.0 has no transfer-encoding");
    if (lowered(coding->second) != "chunked") return HttpFault{501, "the only transfer-encoding taken is chunked"};
    head.chunked = true;
  }
  if (has_length) {
    const std::string& digits = length->second;
    // 18 digits fit 64 bits.
    if (digits.empty() || digits.size() > 18 || !std::all_of(digits.begin(), digits.end(), is_digit)) {
      return bad("content-length must be a whole number of at most 18 digits");
    }
    for (const char digit : digits) head.content_length = head.content_length * 10 + static_cast<uint64_t>(digit - '0');
  }
  head.has_body = head.chunked || head.content_length > 0;
  return std::nullopt;
}

bool lists(std::string_view value, std::string_view word) {
  while (!value.empty()) {
    const std::string_view item = value.substr(0, value.find(','));
    if (lowered(without_blanks(item)) == word) return true;
    value.remove_prefix(std::min(item.size() + 1, value.size()));
  }
  return false;
}

std::optional<HttpFault> read_connection(RequestHead& head) {
  head.keep_alive = !head.http10;
  for (const auto& [name, value] : head.headers) {
    if (name != "connection") continue;
    if (lists(value, "close")) head.keep_alive = false;
  }
  if (const std::string_view expected = head.header("expect"); !expected.empty()) {
    if (lowered(expected) != "100-continue") return HttpFault{417, "the only expectation known is 100-continue"};
    head.expects_continue = !head.http10 && head.has_body;
  }
  return std::nullopt;
}

std::optional<HttpFault> read_head(std::string_view rest, const Limits& limits, RequestHead& head) {
  if (auto fault = read_request_line(take_line(rest), limits, head)) return fault;
  for (std::string_view line = take_line(rest); !line.empty(); line = take_line(rest)) {
    if (head.headers.size() >= limits.bytes(Limit::kHeadFields)) {
      return beyond(Limit::kHeadFields, format("there are more than {} headers", limits[Limit::kHeadFields]));
    }
    if (auto fault = read_field(line, head)) return fault;
  }
  if (head.header("host").empty()) return bad("there is no host header");
  if (auto fault = read_length(head)) return fault;
  return read_connection(head);
}

}  // namespace

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

std::string_view without_blanks(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool is_token(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char); }

std::optional<std::string> percent_decoded(std::string_view text, bool plus) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += plus && text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  const auto control = [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; };
  if (!is_valid_utf8(out) || std::any_of(out.begin(), out.end(), control)) return std::nullopt;
  return out;
}

std::variant<std::optional<size_t>, HttpFault> find_head_end(std::string_view bytes, size_t from,
                                                             const Limits& limits) {
  for (size_t i = from; i < bytes.size(); ++i) {
    if (i >= limits.bytes(Limit::kHeadBytes)) {
      return beyond(Limit::kHeadBytes, format("the request's head has more than {} bytes", limits[Limit::kHeadBytes]));
    }
    if (bytes[i] == 0) return bad("there is a NUL in the request's head");
    if (bytes[i] != '\n' && i > 0 && bytes[i - 1] == '\r') return bad("a CR stands without its LF");
    if (bytes[i] != '\n') continue;
    if (i == 0 || bytes[i - 1] != '\r') return bad("a line ends in LF without CR");
    if (i == 1) return bad("the request begins with an empty line");
    if (bytes[i - 2] == '\n') return std::optional<size_t>(i + 1);
  }
  return std::optional<size_t>();
}

std::variant<RequestHead, HttpFault> parse_head(std::string_view head, const Limits& limits) {
  RequestHead out;
  if (auto fault = read_head(head, limits, out)) return std::move(*fault);
  return out;
}

}  // namespace andiron
