// The methods of strings that ask a question: where is it, how often, of what kind are the characters.
#include <algorithm>

#include "base/strings.h"
#include "text/jinja_builtins.h"
#include "text/jinja_case.h"
#include "text/jinja_lexer.h"
#include "text/jinja_operations.h"
#include "text/jinja_strings.h"
#include "text/unicode.h"

namespace andiron::jinja {

namespace {

// The bytes of a string that optional bounds (code points, as in a slice) leave; `is_valid` is false when the first
// bound lies behind the end or the second, where nothing is ever found.
struct Window {
  Span span;
  bool is_valid = true;
};

Result<Window> window(Runtime& runtime, const StringObject& string, const Value& start, const Value& stop) {
  TRY(runtime.spend_scan(string.text.size()));
  const auto size = static_cast<int64_t>(string.length);
  const auto bound = [&](const Value& value, int64_t if_left_out) -> Result<int64_t> {
    if (value.is_missing() || value.is_none()) return if_left_out;
    TRY_ASSIGN(int64_t index, to_index(value, "a bound"));
    if (index < 0) index = std::max<int64_t>(index + size, 0);
    return index;
  };
  TRY_ASSIGN(const int64_t first, bound(start, 0));
  TRY_ASSIGN(const int64_t last, bound(stop, size));
  Window out;
  out.is_valid = first <= std::min(last, size);
  if (!out.is_valid) return out;
  out.span.begin = string.offset(static_cast<size_t>(first));
  out.span.end = string.offset(static_cast<size_t>(std::min(last, size)));
  return out;
}

Result<int64_t> position(Runtime& runtime, const Value* a, bool from_right) {
  if (!a[1].is_string()) return make_error("find() needs a string, got a {}", type_name(a[1]));
  TRY_ASSIGN(const Window where, window(runtime, a[0].string(), a[2], a[3]));
  if (!where.is_valid) return int64_t{-1};
  const std::string_view text = a[0].view().substr(where.span.begin, where.span.end - where.span.begin);
  TRY(runtime.spend_search(text.size(), a[1].text().size()));
  const size_t found = from_right ? find_text_last(text, a[1].view()) : find_text(text, a[1].view());
  if (found == std::string_view::npos) return int64_t{-1};
  const size_t at = where.span.begin + found;
  return static_cast<int64_t>(a[0].string().is_ascii() ? at : code_point_count(a[0].view().substr(0, at)));
}

template <bool kFromRight>
Result<Value> find(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const int64_t found, position(runtime, a, kFromRight));
  return Value::integer(found);
}

template <bool kFromRight>
Result<Value> index(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const int64_t found, position(runtime, a, kFromRight));
  if (found < 0) return make_error("index() did not find the text");
  return Value::integer(found);
}

Result<Value> count(Runtime& runtime, const Value* a) {
  if (!a[1].is_string()) return make_error("count() needs a string, got a {}", type_name(a[1]));
  TRY_ASSIGN(const Window where, window(runtime, a[0].string(), a[2], a[3]));
  if (!where.is_valid) return Value::integer(0);
  const std::string_view text = a[0].view().substr(where.span.begin, where.span.end - where.span.begin);
  const std::string_view wanted = a[1].view();
  if (wanted.empty()) return Value::integer(static_cast<int64_t>(code_point_count(text)) + 1);
  TRY(runtime.spend_search(text.size(), wanted.size()));
  int64_t result = 0;
  for (size_t at = find_text(text, wanted); at != std::string_view::npos;) {
    ++result;
    at = find_text(text, wanted, at + wanted.size());
  }
  return Value::integer(result);
}

template <bool kAtEnd>
Result<bool> matches(std::string_view text, const Value& part) {
  if (!part.is_string()) return make_error("startswith() needs strings, got a {}", type_name(part));
  const std::string_view wanted = part.view();
  if (wanted.size() > text.size()) return false;
  return text.substr(kAtEnd ? text.size() - wanted.size() : 0, wanted.size()) == wanted;
}

template <bool kAtEnd>
Result<Value> starts_or_ends(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const Window where, window(runtime, a[0].string(), a[2], a[3]));
  const std::string_view text = a[0].view().substr(where.span.begin, where.span.end - where.span.begin);
  if (!a[1].is(Kind::kTuple)) {
    TRY_ASSIGN(const bool result, matches<kAtEnd>(text, a[1]));
    return Value::boolean(result && where.is_valid);
  }
  for (const Value& part : a[1].items()) {
    TRY(runtime.spend(1 + (part.is_string() ? part.text().size() / 1024 : 0)));
    TRY_ASSIGN(const bool result, matches<kAtEnd>(text, part));
    if (result && where.is_valid) return Value::boolean(true);
  }
  return Value::boolean(false);
}

