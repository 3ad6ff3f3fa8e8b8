#include "text/jinja_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/strings.h"
#include "text/jinja_operations.h"
#include "text/jinja_strings.h"

namespace andiron::jinja {

namespace {

// More digits than any double has; keeps buffers small.
constexpr int kMaxPrecision = 1000;
constexpr uint64_t kMaxWidth = 1'000'000'000;

// A pattern being read from left to right.
struct Reader {
  std::string_view text;
  size_t at = 0;

  bool done() const { return at >= text.size(); }
  char peek() const { return done() ? '\0' : text[at]; }
  bool accept(char c) {
    if (peek() != c || done()) return false;
    ++at;
    return true;
  }
  // Digits as a number; -1 without any, and no more than kMaxWidth + 1.
  int64_t number() {
    if (peek() < '0' || peek() > '9') return -1;
    uint64_t value = 0;
    while (peek() >= '0' && peek() <= '9')
      value = std::min(kMaxWidth + 1, value * 10 + static_cast<uint64_t>(text[at++] - '0'));
    return static_cast<int64_t>(value);
  }
};

char lower_ascii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

void to_upper_ascii(std::string& text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
}

// Digits of a finite, non-negative value with format code e, f or g.
std::string real_digits(double value, char code, int precision, bool alternate) {
  const auto style = code == 'e'   ? std::chars_format::scientific
                     : code == 'f' ? std::chars_format::fixed
                                   : std::chars_format::general;
  std::string out(static_cast<size_t>(precision) + 400, '\0');  // a double has at most 309 digits before the point
  const auto end = std::to_chars(out.data(), out.data() + out.size(), value, style, precision).ptr;
  out.resize(static_cast<size_t>(end - out.data()));
  if (alternate && out.find('.') == std::string::npos) out.insert(std::min(out.find('e'), out.size()), ".");
  return out;
}

std::string integer_digits(uint64_t magnitude, int base) {
  char buffer[65];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), magnitude, base).ptr;
  return std::string(buffer, end);
}

// Puts `separator` between groups of `size` digits of the whole part.
std::string grouped(const std::string& digits, char separator, size_t size) {
  if (separator == '\0') return digits;
  const size_t whole = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  std::string out;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % size == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(whole);
}

std::string sign_of(bool is_negative, char sign) {
  if (is_negative) return "-";
  return sign == '-' ? "" : std::string(1, sign);
}

Result<std::string> format_real(double value, const FormatSpec& spec) {
  const char code = lower_ascii(spec.type);
  const bool is_negative = std::signbit(value) && !std::isnan(value);
  double magnitude = std::fabs(value);
  if (code == '%') magnitude *= 100;
  std::string digits;
  if (!std::isfinite(magnitude)) {
    digits = std::isnan(magnitude) ? "nan" : "inf";
  } else if (code == '\0' && spec.precision < 0) {
    digits = real_repr(magnitude);
  } else if (code == '\0') {  // like g, but always with a digit behind the point
    digits = real_digits(magnitude, 'g', std::max(spec.precision, 1), spec.alternate);
    if (digits.find_first_of(".e") == std::string::npos) digits += ".0";
  } else {
    const int precision = spec.precision < 0 ? 6 : spec.precision;
    const char style = code == '%' ? 'f' : code == 'n' ? 'g' : code;
    digits = real_digits(magnitude, style, style == 'g' ? std::max(precision, 1) : precision, spec.alternate);
  }
  digits = grouped(digits, spec.grouping, 3);
  if (code == '%') digits += '%';
  if (spec.type >= 'A' && spec.type <= 'Z') to_upper_ascii(digits);
  return sign_of(is_negative, spec.sign) + digits;
}

