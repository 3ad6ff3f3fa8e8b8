// The methods of strings that give strings or lists of them; Python's str is the specification.
//
// Text marked |safe escapes the text it is combined with and stays marked, as markupsafe's Markup does.
#include <algorithm>

#include "base/strings.h"
#include "text/jinja_builtins.h"
#include "text/jinja_case.h"
#include "text/jinja_format.h"
#include "text/jinja_operations.h"
#include "text/jinja_strings.h"

namespace andiron::jinja {

namespace {

bool is_given(const Value& argument) { return !argument.is_missing() && !argument.is_none(); }

// A string argument, escaped when the subject is marked text.
Result<Text> text_argument(Runtime& runtime, const Value& self, const Value& argument, std::string_view method) {
  if (argument.is_undefined()) return Error{argument.undefined_hint()};
  if (!argument.is_string()) return make_error("{}() needs a string, got a {}", method, type_name(argument));
  if (!self.string().markup) return argument.text();
  TRY_ASSIGN(const Value escaped, escape(runtime, argument));
  return escaped.text();
}

Result<int64_t> integer_argument(const Value& argument, int64_t if_missing, std::string_view method) {
  if (argument.is_missing()) return if_missing;
  return to_index(argument, format("an argument of {}()", method));
}

template <Case kCase>
Result<Value> with_case(Runtime& runtime, const Value* a) {
  TextBuilder out(runtime);
  append_case(out, a[0].text(), 0, a[0].text().size(), kCase);
  return out.finish(a[0].string().markup && kCase != Case::kFold);
}

Result<Value> capitalize(Runtime& runtime, const Value* a) {
  TextBuilder out(runtime);
  append_capitalized(out, a[0].text());
  return out.finish(a[0].string().markup);
}

Result<Value> title(Runtime& runtime, const Value* a) {
  TRY(runtime.spend_convert(a[0].text().size()));
  TextBuilder out(runtime);
  append_title(out, a[0].text());
  return out.finish(a[0].string().markup);
}

template <Sides kSides>
Result<Value> strip_method(Runtime& runtime, const Value* a) {
  std::optional<std::string_view> chars;
  Text text;
  if (is_given(a[1])) {
    TRY_ASSIGN(text, text_argument(runtime, a[0], a[1], "strip"));
    chars = text.view();
  }
  TRY(runtime.spend_scan(a[0].text().size() + text.size()));
  const Span kept = strip(a[0].view(), chars, kSides);
  return runtime.string(a[0].text().slice(kept.begin, kept.end), a[0].string().markup);
}

Result<Value> replace(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const Text old_text, text_argument(runtime, a[0], a[1], "replace"));
  TRY_ASSIGN(const Text new_text, text_argument(runtime, a[0], a[2], "replace"));
  TRY_ASSIGN(const int64_t count, integer_argument(a[3], -1, "replace"));
  TRY(runtime.spend_search(a[0].text().size(), old_text.size()));
  TextBuilder out(runtime);
  append_replaced(out, a[0].text(), old_text, new_text, count);
  return out.finish(a[0].string().markup);
}

Result<Value> pieces(Runtime& runtime, const Value& self, const std::vector<Span>& spans, uint64_t pieces_max) {
  if (spans.size() > pieces_max) return runtime.out_of_memory();
  TRY(runtime.spend(spans.size()));
  std::vector<Value> out;
  out.reserve(spans.size());
  for (const Span& span : spans) {
    TRY_ASSIGN(Value piece, runtime.string(self.text().slice(span.begin, span.end), self.string().markup));
    out.push_back(std::move(piece));
  }
  return runtime.list(std::move(out));
}

uint64_t pieces_max_of(Runtime& runtime) { return runtime.budget().memory_left() / sizeof(StringObject); }

template <bool kFromRight>
Result<Value> split_method(Runtime& runtime, const Value* a) {
  std::optional<std::string_view> separator;
  if (a[1].is_string()) {
    separator = a[1].view();
    if (separator->empty()) return make_error("split() needs a separator that is not empty");
  } else if (is_given(a[1])) {
    return make_error("split() needs a string, got a {}", type_name(a[1]));
  }
  TRY_ASSIGN(const int64_t limit, integer_argument(a[2], -1, "split"));
  TRY(runtime.spend_search(a[0].text().size(), separator ? separator->size() : 0));
  const uint64_t most = pieces_max_of(runtime);
  const auto spans =
      kFromRight ? split_from_right(a[0].view(), separator, limit, most) : split(a[0].view(), separator, limit, most);
  return pieces(runtime, a[0], spans, most);
}

Result<Value> split_lines_method(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const int64_t keep_ends, integer_argument(a[1], 0, "splitlines"));
  TRY(runtime.spend_scan(a[0].text().size()));
  const uint64_t most = pieces_max_of(runtime);
  return pieces(runtime, a[0], split_lines(a[0].view(), keep_ends != 0, most), most);
}

