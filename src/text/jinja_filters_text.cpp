// Filters that make text. Each follows the filter of its name in Jinja 3.1.
#include <algorithm>

#include "base/strings.h"
#include "text/jinja_builtins.h"
#include "text/jinja_case.h"
#include "text/jinja_format.h"
#include "text/jinja_lexer.h"
#include "text/jinja_operations.h"
#include "text/jinja_strings.h"
#include "text/unicode.h"

namespace andiron::jinja {

bool flag(const Value& argument) { return truth(argument); }

Result<Value> soft_string(Runtime& runtime, const Value& value) {
  if (value.is_string()) return value;
  TRY_ASSIGN(Text text, to_text(runtime, value));
  return runtime.string(std::move(text));
}

namespace {

Result<Value> with_case(Runtime& runtime, const Value& value, Case wanted) {
  TRY_ASSIGN(const Value string, soft_string(runtime, value));
  TextBuilder out(runtime);
  append_case(out, string.text(), 0, string.text().size(), wanted);
  return out.finish(string.string().markup);
}

Result<Value> upper(Runtime& runtime, const Value* a) { return with_case(runtime, a[0], Case::kUpper); }
Result<Value> lower(Runtime& runtime, const Value* a) { return with_case(runtime, a[0], Case::kLower); }

Result<Value> capitalize(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const Value string, soft_string(runtime, a[0]));
  TextBuilder out(runtime);
  append_capitalized(out, string.text());
  return out.finish(string.string().markup);
}

// Words begin after white space and - ( { [ <.
Result<Value> title(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const Value string, soft_string(runtime, a[0]));
  const Text& text = string.text();
  TRY(runtime.spend_convert(text.size()));
  TextBuilder out(runtime);
  bool at_start = true;
  for (size_t at = 0; at < text.size() && !out.failed();) {
    const size_t start = at;
    const uint32_t c = next_code_point(text.view(), at);
    append_case(out, text, start, at, at_start ? Case::kUpper : Case::kLower);
    at_start = is_python_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  }
  return out.finish();
}

Result<Value> string(Runtime& runtime, const Value* a) { return soft_string(runtime, a[0]); }

Result<Value> safe(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(Text text, to_text(runtime, a[0]));
  return runtime.string(std::move(text), true);
}

Result<Value> escape_filter(Runtime& runtime, const Value* a) { return escape(runtime, a[0]); }

Result<Value> force_escape(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(Text text, to_text(runtime, a[0]));
  TRY_ASSIGN(const Value plain, runtime.string(std::move(text)));
  return escape(runtime, plain);
}

Result<Value> trim(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const Value string, soft_string(runtime, a[0]));
  std::optional<std::string_view> chars;
  if (a[1].is_string()) {
    chars = a[1].view();
  } else if (!a[1].is_missing() && !a[1].is_none()) {
    return make_error("trim needs a string of characters, got a {}", type_name(a[1]));
  }
  TRY(runtime.spend_scan(string.text().size() + (chars ? chars->size() : 0)));
  const Span kept = strip(string.view(), chars, Sides::kBoth);
  return runtime.string(string.text().slice(kept.begin, kept.end), string.string().markup);
}

Result<Value> replace(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const Text text, to_text(runtime, a[0]));
  TRY_ASSIGN(const Text old_text, to_text(runtime, a[1]));
  TRY_ASSIGN(const Text new_text, to_text(runtime, a[2]));
  int64_t count = -1;
  if (!a[3].is_missing() && !a[3].is_none()) {
    TRY_ASSIGN(count, to_index(a[3], "replace's count"));
  }
  TRY(runtime.spend_search(text.size(), old_text.size()));
  TextBuilder out(runtime);
  append_replaced(out, text, old_text, new_text, count);
  return out.finish();
}

Result<Value> center(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const Value string, soft_string(runtime, a[0]));
  int64_t width = 80;
  if (!a[1].is_missing()) {
    TRY_ASSIGN(width, to_index(a[1], "center's width"));
  }
  const auto length = static_cast<int64_t>(string.string().length);
  const int64_t padding = std::max<int64_t>(width - length, 0);
  const int64_t left = padding / 2 + (padding & width & 1);  // CPython's choice for odd padding
  TextBuilder out(runtime);
  out.append_repeated(" ", static_cast<uint64_t>(left));
  out.append(string.text());
  out.append_repeated(" ", static_cast<uint64_t>(padding - left));
  return out.finish(string.string().markup);
}

