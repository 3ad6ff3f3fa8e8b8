// Reaching into values: iteration, len(), attributes, items and slices (jinja_operations.h).
#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "text/jinja_ast.h"
#include "text/jinja_builtins.h"
#include "text/jinja_operations.h"

namespace andiron::jinja {

namespace {

Error not_iterable(const Value& value) { return make_error("a {} cannot be walked through", type_name(value)); }

Result<std::vector<Value>> characters(Runtime& runtime, const StringObject& string) {
  std::vector<Value> out;
  const Text& text = string.text;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    next_code_point(text.view(), at);
    TRY_ASSIGN(Value character, runtime.string(text.slice(start, at)));
    out.push_back(std::move(character));
  }
  return out;
}

Result<std::vector<Value>> view_items(Runtime& runtime, const ViewObject& view) {
  std::vector<Value> out;
  for (const auto& [key, value] : view.dict.dict().entries) {
    switch (view.part) {
      case ViewObject::Part::kKeys: out.push_back(key); break;
      case ViewObject::Part::kValues: out.push_back(value); break;
      case ViewObject::Part::kItems: {
        TRY_ASSIGN(Value pair, runtime.tuple({key, value}));
        out.push_back(std::move(pair));
      }
    }
  }
  return out;
}

Result<std::vector<Value>> rest_of(IteratorObject& iterator) {
  std::vector<Value> out(iterator.items.begin() + static_cast<ptrdiff_t>(iterator.next), iterator.items.end());
  iterator.next = iterator.items.size();
  if (iterator.error) {
    Error error = std::move(*iterator.error);
    iterator.error.reset();
    return error;
  }
  return out;
}

}  // namespace

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kView:
    case Kind::kRange:
    case Kind::kIterator:
    case Kind::kLoop: return true;
    default: return false;
  }
}

Result<std::vector<Value>> iterate(Runtime& runtime, const Value& value) {
  std::vector<Value> out;
  switch (value.kind()) {
    case Kind::kUndefined: return out;
    case Kind::kString: TRY(runtime.spend(value.string().length)); return characters(runtime, value.string());
    case Kind::kList:
    case Kind::kTuple: TRY(runtime.spend(value.items().size())); return value.items();
    case Kind::kDict:
      TRY(runtime.spend(value.dict().entries.size()));
      for (const auto& [key, item] : value.dict().entries) out.push_back(key);
      return out;
    case Kind::kView:
      TRY(runtime.spend(value.dict_view().dict.dict().entries.size()));
      return view_items(runtime, value.dict_view());
    case Kind::kRange: {
      const RangeObject& range = value.range();
      TRY(runtime.spend(range.size()));
      for (uint64_t i = 0; i < range.size(); ++i) out.push_back(Value::integer(range.at(static_cast<int64_t>(i))));
      return out;
    }
    case Kind::kIterator:
      TRY(runtime.spend(value.iterator().items.size() - value.iterator().next));
      return rest_of(value.iterator());
    default: return not_iterable(value);
  }
}

Result<size_t> length_of(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return size_t{0};
    case Kind::kString: return value.string().length;
    case Kind::kList:
    case Kind::kTuple: return value.items().size();
    case Kind::kDict: return value.dict().entries.size();
    case Kind::kView: return value.dict_view().dict.dict().entries.size();
    case Kind::kRange: return static_cast<size_t>(value.range().size());
    case Kind::kLoop: {
      TRY_ASSIGN(const Value length, runtime.loop_attribute(value, "length"));
      return static_cast<size_t>(length.as_int());
    }
    default: return make_error("a {} has no length", type_name(value));
  }
}

