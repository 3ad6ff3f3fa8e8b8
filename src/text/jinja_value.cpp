#include "text/jinja_value.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/strings.h"
#include "text/jinja_objects.h"

namespace andiron::jinja {

Value Value::boolean(bool value) {
  Value out(Kind::kBool);
  out.scalar_.boolean = value;
  return out;
}

Value Value::integer(int64_t value) {
  Value out(Kind::kInt);
  out.scalar_.integer = value;
  return out;
}

Value Value::real(double value) {
  Value out(Kind::kReal);
  out.scalar_.real = value;
  return out;
}

Value Value::of(NamespaceObject* object) {
  Value out(Kind::kNamespace);
  out.scalar_.name_space = object;
  return out;
}

Value Value::of(Kind kind, std::shared_ptr<Object> object) {
  Value out(kind);
  out.object_ = std::move(object);
  return out;
}

const StringObject& Value::string() const { return static_cast<const StringObject&>(*object_); }
const Text& Value::text() const { return string().text; }
std::string_view Value::view() const { return string().text.view(); }
const SequenceObject& Value::sequence() const { return static_cast<const SequenceObject&>(*object_); }
const std::vector<Value>& Value::items() const { return sequence().items; }
const DictObject& Value::dict() const { return static_cast<const DictObject&>(*object_); }
const ViewObject& Value::dict_view() const { return static_cast<const ViewObject&>(*object_); }
const RangeObject& Value::range() const { return static_cast<const RangeObject&>(*object_); }
IteratorObject& Value::iterator() const { return static_cast<IteratorObject&>(*object_); }
const MacroObject& Value::macro() const { return static_cast<const MacroObject&>(*object_); }
const FunctionObject& Value::function() const { return static_cast<const FunctionObject&>(*object_); }
LoopObject& Value::loop() const { return static_cast<LoopObject&>(*object_); }
CyclerObject& Value::cycler() const { return static_cast<CyclerObject&>(*object_); }
JoinerObject& Value::joiner() const { return static_cast<JoinerObject&>(*object_); }

std::string Value::undefined_hint() const {
  if (!object_) return "the value is undefined";
  const auto& object = static_cast<const UndefinedObject&>(*object_);
  if (!object.message.empty()) return object.message;
  if (object.owner.empty()) return format("'{}' is undefined", in_quotes(object.name));
  return format("'{}' has no attribute '{}'", object.owner, in_quotes(object.name));
}

uint64_t RangeObject::size() const {
  const auto first = static_cast<uint64_t>(start);
  const auto last = static_cast<uint64_t>(stop);
  const auto stride = static_cast<uint64_t>(step);  // unsigned, so that no difference can overflow
  if (step > 0) return start < stop ? (last - first - 1) / stride + 1 : 0;
  return start > stop ? (first - last - 1) / (0 - stride) + 1 : 0;
}

Value* NamespaceObject::find(std::string_view name) {
  for (auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

namespace {

int sign(bool less, bool greater) { return greater - less; }

// Exact comparison of a whole number with a finite real.
int compare_exact(int64_t whole, double real) {
  constexpr double kTwo63 = 9223372036854775808.0;
  if (real >= kTwo63) return -1;
  if (real < -kTwo63) return 1;
  const double floor = std::floor(real);
  const auto floor_whole = static_cast<int64_t>(floor);
  if (whole != floor_whole) return sign(whole<floor_whole, whole> floor_whole);
  return real > floor ? -1 : 0;
}

// Dict keys fall into classes that never equal each other.
int key_class(const Value& value) {
  if (value.is_number()) return 0;
  if (value.is_string()) return 1;
  if (value.is_none()) return 2;
  if (value.is_undefined()) return 3;
  if (value.is(Kind::kTuple)) return 4;
  return 5;
}

// A key costs at most this many comparisons of parts.
constexpr int kMaxKeyParts = 64;

bool is_hashable_within(const Value& value, int& parts_left) {
  if (--parts_left < 0 || value.is(Kind::kList) || value.is(Kind::kDict) || value.is(Kind::kView)) return false;
  if (!value.is(Kind::kTuple)) return true;
  return std::all_of(value.items().begin(), value.items().end(),
                     [&](const Value& item) { return is_hashable_within(item, parts_left); });
}

int compare_key_with_text(const Value& key, std::string_view text) {
  const int rank = key_class(key);
  if (rank != 1) return sign(rank<1, rank> 1);
  const int order = key.view().compare(text);
  return sign(order<0, order> 0);
}

// Dicts up to this size are searched in order, which is faster and needs no table.
constexpr size_t kLinearDict = 8;

template <typename Compare>
const Value* find_entry(const DictObject& dict, Compare compare) {
  if (dict.order.empty()) {
    for (const auto& [key, value] : dict.entries) {
      if (compare(key) == 0) return &value;
    }
    return nullptr;
  }
  const auto found = std::lower_bound(dict.order.begin(), dict.order.end(), 0,
                                      [&](uint32_t index, int) { return compare(dict.entries[index].first) < 0; });
  if (found == dict.order.end() || compare(dict.entries[*found].first) != 0) return nullptr;
  return &dict.entries[*found].second;
}

}  // namespace

int compare_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return sign(a.as_int() < b.as_int(), a.as_int() > b.as_int());
  if (std::isnan(a.as_real()) || std::isnan(b.as_real())) return 2;
  if (a.is_integral()) return compare_exact(a.as_int(), b.as_real());
  if (b.is_integral()) return -compare_exact(b.as_int(), a.as_real());
  return sign(a.as_real() < b.as_real(), a.as_real() > b.as_real());
}

int compare_keys(const Value& a, const Value& b) {
  const int rank_a = key_class(a);
  const int rank_b = key_class(b);
  if (rank_a != rank_b) return sign(rank_a<rank_b, rank_a> rank_b);
  switch (rank_a) {
    case 0: {
      const int order = compare_numbers(a, b);
      if (order != 2) return order;
      return sign(std::isnan(a.as_real()) && !std::isnan(b.as_real()),
                  std::isnan(b.as_real()) && !std::isnan(a.as_real()));
    }
    case 1: {
      const int order = a.view().compare(b.view());
      return sign(order<0, order> 0);
    }
    case 4: {
      const auto& left = a.items();
      const auto& right = b.items();
      for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
        if (const int order = compare_keys(left[i], right[i]); order != 0) return order;
      }
      return sign(left.size() < right.size(), left.size() > right.size());
    }
    case 5: return sign(std::less<>()(a.object(), b.object()), std::less<>()(b.object(), a.object()));
    default: return 0;
  }
}

bool is_hashable(const Value& value) {
  int parts_left = kMaxKeyParts;
  return is_hashable_within(value, parts_left);
}

uint64_t key_bytes(const Value& key) {
  if (key.is_string()) return key.text().size();
  if (!key.is(Kind::kTuple)) return 0;
  uint64_t bytes = 0;
  for (const Value& part : key.items()) bytes += key_bytes(part);
  return bytes;
}

const Value* DictObject::find(const Value& key) const {
  return find_entry(*this, [&](const Value& other) { return compare_keys(other, key); });
}

const Value* DictObject::find(std::string_view key) const {
  return find_entry(*this, [&](const Value& other) { return compare_key_with_text(other, key); });
}

void index_dict(DictObject& dict) {
  auto& entries = dict.entries;
  std::vector<uint32_t> order(entries.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto compare = [&](uint32_t a, uint32_t b) { return compare_keys(entries[a].first, entries[b].first); };
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return compare(a, b) < 0; });

