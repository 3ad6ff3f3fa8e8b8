// Filters over lists and dicts. Each follows the filter of its name in Jinja 3.1.
#include <algorithm>
#include <set>

#include "base/strings.h"
#include "text/jinja_builtins.h"
#include "text/jinja_case.h"
#include "text/jinja_operations.h"

namespace andiron::jinja {

Result<AttributePath> AttributePath::parse(Runtime& runtime, const Value& attribute) {
  AttributePath path;
  if (attribute.is_missing() || attribute.is_none()) return path;
  if (!attribute.is_string()) {
    path.parts_.push_back(attribute);
    return path;
  }
  std::string_view rest = attribute.view();
  while (true) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, dot);
    const bool is_number = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    const auto number = parse_int(part, "attribute");
    path.parts_.push_back(is_number && number.ok() ? Value::integer(*number) : make_string(part));
    TRY(runtime.spend(1));
    if (dot == rest.size()) return path;
    rest.remove_prefix(dot + 1);
  }
}

Result<Value> AttributePath::get(Runtime& runtime, const Value& item, const Value& if_undefined) const {
  Value value = item;
  for (const Value& part : parts_) {
    TRY_ASSIGN(value, get_item(runtime, value, part));
    if (value.is_undefined() && !if_undefined.is_missing() && !if_undefined.is_none()) value = if_undefined;
  }
  return value;
}

Result<Value> ignore_case(Runtime& runtime, const Value& value) {
  if (!value.is_string()) return value;
  TextBuilder out(runtime);
  append_case(out, value.text(), 0, value.text().size(), Case::kLower);
  return out.finish();
}

Result<std::vector<size_t>> sort_order(Runtime& runtime, const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order_now(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) order_now[i] = i;
  std::vector<size_t> merged(keys.size());
  // A merge sort of our own: a comparison may fail, and may be inconsistent (NaN).
  for (size_t width = 1; width < keys.size(); width *= 2) {
    for (size_t start = 0; start < keys.size(); start += 2 * width) {
      const size_t middle = std::min(start + width, keys.size());
      const size_t end = std::min(start + 2 * width, keys.size());
      size_t left = start;
      size_t right = middle;
      for (size_t out = start; out < end; ++out) {
        bool take_right = left == middle;
        if (!take_right && right < end) {
          const Value& a = keys[order_now[left]];
          const Value& b = keys[order_now[right]];
          TRY_ASSIGN(const int result, reverse ? order(runtime, a, b) : order(runtime, b, a));
          take_right = result == -1;
        }
        merged[out] = take_right ? order_now[right++] : order_now[left++];
      }
    }
    order_now.swap(merged);
  }
  return order_now;
}

namespace {

Result<Value> length(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const size_t size, length_of(runtime, a[0]));
  return Value::integer(static_cast<int64_t>(size));
}

Result<Value> default_filter(Runtime& runtime, const Value* a) {
  const bool use_default = a[0].is_undefined() || (flag(a[2]) && !truth(a[0]));
  if (!use_default) return a[0];
  return a[1].is_missing() ? runtime.string("") : Result<Value>(a[1]);
}

Result<Value> list(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(auto items, iterate(runtime, a[0]));
  return runtime.list(std::move(items));
}

Result<Value> first(Runtime& runtime, const Value* a) {
  if (a[0].is(Kind::kIterator)) {
    IteratorObject& iterator = a[0].iterator();
    if (iterator.next < iterator.items.size()) return iterator.items[iterator.next++];
  } else if (a[0].is_sequence() || a[0].is_string() || a[0].is(Kind::kRange)) {
    TRY_ASSIGN(const Value item, get_item(runtime, a[0], Value::integer(0)));
    if (!item.is_string() || !item.string().markup || !a[0].is_string()) return item;
    return runtime.string(item.text());  // a character of marked text is plain
  }
  TRY_ASSIGN(const auto items, iterate(runtime, a[0]));
  return items.empty() ? runtime.undefined("there is no first item") : items[0];
}

bool is_reversible(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_sequence() || value.is(Kind::kDict) ||
         value.is(Kind::kView) || value.is(Kind::kRange);
}

Result<Value> last(Runtime& runtime, const Value* a) {
  if (!is_reversible(a[0])) return make_error("last does not work on a {}", type_name(a[0]));
  if (a[0].is_sequence() || a[0].is(Kind::kRange)) return get_item(runtime, a[0], Value::integer(-1));
  TRY_ASSIGN(const auto items, iterate(runtime, a[0]));
  return items.empty() ? runtime.undefined("there is no last item") : items.back();
}