Result<Value> indent(Runtime& runtime, const Value* a) {
  if (a[0].is_undefined()) return Error{a[0].undefined_hint()};
  if (!a[0].is_string()) return make_error("indent needs a string, got a {}", type_name(a[0]));
  TextBuilder indention(runtime);
  if (a[1].is_string()) {
    indention.append(a[1].text());
  } else {
    const Value default_width = Value::integer(4);
    TRY_ASSIGN(const int64_t width, to_index(a[1].is_missing() ? default_width : a[1], "indent's width"));
    indention.append_repeated(" ", static_cast<uint64_t>(std::max<int64_t>(width, 0)));
  }
  if (indention.failed()) return indention.error();
  const Text& text = a[0].text();
  TRY(runtime.spend_scan(text.size()));
  const uint64_t lines_max = runtime.budget().memory_left() / sizeof(Span);
  std::vector<Span> lines = split_lines(text.view(), false, lines_max);
  if (lines.size() > lines_max) return runtime.out_of_memory();
  TRY(runtime.spend(lines.size()));
  // Jinja adds a line break and splits: text that ends a line, or is empty, has one more empty line.
  if (lines.empty() || lines.back().end != text.size()) lines.push_back({text.size(), text.size()});
  TextBuilder out(runtime);
  for (size_t i = 0; i < lines.size() && !out.failed(); ++i) {
    if (i > 0) out.append("\n");
    const bool is_blank = lines[i].begin == lines[i].end;
    if (i == 0 ? flag(a[2]) : (flag(a[3]) || !is_blank)) out.append(indention.text());
    out.append_slice(text, lines[i].begin, lines[i].end);
  }
  return out.finish(a[0].string().markup);
}

Result<Value> truncate(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const size_t size, length_of(runtime, a[0]));
  int64_t length = 255;
  int64_t leeway = 5;
  if (!a[1].is_missing()) {
    TRY_ASSIGN(length, to_index(a[1], "truncate's length"));
  }
  if (!a[4].is_missing() && !a[4].is_none()) {
    TRY_ASSIGN(leeway, to_index(a[4], "truncate's leeway"));
  }
  const Value end = a[3].is_missing() ? make_string("...") : a[3];
  if (!end.is_string()) return make_error("truncate's end must be a string, got a {}", type_name(end));
  const auto end_length = static_cast<int64_t>(end.string().length);
  if (length < end_length || leeway < 0) return make_error("truncate's length is shorter than its end mark");
  if (static_cast<int64_t>(size) - leeway <= length) return a[0];
  if (!a[0].is_string()) return make_error("truncate needs a string, got a {}", type_name(a[0]));
  TRY_ASSIGN(Value kept, get_slice(runtime, a[0], Value(), Value::integer(length - end_length), Value()));
  if (!flag(a[2])) {
    const size_t space = kept.view().rfind(' ');
    const bool is_markup = kept.string().markup;
    if (space != std::string_view::npos) {
      TRY_ASSIGN(kept, runtime.string(kept.text().slice(0, space), is_markup));
    }
  }
  return arithmetic(runtime, Operator::kAdd, kept, end);
}

bool is_word_character(uint32_t c) {
  const Category category = category_of(c);
  return c == '_' || category <= Category::kLo || (category >= Category::kNd && category <= Category::kNo);
}

Result<Value> word_count(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const Value string, soft_string(runtime, a[0]));
  TRY(runtime.spend_convert(string.text().size()));
  int64_t count = 0;
  bool in_word = false;
  for (size_t at = 0; at < string.text().size();) {
    const bool is_word = is_word_character(next_code_point(string.view(), at));
    if (is_word && !in_word) ++count;
    in_word = is_word;
  }
  return Value::integer(count);
}

// Percent-encodes UTF-8 (RFC 3986); in a query a space is '+' and '/' is encoded.
Status append_quoted(Runtime& runtime, TextBuilder& out, const Value& value, bool is_query) {
  TRY_ASSIGN(const Text text, to_text(runtime, value));
  TRY(runtime.spend(text.size() / 4));
  for (size_t i = 0; i < text.size() && !out.failed(); ++i) {
    const char c = text.view()[i];
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                          c == '.' || c == '-' || c == '~' || (c == '/' && !is_query);
    const std::string encoded = is_plain               ? std::string(1, c)
                                : c == ' ' && is_query ? "+"
                                                       : format("%{:02X}", static_cast<uint8_t>(c));
    out.append(encoded, text.is_tainted_at(i));
  }
  return {};
}