Result<std::string> format_integer(int64_t value, const FormatSpec& spec) {
  const char code = lower_ascii(spec.type);
  if (code == 'c') {
    if (value < 0 || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
      return make_error("{} is no character", value);
    }
    std::string out;
    append_utf8(out, static_cast<uint32_t>(value));
    return out;
  }
  const int base = code == 'x' ? 16 : code == 'o' ? 8 : code == 'b' ? 2 : 10;
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits = grouped(integer_digits(magnitude, base), spec.grouping, base == 10 ? 3 : 4);
  std::string prefix = spec.alternate && base != 10 ? std::string("0") + code : "";
  if (spec.type == 'X') {
    to_upper_ascii(digits);
    to_upper_ascii(prefix);
  }
  return sign_of(value < 0, spec.sign) + prefix + digits;
}

}  // namespace

Result<std::string> format_number(const Value& value, const FormatSpec& spec) {
  if (spec.precision > kMaxPrecision) return make_error("a precision above {} is not supported", kMaxPrecision);
  const bool wants_real = std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos && spec.type != '\0';
  if (value.is(Kind::kReal) || wants_real) {
    if (std::string_view("bcdoxX").find(spec.type) != std::string_view::npos && spec.type != '\0') {
      return make_error("the format code '{}' does not work on a float", spec.type);
    }
    return format_real(value.as_real(), spec);
  }
  return format_integer(value.as_int(), spec);
}

void append_padded(TextBuilder& out, const Text& text, const FormatSpec& spec, char default_align) {
  const uint64_t length = code_point_count(text.view());
  const uint64_t padding = spec.width > length ? spec.width - length : 0;
  const char align = spec.align == '\0' ? default_align : spec.align;
  size_t split = 0;  // where the padding goes
  uint64_t left = align == '<' ? 0 : align == '^' ? padding / 2 : padding;
  if (align == '=') {
    if (!text.empty() && std::string_view("+- ").find(text.view()[0]) != std::string_view::npos) split = 1;
    const std::string_view rest = text.view().substr(split);
    if (spec.alternate && rest.size() > 1 && rest[0] == '0' &&
        std::string_view("xXob").find(rest[1]) != std::string_view::npos) {
      split += 2;
    }
  }
  out.append_slice(text, 0, split);
  out.append_repeated(spec.fill, left);
  out.append_slice(text, split, text.size());
  out.append_repeated(spec.fill, padding - left);
}