Result<Value> reverse(Runtime& runtime, const Value* a) {
  if (a[0].is_string()) return get_slice(runtime, a[0], Value(), Value(), Value::integer(-1));
  TRY_ASSIGN(auto items, iterate(runtime, a[0]));
  std::reverse(items.begin(), items.end());
  if (!is_reversible(a[0])) return runtime.list(std::move(items));
  return runtime.iterator(std::move(items), "reverse_iterator");
}

Result<Value> join(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const AttributePath path, AttributePath::parse(runtime, a[2]));
  TRY_ASSIGN(const auto items, iterate(runtime, a[0]));
  Text separator;
  if (!a[1].is_missing()) {
    TRY_ASSIGN(separator, to_text(runtime, a[1]));
  }
  TextBuilder out(runtime);
  Status status;
  for (size_t i = 0; i < items.size() && status.ok() && !out.failed(); ++i) {
    if (i > 0) out.append(separator);
    TRY_ASSIGN(const Value item, path.get(runtime, items[i]));
    append_text(runtime, out, item, status);
  }
  TRY(status);
  return out.finish();
}

Result<Value> items_filter(Runtime& runtime, const Value* a) {
  if (a[0].is_undefined()) return runtime.iterator({});
  if (!a[0].is(Kind::kDict)) return make_error("items needs a dict, got a {}", type_name(a[0]));
  TRY_ASSIGN(const Value view, runtime.view(ViewObject::Part::kItems, a[0]));
  TRY_ASSIGN(auto pairs, iterate(runtime, view));
  return runtime.iterator(std::move(pairs));
}

Result<std::vector<Value>> in_order(const std::vector<Value>& values, const std::vector<size_t>& order_wanted) {
  std::vector<Value> out;
  out.reserve(values.size());
  for (const size_t index : order_wanted) out.push_back(values[index]);
  return out;
}

// The argument `reverse` of Python's sorted(), which takes whole numbers only.
Result<bool> is_reversed(const Value& argument) {
  if (argument.is_missing()) return false;
  TRY_ASSIGN(const int64_t number, to_index(argument, "reverse"));
  return number != 0;
}

Result<Value> dict_sort(Runtime& runtime, const Value* a) {
  if (a[0].is_undefined()) return Error{a[0].undefined_hint()};
  if (!a[0].is(Kind::kDict)) return make_error("dictsort needs a dict, got a {}", type_name(a[0]));
  const std::string_view by = a[2].is_missing() ? "key" : a[2].is_string() ? a[2].view() : "";
  if (by != "key" && by != "value") return make_error("dictsort sorts by 'key' or 'value'");
  TRY_ASSIGN(const Value view, runtime.view(ViewObject::Part::kItems, a[0]));
  TRY_ASSIGN(const auto pairs, iterate(runtime, view));
  std::vector<Value> keys;
  for (const auto& [key, value] : a[0].dict().entries) {
    Value sort_key = by == "key" ? key : value;
    if (!flag(a[1])) {
      TRY_ASSIGN(sort_key, ignore_case(runtime, sort_key));
    }
    keys.push_back(std::move(sort_key));
  }
  TRY_ASSIGN(const bool reverse, is_reversed(a[3]));
  TRY_ASSIGN(const auto order_wanted, sort_order(runtime, keys, reverse));
  TRY_ASSIGN(auto sorted, in_order(pairs, order_wanted));
  return runtime.list(std::move(sorted));
}

// The sort keys of items by one or more comma-separated attributes: lists, as Python compares them.
Result<std::vector<Value>> sort_keys(Runtime& runtime, const std::vector<Value>& items, const Value& attribute,
                                     bool case_sensitive) {
  std::vector<AttributePath> paths;
  if (attribute.is_string()) {
    std::string_view rest = attribute.view();
    while (true) {
      const size_t comma = std::min(rest.find(','), rest.size());
      TRY_ASSIGN(auto path, AttributePath::parse(runtime, make_string(rest.substr(0, comma))));
      paths.push_back(std::move(path));
      if (comma == rest.size()) break;
      rest.remove_prefix(comma + 1);
    }
  } else {
    TRY_ASSIGN(auto path, AttributePath::parse(runtime, attribute));
    paths.push_back(std::move(path));
  }
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> parts;
    for (const AttributePath& path : paths) {
      TRY_ASSIGN(Value part, path.get(runtime, item));
      if (!case_sensitive) {
        TRY_ASSIGN(part, ignore_case(runtime, part));
      }
      parts.push_back(std::move(part));
    }
    TRY_ASSIGN(Value key, runtime.list(std::move(parts)));
    keys.push_back(std::move(key));
  }
  return keys;
}