Result<Value> url_encode(Runtime& runtime, const Value* a) {
  TextBuilder out(runtime);
  if (a[0].is_string() || !is_iterable(a[0])) {
    TRY(append_quoted(runtime, out, a[0], false));
    return out.finish();
  }
  Value pairs = a[0];
  if (a[0].is(Kind::kDict)) {
    TRY_ASSIGN(pairs, runtime.view(ViewObject::Part::kItems, a[0]));
  }
  TRY_ASSIGN(const auto items, iterate(runtime, pairs));
  for (size_t i = 0; i < items.size(); ++i) {
    TRY_ASSIGN(const auto pair, iterate(runtime, items[i]));
    if (pair.size() != 2) return make_error("urlencode needs pairs of key and value");
    if (i > 0) out.append("&");
    TRY(append_quoted(runtime, out, pair[0], true));
    out.append("=");
    TRY(append_quoted(runtime, out, pair[1], true));
  }
  return out.finish();
}

Result<Value> xml_attributes(Runtime& runtime, const Value* a) {
  if (!a[0].is(Kind::kDict)) return make_error("xmlattr needs a dict, got a {}", type_name(a[0]));
  TextBuilder out(runtime);
  const bool with_space = a[1].is_missing() || truth(a[1]);
  for (const auto& [key, value] : a[0].dict().entries) {
    TRY(runtime.spend(2));
    if (value.is_none() || value.is_undefined()) continue;
    if (!key.is_string()) return make_error("xmlattr needs strings as keys");
    if (key.view().find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos) {
      return make_error("'{}' is no name of an attribute", in_quotes(key.view()));
    }
    if (out.size() > 0 || with_space) out.append(" ");
    TRY_ASSIGN(const Value name, escape(runtime, key));
    TRY_ASSIGN(const Value text, escape(runtime, value));
    out.append(name.text());
    out.append("=\"");
    out.append(text.text());
    out.append("\"");
  }
  return out.finish();
}

Result<Value> format_filter(Runtime& runtime, const Value& self, Call& call) {
  if (!call.positional.empty() && !call.named.empty()) {
    return make_error("format takes positional or named values, not both");
  }
  TRY_ASSIGN(const Value pattern, soft_string(runtime, self));
  Value values;
  if (call.named.empty()) {
    TRY_ASSIGN(values, runtime.tuple(std::move(call.positional)));
  } else {
    std::vector<DictObject::Entry> entries;
    for (auto& [name, value] : call.named) entries.emplace_back(make_string(name), std::move(value));
    TRY_ASSIGN(values, runtime.dict(std::move(entries)));
  }
  return format_percent(runtime, pattern.string(), values);
}

template <const char* kName>
Result<Value> refused(Runtime&, const Value&, Call&) {
  return make_error("the filter '{}' is not supported in chat templates", kName);
}
constexpr char kUrlize[] = "urlize";
constexpr char kPprint[] = "pprint";
constexpr char kWordwrap[] = "wordwrap";
constexpr char kStriptags[] = "striptags";
constexpr char kRandom[] = "random";  // would make a prompt differ from run to run

constexpr Builtin kFilters[] = {
    {"upper", upper, 1, {"s"}},
    {"lower", lower, 1, {"s"}},
    {"capitalize", capitalize, 1, {"s"}},
    {"title", title, 1, {"s"}},
    {"string", string, 1, {"s"}},
    {"safe", safe, 1, {"value"}},
    {"escape", escape_filter, 1, {"s"}},
    {"e", escape_filter, 1, {"s"}},
    {"forceescape", force_escape, 1, {"value"}},
    {"trim", trim, 1, {"value", "chars"}},
    {"replace", replace, 3, {"s", "old", "new", "count"}},
    {"center", center, 1, {"value", "width"}},
    {"indent", indent, 1, {"s", "width", "first", "blank"}},
    {"truncate", truncate, 1, {"s", "length", "killwords", "end", "leeway"}},
    {"wordcount", word_count, 1, {"s"}},
    {"urlencode", url_encode, 1, {"value"}},
    {"xmlattr", xml_attributes, 1, {"d", "autospace"}},
    {.name = "format", .free = format_filter},
    {.name = kUrlize, .free = refused<kUrlize>},
    {.name = kPprint, .free = refused<kPprint>},
    {.name = kWordwrap, .free = refused<kWordwrap>},
    {.name = kStriptags, .free = refused<kStriptags>},
    {.name = kRandom, .free = refused<kRandom>},
};

}  // namespace

std::span<const Builtin> text_filters() { return kFilters; }

}  // namespace andiron::jinja
