#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/name_index.h"
#include "base/strings.h"

namespace andiron {

Json::Json(uint64_t value) {
  if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    state_ = static_cast<int64_t>(value);
  } else {
    state_ = static_cast<double>(value);
  }
}
Json::Json(Array value) : state_(std::make_unique<Array>(std::move(value))) {}
Json::Json(Object value) : state_(std::make_unique<Object>(std::move(value))) {}

Json::Json(const Json& other) { *this = other; }

Json& Json::operator=(const Json& other) {
  if (this == &other) return *this;
  if (other.is_array()) {
    state_ = std::make_unique<Array>(other.items());
  } else if (other.is_object()) {
    state_ = std::make_unique<Object>(other.members());
  } else if (other.is_bool()) {
    state_ = other.as_bool();
  } else if (other.is_int()) {
    state_ = other.as_int();
  } else if (other.is_number()) {
    state_ = other.as_double();
  } else if (other.is_string()) {
    state_ = other.as_string();
  } else {
    state_ = std::monostate{};
  }
  return *this;
}

const Json* Json::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const auto& [name, value] : members()) {
    if (name == key) return &value;
  }
  return nullptr;
}

const Json& Json::member(std::string_view key) const {
  static const Json kNull;
  const Json* found = find(key);
  return found == nullptr ? kNull : *found;
}

Json& Json::set(std::string key, Json value) {
  members().emplace_back(std::move(key), std::move(value));
  return *this;
}

Json& Json::push(Json value) {
  items().push_back(std::move(value));
  return *this;
}

namespace {

class Parser {
 public:
  Parser(std::string_view text, std::string_view source, JsonLimits limits)
      : text_(text), source_(source), limits_(limits) {}

  Result<Json> document() {
    TRY_ASSIGN(Json value, parse_value(0));
    skip_space();
    if (at_ != text_.size()) return fail("text after the end of the document");
    return value;
  }

 private:
  Error fail(std::string_view what) const {
    const auto before = text_.substr(0, at_);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    return make_error("{}: not valid JSON: {} (line {}, byte {})", source_, what, line, at_);
  }

  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  void skip_space() {
    while (!done() && (peek() == ' ' || peek() == '\n' || peek() == '\t' || peek() == '\r')) ++at_;
  }
  bool accept(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Result<Json> parse_value(int depth) {
    if (depth > limits_.depth) return fail(format("nested deeper than {}", limits_.depth));
    if (++values_ > limits_.values) return fail(format("more than {} values", limits_.values));
    skip_space();
    switch (peek()) {
      case '{': return parse_object(depth);
      case '[': return parse_array(depth);
      case '"': {
        TRY_ASSIGN(std::string text, parse_string());
        return Json(std::move(text));
      }
      case 't':
        if (accept("true")) return Json(true);
        break;
      case 'f':
        if (accept("false")) return Json(false);
        break;
      case 'n':
        if (accept("null")) return Json();
        break;
      default:
        if (!done() && (peek() == '-' || (peek() >= '0' && peek() <= '9'))) return parse_number();
    }
    return fail(done() ? "the text ends where a value is expected" : "a value is expected");
  }

  Result<Json> parse_object(int depth) {
    Json::Object members;
    ++at_;
    skip_space();
    if (accept("}")) return Json(std::move(members));
    while (true) {
      skip_space();
      if (peek() != '"') return fail("a member name in quotes is expected");
      TRY_ASSIGN(std::string key, parse_string());
      skip_space();
      if (!accept(":")) return fail("':' is expected after a member name");
      TRY_ASSIGN(Json value, parse_value(depth + 1));
      members.emplace_back(std::move(key), std::move(value));
      skip_space();
      if (accept("}")) break;
      if (!accept(",")) return fail("',' or '}' is expected");
    }
    TRY(check_unique(members));
    return Json(std::move(members));
  }

  Status check_unique(const Json::Object& members) const {
    if (members.size() < 2) return {};
    std::vector<std::string_view> names;
    names.reserve(members.size());
    for (const auto& [key, value] : members) names.push_back(key);
    if (const auto name = NameIndex(std::move(names)).duplicate()) {
      return fail(format("the member \"{}\" appears twice", in_quotes(*name)));
    }
    return {};
  }

  Result<Json> parse_array(int depth) {
    Json::Array items;
    ++at_;
    skip_space();
    if (accept("]")) return Json(std::move(items));
    while (true) {
      TRY_ASSIGN(Json value, parse_value(depth + 1));
      items.push_back(std::move(value));
      skip_space();
      if (accept("]")) return Json(std::move(items));
      if (!accept(",")) return fail("',' or ']' is expected");
    }
  }

  // RFC 8259 number grammar, then from_chars for the value.
  Result<Json> parse_number() {
    const size_t start = at_;
    const auto digits = [&] {
      const size_t first = at_;
      while (peek() >= '0' && peek() <= '9') ++at_;
      return at_ - first;
    };
    accept("-");
    const bool leading_zero = peek() == '0';
    const size_t whole = digits();
    if (whole == 0 || (leading_zero && whole > 1)) return fail("a malformed number");
    bool is_whole = true;
    if (accept(".")) {
      is_whole = false;
      if (digits() == 0) return fail("a malformed number");
    }
    if (peek() == 'e' || peek() == 'E') {
      is_whole = false;
      ++at_;
      if (!accept("+")) accept("-");
      if (digits() == 0) return fail("a malformed number");
    }
    const char* first = text_.data() + start;
    const char* last = text_.data() + at_;
    if (int64_t value = 0; is_whole && std::from_chars(first, last, value).ec == std::errc()) return Json(value);
    double value = 0;
    const auto code = std::from_chars(first, last, value).ec;
    if (code != std::errc()) return fail("a number too large or too small");
    return Json(value);
  }

  Result<std::string> parse_string() {
    std::string out;
    ++at_;
    while (true) {
      const size_t start = at_;
      while (!done() && peek() != '"' && peek() != '\\' && static_cast<uint8_t>(peek()) >= 0x20) ++at_;
      out.append(text_.substr(start, at_ - start));
      if (done()) return fail("a string without an end");
      if (accept("\"")) break;
      if (peek() != '\\') return fail("a control character inside a string");
      ++at_;
      TRY(parse_escape(out));
    }
    if (!is_valid_utf8(out)) return fail("a string that is not UTF-8");
    return out;
  }

  Status parse_escape(std::string& out) {
    static constexpr std::string_view kFrom = "\"\\/bfnrt";
    static constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    const char kind = peek();
    ++at_;
    if (const size_t found = kFrom.find(kind); kind != '\0' && found != std::string_view::npos) {
      out += kTo[found];
      return {};
    }
    if (kind != 'u') return fail("an unknown escape");
    TRY_ASSIGN(uint32_t unit, parse_hex4());
    if (unit >= 0xd800 && unit < 0xdc00 && accept("\\u")) {  // a surrogate pair
      TRY_ASSIGN(const uint32_t low, parse_hex4());
      if (low < 0xdc00 || low > 0xdfff) return fail("an unpaired surrogate");
      unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    } else if (unit >= 0xd800 && unit <= 0xdfff) {
      return fail("an unpaired surrogate");
    }
    append_utf8(out, unit);
    return {};
  }

  Result<uint32_t> parse_hex4() {
    uint32_t value = 0;
    const auto digits = text_.substr(std::min(at_, text_.size()), 4);
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 4 || code != std::errc() || end != digits.data() + 4) return fail("a malformed \\u escape");
    at_ += 4;
    return value;
  }

