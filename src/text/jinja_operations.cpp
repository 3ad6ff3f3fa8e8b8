#include "text/jinja_operations.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/strings.h"
#include "text/jinja_format.h"
#include "text/jinja_strings.h"

namespace andiron::jinja {

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone: return false;
    case Kind::kBool:
    case Kind::kInt: return value.as_int() != 0;
    case Kind::kReal: return value.as_real() != 0;
    case Kind::kString: return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple: return !value.items().empty();
    case Kind::kDict: return !value.dict().entries.empty();
    case Kind::kView: return truth(value.dict_view().dict);
    case Kind::kRange: return value.range().size() != 0;
    default: return true;
  }
}

namespace {

Result<bool> equal_sequences(Runtime& runtime, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    TRY_ASSIGN(const bool same, equals(runtime, a[i], b[i]));
    if (!same) return false;
  }
  return true;
}

Result<bool> equal_dicts(Runtime& runtime, const DictObject& a, const DictObject& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    TRY(runtime.spend_bytes(key_bytes(key)));
    const Value* other = b.find(key);
    if (other == nullptr) return false;
    TRY_ASSIGN(const bool same, equals(runtime, value, *other));
    if (!same) return false;
  }
  return true;
}

bool equal_ranges(const RangeObject& a, const RangeObject& b) {
  if (a.size() != b.size()) return false;
  return a.size() == 0 || (a.start == b.start && (a.size() == 1 || a.step == b.step));
}

Error no_order(const Value& a, const Value& b) {
  return make_error("a {} and a {} cannot be ordered", type_name(a), type_name(b));
}

}  // namespace

Result<bool> equals(Runtime& runtime, const Value& a, const Value& b) {
  TRY(runtime.spend(1));
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone: return true;
    case Kind::kString:
      if (a.text().size() != b.text().size()) return false;
      TRY(runtime.spend_bytes(a.text().size()));
      return a.view() == b.view();
    case Kind::kList:
    case Kind::kTuple: return equal_sequences(runtime, a.items(), b.items());
    case Kind::kDict: return equal_dicts(runtime, a.dict(), b.dict());
    case Kind::kRange: return equal_ranges(a.range(), b.range());
    case Kind::kNamespace: return &a.name_space() == &b.name_space();
    default: return a.object() == b.object();
  }
}

Result<int> order(Runtime& runtime, const Value& a, const Value& b) {
  TRY(runtime.spend(1));
  if (a.is_undefined()) return Error{a.undefined_hint()};
  if (b.is_undefined()) return Error{b.undefined_hint()};
  if (a.is_number() && b.is_number()) return compare_numbers(a, b);
  if (a.kind() != b.kind()) return no_order(a, b);
  if (a.is_string()) {
    TRY(runtime.spend_bytes(std::min(a.text().size(), b.text().size())));
    const int result = a.view().compare(b.view());
    return result < 0 ? -1 : result > 0 ? 1 : 0;
  }
  if (!a.is_sequence()) return no_order(a, b);
  for (size_t i = 0; i < std::min(a.items().size(), b.items().size()); ++i) {
    TRY_ASSIGN(const bool same, equals(runtime, a.items()[i], b.items()[i]));
    if (!same) return order(runtime, a.items()[i], b.items()[i]);
  }
  return a.items().size() < b.items().size() ? -1 : a.items().size() > b.items().size() ? 1 : 0;
}