namespace {

// Many digits of a small number take microseconds.
Status spend_digits(Runtime& runtime, const FormatSpec& spec) {
  return runtime.spend(1 + static_cast<uint64_t>(std::max(spec.precision, 0)) / 64);
}

Error bad_pattern(std::string_view what) { return make_error("a format pattern is malformed: {}", what); }

// --- pattern % argument ---

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const StringObject& pattern, const Value& argument)
      : runtime_(runtime), pattern_(pattern.text), is_markup_(pattern.markup), argument_(argument), out_(runtime) {}

  Result<Value> run() {
    Reader reader{pattern_.view()};
    while (true) {
      const size_t percent = std::min(reader.text.find('%', reader.at), reader.text.size());
      out_.append_slice(pattern_, reader.at, percent);
      if (percent == reader.text.size()) break;
      reader.at = percent + 1;
      TRY(conversion(reader));
      if (out_.failed()) return out_.error();
    }
    if (argument_.is(Kind::kTuple) && next_ < argument_.items().size()) {
      return make_error("not all arguments of '%' were used");
    }
    const bool is_mapping = argument_.is(Kind::kDict) || argument_.is(Kind::kList) || argument_.is(Kind::kRange) ||
                            argument_.is_undefined();
    if (!argument_.is(Kind::kTuple) && !is_mapping && next_ == 0) {
      return make_error("not all arguments of '%' were used");
    }
    return out_.finish(is_markup_);
  }

 private:
  Result<Value> next_argument() {
    if (keyed_) {
      Value value = std::move(*keyed_);
      keyed_.reset();
      return value;
    }
    if (argument_.is(Kind::kTuple) ? next_ >= argument_.items().size() : next_ > 0) {
      return make_error("'%' has too few arguments");
    }
    const size_t index = next_++;
    return argument_.is(Kind::kTuple) ? argument_.items()[index] : argument_;
  }

  Status key(Reader& reader) {
    const size_t start = reader.at;
    int open = 1;
    while (!reader.done() && open > 0) {
      open += reader.peek() == '(' ? 1 : reader.peek() == ')' ? -1 : 0;
      ++reader.at;
    }
    if (open > 0) return bad_pattern("a key without ')'");
    if (!argument_.is(Kind::kDict)) return make_error("'%' with names needs a dict");
    const Value* value = argument_.dict().find(reader.text.substr(start, reader.at - 1 - start));
    if (value == nullptr)
      return make_error("'%' found no key '{}'", in_quotes(reader.text.substr(start, reader.at - 1 - start)));
    keyed_ = *value;
    return {};
  }

  // A width or precision: digits, or '*' for the next argument.
  Result<int64_t> amount(Reader& reader) {
    if (!reader.accept('*')) return reader.number();
    TRY_ASSIGN(const Value value, next_argument());
    TRY_ASSIGN(const int64_t number, to_index(value, "'*' in a format"));
    return std::min<int64_t>(number, kMaxWidth + 1);
  }

  Status conversion(Reader& reader) {
    FormatSpec spec;
    bool is_zero = false;
    if (reader.accept('%')) {
      out_.append("%");
      return {};
    }
    if (reader.accept('(')) TRY(key(reader));
    while (!reader.done() && std::string_view("-+ #0").find(reader.peek()) != std::string_view::npos) {
      const char flag = reader.text[reader.at++];
      if (flag == '-') spec.align = '<';
      if (flag == '+' || (flag == ' ' && spec.sign == '-')) spec.sign = flag;
      if (flag == '#') spec.alternate = true;
      if (flag == '0') is_zero = true;
    }
    TRY_ASSIGN(int64_t width, amount(reader));
    if (width < -1) {
      spec.align = '<';
      width = -width;
    }
    if (width > static_cast<int64_t>(kMaxWidth)) return bad_pattern("the width is too large");
    spec.width = static_cast<uint64_t>(std::max<int64_t>(width, 0));
    if (reader.accept('.')) {
      TRY_ASSIGN(const int64_t precision, amount(reader));
      spec.precision = static_cast<int>(std::clamp<int64_t>(precision, 0, kMaxWidth));
    }
    while (reader.peek() == 'l' || reader.peek() == 'h' || reader.peek() == 'L') ++reader.at;
    if (reader.done()) return bad_pattern("it ends inside of a conversion");
    spec.type = reader.text[reader.at++];
    TRY_ASSIGN(const Value value, next_argument());
    if (spec.type == 's' || spec.type == 'r' || spec.type == 'a') return text(value, spec);
    return number(value, spec, is_zero);
  }

  Status text(const Value& value, const FormatSpec& spec) {
    TRY_ASSIGN(Text text, spec.type == 's' ? to_text(runtime_, value) : to_repr(runtime_, value));
    if (is_markup_ && !(value.is_string() && value.string().markup)) {
      TextBuilder escaped(runtime_);
      append_escaped(escaped, text);
      TRY_ASSIGN(text, escaped.take());
    }
    if (spec.precision >= 0) {
      text = text.slice(0, code_point_offset(text.view(), static_cast<size_t>(spec.precision)));
    }
    append_padded(out_, text, spec, '>');
    return {};
  }

  Status number(const Value& value, FormatSpec spec, bool is_zero) {
    if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
    if (std::string_view("doxXeEfFgGc").find(spec.type) == std::string_view::npos) {
      return bad_pattern(format("unknown conversion '%{}'", in_quotes(std::string_view(&spec.type, 1))));
    }
    if (spec.type == 'c' && value.is_string()) {
      if (value.string().length != 1) return make_error("'%c' needs one character");
      append_padded(out_, value.text(), spec, '>');
      return {};
    }
    if (!value.is_number()) return make_error("'%{}' needs a number, got a {}", spec.type, type_name(value));
    if (is_zero && spec.align == '\0' && spec.type != 'c') {
      spec.align = '=';
      spec.fill = "0";
    }
    Value converted = value;
    if (value.is(Kind::kReal) && spec.type == 'd') {
      const double whole = std::trunc(value.as_real());
      if (!(std::fabs(whole) < 9.2e18)) return make_error("'%d' got a number that does not fit 64 bits");
      converted = Value::integer(static_cast<int64_t>(whole));
    }
    const int digits_min = spec.precision;
    const bool is_whole = std::string_view("doxX").find(spec.type) != std::string_view::npos;
    if (is_whole && digits_min > kMaxPrecision) return bad_pattern("the precision is too large");
    TRY(spend_digits(runtime_, spec));
    TRY_ASSIGN(std::string digits, format_number(converted, spec));
    if (is_whole && digits_min > 0) {
      const size_t start = std::min(digits.find_first_not_of("+- "), digits.size());
      const size_t count = digits.size() - start;
      if (count < static_cast<size_t>(digits_min)) digits.insert(start, static_cast<size_t>(digits_min) - count, '0');
    }
    append_padded(out_, Text(std::move(digits)), spec, '>');
    return {};
  }

  Runtime& runtime_;
  const Text& pattern_;
  bool is_markup_;
  const Value& argument_;
  TextBuilder out_;
  size_t next_ = 0;
  std::optional<Value> keyed_;
};