namespace {

// Attributes that are not methods; kMissing when there is none of that name.
Result<Value> data_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kBool:
    case Kind::kInt:
      if (name == "real" || name == "numerator") return Value::integer(object.as_int());
      if (name == "imag") return Value::integer(0);
      if (name == "denominator") return Value::integer(1);
      break;
    case Kind::kReal:
      if (name == "real") return object;
      if (name == "imag") return Value::real(0);
      break;
    case Kind::kTuple:
      if (object.sequence().is_group && name == "grouper") return object.items()[0];
      if (object.sequence().is_group && name == "list") return object.items()[1];
      break;
    case Kind::kRange:
      if (name == "start") return Value::integer(object.range().start);
      if (name == "stop") return Value::integer(object.range().stop);
      if (name == "step") return Value::integer(object.range().step);
      break;
    case Kind::kNamespace:
      if (const Value* value = object.name_space().find(name); value != nullptr) return *value;
      break;
    case Kind::kMacro: {
      const MacroNode& node = *object.macro().node;
      if (name == "name") return node.name.empty() ? Value::none() : make_string(node.name);
      if (name == "caller") return Value::boolean(node.caller_slot >= 0 || node.caller_parameter >= 0);
      if (name == "catch_kwargs") return Value::boolean(node.kwargs_slot >= 0);
      if (name == "catch_varargs") return Value::boolean(node.varargs_slot >= 0);
      if (name == "arguments") {
        std::vector<Value> names;
        for (const auto& parameter : node.parameters) names.push_back(make_string(parameter.name));
        return runtime.tuple(std::move(names));
      }
      break;
    }
    case Kind::kLoop: return runtime.loop_attribute(object, name);
    case Kind::kCycler:
      if (name == "current") return object.cycler().items[object.cycler().position];
      break;
    default: break;
  }
  return Value();
}

}  // namespace

// Names with two underscores around them are Python's own; the sandbox shows them as undefined.
Result<Value> python_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (name.size() > 4 && name.substr(0, 2) == "__" && name.substr(name.size() - 2) == "__") {
    return runtime.undefined(format("access to '{}' is not allowed", in_quotes(name)));
  }
  TRY_ASSIGN(Value value, data_attribute(runtime, object, name));
  if (!value.is_missing()) return value;
  const Builtin* method = find_method(object, name);
  if (method == nullptr) return Value();
  if (method->fixed == nullptr && method->free == nullptr) {
    return runtime.undefined(format("'{}' of a {} is not available in templates", name, type_name(object)));
  }
  return runtime.method(method, object);
}

Result<Value> get_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (object.is_undefined()) return Error{object.undefined_hint()};
  TRY_ASSIGN(Value value, python_attribute(runtime, object, name));
  if (!value.is_missing()) return value;
  if (object.is(Kind::kDict)) {
    if (const Value* item = object.dict().find(name); item != nullptr) return *item;
  }
  return runtime.undefined_attribute(object, name);
}

namespace {

// object[key] where Python would find an item, or kMissing.
Result<Value> python_item(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is(Kind::kDict)) {
    if (!is_hashable(key)) return Value();
    TRY(runtime.spend_bytes(key_bytes(key)));
    const Value* item = object.dict().find(key);
    return item == nullptr ? Value() : *item;
  }
  const bool has_items = object.is_sequence() || object.is_string() || object.is(Kind::kRange);
  if (!has_items || !key.is_integral()) return Value();
  TRY_ASSIGN(const size_t size, length_of(runtime, object));
  int64_t index = key.as_int();
  if (index < 0) index += static_cast<int64_t>(size);
  if (index < 0 || index >= static_cast<int64_t>(size)) return Value();
  if (object.is_sequence()) return object.items()[static_cast<size_t>(index)];
  if (object.is(Kind::kRange)) return Value::integer(object.range().at(index));
  const StringObject& string = object.string();
  if (!string.is_ascii()) TRY(runtime.spend_bytes(string.text.size()));
  const size_t start = string.offset(static_cast<size_t>(index));
  size_t end = start;
  next_code_point(string.text.view(), end);
  return runtime.string(string.text.slice(start, end), string.markup);
}

}  // namespace

Result<Value> get_item(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is_undefined()) return Error{object.undefined_hint()};
  TRY_ASSIGN(Value item, python_item(runtime, object, key));
  if (!item.is_missing()) return item;
  if (key.is_string()) {
    TRY_ASSIGN(item, python_attribute(runtime, object, key.view()));
    if (!item.is_missing()) return item;
    return runtime.undefined_attribute(object, key.view());
  }
  return runtime.undefined(format("a {} has no such element", type_name(object)));
}