Result<bool> contains(Runtime& runtime, const Value& container, const Value& item) {
  TRY(runtime.spend(1));
  if (container.is_string()) {
    if (!item.is_string()) return make_error("'in' a string needs a string, got {}", type_name(item));
    TRY(runtime.spend_search(container.text().size(), item.text().size()));
    return find_text(container.view(), item.view()) != std::string_view::npos;
  }
  const bool is_keys = container.is(Kind::kView) && container.dict_view().part == ViewObject::Part::kKeys;
  if (container.is(Kind::kDict) || is_keys) {
    if (!is_hashable(item)) return make_error("a {} cannot be a dict's key", type_name(item));
    const Value& dict = is_keys ? container.dict_view().dict : container;
    TRY(runtime.spend_bytes(key_bytes(item)));
    return dict.dict().find(item) != nullptr;
  }
  if (container.is_sequence()) {
    for (const Value& other : container.items()) {
      TRY_ASSIGN(const bool same, equals(runtime, other, item));
      if (same) return true;
    }
    return false;
  }
  if (!is_iterable(container)) return make_error("a {} cannot be searched with 'in'", type_name(container));
  TRY_ASSIGN(const auto items, iterate(runtime, container));
  for (const Value& other : items) {
    TRY_ASSIGN(const bool same, equals(runtime, other, item));
    if (same) return true;
  }
  return false;
}

Result<bool> compare(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  switch (op) {
    case Operator::kEqual: return equals(runtime, a, b);
    case Operator::kNotEqual: {
      TRY_ASSIGN(const bool same, equals(runtime, a, b));
      return !same;
    }
    case Operator::kIn: return contains(runtime, b, a);
    case Operator::kNotIn: {
      TRY_ASSIGN(const bool found, contains(runtime, b, a));
      return !found;
    }
    default: break;
  }
  TRY_ASSIGN(const int result, order(runtime, a, b));
  if (result == 2) return false;
  switch (op) {
    case Operator::kLess: return result < 0;
    case Operator::kLessEqual: return result <= 0;
    case Operator::kGreater: return result > 0;
    default: return result >= 0;
  }
}

