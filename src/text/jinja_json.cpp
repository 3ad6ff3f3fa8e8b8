// The tojson filter as transformers defines it: json.dumps(x, ensure_ascii=False, indent=, separators=, sort_keys=).
#include <cmath>

#include "base/strings.h"
#include "text/jinja_builtins.h"
#include "text/jinja_operations.h"
#include "text/jinja_strings.h"

namespace andiron::jinja {

namespace {

struct Style {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<Text> indent;  // of one level
  Text item_separator;
  Text key_separator;
};

class Writer {
 public:
  Writer(Runtime& runtime, const Style& style, TextBuilder& out) : runtime_(runtime), style_(style), out_(out) {}

  Status write(const Value& value, int level) {
    TRY(runtime_.spend(1));
    switch (value.kind()) {
      case Kind::kNone: return put("null");
      case Kind::kBool: return put(value.as_bool() ? "true" : "false");
      case Kind::kInt: return put(format("{}", value.as_int()));
      case Kind::kReal: return put(real(value.as_real()));
      case Kind::kString:
        TRY(runtime_.spend_scan(value.text().size()));
        append_json_string(out_, value.text(), style_.ensure_ascii);
        return {};
      case Kind::kList:
      case Kind::kTuple: return array(value.items(), level);
      case Kind::kDict: return object(value, level);
      case Kind::kUndefined: return make_error("tojson got an undefined value: {}", value.undefined_hint());
      default: return make_error("tojson cannot write a {}", type_name(value));
    }
  }

 private:
  Status put(std::string_view text) {
    out_.append(text);
    return {};
  }

  static std::string real(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return real_repr(value);
  }

  void new_line(int level) {
    if (!style_.indent) return;
    out_.append("\n");
    for (int i = 0; i < level; ++i) out_.append(*style_.indent);
  }

  Status array(const std::vector<Value>& items, int level) {
    if (items.empty()) return put("[]");
    out_.append("[");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      new_line(level + 1);
      TRY(write(items[i], level + 1));
    }
    new_line(level);
    return put("]");
  }

  Status key(const Value& value) {
    if (value.is_string()) {
      append_json_string(out_, value.text(), style_.ensure_ascii);
      return {};
    }
    if (!value.is_none() && !value.is_number())
      return make_error("tojson cannot write a {} as a key", type_name(value));
    out_.append("\"");
    TRY(write(value, 0));
    return put("\"");
  }

  Status object(const Value& value, int level) {
    const auto& entries = value.dict().entries;
    if (entries.empty()) return put("{}");
    std::vector<size_t> order_wanted(entries.size());
    for (size_t i = 0; i < entries.size(); ++i) order_wanted[i] = i;
    if (style_.sort_keys) {
      std::vector<Value> keys;
      keys.reserve(entries.size());
      for (const auto& entry : entries) keys.push_back(entry.first);
      TRY_ASSIGN(order_wanted, sort_order(runtime_, keys, false));
    }
    out_.append("{");
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      new_line(level + 1);
      TRY(key(entries[order_wanted[i]].first));
      out_.append(style_.key_separator);
      TRY(write(entries[order_wanted[i]].second, level + 1));
    }
    new_line(level);
    return put("}");
  }

  Runtime& runtime_;
  const Style& style_;
  TextBuilder& out_;
};

Status read_indent(Runtime& runtime, const Value& value, Style& style) {
  if (value.is_missing() || value.is_none()) return {};
  if (value.is_string()) {
    style.indent = value.text();
    return {};
  }
  TRY_ASSIGN(const int64_t width, to_index(value, "tojson's indent"));
  if (width > static_cast<int64_t>(runtime.limits().output_bytes)) return runtime.out_of_memory();
  TRY(runtime.spend_bytes(static_cast<uint64_t>(std::max<int64_t>(width, 0))));
  style.indent = Text(std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' '));
  return {};
}

Result<Value> to_json(Runtime& runtime, const Value* a) {
  Style style;
  style.ensure_ascii = flag(a[1]);
  TRY(read_indent(runtime, a[2], style));
  style.item_separator = Text(style.indent ? "," : ", ");
  style.key_separator = Text(": ");
  if (!a[3].is_missing() && !a[3].is_none()) {
    TRY_ASSIGN(const auto separators, iterate(runtime, a[3]));
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
      return make_error("tojson's separators must be two strings");
    }
    style.item_separator = separators[0].text();
    style.key_separator = separators[1].text();
  }
  style.sort_keys = flag(a[4]);
  TextBuilder out(runtime);
  TRY(Writer(runtime, style, out).write(a[0], 0));
  // Data of a request stays data when it is written out: its brackets and quotes are as little the template's as its
  // words.
  if (out.text().is_tainted()) out.taint_all();
  return out.finish();
}

constexpr Builtin kFilters[] = {
    {"tojson", to_json, 1, {"x", "ensure_ascii", "indent", "separators", "sort_keys"}},
};

}  // namespace

std::span<const Builtin> json_filters() { return kFilters; }

}  // namespace andiron::jinja