template <bool kFromRight>
Result<Value> partition(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const Text separator, text_argument(runtime, a[0], a[1], "partition"));
  if (separator.empty()) return make_error("partition() needs a separator that is not empty");
  const Text& text = a[0].text();
  const bool is_markup = a[0].string().markup;
  TRY(runtime.spend_search(text.size(), separator.size()));
  const size_t found =
      kFromRight ? find_text_last(text.view(), separator.view()) : find_text(text.view(), separator.view());
  const bool is_there = found != std::string_view::npos;
  const size_t head = is_there ? found : kFromRight ? 0 : text.size();
  const size_t tail = is_there ? found + separator.size() : head;
  std::vector<Value> parts(3);
  TRY_ASSIGN(parts[0], runtime.string(text.slice(0, head), is_markup));
  TRY_ASSIGN(parts[1], runtime.string(text.slice(head, tail), is_markup));
  TRY_ASSIGN(parts[2], runtime.string(text.slice(tail, text.size()), is_markup));
  return runtime.tuple(std::move(parts));
}

Result<Value> join(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const auto items, iterate(runtime, a[1]));
  const bool is_markup = a[0].string().markup;
  TextBuilder out(runtime);
  for (size_t i = 0; i < items.size() && !out.failed(); ++i) {
    if (i > 0) out.append(a[0].text());
    if (is_markup) {
      TRY_ASSIGN(const Value escaped, escape(runtime, items[i]));
      out.append(escaped.text());
      continue;
    }
    if (!items[i].is_string()) return make_error("join() needs strings, got a {}", type_name(items[i]));
    out.append(items[i].text());
  }
  return out.finish(is_markup);
}

// Text padded to a width with a character (a[2], a space when left out).
Result<Value> padded(Runtime& runtime, const Value* a, char align) {
  TRY_ASSIGN(const int64_t width, to_index(a[1], "a width"));
  Text fill(std::string(1, ' '));
  if (!a[2].is_missing()) {
    TRY_ASSIGN(fill, text_argument(runtime, a[0], a[2], "justify"));
  }
  if (code_point_count(fill.view()) != 1) return make_error("the fill character must be one character");
  const auto length = static_cast<int64_t>(a[0].string().length);
  const int64_t padding = width > length ? width - length : 0;
  const int64_t left = align == '<' ? 0 : align == '>' ? padding : padding / 2 + (padding & width & 1);
  TextBuilder out(runtime);
  out.append_repeated(fill.view(), static_cast<uint64_t>(left), fill.is_tainted());
  out.append(a[0].text());
  out.append_repeated(fill.view(), static_cast<uint64_t>(padding - left), fill.is_tainted());
  return out.finish(a[0].string().markup);
}

Result<Value> center(Runtime& runtime, const Value* a) { return padded(runtime, a, '^'); }
Result<Value> left_justify(Runtime& runtime, const Value* a) { return padded(runtime, a, '<'); }
Result<Value> right_justify(Runtime& runtime, const Value* a) { return padded(runtime, a, '>'); }

Result<Value> zero_fill(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const int64_t width, to_index(a[1], "zfill()'s width"));
  const Text& text = a[0].text();
  const auto length = static_cast<int64_t>(a[0].string().length);
  const size_t sign = !text.empty() && (text.view()[0] == '-' || text.view()[0] == '+') ? 1 : 0;
  TextBuilder out(runtime);
  out.append_slice(text, 0, sign);
  if (width > length) out.append_repeated("0", static_cast<uint64_t>(width - length));
  out.append_slice(text, sign, text.size());
  return out.finish(a[0].string().markup);
}