  // Of equal keys the first keeps its place and takes the last one's value.
  std::vector<bool> dropped(entries.size(), false);
  bool any_dropped = false;
  for (size_t i = 0; i < order.size();) {
    size_t end = i + 1;
    while (end < order.size() && compare(order[i], order[end]) == 0) dropped[order[end++]] = any_dropped = true;
    if (end > i + 1) entries[order[i]].second = entries[order[end - 1]].second;
    i = end;
  }
  if (any_dropped) {
    std::vector<DictObject::Entry> kept;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (!dropped[i]) kept.push_back(std::move(entries[i]));
    }
    entries = std::move(kept);
    index_dict(dict);
    return;
  }
  if (entries.size() > kLinearDict) dict.order = std::move(order);
}

Value make_string(Text text) {
  auto object = std::make_shared<StringObject>();
  object->text = std::move(text);
  object->length = code_point_count(object->text.view());
  return Value::of(Kind::kString, std::move(object));
}

Value make_string(std::string_view trusted) { return make_string(Text(std::string(trusted))); }

Value make_list(std::vector<Value> items) {
  auto object = std::make_shared<SequenceObject>();
  for (const Value& item : items) object->depth = deepest(object->depth, item);
  ++object->depth;
  object->items = std::move(items);
  return Value::of(Kind::kList, std::move(object));
}

Value make_dict(std::vector<DictObject::Entry> entries) {
  auto object = std::make_shared<DictObject>();
  for (const auto& [key, value] : entries) object->depth = deepest(deepest(object->depth, key), value);
  ++object->depth;
  object->entries = std::move(entries);
  index_dict(*object);
  return Value::of(Kind::kDict, std::move(object));
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing: return "missing";
    case Kind::kUndefined: return "Undefined";
    case Kind::kNone: return "NoneType";
    case Kind::kBool: return "bool";
    case Kind::kInt: return "int";
    case Kind::kReal: return "float";
    case Kind::kString: return "str";
    case Kind::kList: return "list";
    case Kind::kTuple: return "tuple";
    case Kind::kDict: return "dict";
    case Kind::kView: return "dict view";
    case Kind::kRange: return "range";
    case Kind::kIterator: return value.iterator().type_name;
    case Kind::kNamespace: return "Namespace";
    case Kind::kMacro: return "Macro";
    case Kind::kFunction: return "function";
    case Kind::kLoop: return "LoopContext";
    case Kind::kCycler: return "Cycler";
    case Kind::kJoiner: return "Joiner";
  }
  return "object";
}

}  // namespace andiron::jinja