Result<SliceRange> slice_range(const Value& start, const Value& stop, const Value& step, size_t size) {
  const auto is_left_out = [](const Value& value) { return value.is_missing() || value.is_none(); };
  SliceRange out;
  if (!is_left_out(step)) {
    TRY_ASSIGN(out.step, to_index(step, "a slice's step"));
  }
  if (out.step == 0) return make_error("a slice's step cannot be 0");
  const auto last = static_cast<int64_t>(size);
  const bool is_forward = out.step > 0;
  // CPython's PySlice_AdjustIndices: negative bounds count from the end, then everything is clamped.
  const auto bound = [&](const Value& value, int64_t if_left_out) -> Result<int64_t> {
    if (is_left_out(value)) return if_left_out;
    TRY_ASSIGN(int64_t index, to_index(value, "a slice's bound"));
    if (index < 0) index += last;  // last is at least 0, so this cannot overflow
    return std::clamp<int64_t>(index, is_forward ? 0 : -1, is_forward ? last : last - 1);
  };
  TRY_ASSIGN(out.start, bound(start, is_forward ? 0 : last - 1));
  TRY_ASSIGN(const int64_t end, bound(stop, is_forward ? last : -1));
  out.stop = end;
  const auto distance = static_cast<uint64_t>(is_forward ? end - out.start : out.start - end);
  const bool is_empty = is_forward ? end <= out.start : out.start <= end;
  const uint64_t stride = is_forward ? static_cast<uint64_t>(out.step) : 0 - static_cast<uint64_t>(out.step);
  out.count = is_empty ? 0 : (distance - 1) / stride + 1;
  return out;
}

namespace {

Result<Value> slice_string(Runtime& runtime, const StringObject& string, const SliceRange& range) {
  const Text& text = string.text;
  if (range.count == 0) return runtime.string(Text(), string.markup);
  TRY(range.step == 1 ? runtime.spend_bytes(text.size()) : runtime.spend_scan(text.size()));
  const auto first = static_cast<size_t>(range.start);
  if (range.step == 1) {
    const size_t begin = string.offset(first);
    const size_t end = first + range.count == string.length ? text.size() : string.offset(first + range.count);
    return runtime.string(text.slice(begin, end), string.markup);
  }
  TRY(runtime.spend(range.count / 16));
  if (string.length > runtime.budget().memory_left() / sizeof(size_t)) return runtime.out_of_memory();
  std::vector<size_t> offsets;  // of each code point, and the end
  offsets.reserve(string.length + 1);
  for (size_t at = 0; at < text.size(); next_code_point(text.view(), at)) offsets.push_back(at);
  offsets.push_back(text.size());
  TextBuilder out(runtime);
  for (uint64_t i = 0; i < range.count; ++i) {
    const auto index = static_cast<size_t>(range.start + static_cast<int64_t>(i) * range.step);
    out.append_slice(text, offsets[index], offsets[index + 1]);
  }
  return out.finish(string.markup);
}

// As CPython does it, by its bounds, which may lie one outside of the range.
Result<Value> slice_of_range(Runtime& runtime, const RangeObject& whole, const SliceRange& range) {
  const auto at = [&](int64_t index, int64_t& out) {
    return !__builtin_mul_overflow(index, whole.step, &out) && !__builtin_add_overflow(out, whole.start, &out);
  };
  int64_t first = 0;
  int64_t last = 0;
  int64_t stride = 0;
  if (!at(range.start, first) || !at(range.stop, last) || __builtin_mul_overflow(range.step, whole.step, &stride)) {
    return make_error("a slice of a range that does not fit 64 bits");
  }
  return runtime.range(first, last, stride);
}

}  // namespace

Result<Value> get_slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                        const Value& step) {
  if (object.is_undefined()) return Error{object.undefined_hint()};
  if (!object.is_string() && !object.is_sequence() && !object.is(Kind::kRange)) {
    return make_error("a {} cannot be sliced", type_name(object));
  }
  TRY_ASSIGN(const size_t size, length_of(runtime, object));
  TRY_ASSIGN(const SliceRange range, slice_range(start, stop, step, size));
  if (object.is_string()) return slice_string(runtime, object.string(), range);
  if (object.is(Kind::kRange)) return slice_of_range(runtime, object.range(), range);
  TRY(runtime.spend(range.count / 16));
  std::vector<Value> items;
  items.reserve(range.count);
  for (uint64_t i = 0; i < range.count; ++i) {
    items.push_back(object.items()[static_cast<size_t>(range.start + static_cast<int64_t>(i) * range.step)]);
  }
  return object.is(Kind::kList) ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
}

}  // namespace andiron::jinja
