// map, select, reject, selectattr and rejectattr. As in Python they give iterators, and what an item raises is raised
// only to whoever reads as far as that item.
#include <utility>

#include "base/strings.h"
#include "text/jinja_builtins.h"
#include "text/jinja_operations.h"

namespace andiron::jinja {

namespace {

// Applies `step` to each item; it appends to the output or fails.
template <typename Step>
Result<Value> lazily(Runtime& runtime, const Value& subject, Step step) {
  std::vector<Value> out;
  std::optional<Error> error;
  if (truth(subject)) {
    auto items = iterate(runtime, subject);
    if (!items.ok()) return runtime.iterator({}, "generator", std::move(items).error());
    for (const Value& item : *items) {
      Status status = step(item, out);
      if (!status.ok()) {
        error = std::move(status).error();
        break;
      }
    }
  }
  return runtime.iterator(std::move(out), "generator", std::move(error));
}

Result<Value> failed(Runtime& runtime, const Value& subject, std::string message) {
  std::optional<Error> error;
  if (truth(subject)) error = Error{std::move(message)};
  return runtime.iterator({}, "generator", std::move(error));
}

Value take_named(Call& call, std::string_view name) {
  for (auto entry = call.named.begin(); entry != call.named.end(); ++entry) {
    if (entry->first != name) continue;
    Value value = std::move(entry->second);
    call.named.erase(entry);
    return value;
  }
  return Value();
}

// A filter's or test's name from the front of the arguments.
Result<std::string> take_name(Call& call, std::string_view what) {
  if (!call.positional[0].is_string()) return make_error("a {}'s name must be a string", what);
  std::string name(call.positional[0].view());
  call.positional.erase(call.positional.begin());
  return name;
}

Result<Value> map_attribute(Runtime& runtime, const Value& self, Call& call) {
  const Value attribute = take_named(call, "attribute");
  const Value if_undefined = take_named(call, "default");
  if (!call.named.empty())
    return failed(runtime, self, format("map has no parameter '{}'", in_quotes(call.named[0].first)));
  TRY_ASSIGN(const AttributePath path, AttributePath::parse(runtime, attribute));
  return lazily(runtime, self, [&](const Value& item, std::vector<Value>& out) -> Status {
    TRY_ASSIGN(Value value, path.get(runtime, item, if_undefined));
    out.push_back(std::move(value));
    return {};
  });
}

Result<Value> map(Runtime& runtime, const Value& self, Call& call) {
  if (call.positional.empty()) {
    for (const auto& [name, value] : call.named) {
      if (name == "attribute") return map_attribute(runtime, self, call);
    }
    return failed(runtime, self, "map needs a filter's name or attribute=");
  }
  auto name = take_name(call, "filter");
  if (!name.ok()) return failed(runtime, self, std::move(name).error().message);
  return lazily(runtime, self, [&](const Value& item, std::vector<Value>& out) -> Status {
    Call arguments = call;
    TRY_ASSIGN(Value value, runtime.apply_filter(*name, item, arguments));
    out.push_back(std::move(value));
    return {};
  });
}

Result<Value> pick(Runtime& runtime, const Value& self, Call& call, bool wanted, bool by_attribute) {
  AttributePath path;
  if (by_attribute) {
    if (call.positional.empty()) return failed(runtime, self, "an attribute's name is missing");
    TRY_ASSIGN(path, AttributePath::parse(runtime, call.positional[0]));
    call.positional.erase(call.positional.begin());
  }
  const bool has_test = !call.positional.empty();
  std::string test;
  if (has_test) {
    auto name = take_name(call, "test");
    if (!name.ok()) return failed(runtime, self, std::move(name).error().message);
    test = std::move(*name);
  }
  return lazily(runtime, self, [&](const Value& item, std::vector<Value>& out) -> Status {
    TRY_ASSIGN(const Value subject, path.get(runtime, item));
    bool passes = truth(subject);
    if (has_test) {
      Call arguments = call;
      TRY_ASSIGN(passes, runtime.apply_test(test, subject, arguments));
    }
    if (passes == wanted) out.push_back(item);
    return {};
  });
}

Result<Value> select(Runtime& runtime, const Value& self, Call& call) { return pick(runtime, self, call, true, false); }
Result<Value> reject(Runtime& runtime, const Value& self, Call& call) {
  return pick(runtime, self, call, false, false);
}
Result<Value> select_attribute(Runtime& runtime, const Value& self, Call& call) {
  return pick(runtime, self, call, true, true);
}
Result<Value> reject_attribute(Runtime& runtime, const Value& self, Call& call) {
  return pick(runtime, self, call, false, true);
}

constexpr Builtin kFilters[] = {
    {.name = "map", .free = map},
    {.name = "select", .free = select},
    {.name = "reject", .free = reject},
    {.name = "selectattr", .free = select_attribute},
    {.name = "rejectattr", .free = reject_attribute},
};

}  // namespace

std::span<const Builtin> select_filters() { return kFilters; }

}  // namespace andiron::jinja