Result<Value> sort(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const auto items, iterate(runtime, a[0]));
  TRY_ASSIGN(const auto keys, sort_keys(runtime, items, a[3], flag(a[2])));
  TRY_ASSIGN(const bool reverse, is_reversed(a[1]));
  TRY_ASSIGN(const auto order_wanted, sort_order(runtime, keys, reverse));
  TRY_ASSIGN(auto sorted, in_order(items, order_wanted));
  return runtime.list(std::move(sorted));
}

// The key of one item: its attribute, in lower case unless case matters.
Result<Value> item_key(Runtime& runtime, const AttributePath& path, const Value& item, bool case_sensitive,
                       const Value& if_undefined = Value()) {
  TRY_ASSIGN(Value key, path.get(runtime, item, if_undefined));
  if (case_sensitive) return key;
  return ignore_case(runtime, key);
}

Result<Value> unique(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const AttributePath path, AttributePath::parse(runtime, a[2]));
  TRY_ASSIGN(const auto items, iterate(runtime, a[0]));
  const auto before = [](const Value& x, const Value& y) { return compare_keys(x, y) < 0; };
  std::set<Value, decltype(before)> seen(before);
  std::vector<Value> out;
  for (const Value& item : items) {
    TRY_ASSIGN(Value key, item_key(runtime, path, item, flag(a[1])));
    if (!is_hashable(key)) return make_error("unique does not work on a {}", type_name(key));
    if (key.is_string()) TRY(runtime.spend_bytes(key.text().size()));
    if (seen.insert(std::move(key)).second) out.push_back(item);
  }
  return runtime.iterator(std::move(out));
}

Result<Value> extreme(Runtime& runtime, const Value* a, int wanted) {
  TRY_ASSIGN(const AttributePath path, AttributePath::parse(runtime, a[2]));
  TRY_ASSIGN(const auto items, iterate(runtime, a[0]));
  if (items.empty()) return runtime.undefined("the sequence is empty");
  size_t best = 0;
  TRY_ASSIGN(Value best_key, item_key(runtime, path, items[0], flag(a[1])));
  for (size_t i = 1; i < items.size(); ++i) {
    TRY_ASSIGN(Value key, item_key(runtime, path, items[i], flag(a[1])));
    TRY_ASSIGN(const int result, order(runtime, key, best_key));
    if (result != wanted) continue;
    best = i;
    best_key = std::move(key);
  }
  return items[best];
}

Result<Value> minimum(Runtime& runtime, const Value* a) { return extreme(runtime, a, -1); }
Result<Value> maximum(Runtime& runtime, const Value* a) { return extreme(runtime, a, 1); }

Result<Value> sum(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const AttributePath path, AttributePath::parse(runtime, a[1]));
  TRY_ASSIGN(const auto items, iterate(runtime, a[0]));
  Value total = a[2].is_missing() ? Value::integer(0) : a[2];
  if (total.is_string()) return make_error("sum does not work on strings; use join");
  for (const Value& item : items) {
    TRY_ASSIGN(const Value part, path.get(runtime, item));
    TRY_ASSIGN(total, arithmetic(runtime, Operator::kAdd, total, part));
  }
  return total;
}

Result<Value> batch(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const auto items, iterate(runtime, a[0]));
  TRY_ASSIGN(const int64_t count, to_index(a[1], "batch's count"));
  std::vector<Value> out;
  std::vector<Value> row;
  const auto is_full = [&] { return static_cast<int64_t>(row.size()) == count; };
  for (const Value& item : items) {
    if (is_full()) {
      TRY_ASSIGN(Value done, runtime.list(std::move(row)));
      out.push_back(std::move(done));
      row.clear();
    }
    row.push_back(item);
  }
  if (!row.empty()) {
    const bool has_filler = !a[2].is_missing() && !a[2].is_none();
    if (has_filler && count > static_cast<int64_t>(row.size())) {
      const auto width = static_cast<uint64_t>(count);
      if (width > runtime.budget().memory_left() / sizeof(Value)) return runtime.out_of_memory();
      TRY(runtime.spend(width / 16));
      row.resize(width, a[2]);
    }
    TRY_ASSIGN(Value done, runtime.list(std::move(row)));
    out.push_back(std::move(done));
  }
  return runtime.iterator(std::move(out));
}