Result<Value> expand_tabs(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const int64_t size, integer_argument(a[1], 8, "expandtabs"));
  const Text& text = a[0].text();
  TRY(runtime.spend_scan(text.size()));
  TextBuilder out(runtime);
  int64_t column = 0;
  for (size_t at = 0; at < text.size() && !out.failed();) {
    const size_t start = at;
    const uint32_t c = next_code_point(text.view(), at);
    if (c != '\t') {
      out.append_slice(text, start, at);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    } else if (size > 0) {
      const int64_t spaces = size - column % size;
      out.append_repeated(" ", static_cast<uint64_t>(spaces), text.is_tainted_at(start));
      column = 0;  // only its remainder counts
    }
  }
  return out.finish(a[0].string().markup);
}

Result<Value> remove_prefix(Runtime& runtime, const Value* a) {
  if (!a[1].is_string()) return make_error("removeprefix() needs a string, got a {}", type_name(a[1]));
  const bool is_there = a[0].view().substr(0, a[1].view().size()) == a[1].view();
  return runtime.string(a[0].text().slice(is_there ? a[1].text().size() : 0, a[0].text().size()));
}

Result<Value> remove_suffix(Runtime& runtime, const Value* a) {
  if (!a[1].is_string()) return make_error("removesuffix() needs a string, got a {}", type_name(a[1]));
  const size_t size = a[0].text().size();
  const size_t suffix = a[1].text().size();
  const bool is_there = suffix <= size && a[0].view().substr(size - suffix) == a[1].view();
  return runtime.string(a[0].text().slice(0, is_there ? size - suffix : size));
}

Result<Value> format_method(Runtime& runtime, const Value& self, Call& call) {
  return format_braces(runtime, self.string(), call);
}

Result<Value> format_map(Runtime& runtime, const Value& self, Call& call) {
  if (call.positional.size() != 1 || !call.named.empty() || !call.positional[0].is(Kind::kDict)) {
    return make_error("format_map() needs one dict");
  }
  return format_braces(runtime, self.string(), {}, &call.positional[0].dict());
}

Result<Value> refused(Runtime&, const Value&, Call&) {
  return make_error("this method is not supported in chat templates");
}

constexpr Builtin kMethods[] = {
    {"upper", with_case<Case::kUpper>, 1, {"self"}, nullptr, true},
    {"lower", with_case<Case::kLower>, 1, {"self"}, nullptr, true},
    {"swapcase", with_case<Case::kSwap>, 1, {"self"}, nullptr, true},
    {"casefold", with_case<Case::kFold>, 1, {"self"}, nullptr, true},
    {"capitalize", capitalize, 1, {"self"}, nullptr, true},
    {"title", title, 1, {"self"}, nullptr, true},
    {"strip", strip_method<Sides::kBoth>, 1, {"self", "chars"}, nullptr, true},
    {"lstrip", strip_method<Sides::kLeft>, 1, {"self", "chars"}, nullptr, true},
    {"rstrip", strip_method<Sides::kRight>, 1, {"self", "chars"}, nullptr, true},
    {"replace", replace, 3, {"self", "old", "new", "count"}, nullptr, true},
    {"split", split_method<false>, 1, {"self", "sep", "maxsplit"}},
    {"rsplit", split_method<true>, 1, {"self", "sep", "maxsplit"}},
    {"splitlines", split_lines_method, 1, {"self", "keepends"}},
    {"partition", partition<false>, 2, {"self", "sep"}, nullptr, true},
    {"rpartition", partition<true>, 2, {"self", "sep"}, nullptr, true},
    {"join", join, 2, {"self", "iterable"}, nullptr, true},
    {"center", center, 2, {"self", "width", "fillchar"}, nullptr, true},
    {"ljust", left_justify, 2, {"self", "width", "fillchar"}, nullptr, true},
    {"rjust", right_justify, 2, {"self", "width", "fillchar"}, nullptr, true},
    {"zfill", zero_fill, 2, {"self", "width"}, nullptr, true},
    {"expandtabs", expand_tabs, 1, {"self", "tabsize"}},
    {"removeprefix", remove_prefix, 2, {"self", "prefix"}, nullptr, true},
    {"removesuffix", remove_suffix, 2, {"self", "suffix"}, nullptr, true},
    {.name = "format", .free = format_method},
    {.name = "format_map", .free = format_map},
    {.name = "encode", .free = refused},
    {.name = "translate", .free = refused},
    {.name = "maketrans", .free = refused},
};

}  // namespace

std::span<const Builtin> string_methods() { return kMethods; }

}  // namespace andiron::jinja