bool is_letter(uint32_t c) { return category_of(c) <= Category::kLo; }
bool is_decimal(uint32_t c) { return category_of(c) == Category::kNd; }
bool is_digit(uint32_t c) {
  const bool is_raised = c == 0xb2 || c == 0xb3 || c == 0xb9 || c == 0x2070 || (c >= 0x2074 && c <= 0x2079);
  return is_decimal(c) || is_raised || (c >= 0x2080 && c <= 0x2089);
}
bool is_numeric(uint32_t c) { return category_of(c) >= Category::kNd && category_of(c) <= Category::kNo; }
bool is_alphanumeric(uint32_t c) { return is_letter(c) || is_numeric(c); }
bool is_ascii(uint32_t c) { return c < 0x80; }

// Whether all characters are of a kind; `if_empty` for no characters at all.
template <bool (*kIsKind)(uint32_t), bool kIfEmpty>
Result<Value> all_are(Runtime& runtime, const Value* a) {
  const std::string_view text = a[0].view();
  TRY(runtime.spend_convert(text.size()));
  for (size_t at = 0; at < text.size();) {
    if (!kIsKind(next_code_point(text, at))) return Value::boolean(false);
  }
  return Value::boolean(kIfEmpty || !text.empty());
}

template <bool kLower>
Result<Value> all_cased(Runtime& runtime, const Value* a) {
  TRY(runtime.spend_convert(a[0].text().size()));
  bool any = false;
  for (size_t at = 0; at < a[0].text().size();) {
    const uint32_t c = next_code_point(a[0].view(), at);
    if (!is_cased(c)) continue;
    if (is_lower(c) != kLower) return Value::boolean(false);
    any = true;
  }
  return Value::boolean(any);
}

Result<Value> is_title(Runtime& runtime, const Value* a) {
  TRY(runtime.spend_convert(a[0].text().size()));
  bool any = false;
  bool in_word = false;
  for (size_t at = 0; at < a[0].text().size();) {
    const uint32_t c = next_code_point(a[0].view(), at);
    if (is_cased(c)) {
      if (is_lower(c) != in_word) return Value::boolean(false);
      any = true;
    }
    in_word = is_cased(c);
  }
  return Value::boolean(any);
}

Result<Value> is_identifier(Runtime& runtime, const Value* a) {
  const std::string_view text = a[0].view();
  TRY(runtime.spend_convert(text.size()));
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const uint32_t c = next_code_point(text, at);
    const bool starts = c == '_' || is_letter(c) || category_of(c) == Category::kNl;
    const Category category = category_of(c);
    const bool continues =
        is_decimal(c) || category == Category::kMn || category == Category::kMc || category == Category::kPc;
    if (!starts && (start == 0 || !continues)) return Value::boolean(false);
  }
  return Value::boolean(!text.empty());
}

constexpr Builtin kMethods[] = {
    {"find", find<false>, 2, {"self", "sub", "start", "end"}, nullptr, true},
    {"rfind", find<true>, 2, {"self", "sub", "start", "end"}, nullptr, true},
    {"index", index<false>, 2, {"self", "sub", "start", "end"}, nullptr, true},
    {"rindex", index<true>, 2, {"self", "sub", "start", "end"}, nullptr, true},
    {"count", count, 2, {"self", "sub", "start", "end"}, nullptr, true},
    {"startswith", starts_or_ends<false>, 2, {"self", "prefix", "start", "end"}, nullptr, true},
    {"endswith", starts_or_ends<true>, 2, {"self", "suffix", "start", "end"}, nullptr, true},
    {"isalpha", all_are<is_letter, false>, 1, {"self"}, nullptr, true},
    {"isdecimal", all_are<is_decimal, false>, 1, {"self"}, nullptr, true},
    {"isdigit", all_are<is_digit, false>, 1, {"self"}, nullptr, true},
    {"isnumeric", all_are<is_numeric, false>, 1, {"self"}, nullptr, true},
    {"isalnum", all_are<is_alphanumeric, false>, 1, {"self"}, nullptr, true},
    {"isspace", all_are<is_python_space, false>, 1, {"self"}, nullptr, true},
    {"isascii", all_are<is_ascii, true>, 1, {"self"}, nullptr, true},
    {"isprintable", all_are<is_printable, true>, 1, {"self"}, nullptr, true},
    {"islower", all_cased<true>, 1, {"self"}, nullptr, true},
    {"isupper", all_cased<false>, 1, {"self"}, nullptr, true},
    {"istitle", is_title, 1, {"self"}, nullptr, true},
    {"isidentifier", is_identifier, 1, {"self"}, nullptr, true},
};

}  // namespace

std::span<const Builtin> string_queries() { return kMethods; }

}  // namespace andiron::jinja