Result<Value> slice(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const auto items, iterate(runtime, a[0]));
  TRY_ASSIGN(const int64_t slices, to_index(a[1], "slice's count"));
  if (slices == 0) return make_error("slice's count cannot be 0");
  if (slices < 0) return runtime.iterator({});
  TRY(runtime.spend(static_cast<uint64_t>(slices)));
  const auto count = static_cast<size_t>(slices);
  const size_t each = items.size() / count;
  const size_t longer = items.size() % count;
  std::vector<Value> out;
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t size = each + (i < longer ? 1 : 0);
    std::vector<Value> part(items.begin() + static_cast<ptrdiff_t>(at),
                            items.begin() + static_cast<ptrdiff_t>(at + size));
    at += size;
    if (!a[2].is_missing() && !a[2].is_none() && i >= longer) part.push_back(a[2]);
    TRY_ASSIGN(Value done, runtime.list(std::move(part)));
    out.push_back(std::move(done));
  }
  return runtime.iterator(std::move(out));
}

Result<Value> group(Runtime& runtime, const Value& key, std::vector<Value> members) {
  TRY_ASSIGN(Value list_value, runtime.list(std::move(members)));
  TRY_ASSIGN(auto object, runtime.make<SequenceObject>(2 * sizeof(Value)));
  object->is_group = true;
  object->depth = std::max(key.depth(), list_value.depth()) + 1;
  if (object->depth > kMaxValueDepth) return make_error("a value is nested deeper than {}", kMaxValueDepth);
  object->items = {key, std::move(list_value)};
  return Value::of(Kind::kTuple, std::move(object));
}

Result<Value> group_by(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const AttributePath path, AttributePath::parse(runtime, a[1]));
  TRY_ASSIGN(const auto items, iterate(runtime, a[0]));
  const bool case_sensitive = flag(a[3]);
  std::vector<Value> keys;
  for (const Value& item : items) {
    TRY_ASSIGN(Value key, item_key(runtime, path, item, case_sensitive, a[2]));
    keys.push_back(std::move(key));
  }
  TRY_ASSIGN(const auto order_wanted, sort_order(runtime, keys, false));
  std::vector<Value> out;
  for (size_t i = 0; i < order_wanted.size();) {
    std::vector<Value> members;
    const size_t start = i;
    for (; i < order_wanted.size(); ++i) {
      TRY_ASSIGN(const bool same, equals(runtime, keys[order_wanted[start]], keys[order_wanted[i]]));
      if (!same && i > start) break;
      members.push_back(items[order_wanted[i]]);
    }
    TRY_ASSIGN(const Value key, path.get(runtime, members[0], a[2]));
    TRY_ASSIGN(Value done, group(runtime, key, std::move(members)));
    out.push_back(std::move(done));
  }
  return runtime.list(std::move(out));
}

Result<Value> attribute(Runtime& runtime, const Value* a) {
  if (a[0].is_undefined()) return Error{a[0].undefined_hint()};
  if (!a[1].is_string()) return make_error("attr needs a name, got a {}", type_name(a[1]));
  TRY_ASSIGN(const Value value, python_attribute(runtime, a[0], a[1].view()));
  return value.is_missing() ? runtime.undefined_attribute(a[0], a[1].view()) : value;
}

// Jinja's version is a generator: what goes wrong is raised only to whoever reads its items.
template <Builtin::Fixed kFilter>
Result<Value> lazy(Runtime& runtime, const Value* a) {
  auto result = kFilter(runtime, a);
  if (result.ok()) return result;
  return runtime.iterator({}, "generator", std::move(result).error());
}

constexpr Builtin kFilters[] = {
    {"length", length, 1, {"obj"}},
    {"count", length, 1, {"obj"}},
    {"default", default_filter, 1, {"value", "default_value", "boolean"}},
    {"d", default_filter, 1, {"value", "default_value", "boolean"}},
    {"list", list, 1, {"value"}},
    {"first", first, 1, {"seq"}},
    {"last", last, 1, {"seq"}},
    {"reverse", reverse, 1, {"value"}},
    {"join", join, 1, {"value", "d", "attribute"}},
    {"items", lazy<items_filter>, 1, {"value"}},
    {"dictsort", dict_sort, 1, {"value", "case_sensitive", "by", "reverse"}},
    {"sort", sort, 1, {"value", "reverse", "case_sensitive", "attribute"}},
    {"unique", lazy<unique>, 1, {"value", "case_sensitive", "attribute"}},
    {"min", minimum, 1, {"value", "case_sensitive", "attribute"}},
    {"max", maximum, 1, {"value", "case_sensitive", "attribute"}},
    {"sum", sum, 1, {"iterable", "attribute", "start"}},
    {"batch", lazy<batch>, 2, {"value", "linecount", "fill_with"}},
    {"slice", lazy<slice>, 2, {"value", "slices", "fill_with"}},
    {"groupby", group_by, 2, {"value", "attribute", "default", "case_sensitive"}},
    {"attr", attribute, 2, {"obj", "name"}},
};

}  // namespace

std::span<const Builtin> sequence_filters() { return kFilters; }

}  // namespace andiron::jinja