std::string real_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));  // -d.ddde[+-]dd
  const size_t e = text.find('e');
  const bool is_negative = text[0] == '-';
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  int exponent = 0;
  const size_t exponent_start = text[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(text.data() + exponent_start, text.data() + text.size(), exponent);
  const int count = static_cast<int>(digits.size());
  std::string out = is_negative ? "-" : "";
  if (exponent < -4 || exponent >= 16) {  // Python's format code 'r'
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    return out + format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

namespace {

// Writes reprs into one builder; a namespace may hold itself, so depth is counted.
class Printer {
 public:
  Printer(Runtime& runtime, TextBuilder& out) : runtime_(runtime), out_(out) {}

  Status repr(const Value& value) {
    if (value.is_string()) {
      if (value.string().markup) out_.append("Markup(");
      TRY(runtime_.spend_scan(value.text().size()));
      append_string_repr(out_, value.text());
      if (value.string().markup) out_.append(")");
      return {};
    }
    if (value.is_undefined()) {
      out_.append("Undefined");
      return {};
    }
    return str(value);
  }

  // str() of everything but strings.
  Status str(const Value& value) {
    TRY(runtime_.spend(1));
    switch (value.kind()) {
      case Kind::kMissing:
      case Kind::kUndefined: return {};
      case Kind::kNone: return put("None");
      case Kind::kBool: return put(value.as_bool() ? "True" : "False");
      case Kind::kInt: return put(format("{}", value.as_int()));
      case Kind::kReal: return put(real_repr(value.as_real()));
      case Kind::kString: out_.append(value.text()); return {};
      case Kind::kList:
      case Kind::kTuple: return sequence(value);
      case Kind::kDict: return dict(value.dict());
      case Kind::kView: return view(value.dict_view());
      case Kind::kRange: {
        const RangeObject& range = value.range();
        return put(range.step == 1 ? format("range({}, {})", range.start, range.stop)
                                   : format("range({}, {}, {})", range.start, range.stop, range.step));
      }
      case Kind::kNamespace: return name_space(value.name_space());
      case Kind::kMacro: return macro(*value.macro().node);
      case Kind::kLoop: {
        TRY_ASSIGN(const Value length, runtime_.loop_attribute(value, "length"));
        return put(format("<LoopContext {}/{}>", value.loop().index0 + 1, length.as_int()));
      }
      case Kind::kFunction: return put(format("<function {}>", value.function().builtin->name));
      case Kind::kIterator:
      case Kind::kCycler:
      case Kind::kJoiner: return put(format("<{} object>", type_name(value)));
    }
    return {};
  }

 private:
  Status put(std::string_view text) {
    out_.append(text);
    return {};
  }

  Status items(const std::vector<Value>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_.append(", ");
      TRY(repr(values[i]));
    }
    return {};
  }

  Status sequence(const Value& value) {
    const bool is_list = value.is(Kind::kList);
    out_.append(is_list ? "[" : "(");
    TRY(items(value.items()));
    return put(is_list ? "]" : value.items().size() == 1 ? ",)" : ")");
  }

  Status dict(const DictObject& dict) {
    out_.append("{");
    for (size_t i = 0; i < dict.entries.size(); ++i) {
      if (i > 0) out_.append(", ");
      TRY(repr(dict.entries[i].first));
      out_.append(": ");
      TRY(repr(dict.entries[i].second));
    }
    return put("}");
  }

  Status view(const ViewObject& view) {
    static constexpr std::string_view kNames[] = {"dict_keys([", "dict_values([", "dict_items(["};
    out_.append(kNames[static_cast<int>(view.part)]);
    bool first = true;
    for (const auto& [key, value] : view.dict.dict().entries) {
      if (!first) out_.append(", ");
      first = false;
      if (view.part == ViewObject::Part::kItems) out_.append("(");
      if (view.part != ViewObject::Part::kValues) TRY(repr(key));
      if (view.part == ViewObject::Part::kItems) out_.append(", ");
      if (view.part != ViewObject::Part::kKeys) TRY(repr(value));
      if (view.part == ViewObject::Part::kItems) out_.append(")");
    }
    return put("])");
  }

  Status name_space(const NamespaceObject& object) {
    if (++namespaces_open_ > kMaxNamespaces) return make_error("namespaces that hold each other cannot be printed");
    out_.append("<Namespace {");
    for (size_t i = 0; i < object.attributes.size(); ++i) {
      if (i > 0) out_.append(", ");
      append_string_repr(out_, Text(object.attributes[i].first));
      out_.append(": ");
      TRY(repr(object.attributes[i].second));
    }
    --namespaces_open_;
    return put("}>");
  }

  Status macro(const MacroNode& node) {
    if (node.name.empty()) return put("<Macro anonymous>");
    out_.append("<Macro ");
    append_string_repr(out_, Text(node.name));
    return put(">");
  }

  static constexpr int kMaxNamespaces = 8;

  Runtime& runtime_;
  TextBuilder& out_;
  int namespaces_open_ = 0;
};

Result<Text> print(Runtime& runtime, const Value& value, bool as_repr) {
  TextBuilder out(runtime);
  Printer printer(runtime, out);
  TRY(as_repr ? printer.repr(value) : printer.str(value));
  if (out.text().is_tainted()) out.taint_all();
  return out.take();
}

}  // namespace

Result<Text> to_text(Runtime& runtime, const Value& value) {
  if (value.is_string()) return value.text();
  return print(runtime, value, false);
}

Result<Text> to_repr(Runtime& runtime, const Value& value) { return print(runtime, value, true); }

void append_text(Runtime& runtime, TextBuilder& out, const Value& value, Status& status) {
  if (!status.ok()) return;
  if (value.is_string()) {
    out.append(value.text());
    return;
  }
  auto text = print(runtime, value, false);
  if (!text.ok()) {
    status = std::move(text).error();
    return;
  }
  out.append(*text);
}

Result<Value> concatenate(Runtime& runtime, const std::vector<Value>& values) {
  TextBuilder out(runtime);
  Status status;
  for (const Value& value : values) append_text(runtime, out, value, status);
  TRY(status);
  return out.finish();
}

Result<Value> escape(Runtime& runtime, const Value& value) {
  if (value.is_string() && value.string().markup) return value;
  TRY_ASSIGN(const Text text, to_text(runtime, value));
  TextBuilder out(runtime);
  append_escaped(out, text);
  return out.finish(true);
}

Result<int64_t> to_index(const Value& value, std::string_view what) {
  if (!value.is_integral()) return make_error("{} must be a whole number, got {}", what, type_name(value));
  return value.as_int();
}

}  // namespace andiron::jinja
