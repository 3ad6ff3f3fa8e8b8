// Filters that make numbers. Each follows the filter of its name in Jinja 3.1.
#include <charconv>
#include <cmath>

#include "base/strings.h"
#include "text/jinja_builtins.h"
#include "text/jinja_operations.h"
#include "text/jinja_strings.h"

namespace andiron::jinja {

namespace {

// White space off the sides and single underscores between digits out; nothing when they stand elsewhere.
std::optional<std::string> plain_digits(std::string_view text) {
  const Span kept = strip(text, std::nullopt, Sides::kBoth);
  text = text.substr(kept.begin, kept.end - kept.begin);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto is_digit = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    };
    if (i == 0 || i + 1 == text.size() || !is_digit(text[i - 1]) || !is_digit(text[i + 1])) return std::nullopt;
  }
  return out;
}

}  // namespace

std::optional<int64_t> parse_python_int(std::string_view text, int64_t base) {
  auto digits = plain_digits(text);
  if (!digits || digits->empty() || base < 0 || base == 1 || base > 36) return std::nullopt;
  std::string_view rest = *digits;
  const bool is_negative = rest[0] == '-';
  if (rest[0] == '-' || rest[0] == '+') rest.remove_prefix(1);
  if (rest.size() > 2 && rest[0] == '0') {
    const char kind = rest[1];
    const int64_t marked = kind == 'x' || kind == 'X'   ? 16
                           : kind == 'o' || kind == 'O' ? 8
                           : kind == 'b' || kind == 'B' ? 2
                                                        : 0;
    if (marked != 0 && (base == 0 || base == marked)) {
      base = marked;
      rest.remove_prefix(2);
    }
  }
  if (base == 0) base = 10;
  const std::string signed_digits = (is_negative ? "-" : "") + std::string(rest);
  if (rest.empty() || rest[0] == '-' || rest[0] == '+') return std::nullopt;
  int64_t value = 0;
  const char* end = signed_digits.data() + signed_digits.size();
  const auto [last, code] = std::from_chars(signed_digits.data(), end, value, static_cast<int>(base));
  if (code != std::errc() || last != end) return std::nullopt;
  return value;
}

std::optional<double> parse_python_real(std::string_view text) {
  const auto digits = plain_digits(text);
  if (!digits || digits->empty()) return std::nullopt;
  std::string_view rest = *digits;
  if (rest[0] == '+') rest.remove_prefix(1);
  if (rest.empty() || rest[0] == '+') return std::nullopt;
  double value = 0;
  const auto [last, code] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (last != rest.data() + rest.size()) return std::nullopt;
  if (code == std::errc::result_out_of_range) {  // Python gives 0 or infinity
    const size_t e = rest.find_first_of("eE");
    const bool is_tiny = e != std::string_view::npos && rest.find('-', e) != std::string_view::npos;
    const double magnitude = is_tiny ? 0.0 : HUGE_VAL;
    return rest[0] == '-' ? -magnitude : magnitude;
  }
  if (code != std::errc() || rest.find('(') != std::string_view::npos) return std::nullopt;
  return value;
}

namespace {

// int(value) of a real; nothing for NaN.
Result<std::optional<int64_t>> truncated(double value) {
  if (std::isnan(value)) return std::optional<int64_t>();
  if (!(std::fabs(value) < 9.2e18)) return make_error("int got a number that does not fit 64 bits");
  return std::optional<int64_t>(static_cast<int64_t>(value));
}

Result<Value> to_int(Runtime& runtime, const Value* a) {
  const Value fallback = a[1].is_missing() ? Value::integer(0) : a[1];
  const Value& value = a[0];
  if (value.is_undefined()) return Error{value.undefined_hint()};
  if (value.is_integral()) return Value::integer(value.as_int());
  double real = 0;
  if (value.is_string()) {
    int64_t base = 10;
    if (a[2].is_integral()) base = a[2].as_int();
    TRY(runtime.spend_scan(value.text().size()));
    const bool is_base = a[2].is_missing() || a[2].is_integral();
    if (const auto parsed = parse_python_int(value.view(), base); parsed && is_base) {
      return Value::integer(*parsed);
    }
    const auto parsed = parse_python_real(value.view());
    if (!parsed) return fallback;
    real = *parsed;
  } else if (value.is(Kind::kReal)) {
    real = value.as_real();
  } else {
    return fallback;
  }
  TRY_ASSIGN(const auto whole, truncated(real));
  return whole ? Value::integer(*whole) : fallback;
}

Result<Value> to_real(Runtime& runtime, const Value* a) {
  const Value& value = a[0];
  if (value.is_undefined()) return Error{value.undefined_hint()};
  if (value.is_number()) return Value::real(value.as_real());
  if (value.is_string()) {
    TRY(runtime.spend_scan(value.text().size()));
    if (const auto parsed = parse_python_real(value.view())) return Value::real(*parsed);
  }
  return a[1].is_missing() ? Value::real(0) : a[1];
}

Result<Value> absolute(Runtime&, const Value* a) {
  if (!a[0].is_number()) return make_error("abs needs a number, got a {}", type_name(a[0]));
  if (a[0].is(Kind::kReal)) return Value::real(std::fabs(a[0].as_real()));
  return a[0].as_int() < 0 ? negate(a[0]) : Value::integer(a[0].as_int());
}

// Python's round(value, digits): to the nearest decimal, ties of the exact binary value to even.
double round_real(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 300) return value;
  if (digits < -308) return std::copysign(0.0, value);
  if (digits < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(value / scale) * scale;
  }
  std::string buffer(1024, '\0');
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed,
                                 static_cast<int>(digits));
  double result = value;
  std::from_chars(buffer.data(), end.ptr, result);
  return result;
}

