// The methods of dicts, lists, tuples, ranges and numbers, and the lookup of all builtins by name.
#include <algorithm>
#include <bit>
#include <cmath>
#include <initializer_list>
#include <map>

#include "base/strings.h"
#include "text/jinja_builtins.h"
#include "text/jinja_operations.h"

namespace andiron::jinja {

namespace {

Result<Value> dict_get(Runtime& runtime, const Value* a) {
  if (!is_hashable(a[1])) return make_error("a {} cannot be a dict's key", type_name(a[1]));
  TRY(runtime.spend_bytes(key_bytes(a[1])));
  if (const Value* found = a[0].dict().find(a[1]); found != nullptr) return *found;
  return a[2].is_missing() ? Value::none() : a[2];
}

Result<Value> dict_keys(Runtime& runtime, const Value* a) { return runtime.view(ViewObject::Part::kKeys, a[0]); }
Result<Value> dict_values(Runtime& runtime, const Value* a) { return runtime.view(ViewObject::Part::kValues, a[0]); }
Result<Value> dict_items(Runtime& runtime, const Value* a) { return runtime.view(ViewObject::Part::kItems, a[0]); }

// Dicts and lists never change, so a copy may be the thing itself.
Result<Value> copy(Runtime&, const Value* a) { return a[0]; }

Result<Value> count(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const auto items, iterate(runtime, a[0]));
  int64_t result = 0;
  for (const Value& item : items) {
    TRY_ASSIGN(const bool same, equals(runtime, item, a[1]));
    if (same) ++result;
  }
  return Value::integer(result);
}

Result<Value> index(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const auto items, iterate(runtime, a[0]));
  TRY_ASSIGN(const SliceRange range, slice_range(a[2], a[3], Value(), items.size()));
  for (uint64_t i = 0; i < range.count; ++i) {
    const auto at = static_cast<size_t>(range.start) + i;
    TRY_ASSIGN(const bool same, equals(runtime, items[at], a[1]));
    if (same) return Value::integer(static_cast<int64_t>(at));
  }
  return make_error("index() did not find the value");
}

Result<Value> bit_length(Runtime&, const Value* a) {
  const auto value = static_cast<uint64_t>(a[0].as_int());
  return Value::integer(std::bit_width(a[0].as_int() < 0 ? 0 - value : value));
}

Result<Value> is_integer(Runtime&, const Value* a) {
  return Value::boolean(std::isfinite(a[0].as_real()) && std::trunc(a[0].as_real()) == a[0].as_real());
}

Result<Value> cycler_next(Runtime&, const Value* a) {
  CyclerObject& cycler = a[0].cycler();
  Value item = cycler.items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items.size();
  return item;
}

Result<Value> cycler_reset(Runtime&, const Value* a) {
  a[0].cycler().position = 0;
  return Value::none();
}

Result<Value> refused(Runtime&, const Value&, Call&) {
  return make_error("this method is not supported in chat templates");
}

constexpr Builtin kDictMethods[] = {
    {"get", dict_get, 2, {"self", "key", "default"}, nullptr, true},
    {"keys", dict_keys, 1, {"self"}, nullptr, true},
    {"values", dict_values, 1, {"self"}, nullptr, true},
    {"items", dict_items, 1, {"self"}, nullptr, true},
    {"copy", copy, 1, {"self"}, nullptr, true},
    {.name = "fromkeys", .free = refused},
    // What would change a dict is hidden, as in Jinja's immutable sandbox.
    {.name = "clear"},
    {.name = "pop"},
    {.name = "popitem"},
    {.name = "setdefault"},
    {.name = "update"},
};

constexpr Builtin kListMethods[] = {
    {"count", count, 2, {"self", "value"}, nullptr, true},
    {"index", index, 2, {"self", "value", "start", "stop"}, nullptr, true},
    {"copy", copy, 1, {"self"}, nullptr, true},
    {.name = "append"},
    {.name = "clear"},
    {.name = "extend"},
    {.name = "insert"},
    {.name = "pop"},
    {.name = "remove"},
    {.name = "reverse"},
    {.name = "sort"},
};

constexpr Builtin kTupleMethods[] = {
    {"count", count, 2, {"self", "value"}, nullptr, true},
    {"index", index, 2, {"self", "value", "start", "stop"}, nullptr, true},
};

constexpr Builtin kIntMethods[] = {
    {"bit_length", bit_length, 1, {"self"}, nullptr, true},
    {"conjugate", copy, 1, {"self"}, nullptr, true},
    {.name = "bit_count", .free = refused},
    {.name = "as_integer_ratio", .free = refused},
    {.name = "to_bytes", .free = refused},
    {.name = "from_bytes", .free = refused},
};

constexpr Builtin kRealMethods[] = {
    {"is_integer", is_integer, 1, {"self"}, nullptr, true},
    {"conjugate", copy, 1, {"self"}, nullptr, true},
    {.name = "as_integer_ratio", .free = refused},
    {.name = "hex", .free = refused},
    {.name = "fromhex", .free = refused},
};

constexpr Builtin kCyclerMethods[] = {
    {"next", cycler_next, 1, {"self"}, nullptr, true},
    {"reset", cycler_reset, 1, {"self"}, nullptr, true},
};

using Table = std::map<std::string_view, const Builtin*>;

Table table_of(std::initializer_list<std::span<const Builtin>> groups) {
  Table table;
  for (const auto group : groups) {
    for (const Builtin& builtin : group) table.emplace(builtin.name, &builtin);
  }
  return table;
}

const Builtin* find_in(const Table& table, std::string_view name) {
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

const Builtin* find_in(std::span<const Builtin> builtins, std::string_view name) {
  const auto found =
      std::find_if(builtins.begin(), builtins.end(), [&](const Builtin& builtin) { return builtin.name == name; });
  return found == builtins.end() ? nullptr : &*found;
}

}  // namespace

const Builtin* find_filter(std::string_view name) {
  static const Table kTable =
      table_of({text_filters(), number_filters(), sequence_filters(), select_filters(), json_filters()});
  return find_in(kTable, name);
}

const Builtin* find_test(std::string_view name) {
  static const Table kTable = table_of({tests()});
  return find_in(kTable, name);
}

const Builtin* find_global(std::string_view name) { return find_in(globals(), name); }

const Builtin* find_method(const Value& value, std::string_view name) {
  static const Table kStringTable = table_of({string_methods(), string_queries()});
  switch (value.kind()) {
    case Kind::kString: return find_in(kStringTable, name);
    case Kind::kDict: return find_in(kDictMethods, name);
    case Kind::kList: return find_in(kListMethods, name);
    case Kind::kTuple:
    case Kind::kRange: return find_in(kTupleMethods, name);
    case Kind::kBool:
    case Kind::kInt: return find_in(kIntMethods, name);
    case Kind::kReal: return find_in(kRealMethods, name);
    case Kind::kCycler: return find_in(kCyclerMethods, name);
    default: return nullptr;
  }
}

}  // namespace andiron::jinja
