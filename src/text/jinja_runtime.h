// What every filter, test, method and operator of one render works with: its budget, the making of values, and calls.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/strings.h"
#include "text/jinja_objects.h"
#include "text/jinja_value.h"

namespace andiron::jinja {

// What one render may use. Templates are untrusted: whatever exceeds a limit is an error.
struct Limits {
  uint64_t steps = 1'000'000;           // one per node evaluated or item visited, more for long text
  uint64_t output_bytes = 1ull << 20;   // of the rendered text
  uint64_t memory_bytes = 64ull << 20;  // of values alive at one time, request data not counted
  int call_depth = 100;                 // macros and recursive loops within each other
};

// Arguments as they were given.
struct Call {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Runtime;

// A filter, test, method or global function. One of `fixed` and `free` is set.
struct Builtin {
  static constexpr int kMaxParameters = 7;
  // Gets an array with one value for each parameter, kMissing for those not given. A filter's, test's or method's
  // first parameter is its subject.
  using Fixed = Result<Value> (*)(Runtime&, const Value* arguments);
  // Gets the arguments as they were given; `self` is the subject, kMissing for a global function.
  using Free = Result<Value> (*)(Runtime&, const Value& self, Call& call);

  std::string_view name;
  Fixed fixed = nullptr;
  int required = 0;  // leading parameters without a default, the subject included
  std::array<std::string_view, kMaxParameters> parameters = {};  // an empty name ends the list
  Free free = nullptr;
  bool positional_only = false;  // names in `parameters` are for messages only
};

// nullptr when there is none of that name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_global(std::string_view name);
// The method `name` of a value's type as an attribute, or nullptr. A method that Python has but templates may not use
// (list.append) or that is left out here yields a Builtin whose call is an error.
const Builtin* find_method(const Value& value, std::string_view name);

class Runtime {
 public:
  explicit Runtime(const Limits& limits) : budget_(limits.steps, limits.memory_bytes), limits_(limits) {}
  virtual ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  Budget& budget() { return budget_; }
  const Limits& limits() const { return limits_; }

  Status spend(uint64_t steps) {
    if (!budget_.spend(steps)) return out_of_steps();
    return {};
  }
  // For work that grows with an amount of text, so that a step takes about as long whatever it is for: copying or
  // comparing bytes; looking at characters one by one; working on each of them.
  Status spend_bytes(uint64_t bytes) { return spend(bytes / 1024); }
  Status spend_scan(uint64_t bytes) { return spend(bytes / 64); }
  Status spend_convert(uint64_t bytes) { return spend(bytes / 16); }
  // For find_text and find_text_last.
  Status spend_search(uint64_t text_bytes, uint64_t needle_bytes) { return spend_scan(text_bytes + needle_bytes); }
  Error out_of_steps() const;
  Error out_of_memory() const;

  // An empty object of type T charged to the budget with `extra_bytes` on top of its own size.
  template <typename T>
  Result<std::shared_ptr<T>> make(uint64_t extra_bytes) {
    constexpr uint64_t kOverhead = 64;  // control block and allocator
    const uint64_t bytes = sizeof(T) + kOverhead + extra_bytes;
    if (!budget_.charge(bytes)) return out_of_memory();
    auto object = std::make_shared<T>();
    object->budget = &budget_;
    object->charged = bytes;
    return object;
  }

  Result<Value> string(Text text, bool is_markup = false);
  Result<Value> string(std::string_view trusted) { return string(Text(std::string(trusted))); }
  Result<Value> list(std::vector<Value> items) { return sequence(Kind::kList, std::move(items)); }
  Result<Value> tuple(std::vector<Value> items) { return sequence(Kind::kTuple, std::move(items)); }
  // An error when a key is not hashable.
  Result<Value> dict(std::vector<DictObject::Entry> entries);
  // `error` is raised to whoever reads past the last item.
  Result<Value> iterator(std::vector<Value> items, const char* type_name = "generator",
                         std::optional<Error> error = std::nullopt);
  Result<Value> range(int64_t start, int64_t stop, int64_t step);
  Result<Value> method(const Builtin* builtin, const Value& self);
  Result<Value> view(ViewObject::Part part, const Value& dict);
  Value undefined(std::string message);
  Value undefined_variable(std::string_view name);
  Value undefined_attribute(const Value& owner, std::string_view name);
  // Lives until the runtime ends.
  Result<NamespaceObject*> name_space();

  // Checks arguments against a builtin's parameters and runs it.
  Result<Value> run(const Builtin& builtin, const Value& self, Call& call);
  // Calls any value.
  virtual Result<Value> call(const Value& callee, Call& call) = 0;
  // By name, as select, map and the like do.
  Result<Value> apply_filter(std::string_view name, const Value& subject, Call& call);
  Result<bool> apply_test(std::string_view name, const Value& subject, Call& call);
  // loop.length, loop.cycle and the rest.
  virtual Result<Value> loop_attribute(const Value& loop, std::string_view name) = 0;

  // The time strftime_now shows: seconds since 1970-01-01 00:00 of the local clock; unset when unknown.
  std::optional<int64_t> now;

 protected:
  // Drops every value that namespaces hold, so that no chain of them outlives the budget.
  void clear_namespaces();

 private:
  Result<Value> sequence(Kind kind, std::vector<Value> items);
  Status check_depth(int depth) const;

  Budget budget_;
  Limits limits_;
  std::vector<std::unique_ptr<NamespaceObject>> namespaces_;
};

// Collects text piece by piece within the budget. After the budget is exceeded appends do nothing and the end result is
// an error, so that callers need to check only once.
class TextBuilder {
 public:
  explicit TextBuilder(Runtime& runtime) : runtime_(runtime) {}
  ~TextBuilder() { runtime_.budget().release(charged_); }
  TextBuilder(const TextBuilder&) = delete;
  TextBuilder& operator=(const TextBuilder&) = delete;

  void append(const Text& text) { append_slice(text, 0, text.size()); }
  void append_slice(const Text& text, size_t begin, size_t end);
  void append(std::string_view bytes, bool tainted = false);
  void append_repeated(std::string_view bytes, uint64_t count, bool tainted = false);
  void append_code_point(uint32_t code_point, bool tainted);
  void taint_all() { text_.taint_all(); }

  // Takes steps for work on what is being appended; the result is an error when there are none left.
  void spend(uint64_t steps);
  bool failed() const { return failed_; }
  Error error() const { return is_out_of_steps_ ? runtime_.out_of_steps() : runtime_.out_of_memory(); }
  size_t size() const { return text_.size(); }
  const Text& text() const { return text_; }
  // The builder is empty afterwards.
  Result<Text> take();
  Result<Value> finish(bool is_markup = false);

 private:
  bool reserve(uint64_t bytes, uint64_t ranges = 0);
  bool charge(uint64_t bytes);

  Runtime& runtime_;
  Text text_;
  uint64_t charged_ = 0;   // of the budget
  uint64_t reserved_ = 0;  // of it for bytes of text
  bool failed_ = false;
  bool is_out_of_steps_ = false;
};

}  // namespace andiron::jinja