  std::string_view text_;
  std::string_view source_;
  JsonLimits limits_;
  size_t at_ = 0;
  uint64_t values_ = 0;
};

void dump_value(const Json& value, int indent, int level, std::string& out);

void new_line(int indent, int level, std::string& out) {
  if (indent == 0) return;
  out += '\n';
  out.append(static_cast<size_t>(indent) * static_cast<size_t>(level), ' ');
}

void dump_number(const Json& value, std::string& out) {
  if (value.is_int()) {
    out += format("{}", value.as_int());
  } else if (!std::isfinite(value.as_double())) {
    out += "null";
  } else {
    const std::string text = format("{}", value.as_double());
    out += text;
    if (text.find_first_of(".e") == std::string::npos) out += ".0";  // so that it is read back as the same kind
  }
}

void dump_value(const Json& value, int indent, int level, std::string& out) {
  if (value.is_null()) out += "null";
  if (value.is_bool()) out += value.as_bool() ? "true" : "false";
  if (value.is_number()) dump_number(value, out);
  if (value.is_string()) out += json_quote(value.as_string());
  const char* separator = indent == 0 ? ", " : ",";
  if (value.is_array()) {
    out += '[';
    for (size_t i = 0; i < value.items().size(); ++i) {
      if (i > 0) out += separator;
      new_line(indent, level + 1, out);
      dump_value(value.items()[i], indent, level + 1, out);
    }
    if (!value.items().empty()) new_line(indent, level, out);
    out += ']';
  }
  if (value.is_object()) {
    out += '{';
    for (size_t i = 0; i < value.members().size(); ++i) {
      if (i > 0) out += separator;
      new_line(indent, level + 1, out);
      out += json_quote(value.members()[i].first);
      out += ": ";
      dump_value(value.members()[i].second, indent, level + 1, out);
    }
    if (!value.members().empty()) new_line(indent, level, out);
    out += '}';
  }
}

}  // namespace

std::string json_quote(std::string_view text) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const uint32_t cp = next_code_point(text, at);
    if (cp == '"' || cp == '\\') {
      out += '\\';
      out += static_cast<char>(cp);
    } else if (cp == '\n') {
      out += "\\n";
    } else if (cp == '\r') {
      out += "\\r";
    } else if (cp == '\t') {
      out += "\\t";
    } else if (cp < 0x20 || cp == 0x7f) {
      out += format("\\u{:04x}", cp);
    } else {
      append_utf8(out, cp);
    }
  }
  return out + '"';
}

std::string Json::dump(int indent) const {
  std::string out;
  dump_value(*this, indent, 0, out);
  return out;
}

Result<Json> parse_json(std::string_view text, std::string_view source, JsonLimits limits) {
  return Parser(text, source, limits).document();
}

}  // namespace andiron