// --- pattern.format(...) ---

Result<FormatSpec> parse_spec(std::string_view text) {
  FormatSpec spec;
  Reader reader{text};
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  size_t fill_end = 0;
  if (!text.empty()) next_code_point(text, fill_end);
  if (fill_end > 0 && fill_end < text.size() && is_align(text[fill_end])) {
    spec.fill = text.substr(0, fill_end);
    spec.align = text[fill_end];
    reader.at = fill_end + 1;
  } else if (is_align(reader.peek())) {
    spec.align = text[reader.at++];
  }
  if (reader.peek() == '+' || reader.peek() == '-' || reader.peek() == ' ') spec.sign = text[reader.at++];
  spec.alternate = reader.accept('#');
  if (reader.peek() == '0') {
    ++reader.at;
    if (spec.align == '\0') {
      spec.fill = "0";
      spec.align = '0';  // resolved by the kind of value
    }
  }
  const int64_t width = reader.number();
  if (width > static_cast<int64_t>(kMaxWidth)) return bad_pattern("the width is too large");
  spec.width = static_cast<uint64_t>(std::max<int64_t>(width, 0));
  if (reader.peek() == ',' || reader.peek() == '_') spec.grouping = text[reader.at++];
  if (reader.accept('.')) {
    const int64_t precision = reader.number();
    if (precision < 0 || precision > static_cast<int64_t>(kMaxWidth)) return bad_pattern("the precision is missing");
    spec.precision = static_cast<int>(precision);
  }
  if (!reader.done()) spec.type = text[reader.at++];
  if (!reader.done()) return bad_pattern("its specification has an unknown form");
  return spec;
}

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const StringObject& pattern, const Call& call, const DictObject* named)
      : runtime_(runtime), is_markup_(pattern.markup), call_(call), named_(named) {}

  Result<Value> run(const Text& pattern) {
    TextBuilder out(runtime_);
    TRY(fill(pattern, out, 0));
    return out.finish(is_markup_);
  }

 private:
  Status fill(const Text& pattern, TextBuilder& out, int level) {
    if (level > 1) return bad_pattern("its fields are nested too deeply");
    Reader reader{pattern.view()};
    while (!reader.done()) {
      const size_t brace = std::min(reader.text.find_first_of("{}", reader.at), reader.text.size());
      out.append_slice(pattern, reader.at, brace);
      if (brace == reader.text.size()) break;
      reader.at = brace + 1;
      if (reader.accept(reader.text[brace])) {  // {{ or }}
        out.append_slice(pattern, brace, brace + 1);
        continue;
      }
      if (reader.text[brace] == '}') return bad_pattern("a '}' without '{'");
      TRY(field(pattern, reader, out, level));
      if (out.failed()) return out.error();
    }
    return {};
  }

  // From behind '{' to behind the matching '}'.
  Status field(const Text& pattern, Reader& reader, TextBuilder& out, int level) {
    const size_t start = reader.at;
    int open = 1;
    while (!reader.done() && open > 0) {
      const char c = reader.text[reader.at++];
      if (c == '[') {  // braces inside of an index do not count
        reader.at = std::min(reader.text.find(']', reader.at), reader.text.size());
      }
      open += c == '{' ? 1 : c == '}' ? -1 : 0;
    }
    if (open > 0) return bad_pattern("a '{' without '}'");
    const std::string_view body = reader.text.substr(start, reader.at - 1 - start);
    size_t name_end = 0;
    while (name_end < body.size() && body[name_end] != '!' && body[name_end] != ':') {
      if (body[name_end] == '[') name_end = std::min(body.find(']', name_end), body.size() - 1);
      ++name_end;
    }
    TRY_ASSIGN(Value value, lookup(body.substr(0, name_end)));
    char conversion = '\0';
    size_t spec_start = name_end;
    if (spec_start < body.size() && body[spec_start] == '!') {
      if (spec_start + 1 >= body.size()) return bad_pattern("a conversion is missing after '!'");
      conversion = body[spec_start + 1];
      spec_start += 2;
      if (spec_start < body.size() && body[spec_start] != ':') return bad_pattern("':' is expected after a conversion");
    }
    if (conversion == 'r' || conversion == 'a') {
      TRY_ASSIGN(Text text, to_repr(runtime_, value));
      TRY_ASSIGN(value, runtime_.string(std::move(text)));
    } else if (conversion == 's') {
      TRY_ASSIGN(Text text, to_text(runtime_, value));
      TRY_ASSIGN(value, runtime_.string(std::move(text)));
    } else if (conversion != '\0') {
      return bad_pattern("unknown conversion");
    }
    TextBuilder spec(runtime_);
    if (spec_start < body.size()) {
      const size_t offset = start + spec_start + 1;
      TRY(fill(pattern.slice(offset, reader.at - 1), spec, level + 1));
    }
    TRY_ASSIGN(const Text spec_text, spec.take());
    return append_field(value, spec_text.view(), out);
  }

  // nullptr when there is none.
  const Value* named_argument(std::string_view name) const {
    if (named_ != nullptr) return named_->find(name);
    const auto found =
        std::find_if(call_.named.begin(), call_.named.end(), [&](const auto& entry) { return entry.first == name; });
    return found == call_.named.end() ? nullptr : &found->second;
  }

  Result<Value> lookup(std::string_view name) {
    TRY(runtime_.spend(1 + call_.named.size() / 32));
    const size_t first_end = std::min(name.find_first_of(".["), name.size());
    const std::string_view first = name.substr(0, first_end);
    const bool is_number =
        !first.empty() && std::all_of(first.begin(), first.end(), [](char c) { return c >= '0' && c <= '9'; });
    Value value;
    if (first.empty() && !name.empty()) return bad_pattern("a field needs a number or name before '.' and '['");
    if (first.empty() || is_number) {
      if (automatic_ && *automatic_ != first.empty()) return bad_pattern("it mixes numbered and unnumbered fields");
      automatic_ = first.empty();
      Reader digits{first};
      const auto index = is_number ? static_cast<size_t>(digits.number()) : next_++;
      if (index >= call_.positional.size()) return make_error("format() has no argument number {}", index);
      value = call_.positional[index];
    } else {
      const Value* found = named_argument(first);
      if (found == nullptr) return make_error("format() has no argument '{}'", in_quotes(first));
      value = *found;
    }
    return follow(std::move(value), name.substr(first_end));
  }

  // The .name and [index] behind a field's first part.
  Result<Value> follow(Value value, std::string_view path) {
    while (!path.empty()) {
      if (path[0] == '.') {
        const size_t end = std::min(path.find_first_of(".[", 1), path.size());
        if (end == 1) return bad_pattern("an attribute's name is missing");
        TRY_ASSIGN(value, get_attribute(runtime_, value, path.substr(1, end - 1)));
        path.remove_prefix(end);
        continue;
      }
      const size_t end = path.find(']');
      if (path[0] != '[' || end == std::string_view::npos || end == 1) return bad_pattern("an index is malformed");
      const std::string_view key = path.substr(1, end - 1);
      const auto number = parse_int(key, "index");
      const Value index = number.ok() ? Value::integer(*number) : make_string(key);
      TRY_ASSIGN(value, get_item(runtime_, value, index));
      path.remove_prefix(end + 1);
    }
    return value;
  }

  Status append_field(const Value& value, std::string_view spec_text, TextBuilder& out) {
    if (spec_text.empty() || (!value.is_string() && !value.is_number())) {
      if (!spec_text.empty()) return make_error("a {} takes no format specification", type_name(value));
      TRY_ASSIGN(Text text, to_text(runtime_, value));
      if (is_markup_ && !(value.is_string() && value.string().markup)) {
        append_escaped(out, text);
      } else {
        out.append(text);
      }
      return {};
    }
    TRY_ASSIGN(FormatSpec spec, parse_spec(spec_text));
    if (value.is_string()) return append_string(value, spec, out);
    if (spec.align == '0') spec.align = '=';
    const std::string_view allowed = "bcdeEfFgGnosxX%";
    if (spec.type == 's' || (spec.type != '\0' && allowed.find(spec.type) == std::string_view::npos)) {
      return bad_pattern(
          format("the format code '{}' does not work on a number", in_quotes(std::string_view(&spec.type, 1))));
    }
    if (spec.type == 'n' && value.is_integral()) spec.type = 'd';
    const bool is_whole = value.is_integral() && std::string_view("eEfFgG%").find(spec.type) == std::string_view::npos;
    if (spec.precision >= 0 && (is_whole || spec.type == '\0') && value.is_integral()) {
      return bad_pattern("a whole number takes no precision");
    }
    TRY(spend_digits(runtime_, spec));
    TRY_ASSIGN(std::string digits, format_number(value, spec));
    append_padded(out, Text(std::move(digits)), spec, '>');
    return {};
  }

  Status append_string(const Value& value, FormatSpec spec, TextBuilder& out) {
    if (spec.type != '\0' && spec.type != 's') return bad_pattern("a string takes no such format code");
    if (spec.align == '=' || spec.sign != '-' || spec.grouping != '\0' || spec.alternate) {
      return bad_pattern("a string takes no sign or grouping");
    }
    if (spec.align == '0') spec.align = '<';
    Text text = value.text();
    if (spec.precision >= 0) {
      text = text.slice(0, code_point_offset(text.view(), static_cast<size_t>(spec.precision)));
    }
    append_padded(out, text, spec, '<');
    return {};
  }

  Runtime& runtime_;
  bool is_markup_;
  const Call& call_;
  const DictObject* named_;  // instead of call_.named when not nullptr
  std::optional<bool> automatic_;
  size_t next_ = 0;
};

}  // namespace

Result<Value> format_percent(Runtime& runtime, const StringObject& pattern, const Value& argument) {
  TRY(runtime.spend_convert(pattern.text.size()));
  return PercentFormatter(runtime, pattern, argument).run();
}

Result<Value> format_braces(Runtime& runtime, const StringObject& pattern, const Call& call, const DictObject* named) {
  TRY(runtime.spend_convert(pattern.text.size()));
  return BraceFormatter(runtime, pattern, call, named).run(pattern.text);
}

}  // namespace andiron::jinja