Result<Value> round_integer(int64_t value, int64_t digits) {
  if (digits >= 0) return Value::integer(value);
  if (digits < -18) return Value::integer(0);
  int64_t scale = 1;
  for (; digits < 0; ++digits) scale *= 10;
  const int64_t rest = ((value % scale) + scale) % scale;
  int64_t down = 0;
  if (__builtin_sub_overflow(value, rest, &down)) return make_error("a whole number that does not fit 64 bits");
  const bool is_odd = (down / scale) % 2 != 0;
  if (rest > scale / 2 || (rest == scale / 2 && is_odd)) {
    if (__builtin_add_overflow(down, scale, &down)) return make_error("a whole number that does not fit 64 bits");
  }
  return Value::integer(down);
}

Result<Value> round_filter(Runtime& runtime, const Value* a) {
  int64_t digits = 0;
  if (!a[1].is_missing()) {
    TRY_ASSIGN(digits, to_index(a[1], "round's precision"));
  }
  const std::string_view method = a[2].is_string() ? a[2].view() : a[2].is_missing() ? "common" : "";
  if (method != "common" && method != "ceil" && method != "floor") {
    return make_error("round's method must be 'common', 'ceil' or 'floor'");
  }
  if (!a[0].is_number()) return make_error("round needs a number, got a {}", type_name(a[0]));
  if (method == "common") {
    if (a[0].is_integral()) return round_integer(a[0].as_int(), digits);
    return Value::real(round_real(a[0].as_real(), digits));
  }
  TRY_ASSIGN(const Value scale, arithmetic(runtime, Operator::kPower, Value::integer(10), Value::integer(digits)));
  TRY_ASSIGN(const Value scaled, arithmetic(runtime, Operator::kMultiply, a[0], scale));
  Value whole = scaled;
  if (scaled.is(Kind::kReal)) {
    whole = Value::real(method == "ceil" ? std::ceil(scaled.as_real()) : std::floor(scaled.as_real()));
  }
  return arithmetic(runtime, Operator::kDivide, whole, scale);
}

Result<Value> file_size(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const Value number, to_real(runtime, a));
  const auto parsed = a[0].is_string() ? parse_python_real(a[0].view()) : std::optional<double>(0);
  if (!parsed || (!a[0].is_number() && !a[0].is_string())) return make_error("filesizeformat needs a number");
  const double bytes = number.as_real();
  const bool is_binary = flag(a[1]);
  const double base = is_binary ? 1024 : 1000;
  static constexpr std::string_view kDecimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
  static constexpr std::string_view kBinary[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
  if (bytes == 1) return runtime.string("1 Byte");
  if (!std::isfinite(bytes)) return make_error("filesizeformat needs a finite number");
  if (bytes < base) {
    return runtime.string(std::fabs(bytes) < 9e18 ? format("{} Bytes", static_cast<int64_t>(bytes)) : "");
  }
  double unit = base * base;
  size_t i = 0;
  for (; i + 1 < std::size(kDecimal) && bytes >= unit; ++i) unit *= base;
  return runtime.string(format("{:.1f} {}", base * bytes / unit, is_binary ? kBinary[i] : kDecimal[i]));
}

constexpr Builtin kFilters[] = {
    {"int", to_int, 1, {"value", "default", "base"}},
    {"float", to_real, 1, {"value", "default"}},
    {"abs", absolute, 1, {"x"}},
    {"round", round_filter, 1, {"value", "precision", "method"}},
    {"filesizeformat", file_size, 1, {"value", "binary"}},
};

}  // namespace

std::span<const Builtin> number_filters() { return kFilters; }

}  // namespace andiron::jinja
