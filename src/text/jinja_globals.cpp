// The global functions: Jinja's, and those that transformers adds for chat templates.
#include <algorithm>

#include "base/strings.h"
#include "text/jinja_builtins.h"
#include "text/jinja_operations.h"
#include "text/jinja_time.h"

namespace andiron::jinja {

namespace {

Result<Value> raise_exception(Runtime& runtime, const Value* a) {
  constexpr size_t kShown = 400;
  TRY_ASSIGN(const Text message, to_text(runtime, a[0]));
  return make_error("the template refuses: {}", in_quotes(message.view(), kShown));
}

Result<Value> strftime_now(Runtime& runtime, const Value* a) {
  if (!a[0].is_string()) return make_error("strftime_now() needs a format string, got a {}", type_name(a[0]));
  TextBuilder out(runtime);
  append_time(out, a[0].text(), runtime.now.value_or(0));
  return out.finish();
}

Result<Value> range(Runtime& runtime, const Value* a) {
  int64_t numbers[3] = {0, 0, 1};
  for (int i = 0; i < 3; ++i) {
    if (a[i].is_missing()) continue;
    TRY_ASSIGN(numbers[i], to_index(a[i], "an argument of range()"));
  }
  if (a[1].is_missing()) return runtime.range(0, numbers[0], 1);
  return runtime.range(numbers[0], numbers[1], numbers[2]);
}

// The entries of dict(...) and namespace(...): one mapping or sequence of pairs, then named values.
Result<std::vector<DictObject::Entry>> dict_entries(Runtime& runtime, Call& call) {
  std::vector<DictObject::Entry> entries;
  if (call.positional.size() > 1) return make_error("dict() takes at most 1 positional argument");
  if (!call.positional.empty() && call.positional[0].is(Kind::kDict)) {
    entries = call.positional[0].dict().entries;
  } else if (!call.positional.empty()) {
    TRY_ASSIGN(const auto pairs, iterate(runtime, call.positional[0]));
    for (const Value& item : pairs) {
      TRY_ASSIGN(auto pair, iterate(runtime, item));
      if (pair.size() != 2) return make_error("dict() needs pairs of key and value");
      entries.emplace_back(std::move(pair[0]), std::move(pair[1]));
    }
  }
  for (auto& [name, value] : call.named) entries.emplace_back(make_string(name), std::move(value));
  return entries;
}

Result<Value> dict(Runtime& runtime, const Value&, Call& call) {
  TRY_ASSIGN(auto entries, dict_entries(runtime, call));
  return runtime.dict(std::move(entries));
}

Result<Value> name_space(Runtime& runtime, const Value&, Call& call) {
  TRY_ASSIGN(auto entries, dict_entries(runtime, call));
  TRY_ASSIGN(const Value merged, runtime.dict(std::move(entries)));  // one entry for each key
  TRY_ASSIGN(NamespaceObject * object, runtime.name_space());
  for (const auto& [key, value] : merged.dict().entries) {
    if (!key.is_string()) return make_error("namespace() needs names as keys, got a {}", type_name(key));
    if (object->attributes.size() >= kMaxNamespaceAttributes) return make_error("a namespace with too many attributes");
    object->attributes.emplace_back(key.view(), value);
  }
  return Value::of(object);
}

Result<Value> cycler(Runtime& runtime, const Value&, Call& call) {
  if (call.positional.empty() || !call.named.empty()) return make_error("cycler() needs items");
  TRY_ASSIGN(auto object, runtime.make<CyclerObject>(call.positional.size() * sizeof(Value)));
  for (const Value& item : call.positional) object->depth = std::max(object->depth, item.depth());
  if (++object->depth > kMaxValueDepth) return make_error("a value is nested deeper than {}", kMaxValueDepth);
  object->items = std::move(call.positional);
  return Value::of(Kind::kCycler, std::move(object));
}

Result<Value> joiner(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(auto object, runtime.make<JoinerObject>(0));
  object->separator = a[0].is_missing() ? make_string(", ") : a[0];
  object->depth = object->separator.depth() + 1;
  if (object->depth > kMaxValueDepth) return make_error("a value is nested deeper than {}", kMaxValueDepth);
  return Value::of(Kind::kJoiner, std::move(object));
}

constexpr Builtin kGlobals[] = {
    {"raise_exception", raise_exception, 1, {"message"}},
    {"strftime_now", strftime_now, 1, {"format"}},
    {"range", range, 1, {"start", "stop", "step"}, nullptr, true},
    {"joiner", joiner, 0, {"sep"}},
    {.name = "dict", .free = dict},
    {.name = "namespace", .free = name_space},
    {.name = "cycler", .free = cycler},
};

}  // namespace

std::span<const Builtin> globals() { return kGlobals; }

}  // namespace andiron::jinja
